//! Self-training: which of its own labels a model is trained on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The `[train.self_training]` table.
///
/// After SELF (arXiv 2310.00533), carried over to speech: a model labels speech without labels, checks itself,
/// keeps what it is sure of, learns from it, and does so again. It checks itself by labelling perturbed copies
/// of an utterance (level, speed, noise): a label that a small perturbation changes is not to be trusted.
///
/// Round 0 is the recipe on its labels. Round r starts from the weights of round r − 1, with its labels beside
/// the true ones. The validation set is never labelled; a round that is worse there ends the training, and
/// the best round's weights are the run's.
///
/// # Differences from the paper
/// There a model is taught to judge and to refine its answers. Here neither is learned: agreement with perturbed copies is
/// the judge (no confidence head, no language model's score in it), and `refine` takes the answer that most others are
/// near, or words of a language model. True and own labels are mixed as they are, not one to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTrainingConfig {
    /// Speech without labels: manifests.
    pub unlabelled: Vec<PathBuf>,
    /// Rounds after the first training. Default: 3.
    #[serde(default = "three")]
    pub rounds: usize,
    /// Perturbed copies of every utterance, which are recognised to filter labels. Default: 4.
    #[serde(default = "four")]
    pub copies: usize,
    /// Largest mean error rate (characters; phones in `cca_mdd`) between the label and those of the copies. Default: 0.3.
    #[serde(default = "third")]
    pub disagreement: f64,
    /// Largest share of the utterances that is kept, by round; later rounds use the last value.
    /// Default: 0.5, 0.65, 0.8.
    #[serde(default = "shares")]
    pub shares: Vec<f64>,
    /// Whether `shares` apply to every speaker separately, so that no speaker dominates. Default: true.
    #[serde(default = "yes")]
    pub per_speaker: bool,
    /// Whether labels are filtered; `false` keeps all, for comparison. Default: true.
    #[serde(default = "yes")]
    pub filter: bool,
    /// Which hypothesis becomes the label: that of the unperturbed utterance (`none`) or the one closest to all. Default: the first.
    #[serde(default)]
    pub refine: Refine,
    /// Word language model in ARPA format (`auricle lm train`) with which CTC models are decoded. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lm: Option<PathBuf>,
}

/// Which of a model's answers to an utterance and its perturbed copies becomes the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refine {
    /// The answer to the utterance itself.
    #[default]
    None,
    /// The answer that is nearest to all others, by mean error rate: minimum Bayes risk over the copies.
    Consensus,
}

impl Refine {
    /// The number of the chosen answer, of which the first is that to the utterance itself, and its mean error rate as
    /// a reference for the others; `rate(i, j)` is that of answer `j` with `i` as the reference.
    ///
    /// A rate that is not finite says that `i` is no reference: it is chosen only where nothing else is left.
    pub fn choose(self, answers: usize, rate: impl Fn(usize, usize) -> f64) -> (usize, f64) {
        let others = answers.saturating_sub(1).max(1) as f64;
        let risk = |i: usize| (0..answers).filter(|&j| j != i).map(|j| rate(i, j)).sum::<f64>() / others;
        let candidates = match self {
            Self::None => 1,
            Self::Consensus => answers,
        };
        let mut best = (0, risk(0));
        for i in 1..candidates {
            let risk = risk(i);
            if risk < best.1 || (risk.is_finite() && !best.1.is_finite()) {
                best = (i, risk);
            }
        }
        best
    }
}

fn three() -> usize {
    3
}

fn four() -> usize {
    4
}

fn third() -> f64 {
    0.3
}

fn shares() -> Vec<f64> {
    vec![0.5, 0.65, 0.8]
}

fn yes() -> bool {
    true
}

impl SelfTrainingConfig {
    /// What is wrong, in words, or `Ok`.
    ///
    /// # Errors
    /// The reason.
    pub fn validate(&self) -> Result<(), String> {
        if self.unlabelled.is_empty() || self.rounds == 0 {
            return Err("train.self_training: it needs unlabelled speech and at least one round".into());
        }
        if self.shares.is_empty() || !self.shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err("train.self_training.shares: they must lie in 0..1, at least one".into());
        }
        if self.disagreement.is_nan() || self.disagreement < 0.0 || self.copies > 64 {
            return Err("train.self_training: disagreement below zero, or more than 64 copies".into());
        }
        Ok(())
    }

    /// The share of a round, counted from 1.
    pub fn share(&self, round: usize) -> f64 {
        let last = self.shares.len().saturating_sub(1);
        self.shares.get(round.saturating_sub(1).min(last)).copied().unwrap_or(1.0)
    }
}

