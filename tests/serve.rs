//! Pronunciation feedback over a WebSocket: what comes out is what the same samples give offline.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::resample;
use auricle_cca_mdd::{Reading, Scored, Session, Target};
use auricle_serve::Limits;
use auricle_tests::server::{assessor, pronouncer, serve, sound};
use auricle_tests::sounds::{music, telephone};
use auricle_text::mdd::{Verdict, Verdicts};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// As `auricle mdd score` does it.
fn offline(prompt: &str, samples: &[f32], secs: f64) -> Scored {
    let target = Target::of_prompt(pronouncer().prompt(prompt).unwrap());
    let mut session = Session::new(assessor(), target.classes()).unwrap();
    session.push(samples).unwrap();
    let verdicts = session.finish().unwrap();
    let reading = Reading::new(target, verdicts).best(&session).unwrap();
    reading.scored(&session, "offline", 50.0, secs)
}

fn same(event: &Value, offline: &Scored) {
    let expected = serde_json::to_value(offline).unwrap();
    for part in ["score", "duration_secs", "words", "notice"] {
        assert_eq!(event[part], expected[part]);
    }
}

/// Keeps what a page shows: the sounds heard, and what is known of every canonical phone. It must be, after
/// every event, what the alignment of all sounds heard so far with the prompt says.
#[derive(Default)]
struct Shown {
    heard: Vec<String>,
    phones: BTreeMap<u64, Verdict<String>>,
}

impl Shown {
    fn take(&mut self, partial: &Value, canonical: &[String]) {
        let text = |value: &Value| value.as_str().unwrap().to_string();
        self.heard.extend(partial["heard"].as_array().unwrap().iter().map(|heard| text(&heard["phone"])));
        for phone in partial["phones"].as_array().unwrap() {
            let index = phone["index"].as_u64().unwrap();
            let verdict = match phone["verdict"].as_str().unwrap() {
                "right" => Verdict::Correct,
                "other" => Verdict::Substituted(text(&phone["said"])),
                "missed" => Verdict::Deleted,
                verdict => {
                    assert_eq!((verdict, &phone["start_secs"]), ("open", &Value::Null));
                    self.phones.remove(&index);
                    continue;
                }
            };
            let start = phone["start_secs"].as_f64().unwrap();
            assert!(start <= partial["audio_secs"].as_f64().unwrap(), "{phone}");
            self.phones.insert(index, verdict);
        }
        let expected = Verdicts::from_partial_hypothesis(canonical, &self.heard).phones;
        assert_eq!(partial["position"], expected.len());
        let numbered: BTreeMap<u64, Verdict<String>> = (0..).zip(expected).collect();
        assert_eq!(self.phones, numbered);
    }
}

#[test]
fn a_stream_at_any_rate_gives_what_the_recording_gives() {
    let server = serve(Limits::default());
    let mut client = server.client();
    // "record" is judged by the pronunciation that fits better; several utterances share a connection.
    for (turn, (prompt, rate, piece)) in
        [("We call it bear.", 16_000, 640), ("record it", 48_000, 1_920), ("call it", 44_100, 1_000)]
            .into_iter()
            .enumerate()
    {
        let samples = sound(3 * rate as usize + 17, rate, turn as u64);
        let at_16k = resample(&samples, rate, 16_000).unwrap();
        let expected = offline(prompt, &at_16k, samples.len() as f64 / f64::from(rate));
        let events = client.read_aloud(prompt, &samples, rate, piece);
        same(events.last().unwrap(), &expected);

        let ready = &events[0];
        let words: Vec<&str> =
            ready["words"].as_array().unwrap().iter().map(|word| word["text"].as_str().unwrap()).collect();
        assert_eq!(words.join(" "), prompt.to_lowercase().replace('.', ""));
        assert_eq!((&ready["max_secs"], &ready["threshold"]), (&json!(60.0), &json!(50.0)));
        let canonical: Vec<String> = ready["words"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|word| word["phones"].as_array().unwrap())
            .map(|phone| phone.as_str().unwrap().to_string())
            .collect();
        let partials: Vec<&Value> = events.iter().filter(|event| event["type"] == "partial").collect();
        assert_eq!(partials.len(), samples.len().div_ceil(piece));
        let mut shown = Shown::default();
        partials.iter().for_each(|partial| shown.take(partial, &canonical));
        assert!(!shown.phones.is_empty(), "nothing was ever shown");
        let secs = partials.last().unwrap()["audio_secs"].as_f64().unwrap();
        assert!((secs - expected.duration_secs).abs() < 1e-9);
        // A word is said once, in order.
        let said: Vec<u64> = events
            .iter()
            .filter(|event| event["type"] == "verdict")
            .map(|event| event["word"].as_u64().unwrap())
            .collect();
        assert!(said.windows(2).all(|pair| pair[0] < pair[1]), "{said:?}");
        assert!(events.last().unwrap().get("notice").is_none());
    }
}

