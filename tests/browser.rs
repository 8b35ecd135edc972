//! The page in a real browser: a recorded utterance goes through microphone, page, WebSocket and model, and
//! gets the verdicts of `auricle mdd score` on the file.
//!
//! Needs Chromium; without it the test says that it was skipped, and fails where `AURICLE_REQUIRE_BROWSER` is set.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::resample;
use auricle_tests::browser::{Browser, bytes_of_base64, chromium};
use auricle_tests::program::{auricle, command, small_corpus, some, workspace};
use auricle_tests::sounds::WavFormat;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Points of 100 by which a score may differ from the file's: the browser resamples, and begins a little later.
const TOLERANCE: f64 = 2.5;
/// Correlation of what was sent with the file, at least; of another recording it is near 0. Not 1, because a busy
/// browser loses some of what it plays.
const CORRELATION: f64 = 0.6;
/// Silence before the words, in seconds: opening the microphone takes the browser a moment.
const BEFORE_SECS: f64 = 0.6;
/// Silence after them.
const AFTER_SECS: f64 = 1.0;

/// A chromium, or a word on why there is none.
fn browser_or_skip() -> Option<PathBuf> {
    let found = chromium();
    if found.is_none() {
        assert!(
            std::env::var_os("AURICLE_REQUIRE_BROWSER").is_none(),
            "AURICLE_REQUIRE_BROWSER is set, but there is no Chromium; install it or name it by CHROMIUM"
        );
        println!("skipped: no Chromium; install it or name it by CHROMIUM");
    }
    found
}

/// A model of some steps in `<folder>/run`.
fn trained(folder: &Path) {
    small_corpus(folder);
    let recipe = workspace().join("recipes/quickstart/mdd.toml");
    let settings = [
        "data.train=['train.jsonl']",
        "data.validation=['dev.jsonl']",
        "train.steps=3",
        "batch.batch_secs=10",
    ];
    let mut args = vec!["train", recipe.to_str().unwrap(), "--quiet", "--run", "run"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    auricle(folder, &args).succeeded();
    std::fs::write(folder.join("own.dict"), "we W IY1\ncall K AO1 L\nit IH1 T\nbear B EH1 R\n").unwrap();
}

/// A server of the program, stopped when dropped.
struct Serving {
    process: Child,
    url: String,
}

impl Serving {
    fn start(folder: &Path, threshold: f64) -> Self {
        let mut process = command(folder)
            .args(["serve", "--model", "run", "--lexicon", "own.dict", "--port", "0"])
            .args(["--threshold", &threshold.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        Self { process, url: url.trim().into() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Speech of the built-in corpus at a rate, between stretches of silence.
fn recording(folder: &Path, rate: u32) -> PathBuf {
    let [utterance] = some(&folder.join("dev.jsonl"), 100).try_into().unwrap();
    let speech = utterance.samples(rate).unwrap();
    let silence = |secs: f64| vec![0.0; (secs * f64::from(rate)) as usize];
    let samples = [silence(BEFORE_SECS), speech, silence(AFTER_SECS)].concat();
    let bytes: Vec<u8> = samples.iter().flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes()).collect();
    let path = folder.join(format!("{rate}.wav"));
    let header = WavFormat::mono16(rate).header(bytes.len() as u32);
    std::fs::write(&path, [header, bytes].concat()).unwrap();
    path
}

const PROMPT: &str = "we call it bear";

/// Scores and verdicts of all phones.
fn phones(result: &Value) -> Vec<(f64, bool)> {
    let words = result["words"].as_array().unwrap();
    let phones = words.iter().flat_map(|word| word["phones"].as_array().unwrap());
    let read = |phone: &Value| (phone["score"].as_f64().unwrap(), phone["mispronounced"].as_bool().unwrap());
    phones.map(read).collect()
}

/// Half way between the lowest and the highest score: some phones are right and some wrong, and those at both ends
/// are further from it than any score may differ.
fn threshold_of(result: &Value) -> f64 {
    let scores: Vec<f64> = phones(result).into_iter().map(|(score, _)| score).collect();
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    f64::midpoint(lowest, scores.into_iter().fold(0.0, f64::max))
}

/// JavaScript writes 57.0 as 57.
fn one_kind_of_number(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(one_kind_of_number).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), one_kind_of_number(value))).collect()
        }
        other => other.clone(),
    }
}

