//! What is wrong with a corpus, and how to mend it.

use crate::{BrokenLine, DataError, MAX_WORKERS, Utterance, load_ordered, read_leniently};
use auricle_audio::{Audio, Limits, read};
use auricle_text::{Oddity, normalise, oddities};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

/// A header's and a manifest's duration may differ by this much.
const DURATION_TOLERANCE_SECS: f64 = 0.02;

/// What is checked, beyond what is always checked.
#[derive(Debug, Clone, Default)]
pub struct CheckConfig {
    /// Sampling rate that every file should have; `None` accepts all.
    pub sample_rate: Option<u32>,
    /// Threads that decode. 0 counts as 1, more than [`MAX_WORKERS`] as that many.
    pub workers: usize,
    /// A transcript is expected.
    pub needs_text: bool,
}

/// A set of a corpus: its name (train, dev, …) and utterances.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Name, for messages; no two sets have the same.
    pub name: String,
    /// What is in it.
    pub utterances: Vec<Utterance>,
    /// What of it could not be read.
    pub broken: Vec<BrokenLine>,
}

/// Reads lists as sets, leniently: what is wrong with a line is a finding, not an obstacle.
///
/// A set is named by its file without extension; where two are called the same, by as many folders
/// above them as make a difference.
///
/// # Errors
/// A file that cannot be read at all; the same file twice.
pub fn read_sets(paths: &[PathBuf]) -> Result<Vec<Set>, DataError> {
    let names = set_names(paths)?;
    let sets = paths.iter().zip(names).map(|(path, name)| {
        let (utterances, broken) = read_leniently(path)?;
        Ok(Set { name, utterances, broken })
    });
    sets.collect()
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
    /// Which utterance, or which line where there is none.
    pub id: String,
    /// Its position in the set; an id may come twice. None of a line that is no utterance.
    #[serde(skip)]
    pub index: Option<usize>,
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
        "broken-line" => "correct the line; --fix leaves it out",
        "duration" => "--fix writes the true duration",
        "shortened" => {
            "only the beginning of the file is used: write the file's true duration, unless that is meant"
        }
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
        "cannot-spell" => {
            "--fix drops the utterance; write the transcript in the tokenizer's characters, or train another tokenizer"
        }
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
    num_samples: usize,
    digest: blake3::Hash,
    peak: f32,
    clipped: f64,
}

/// Jobs begun ahead of the report: enough to keep every worker busy.
fn look_ahead(workers: usize) -> usize {
    (2 * workers.min(MAX_WORKERS)).max(8)
}

