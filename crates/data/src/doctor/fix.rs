//! What is left of sets after mending.

use super::report::{CheckReport, Finding, Set, Severity};
use std::collections::{HashMap, HashSet};

/// The sets without what has errors, with durations mended; of a repeated id the first that can be
/// kept stays.
pub fn fix(sets: &[Set], report: &CheckReport) -> Vec<Set> {
    let mut errors = HashMap::<(&str, usize), Vec<&Finding>>::new();
    let is_mended = |f: &&Finding| f.severity == Severity::Error || f.true_duration_secs.is_some();
    for finding in report.findings.iter().filter(is_mended) {
        if let Some(index) = finding.index {
            errors.entry((&finding.set, index)).or_default().push(finding);
        }
    }
    let mend = |set: &Set| {
        let (mut seen, mut utterances) = (HashSet::<&str>::new(), Vec::new());
        for (index, utterance) in set.utterances.iter().enumerate() {
            let findings = errors.get(&(set.name.as_str(), index)).map_or(&[][..], Vec::as_slice);
            let fatal =
                findings.iter().any(|f| !matches!(f.kind, "duration" | "segment-end" | "duplicate-id"));
            if fatal || !seen.insert(&utterance.id) {
                continue;
            }
            let mut kept = utterance.clone();
            if let Some(secs) = findings.iter().find_map(|f| f.true_duration_secs) {
                kept.duration_secs = secs;
            }
            utterances.push(kept);
        }
        Set { name: set.name.clone(), utterances, ..Set::default() }
    };
    sets.iter().map(mend).collect()
}
