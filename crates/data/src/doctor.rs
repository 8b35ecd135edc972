//! What is wrong with a corpus, and how to mend it.

use crate::{Utterance, load_ordered};
use auricle_audio::{Limits, read};
use auricle_text::{Oddity, oddities};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A header's and a manifest's duration may differ by this much.
const DURATION_TOLERANCE_SECS: f64 = 0.02;

/// What is checked, beyond what is always checked.
#[derive(Debug, Clone, Default)]
pub struct CheckConfig {
    /// Sampling rate that every file should have; `None` accepts all.
    pub sample_rate: Option<u32>,
    /// Threads that decode. 0 counts as 1.
    pub workers: usize,
    /// A transcript is expected.
    pub needs_text: bool,
}

/// A set of a corpus: its name (train, dev, …) and utterances.
#[derive(Debug, Clone)]
pub struct Set {
    /// Name, for messages.
    pub name: String,
    /// What is in it.
    pub utterances: Vec<Utterance>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Training or scoring would fail or lie; `fix` drops the utterance or mends it.
    Error,
}

/// One thing that is wrong with one utterance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which set.
    pub set: String,
    /// Which utterance.
    pub id: String,
    /// Short name of the kind, the same for all findings of a kind.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What exactly.
    pub detail: String,
    /// The duration that the audio really has, where that is the fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_duration_secs: Option<f64>,
}

/// The result of [`check`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// Utterances looked at.
    pub utterances: usize,
    /// Seconds of audio that could be read.
    pub audio_secs: f64,
    /// Everything found, in the order of the sets.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Number of findings of each kind.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.kind).or_default() += 1;
        }
        counts
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }
}

/// What to do about a kind of finding.
pub fn advice(kind: &str) -> &'static str {
    match kind {
        "unreadable" => "copy or download the file again; --fix drops the utterance",
        "duration" => "--fix writes the true duration",
        "segment" => "--fix drops the utterance; correct its start and duration",
        "sample-rate" => {
            "nothing: audio is resampled while it is read; mixed rates may hint at mixed sources"
        }
        "no-text" => "write the transcript; --fix drops the utterance",
        "odd-text" => {
            "spell numbers and signs as words, or train a subword tokenizer that has the characters"
        }
        "duplicate-id" => "--fix keeps the first",
        "duplicate-audio" => {
            "--fix keeps the first of a set; across sets it is a leak: drop it from the training set"
        }
        "shared-speaker" => "move the speaker's utterances to one set: scores on seen speakers are too good",
        "cannot-align" => "--fix drops the utterance; its transcript is longer than its audio can carry",
        "silent" => "listen to the file; --fix drops the utterance",
        "clipped" => "record at a lower level; the utterance stays usable",
        _ => "look at the utterance",
    }
}

/// What decoding an utterance shows.
struct Heard {
    file_secs: f64,
    sample_rate: u32,
    digest: blake3::Hash,
    peak: f32,
    clipped: f64,
}