/// Keeps what the page sends.
const EAVESDROP: &str = "window.sent = []; window.asked = []; const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (typeof data === 'string') asked.push(JSON.parse(data)); else sent.push(...new Uint8Array(data));
        send.call(this, data);
    };";

/// Compares the sounds of the sentence, whenever more is known of them, with what the server has said of them.
const WATCH: &str = "window.states = []; window.marked = 0; window.differ = 0;
    document.addEventListener('auricle', ({detail}) => {
        if (detail.type !== 'partial') return;
        for (const {index, verdict} of detail.phones) states[index] = verdict;
        document.querySelectorAll('#sentence .phone').forEach((phone, i) => {
            const shown = ['right', 'other', 'missed'].filter(name => phone.classList.contains(name)).join() || 'open';
            marked += shown !== 'open';
            differ += shown !== (states[i] ?? 'open');
        });
    });";

/// The largest correlation of two signals at 8 kHz, whichever begins earlier.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let energy = |x: &[f32]| f64::from(x.iter().map(|x| x * x).sum::<f32>());
    let at = |a: &[f32], b: &[f32]| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    let most = (0..8_000).flat_map(|lag| [at(a, &b[lag.min(b.len())..]), at(&a[lag.min(a.len())..], b)]);
    most.fold(0.0, f64::max) / (energy(a) * energy(b)).sqrt()
}

/// What a browser did with a recording.
struct Page {
    result: Value,
    shown: Value,
    start: Value,
    sent: Vec<u8>,
}

/// Records `secs` seconds with the page, whose sound runs at `rate`; the final event, and what the page shows.
fn in_the_page(program: &Path, url: &str, wav: &Path, rate: u32, secs: f64) -> Page {
    let mut browser = Browser::start(program, wav);
    browser.before_pages(&format!(
        "const Real = AudioContext; window.AudioContext = class extends Real {{ constructor() {{ super({{sampleRate: {rate}}}) }} }}"
    ));
    browser.before_pages(EAVESDROP);
    browser.before_pages(WATCH);
    browser.open(url);
    let result = browser.evaluate(&format!(
        "new Promise((done, fail) => {{
            const $ = (id) => document.getElementById(id);
            new MutationObserver(() => $('error').textContent && fail(new Error($('error').textContent)))
                .observe($('error'), {{childList: true}});
            new MutationObserver(() => parseFloat($('clock').textContent) >= {secs} &&
                $('record').getAttribute('aria-pressed') === 'true' && $('record').click())
                .observe($('clock'), {{childList: true}});
            document.addEventListener('auricle', ({{detail}}) => detail.type === 'final' && done(detail));
            $('auto').click();
            $('prompt').value = '{PROMPT}';
            $('prompt').dispatchEvent(new Event('input'));
            $('record').click();
        }})"
    ));
    let shown = browser.evaluate(
        "({ score: document.getElementById('score').textContent,
            words: [...document.querySelectorAll('#sentence .word .text')].map(word => word.textContent),
            status: document.getElementById('status').textContent,
            focus: document.activeElement.id,
            history: JSON.parse(localStorage.getItem('auricle.history')),
            rows: document.querySelectorAll('#table tr').length,
            bad: [...document.querySelectorAll('#sentence .phone')].map(phone => phone.classList.contains('bad')),
            marked, differ,
            unnamed: [...document.querySelectorAll('button, input, select')]
                .filter(part => !(part.textContent.trim() || part.getAttribute('aria-label') || part.labels?.length)).length })",
    );
    // What was recorded can be played, whole and in part.
    browser.evaluate(
        "Promise.all([...document.querySelectorAll('#sentence .word, #play-all')].map(b => b.click()))",
    );
    assert!(browser.console.is_empty(), "{:#?}", browser.console);
    let start = browser.evaluate("asked[0]");
    let sent = browser.evaluate(
        "new Promise(done => {
            const reader = new FileReader();
            reader.onload = () => done(reader.result.split(',')[1]);
            reader.readAsDataURL(new Blob([new Uint8Array(sent)]));
        })",
    );
    Page { result, shown, start, sent: bytes_of_base64(sent.as_str().unwrap()) }
}