#[test]
fn sixteen_bit_samples_are_those_of_a_wav_file() {
    let server = serve(Limits::default());
    let mut client = server.client();
    let integers: Vec<i16> = sound(32_000, 16_000, 5).iter().map(|x| (x * 32_767.0) as i16).collect();
    let samples: Vec<f32> = integers.iter().map(|&x| f32::from(x) / 32_768.0).collect();
    client
        .request(&json!({"type": "start", "prompt": "call it", "sample_rate": 16_000, "encoding": "s16le"}));
    client.next("ready");
    for piece in integers.chunks(4_000) {
        let bytes: Vec<u8> = piece.iter().flat_map(|x| x.to_le_bytes()).collect();
        client.socket.send(tungstenite::Message::binary(bytes)).unwrap();
    }
    client.request(&json!({"type": "stop"}));
    same(&client.next("final"), &offline("call it", &samples, 2.0));
}

#[test]
fn what_a_learner_can_mend_leaves_the_connection_open() {
    let server = serve(Limits { max_prompt_chars: 40, ..Limits::default() });
    let mut client = server.client();
    let long = "call ".repeat(9);
    for (prompt, code, expected) in [
        ("", "prompt", "no words"),
        (" ?! ", "prompt", "no words"),
        ("call zyzzyva", "prompt", "`zyzzyva` is in no lexicon"),
        ("call 50% it", "prompt", "write it as a word"),
        (long.as_str(), "prompt_length", "more than 40 characters"),
    ] {
        client.start(prompt, 16_000);
        let error = client.event();
        assert_eq!((&error["code"], &error["closes"]), (&json!(code), &json!(false)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    // Too short to be judged, and a sample that is no number.
    client.start("call it", 16_000);
    client.next("ready");
    client.request(&json!({"type": "stop"}));
    let error = client.event();
    assert!(error["code"] == "audio" && error["message"].as_str().unwrap().contains("again"), "{error}");
    client.start("call it", 16_000);
    client.next("ready");
    client.send(&[0.0, f32::NAN]).unwrap();
    assert_eq!(client.event()["code"], "audio");
    // And another utterance can follow.
    client.read_aloud("call it", &sound(16_000, 16_000, 1), 16_000, 4_000);
}

#[test]
fn odd_recordings_are_judged_and_noticed() {
    let server = serve(Limits::default());
    let mut client = server.client();
    let voice = |rate: u32| sound(2 * rate as usize, rate, 3);
    let overdriven = voice(48_000).iter().map(|x| (8.0 * x).clamp(-1.0, 1.0)).collect();
    for (name, rate, samples, code) in [
        ("silence", 16_000, vec![0.0; 32_000], Some("silence")),
        ("a cable that hums", 44_100, voice(44_100).iter().map(|x| 0.005 * x).collect(), Some("silence")),
        ("clipping", 48_000, overdriven, Some("clipped")),
        ("music", 44_100, music(44_100, 3.0), None),
        ("telephone", 8_000, telephone(&voice(8_000)), None),
    ] {
        let events = client.read_aloud("call it", &samples, rate, rate as usize / 25);
        let last = events.last().unwrap();
        let notice = &last["notice"];
        assert_eq!(notice["code"].as_str(), code, "{name}: {last}");
        assert_eq!(
            notice["message"].as_str().is_some_and(|text| text.contains("microphone")),
            code.is_some()
        );
        let at_16k = resample(&samples, rate, 16_000).unwrap();
        same(last, &offline("call it", &at_16k, samples.len() as f64 / f64::from(rate)));
    }
}

#[cfg(unix)]
#[test]
fn the_program_says_where_it_listens_and_ends_when_asked() {
    use auricle_tests::program::{auricle, command, small_corpus, workspace};
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    auricle(folder, &["serve", "--max-sessions", "0"]).failed_with(&["max_sessions = 0", "1 to 10000"]);
    auricle(folder, &["serve", "--model", "nowhere"]).failed_with(&["no model `nowhere`"]);
    small_corpus(folder);
    let recipe = workspace().join("recipes/quickstart/mdd.toml");
    let settings = [
        "data.train=['train.jsonl']",
        "data.validation=['dev.jsonl']",
        "train.steps=1",
        "batch.batch_secs=10",
    ];
    let mut args = vec!["train", recipe.to_str().unwrap(), "--quiet", "--run", "run"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    auricle(folder, &args).succeeded();
    std::fs::write(folder.join("own.dict"), "call K AO1 L\n").unwrap();
    let with = ["serve", "--model", "run", "--lexicon", "own.dict", "--port", "0"];
    auricle(folder, &[&with[..], &["--origin", "*"]].concat()).failed_with(&["origin `*`"]);
    let mut child = command(folder)
        .args(with)
        .args(["--host", "0.0.0.0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let port = url.trim().trim_end_matches('/').rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"status\":\"ok\""), "{answer}");
    let terminated = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(terminated.success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("warning: everybody"), "{said}");
}

/// Neither signal may depend on somebody who reads the error stream.
#[cfg(target_os = "linux")]
#[test]
fn the_program_ends_when_its_error_stream_is_full() {
    use auricle_tests::program::{command, workspace};
    use std::io::{BufRead as _, BufReader};
    let model = workspace().join("models/pretrained/mdd-en-small");
    for signal in ["INT", "TERM"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.dict"), "call K AO1 L\n").unwrap();
        let mut child = command(folder.path())
            .args(["serve", "--lexicon", "own.dict", "--port", "0", "--host", "0.0.0.0", "--model"])
            .arg(&model)
            .stdout(std::process::Stdio::piped())
            .stderr(full)
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "{url}");
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn only_own_pages_and_programs_connect() {
    let server = serve(Limits::default());
    let own = format!("http://{}", server.address);
    assert!(server.client_of(Some(&own)).is_ok());
    assert!(server.client_of(None).is_ok());
    for strange in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"] {
        let (status, body) = server.client_of(Some(strange)).err().unwrap();
        assert!(status == 403 && body.contains("--origin"), "{strange}: {status} {body}");
    }
}

fn get(server: &auricle_tests::server::Running, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_stands_alone_behind_its_headers() {
    let server = serve(Limits::default());
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/record.js", "text/javascript"),
        ("/capture.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/prompts.json", "application/json"),
        ("/phones.json", "application/json"),
        ("/healthz", "application/json"),
    ] {
        let answer = get(&server, path);
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        for line in [
            &format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "permissions-policy: microphone=(self)",
        ] {
            assert!(head.contains(line), "{path}: {line} is not in {head}");
        }
        // Nothing is fetched from elsewhere, and no script or style stands in the markup.
        for foreign in ["https://", "src=\"http", "//cdn", "<style", "<script>", " onclick=", " style="] {
            assert!(!answer.contains(foreign), "{path} has {foreign}");
        }
    }
    assert!(get(&server, "/healthz").contains(r#""sessions":0"#));
    let _client = server.client();
    assert!(get(&server, "/healthz").contains(r#""sessions":1"#));
    assert!(get(&server, "/etc/passwd").starts_with("HTTP/1.1 404"));
    assert!(get(&server, "/session").starts_with("HTTP/1.1 4"));
}