/// Decodes everything and looks at it; `progress` is called once an utterance.
///
/// Finds: unreadable or truncated audio, wrong rate or duration, segments outside their file,
/// silence, clipping, missing or odd transcripts, repeated ids, repeated audio, speakers in two
/// sets.
pub fn check(sets: &[Set], config: &CheckConfig, mut progress: impl FnMut()) -> CheckReport {
    let mut report = CheckReport::default();
    let mut audio = BTreeMap::<[u8; 32], (String, String)>::new();
    for set in sets {
        let mut ids = BTreeMap::<&str, ()>::new();
        let jobs: Vec<Utterance> = set.utterances.clone();
        let heard = load_ordered(jobs.into_iter(), config.workers, 8, |utterance| hear(&utterance));
        for (utterance, heard) in set.utterances.iter().zip(heard) {
            report.utterances += 1;
            let mut find = |kind, severity, detail: String| {
                let (set, id) = (set.name.clone(), utterance.id.clone());
                report.findings.push(Finding { set, id, kind, severity, detail, true_duration_secs: None });
            };
            if ids.insert(&utterance.id, ()).is_some() {
                find("duplicate-id", Severity::Error, "the id comes twice in its set".into());
            }
            check_text(utterance, config, &mut find);
            match heard.map_err(|e| e.to_string()).and_then(|heard| heard) {
                Err(reason) => find("unreadable", Severity::Error, reason),
                Ok(heard) => {
                    check_sound(&heard, config, &mut find);
                    let place = (set.name.clone(), utterance.id.clone());
                    if let Some((other_set, other)) = audio.get(heard.digest.as_bytes()) {
                        find(
                            "duplicate-audio",
                            Severity::Error,
                            format!("same samples as {other} in {other_set}"),
                        );
                    } else {
                        audio.insert(*heard.digest.as_bytes(), place);
                    }
                    if let Some(finding) = check_times(set, utterance, &heard) {
                        report.findings.push(finding);
                    }
                    report.audio_secs += utterance.duration_secs.min(heard.file_secs);
                }
            }
            progress();
        }
    }
    shared_speakers(sets, &mut report);
    report
}

