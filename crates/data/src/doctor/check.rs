//! Decodes everything and looks at it.

use super::report::{CheckConfig, CheckReport, Finding, Set, Severity};
use crate::{MAX_WORKERS, Utterance, load_ordered};
use auricle_audio::{Audio, Limits, read};
use auricle_text::{Oddity, oddities};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// A header's and a manifest's duration may differ by this much.
const DURATION_TOLERANCE_SECS: f64 = 0.02;

/// What decoding an utterance shows.
struct Heard {
    /// What is wrong with the file though it could be read.
    warnings: Vec<String>,
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
        report.findings.extend(of_list(set));
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
            if config.needs_phones && (utterance.phones.is_none() || utterance.perceived_phones.is_none()) {
                find("no-phones", Severity::Error, "canonical or perceived phones are missing".into());
            }
            if config.needs_meaning && utterance.meaning.is_none() {
                find("no-meaning", Severity::Error, "there is no meaning".into());
            }
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

/// What is to be said of a set as a whole.
fn of_list(set: &Set) -> impl Iterator<Item = Finding> {
    let finding = |kind, severity, detail| Finding {
        set: set.name.clone(),
        id: "list".to_owned(),
        index: None,
        kind,
        severity,
        detail,
        true_duration_secs: None,
    };
    let is_empty = set.utterances.is_empty() && set.broken.is_empty();
    let empty = is_empty.then(|| finding("empty", Severity::Error, "there is no utterance in it".to_owned()));
    empty
        .into_iter()
        .chain(set.notes.iter().map(move |note| finding("list", Severity::Warning, note.clone())))
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
    for warning in &heard.warnings {
        find("damaged", Severity::Warning, warning.clone());
    }
    if heard.clipped > 1e-3 {
        find(
            "clipped",
            Severity::Warning,
            format!("{:.1} % of samples at full scale", 100.0 * heard.clipped),
        );
    }
}

/// Ends of segments are rounded, and recordings cut: a segment that goes so far past its file's end is meant to end there.
const CLIPPED_SECS: f64 = 0.25;

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
        let left = file_secs - utterance.start_secs;
        let detail = format!("ends at {end:.2} s, the file at {file_secs:.2} s");
        if utterance.duration_secs <= 0.0 && left > 0.0 {
            Some(("duration", Severity::Error, both(), Some(left)))
        } else if end <= file_secs + DURATION_TOLERANCE_SECS {
            None
        } else if left > 0.0 && end - file_secs <= (0.5 * utterance.duration_secs).min(CLIPPED_SECS) {
            Some(("segment-end", Severity::Warning, detail, Some(left)))
        } else {
            Some(("segment", Severity::Error, detail, None))
        }
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
        warnings: audio.warnings.iter().map(|warning| warning.kind.to_string()).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_worker_is_left_without_a_job() {
        assert_eq!((look_ahead(1), look_ahead(64)), (8, 128));
        // Nor is a whole corpus held in memory for workers that there cannot be.
        assert_eq!(look_ahead(usize::MAX), 2 * MAX_WORKERS);
    }
}
