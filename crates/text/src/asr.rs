//! Scores of a recogniser: error rates with their uncertainty, and where the errors are.

use crate::{
    Breakdown, ErrorCounts, Paired, Scored, bootstrap_interval, breakdown, cer, normalise, pair, wer,
};
use auricle_rng::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;
/// With so many speakers or more the bootstrap resamples speakers.
const SPEAKERS: usize = 10;

/// What the bootstrap resamples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootstrapUnit {
    /// Speakers: errors of one speaker depend on each other.
    Speakers,
    /// Utterances, where fewer than ten speakers are known.
    Utterances,
}

impl fmt::Display for BootstrapUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Speakers => "speakers",
            Self::Utterances => "utterances",
        })
    }
}

/// Error rates of a set of transcripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsrScores {
    /// Pooled word errors: S + D + I over the words of all references.
    pub words: ErrorCounts,
    /// Pooled character errors; single spaces between words count as characters.
    pub characters: ErrorCounts,
    /// 95 % interval of the word error rate, a fraction: (low, high).
    pub interval: (f64, f64),
    /// What the bootstrap resampled for it.
    pub unit: BootstrapUnit,
}

/// Pools the errors of texts, which are compared as they are: [`normalise()`] them first.
///
/// The interval is a percentile bootstrap over speakers where there are at least ten, else over utterances.
pub fn score(scored: &[Scored]) -> AsrScores {
    let (mut words, mut characters) = (ErrorCounts::default(), ErrorCounts::default());
    let mut speakers = BTreeMap::<&str, ErrorCounts>::new();
    let mut single = Vec::with_capacity(scored.len());
    for item in scored {
        let own = wer(&item.reference, &item.hypothesis);
        words += own;
        characters += cer(&item.reference, &item.hypothesis);
        *speakers.entry(item.speaker.as_deref().unwrap_or_default()).or_default() += own;
        single.push(own);
    }
    let (unit, groups): (_, Vec<ErrorCounts>) = match speakers.len() >= SPEAKERS {
        true => (BootstrapUnit::Speakers, speakers.into_values().collect()),
        false => (BootstrapUnit::Utterances, single),
    };
    let interval = bootstrap_interval(&groups, RESAMPLES, Key::new(0));
    AsrScores { words, characters, interval, unit }
}

/// Hypotheses beside references, as `auricle eval asr --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsrEvaluation {
    /// Number of references.
    pub utterances: usize,
    /// Ids of references without hypothesis; their words count as deleted.
    pub missing: Vec<String>,
    /// Ids of hypotheses without reference, which are not scored.
    pub extra: Vec<String>,
    /// Word error rate, a fraction.
    pub wer: f64,
    /// Its 95 % interval: low, high.
    pub wer_interval_95: [f64; 2],
    /// What the bootstrap resampled for the interval.
    pub bootstrap_unit: BootstrapUnit,
    /// Word errors.
    pub words: ErrorCounts,
    /// Character error rate, a fraction.
    pub cer: f64,
    /// Character errors.
    pub characters: ErrorCounts,
    /// Word errors by speaker and by word.
    pub breakdown: Breakdown,
    /// The normalised texts that were compared, for [`report`](crate::report()).
    #[serde(skip)]
    pub scored: Vec<Scored>,
}

/// Why there is nothing to score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsrError {
    /// No reference.
    #[error("there is no reference to score against")]
    NoReference,
    /// Not one hypothesis has the id of a reference.
    #[error(
        "no id of the references is among the hypotheses (for example, `{reference}` in the references and `{hypothesis}` in the hypotheses): do both belong to the same data set?"
    )]
    NothingShared {
        /// The first id of the references.
        reference: String,
        /// The first id of the hypotheses; empty where there is none.
        hypothesis: String,
    },
}

/// Scores hypotheses, texts by id, against references, whose `hypothesis` is filled in here. All texts are
/// [normalised](normalise()) first.
///
/// # Errors
/// There is no reference, or none has a hypothesis.
pub fn evaluate(
    references: Vec<Scored>,
    hypotheses: BTreeMap<String, String>,
) -> Result<AsrEvaluation, AsrError> {
    let first = hypotheses.keys().next().cloned().unwrap_or_default();
    let hypotheses = hypotheses.into_iter().map(|(id, text)| (id, normalise(&text))).collect();
    let normal = |item: Scored| Scored { reference: normalise(&item.reference), ..item };
    let Paired { scored, missing, extra } = pair(references.into_iter().map(normal).collect(), hypotheses);
    let Some(any) = scored.first() else { return Err(AsrError::NoReference) };
    if missing.len() == scored.len() {
        return Err(AsrError::NothingShared { reference: any.id.clone(), hypothesis: first });
    }
    let AsrScores { words, characters, interval, unit } = score(&scored);
    Ok(AsrEvaluation {
        utterances: scored.len(),
        missing,
        extra,
        wer: words.rate(),
        wer_interval_95: [interval.0, interval.1],
        bootstrap_unit: unit,
        words,
        cer: characters.rate(),
        characters,
        breakdown: breakdown(&scored),
        scored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(i: usize, speaker: usize) -> Scored {
        Scored {
            id: format!("u{i}"),
            speaker: Some(format!("s{speaker}")),
            reference: "One, two three!".into(),
            hypothesis: String::new(),
        }
    }

    #[test]
    fn scores_are_pooled_and_read_back() {
        let hypotheses = |n: usize| -> BTreeMap<String, String> {
            (0..n).map(|i| (format!("u{i}"), "one too three".to_string())).collect()
        };
        let references = |speakers: usize| (0..20).map(|i| reference(i, i % speakers)).collect::<Vec<_>>();
        let found = evaluate(references(10), hypotheses(19)).unwrap();
        assert_eq!(
            found.words,
            ErrorCounts { substitutions: 19, deletions: 3, insertions: 0, reference: 60 }
        );
        assert_eq!((found.wer, found.missing.as_slice()), (22.0 / 60.0, ["u19".to_string()].as_slice()));
        assert!(found.wer_interval_95[0] <= found.wer && found.wer <= found.wer_interval_95[1]);
        assert_eq!(found.bootstrap_unit, BootstrapUnit::Speakers);
        assert_eq!(
            evaluate(references(9), hypotheses(20)).unwrap().bootstrap_unit,
            BootstrapUnit::Utterances
        );
        let json = serde_json::to_string(&found).unwrap();
        let back: AsrEvaluation = serde_json::from_str(&json).unwrap();
        assert_eq!(back, AsrEvaluation { scored: Vec::new(), ..found });
        for key in ["\"wer\":", "\"wer_interval_95\":[", "\"bootstrap_unit\":\"speakers\"", "\"cer\":"] {
            assert!(json.contains(key), "{key} in {json}");
        }
    }

    #[test]
    fn nothing_to_score_is_told() {
        assert_eq!(evaluate(vec![], BTreeMap::new()), Err(AsrError::NoReference));
        let other = BTreeMap::from([("x".to_string(), "one".to_string())]);
        let error = evaluate(vec![reference(1, 1)], other).unwrap_err().to_string();
        assert!(error.contains("`u1` in the references and `x` in the hypotheses"), "{error}");
    }
}