fn check_text(
    utterance: &Utterance,
    config: &CheckConfig,
    find: &mut impl FnMut(&'static str, Severity, String),
) {
    let Some(text) = &utterance.text else {
        if config.needs_text {
            find("no-text", Severity::Error, "there is no transcript".into());
        }
        return;
    };
    let odd = oddities(text);
    if odd.contains(&Oddity::Empty) {
        find("no-text", Severity::Error, format!("the transcript `{text}` has no word"));
    } else if !odd.is_empty() {
        let signs: Vec<String> = odd
            .iter()
            .map(|o| match o {
                Oddity::Digit(c) | Oddity::Character(c) => c.to_string(),
                Oddity::Empty => String::new(),
            })
            .collect();
        find("odd-text", Severity::Warning, format!("`{}` in `{text}`", signs.join("")));
    }
}

fn check_sound(heard: &Heard, config: &CheckConfig, find: &mut impl FnMut(&'static str, Severity, String)) {
    if let Some(rate) = config.sample_rate.filter(|&rate| rate != heard.sample_rate) {
        find("sample-rate", Severity::Warning, format!("{} Hz instead of {rate} Hz", heard.sample_rate));
    }
    if heard.peak < 1e-4 {
        find(
            "silent",
            Severity::Error,
            format!("peak {:.1} dB", 20.0 * f64::from(heard.peak.max(1e-10)).log10()),
        );
    }
    if heard.clipped > 1e-3 {
        find(
            "clipped",
            Severity::Warning,
            format!("{:.1} % of samples at full scale", 100.0 * heard.clipped),
        );
    }
}

/// A manifest's times against the file's.
fn check_times(set: &Set, utterance: &Utterance, heard: &Heard) -> Option<Finding> {
    let finding = |kind, detail, true_duration_secs| {
        let (set, id) = (set.name.clone(), utterance.id.clone());
        Some(Finding { set, id, kind, severity: Severity::Error, detail, true_duration_secs })
    };
    let end = utterance.start_secs + utterance.duration_secs;
    if utterance.start_secs > 0.0 {
        if end > heard.file_secs + DURATION_TOLERANCE_SECS {
            let detail = format!("ends at {end:.2} s, the file at {:.2} s", heard.file_secs);
            return finding("segment", detail, None);
        }
    } else if utterance.duration_secs <= 0.0 || end > heard.file_secs + DURATION_TOLERANCE_SECS {
        let detail =
            format!("{:.2} s in the manifest, {:.2} s in the file", utterance.duration_secs, heard.file_secs);
        return finding("duration", detail, Some(heard.file_secs));
    }
    None
}

fn hear(utterance: &Utterance) -> Result<Heard, String> {
    let audio = read(&utterance.audio, &Limits::default()).map_err(|e| e.to_string())?;
    let rate = f64::from(audio.sample_rate);
    let start = ((utterance.start_secs * rate) as usize).min(audio.samples.len());
    let length = ((utterance.duration_secs * rate).round() as usize).min(audio.samples.len() - start);
    let samples = audio.samples.get(start..start + length).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    for sample in samples {
        hasher.update(&sample.to_le_bytes());
    }
    let clipped = samples.iter().filter(|s| s.abs() >= 0.9999).count() as f64 / samples.len().max(1) as f64;
    Ok(Heard {
        file_secs: audio.duration_secs(),
        sample_rate: audio.sample_rate,
        digest: hasher.finalize(),
        peak: samples.iter().fold(0.0, |peak, s| s.abs().max(peak)),
        clipped,
    })
}

fn shared_speakers(sets: &[Set], report: &mut CheckReport) {
    let mut first = BTreeMap::<&str, &str>::new();
    for set in sets {
        let mut told = BTreeMap::<&str, ()>::new();
        for utterance in &set.utterances {
            let Some(speaker) = utterance.speaker.as_deref() else { continue };
            let home = *first.entry(speaker).or_insert(&set.name);
            if home != set.name && told.insert(speaker, ()).is_none() {
                report.findings.push(Finding {
                    set: set.name.clone(),
                    id: utterance.id.clone(),
                    kind: "shared-speaker",
                    severity: Severity::Warning,
                    detail: format!("speaker {speaker} is also in {home}"),
                    true_duration_secs: None,
                });
            }
        }
    }
}

/// Utterances whose transcript cannot be aligned under CTC.
///
/// `frames` gives the output frames of a duration, `tokens` the tokens of a transcript. CTC needs
/// a frame for every token and one more between equal neighbours.
pub fn cannot_align(
    set: &Set,
    frames: &dyn Fn(f64) -> usize,
    tokens: &dyn Fn(&str) -> Option<Vec<u32>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for utterance in &set.utterances {
        let Some(tokens) = utterance.text.as_deref().and_then(tokens) else { continue };
        let repeats = tokens.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let (needed, has) = (tokens.len() + repeats, frames(utterance.duration_secs));
        if has < needed {
            findings.push(Finding {
                set: set.name.clone(),
                id: utterance.id.clone(),
                kind: "cannot-align",
                severity: Severity::Error,
                detail: format!("{has} output frames, needs {needed} for {} tokens", tokens.len()),
                true_duration_secs: None,
            });
        }
    }
    findings
}

/// The sets without what has errors, with durations mended; the second of two duplicates goes.
pub fn fix(sets: &[Set], report: &CheckReport) -> Vec<Set> {
    sets.iter()
        .map(|set| {
            let mut errors = BTreeMap::<&str, Vec<&Finding>>::new();
            for finding in
                report.findings.iter().filter(|f| f.set == set.name && f.severity == Severity::Error)
            {
                errors.entry(&finding.id).or_default().push(finding);
            }
            let mut seen = BTreeMap::<&str, ()>::new();
            let mut utterances = Vec::new();
            for utterance in &set.utterances {
                let findings = errors.get(utterance.id.as_str()).map_or(&[][..], Vec::as_slice);
                let repeated = seen.insert(&utterance.id, ()).is_some();
                let fatal = findings.iter().any(|f| !matches!(f.kind, "duration" | "duplicate-id"));
                if repeated || fatal {
                    continue;
                }
                let mut kept = utterance.clone();
                if let Some(secs) = findings.iter().find_map(|f| f.true_duration_secs) {
                    kept.duration_secs = secs;
                }
                utterances.push(kept);
            }
            Set { name: set.name.clone(), utterances }
        })
        .collect()
}

/// A name for a manifest's set: its file name without extension.
pub fn set_name(path: &std::path::Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name.is_empty() { PathBuf::from(path).display().to_string() } else { name.into_owned() }
}