/// Decodes everything and looks at it; `progress` is called once an utterance.
///
/// Finds: lines that are no utterance, unreadable or truncated audio, wrong rate or duration,
/// segments outside their file, silence, clipping, missing or odd transcripts, repeated ids, repeated
/// audio, speakers in two sets.
pub fn check(sets: &[Set], config: &CheckConfig, mut progress: impl FnMut()) -> CheckReport {
    let mut report = CheckReport::default();
    let mut audio = HashMap::<[u8; 32], (&str, &str)>::new();
    for set in sets {
        let lines = set.broken.iter().map(|line| Finding {
            set: set.name.clone(),
            id: format!("line {}", line.line),
            index: None,
            kind: "broken-line",
            severity: Severity::Error,
            detail: line.reason.clone(),
            true_duration_secs: None,
        });
        report.findings.extend(lines);
        let mut ids = HashSet::<&str>::new();
        // By ids: a line that was copied is no other use of its file.
        let mut uses = HashMap::<&Path, BTreeSet<&str>>::new();
        for utterance in &set.utterances {
            uses.entry(&utterance.audio).or_default().insert(&utterance.id);
        }
        // Neighbours in one file are heard together: a long recording is decoded once.
        let jobs: Vec<Vec<Utterance>> =
            set.utterances.chunk_by(|a, b| a.audio == b.audio).map(<[_]>::to_vec).collect();
        let sizes: Vec<usize> = jobs.iter().map(Vec::len).collect();
        let heard =
            load_ordered(jobs.into_iter(), config.workers, look_ahead(config.workers), |job| hear(&job));
        let heard = heard.zip(sizes).flat_map(|(heard, size)| match heard {
            Ok(heard) => heard,
            Err(e) => (0..size).map(|_| Err(e.to_string())).collect(),
        });
        for (index, (utterance, heard)) in set.utterances.iter().zip(heard).enumerate() {
            report.utterances += 1;
            let finding = |kind, severity, detail, true_duration_secs| {
                let (set, id) = (set.name.clone(), utterance.id.clone());
                Finding { set, id, index: Some(index), kind, severity, detail, true_duration_secs }
            };
            let mut find = |kind, severity, detail: String| {
                report.findings.push(finding(kind, severity, detail, None));
            };
            let repeated = !ids.insert(&utterance.id);
            if repeated {
                find("duplicate-id", Severity::Error, "the id comes twice in its set".into());
            }
            check_text(utterance, config, &mut find);
            match heard {
                Err(reason) => find("unreadable", Severity::Error, reason),
                Ok(heard) => {
                    check_sound(&heard, config, &mut find);
                    // A line that was copied is found by its id.
                    if !repeated && heard.num_samples > 0 {
                        let place = (set.name.as_str(), utterance.id.as_str());
                        let (other_set, other) = *audio.entry(*heard.digest.as_bytes()).or_insert(place);
                        if (other_set, other) != place {
                            let detail = format!("same samples as {other} in {other_set}");
                            find("duplicate-audio", Severity::Error, detail);
                        }
                    }
                    let alone = uses.get(utterance.audio.as_path()).is_none_or(|ids| ids.len() == 1);
                    if let Some((kind, severity, detail, secs)) = check_times(utterance, &heard, alone) {
                        report.findings.push(finding(kind, severity, detail, secs));
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

/// A manifest's times against the file's. `alone`: nothing else in the set is of the same file.
fn check_times(
    utterance: &Utterance,
    heard: &Heard,
    alone: bool,
) -> Option<(&'static str, Severity, String, Option<f64>)> {
    let end = utterance.start_secs + utterance.duration_secs;
    let file_secs = heard.file_secs;
    let both = || format!("{:.2} s in the manifest, {file_secs:.2} s in the file", utterance.duration_secs);
    if utterance.start_secs > 0.0 {
        let outside = end > file_secs + DURATION_TOLERANCE_SECS;
        let detail = || format!("ends at {end:.2} s, the file at {file_secs:.2} s");
        outside.then(|| ("segment", Severity::Error, detail(), None))
    } else if utterance.duration_secs <= 0.0 || end > file_secs + DURATION_TOLERANCE_SECS {
        Some(("duration", Severity::Error, both(), Some(file_secs)))
    } else if alone && end < file_secs - DURATION_TOLERANCE_SECS {
        // The first segment of a file looks the same, but is seldom its only one.
        Some(("shortened", Severity::Warning, both(), None))
    } else {
        None
    }
}

/// Decodes the one file that some utterances are of.
fn hear(utterances: &[Utterance]) -> Vec<Result<Heard, String>> {
    let Some(first) = utterances.first() else { return Vec::new() };
    match read(&first.audio, &Limits::default()) {
        Ok(audio) => utterances.iter().map(|utterance| Ok(listen(utterance, &audio))).collect(),
        Err(e) => utterances.iter().map(|_| Err(e.to_string())).collect(),
    }
}

fn listen(utterance: &Utterance, audio: &Audio) -> Heard {
    let rate = f64::from(audio.sample_rate);
    let start = ((utterance.start_secs * rate) as usize).min(audio.samples.len());
    // Where the manifest doesn't know the length, what is heard is the rest of the file.
    let known = utterance.duration_secs > 0.0;
    let length = if known { (utterance.duration_secs * rate).round() as usize } else { usize::MAX };
    let length = length.min(audio.samples.len() - start);
    let samples = audio.samples.get(start..start + length).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    for sample in samples {
        hasher.update(&sample.to_le_bytes());
    }
    let clipped = samples.iter().filter(|s| s.abs() >= 0.9999).count() as f64 / samples.len().max(1) as f64;
    Heard {
        file_secs: audio.duration_secs(),
        sample_rate: audio.sample_rate,
        num_samples: samples.len(),
        digest: hasher.finalize(),
        peak: samples.iter().fold(0.0, |peak, s| s.abs().max(peak)),
        clipped,
    }
}

fn shared_speakers(sets: &[Set], report: &mut CheckReport) {
    let mut first = BTreeMap::<&str, &str>::new();
    for set in sets {
        let mut told = BTreeMap::<&str, ()>::new();
        for (index, utterance) in set.utterances.iter().enumerate() {
            let Some(speaker) = utterance.speaker.as_deref() else { continue };
            let home = *first.entry(speaker).or_insert(&set.name);
            if home != set.name && told.insert(speaker, ()).is_none() {
                report.findings.push(Finding {
                    set: set.name.clone(),
                    id: utterance.id.clone(),
                    index: Some(index),
                    kind: "shared-speaker",
                    severity: Severity::Warning,
                    detail: format!("speaker {speaker} is also in {home}"),
                    true_duration_secs: None,
                });
            }
        }
    }
}

/// Utterances whose transcript cannot be spelled, or not be aligned under CTC.
///
/// `frames` gives the output frames of a duration, `tokens` the tokens of a normalised transcript or
/// why there are none. CTC needs a frame for every token and one more between equal neighbours.
pub fn cannot_align(
    set: &Set,
    frames: &dyn Fn(f64) -> usize,
    tokens: &dyn Fn(&str) -> Result<Vec<u32>, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, utterance) in set.utterances.iter().enumerate() {
        let Some(text) = &utterance.text else { continue };
        let (kind, detail) = match tokens(&normalise(text)) {
            Err(reason) => ("cannot-spell", reason),
            Ok(tokens) => match alignment_fault(&tokens, frames(utterance.duration_secs)) {
                None => continue,
                Some(detail) => ("cannot-align", detail),
            },
        };
        let (set, id, severity) = (set.name.clone(), utterance.id.clone(), Severity::Error);
        let index = Some(index);
        findings.push(Finding { set, id, index, kind, severity, detail, true_duration_secs: None });
    }
    findings
}

/// Frames that CTC needs to align tokens: one each, and a blank between equal neighbours.
pub fn frames_needed(tokens: &[u32]) -> usize {
    tokens.len() + tokens.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Why CTC cannot align tokens with `frames` output frames, in words; `None` where it can.
pub fn alignment_fault(tokens: &[u32], frames: usize) -> Option<String> {
    let needed = frames_needed(tokens);
    (frames < needed).then(|| format!("{frames} output frames, needs {needed} for {} tokens", tokens.len()))
}

/// The sets without what has errors, with durations mended; of a repeated id the first that can be
/// kept stays.
pub fn fix(sets: &[Set], report: &CheckReport) -> Vec<Set> {
    let mut errors = HashMap::<(&str, usize), Vec<&Finding>>::new();
    for finding in report.findings.iter().filter(|f| f.severity == Severity::Error) {
        if let Some(index) = finding.index {
            errors.entry((&finding.set, index)).or_default().push(finding);
        }
    }
    let mend = |set: &Set| {
        let (mut seen, mut utterances) = (HashSet::<&str>::new(), Vec::new());
        for (index, utterance) in set.utterances.iter().enumerate() {
            let findings = errors.get(&(set.name.as_str(), index)).map_or(&[][..], Vec::as_slice);
            let fatal = findings.iter().any(|f| !matches!(f.kind, "duration" | "duplicate-id"));
            if fatal || !seen.insert(&utterance.id) {
                continue;
            }
            let mut kept = utterance.clone();
            if let Some(secs) = findings.iter().find_map(|f| f.true_duration_secs) {
                kept.duration_secs = secs;
            }
            utterances.push(kept);
        }
        Set { name: set.name.clone(), utterances, broken: Vec::new() }
    };
    sets.iter().map(mend).collect()
}

/// Names for lists: file names without extension, with folders where these are needed.
fn set_names(paths: &[PathBuf]) -> Result<Vec<String>, DataError> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| name_parts(path)).collect();
    let deepest = parts.iter().map(Vec::len).max().unwrap_or(0);
    for depth in 1..=deepest {
        let name = |parts: &Vec<String>| parts[parts.len().saturating_sub(depth)..].join("-");
        let names: Vec<String> = parts.iter().map(name).collect();
        if names.iter().collect::<BTreeSet<_>>().len() == names.len() {
            return Ok(names);
        }
    }
    let twice = (0..paths.len()).find(|&i| parts[..i].contains(&parts[i])).unwrap_or(0);
    match paths.get(twice) {
        None => Ok(Vec::new()),
        Some(path) => Err(DataError::layout(
            path,
            format!("there is another set of the name {}; name each list once", parts[twice].join("-")),
        )),
    }
}

/// The folders and the name of a list, without its extensions.
fn name_parts(path: &Path) -> Vec<String> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let plain = if whole.extension().is_some_and(|e| e == "gz") { whole.with_extension("") } else { whole };
    let plain = if plain.is_dir() { plain } else { plain.with_extension("") };
    let parts = plain.components().filter(|c| matches!(c, Component::Normal(_)));
    parts.map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_worker_is_left_without_a_job() {
        assert_eq!((look_ahead(1), look_ahead(64)), (8, 128));
        // Nor is a whole corpus held in memory for workers that there cannot be.
        assert_eq!(look_ahead(usize::MAX), 2 * MAX_WORKERS);
    }

    #[test]
    fn sets_of_one_name_are_told_apart_by_their_folders() {
        let names = |paths: &[&str]| set_names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/a/train.jsonl", "/b/dev.jsonl.gz"]).unwrap(), ["train", "dev"]);
        assert_eq!(names(&["/a/train.jsonl", "/b/train.jsonl"]).unwrap(), ["a-train", "b-train"]);
        let error = names(&["/a/train.jsonl", "/a/train.jsonl"]).unwrap_err().to_string();
        assert!(error.contains("/a/train.jsonl: there is another set"), "{error}");
    }
}