/// A label that a model gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Which utterance.
    pub index: usize,
    /// Who speaks.
    pub speaker: String,
    /// Mean error rate between the label and those of perturbed copies; not finite where there is no label.
    pub disagreement: f64,
}

/// The labels that are kept, in the order of the utterances.
pub fn select(config: &SelfTrainingConfig, round: usize, labels: &[Labelled]) -> Vec<usize> {
    let usable = labels.iter().filter(|label| label.disagreement.is_finite());
    let mut kept: Vec<usize> = if config.filter {
        let mut groups: BTreeMap<&str, Vec<&Labelled>> = BTreeMap::new();
        for label in usable {
            groups.entry(if config.per_speaker { &label.speaker } else { "" }).or_default().push(label);
        }
        let share = config.share(round);
        groups
            .into_values()
            .flat_map(|mut group| {
                group.sort_by(|a, b| a.disagreement.total_cmp(&b.disagreement).then(a.index.cmp(&b.index)));
                let most = (group.len() as f64 * share).round() as usize;
                let sure = group.into_iter().filter(|label| label.disagreement <= config.disagreement);
                sure.take(most).map(|label| label.index).collect::<Vec<_>>()
            })
            .collect()
    } else {
        usable.map(|label| label.index).collect()
    };
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SelfTrainingConfig {
        toml::from_str("unlabelled = ['a.jsonl']").unwrap()
    }

    fn labels() -> Vec<Labelled> {
        let label = |(index, (speaker, disagreement)): (usize, (&str, f64))| Labelled {
            index,
            speaker: speaker.to_string(),
            disagreement,
        };
        let all = [("a", 0.0), ("a", 0.1), ("a", 0.2), ("a", 0.05), ("b", 0.25), ("b", 0.4), ("b", f64::NAN)];
        all.into_iter().enumerate().map(label).collect()
    }

    #[test]
    fn the_surest_of_every_speaker_are_kept() {
        // Half of four, and of two only what is sure.
        assert_eq!(select(&config(), 1, &labels()), [0, 3, 4]);
        assert_eq!(select(&config(), 3, &labels()), [0, 1, 3, 4]);
        assert_eq!(select(&config(), 99, &labels()), [0, 1, 3, 4]);
        let all = SelfTrainingConfig { per_speaker: false, shares: vec![0.4], ..config() };
        assert_eq!(select(&all, 1, &labels()), [0, 3]);
        let control = SelfTrainingConfig { filter: false, ..config() };
        assert_eq!(select(&control, 1, &labels()), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_answer_nearest_to_all_others_is_the_consensus() {
        // On a line: the middle one of three is nearest, and the first is what is taken unrefined.
        let places = [5.0f64, 1.0, 2.0];
        let rate = |i: usize, j: usize| (places[i] - places[j]).abs();
        assert_eq!(Refine::Consensus.choose(3, rate), (2, 2.0));
        assert_eq!(Refine::None.choose(3, rate), (0, 3.5));
        // The utterance itself wins a tie.
        assert_eq!(Refine::Consensus.choose(2, rate), (0, 4.0));
        // An empty answer is no reference.
        let empty = |i: usize, j: usize| if i == 0 { f64::INFINITY } else { rate(i, j) };
        assert_eq!(Refine::Consensus.choose(3, empty).0, 2);
        assert_eq!(Refine::None.choose(3, empty), (0, f64::INFINITY));
        // Without copies nothing disagrees.
        assert_eq!(Refine::Consensus.choose(1, rate), (0, 0.0));
    }

    #[test]
    fn settings_are_checked() {
        assert!(config().validate().is_ok());
        for bad in [
            SelfTrainingConfig { rounds: 0, ..config() },
            SelfTrainingConfig { shares: vec![1.5], ..config() },
            SelfTrainingConfig { shares: vec![], ..config() },
            SelfTrainingConfig { disagreement: f64::NAN, ..config() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