#[test]
fn the_page_gives_what_the_file_gives() {
    let Some(program) = browser_or_skip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder);
    let score_by = |threshold: f64, wav: &Path| {
        let args = ["mdd", "score", "--model", "run", "--lexicon", "own.dict", "--text", PROMPT, "--json"];
        let rest = ["--threshold", &threshold.to_string(), wav.to_str().unwrap()];
        auricle(folder, &[&args[..], &rest].concat()).succeeded().json_lines().remove(0)
    };
    // Between the scores, so that the verdicts differ.
    let threshold = threshold_of(&score_by(50.0, &recording(folder, 16_000)));
    let score_of = |wav: &Path| score_by(threshold, wav);
    let server = Serving::start(folder, threshold);
    for rate in [16_000, 48_000] {
        let wav = recording(folder, rate);
        let expected = score_of(&wav);
        let secs = expected["duration_secs"].as_f64().unwrap();
        let Page { result, shown, start, sent } = in_the_page(&program, &server.url, &wav, rate, secs);

        // What was sent is the file …
        assert_eq!((&start["sample_rate"], &start["encoding"]), (&Value::from(rate), &Value::from("s16le")));
        let samples: Vec<f32> =
            sent.as_chunks::<2>().0.iter().map(|x| f32::from(i16::from_le_bytes(*x)) / 32_768.0).collect();
        let eight = |samples: &[f32]| resample(samples, rate, 8_000).unwrap();
        let original = auricle_audio::read(&wav, &auricle_audio::Limits::default()).unwrap().samples;
        let likeness = correlation(&eight(&samples), &eight(&original));
        println!("{rate} Hz: correlation {likeness:.3}");
        assert!(likeness > CORRELATION, "what was sent is not the recording: correlation {likeness}");
        // … and its verdicts are exactly those of a file of what was sent, and nearly those of the file itself.
        let kept = folder.join("sent.wav");
        std::fs::write(&kept, [WavFormat::mono16(rate).header(sent.len() as u32), sent].concat()).unwrap();
        assert_eq!(one_kind_of_number(&result["words"]), one_kind_of_number(&score_of(&kept)["words"]));
        let (ours, theirs) = (phones(&expected), phones(&result));
        assert_eq!(ours.len(), theirs.len());
        let mut sure = [0, 0];
        for ((ours, wrong), (theirs, heard_wrong)) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() <= TOLERANCE, "{rate} Hz: file {expected}\npage {result}");
            // Nearer to the threshold, the little that may differ decides.
            if (ours - threshold).abs() > TOLERANCE {
                assert_eq!(wrong, heard_wrong, "{rate} Hz: file {expected}\npage {result}");
                sure[usize::from(*wrong)] += 1;
            }
        }
        println!(
            "{rate} Hz: threshold {threshold:.1}; {} right and {} wrong for sure of {}",
            sure[0],
            sure[1],
            ours.len()
        );
        assert!(sure.iter().all(|&count| count > 0), "all scores are too near to the threshold: {expected}");
        // Shown as wrong is what the verdicts call wrong.
        let bad: Vec<bool> = theirs.iter().map(|(_, wrong)| *wrong).collect();
        assert_eq!(shown["bad"], serde_json::json!(bad));
        assert_eq!(shown["differ"], 0, "sounds were shown otherwise than the server said");
        assert_ne!(shown["marked"], 0, "nothing was shown while speaking");
        let score = result["score"].as_f64().unwrap();
        assert!(result.get("notice").is_none(), "{result}");
        assert_eq!(shown["score"], format!("{}", score.round()));
        assert_eq!(shown["words"].as_array().unwrap().len(), 4);
        assert_eq!(shown["rows"], ours.len());
        assert!(shown["status"].as_str().unwrap().starts_with("Score "), "{shown}");
        assert_eq!(shown["focus"], "result-title");
        assert_eq!(shown["history"][0]["prompt"], PROMPT);
        assert_eq!(shown["unnamed"], 0, "a control without a name for screen readers");
    }
}
