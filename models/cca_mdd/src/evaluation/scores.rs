//! The numbers of an evaluation. A rate without any case is `None`; intervals are 95 % bootstrap intervals over
//! speakers.

use auricle_text::mdd::{Interval, MddCounts, PrPoint, ReliabilityBin};
use serde::{Deserialize, Serialize};

/// All numbers of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Canonical phones.
    pub phones: usize,
    /// Of these, mispronounced.
    pub mispronounced: usize,
    /// The classifier's verdicts when a word had just been said.
    pub provisional: Detected,
    /// The decoder's verdicts while speech came.
    pub stream: Detected,
    /// The classifier's verdicts at the end.
    pub classifier: Detected,
    /// Both: wrong where either says so.
    pub fused: Detected,
    /// Of the classifier.
    pub average_precision: Option<f64>,
    /// Of the classifier.
    pub average_precision_interval: Option<Interval>,
    /// Where the classifier's F1 is highest on this very set.
    pub best_on_this_set: Option<BestThreshold>,
    /// Expected calibration error of the classifier.
    pub calibration_error: Option<f64>,
    /// The classifier's curve, thinned.
    pub precision_recall: Vec<PrPoint>,
    /// The classifier's probabilities against what is so; without empty bins.
    pub reliability: Vec<ReliabilityBin>,
    /// Scores of phones, where annotators gave any.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub graded: Option<Graded>,
    /// From the end of a phone to the decoder's last verdict on it while speech came.
    pub decoder_wait_secs: Waits,
    /// From the end of a phone to the classifier's provisional verdict on its word.
    pub word_wait_secs: Waits,
    /// Diagnosis by the decoder, counted by scorer F; where perceived phones are known, as are the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer_f: Option<Diagnosed>,
    /// The same by scorer M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer_m: Option<Diagnosed>,
    /// Diagnosis by fused verdicts, counted by scorer F.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fused_scorer_f: Option<Diagnosed>,
    /// The same by scorer M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fused_scorer_m: Option<Diagnosed>,
    /// Fused verdicts by first language, as scorer M counts; empty where perceived phones are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_group: Vec<GroupScores>,
    /// Every canonical phone at the classifier's threshold, those with most mistakes first.
    pub by_phone: Vec<PhoneScores>,
    /// Mistakes of which all is known, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulation>,
    /// Seconds of speech.
    pub audio_secs: f64,
    /// Seconds of computation per second of speech.
    pub real_time_factor: f64,
    /// Seconds from beginning to end, reading included.
    pub wall_secs: f64,
}

/// Verdicts right and wrong, and the rates made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// TA: right, and taken as right.
    pub true_acceptances: usize,
    /// FR: right, but taken as wrong.
    pub false_rejections: usize,
    /// FA: wrong, but taken as right.
    pub false_acceptances: usize,
    /// TR: wrong, and taken as wrong.
    pub true_rejections: usize,
    /// TR/(TR + FR).
    pub precision: Option<f64>,
    /// TR/(TR + FA).
    pub recall: Option<f64>,
    /// 2PR/(P + R).
    pub f1: Option<f64>,
    /// FR/(FR + TA).
    pub false_rejection_rate: Option<f64>,
    /// FA/(FA + TR).
    pub false_acceptance_rate: Option<f64>,
    /// (TA + TR) of all.
    pub detection_accuracy: Option<f64>,
}

impl From<&MddCounts> for Rates {
    fn from(counts: &MddCounts) -> Self {
        Self {
            true_acceptances: counts.true_acceptances,
            false_rejections: counts.false_rejections,
            false_acceptances: counts.false_acceptances,
            true_rejections: counts.true_rejections(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            false_rejection_rate: counts.false_rejection_rate(),
            false_acceptance_rate: counts.false_acceptance_rate(),
            detection_accuracy: counts.detection_accuracy(),
        }
    }
}

/// How well mispronounced phones are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    /// Counts and rates at the threshold.
    #[serde(flatten)]
    pub rates: Rates,
    /// Of F1.
    pub f1_interval: Option<Interval>,
    /// Of the detection accuracy.
    pub detection_accuracy_interval: Option<Interval>,
    /// Over all thresholds.
    pub average_precision: Option<f64>,
}

/// How well mistakes are found and named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosed {
    /// Counts and rates of finding.
    #[serde(flatten)]
    pub rates: Rates,
    /// CD: found, and what was said instead is known.
    pub correct_diagnoses: usize,
    /// DE: found, but something else was said.
    pub diagnosis_errors: usize,
    /// DE/(DE + CD).
    pub diagnosis_error_rate: Option<f64>,
    /// Of F1.
    pub f1_interval: Option<Interval>,
    /// Of what is heard against what was said.
    pub phone_error_rate: f64,
    /// Of the phone error rate.
    pub phone_error_rate_interval: Interval,
}

/// Scores of phones beside those of annotators, both from 0 to 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// Phones with a score.
    pub graded_phones: usize,
    /// Pearson's correlation.
    pub phone_pcc: Option<f64>,
    /// Of the correlation.
    pub phone_pcc_interval: Option<Interval>,
    /// Mean squared error.
    pub phone_mse: Option<f64>,
    /// Of the mean squared error.
    pub phone_mse_interval: Option<Interval>,
    /// The correlation of provisional scores.
    pub provisional_phone_pcc: Option<f64>,
}

/// Waiting times, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// Median.
    pub p50: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Phones that were waited for.
    pub phones: usize,
}

/// A threshold and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestThreshold {
    /// F1.
    pub f1: f64,
    /// Probability of error above which a phone is mispronounced.
    pub threshold: f64,
}

/// Scores of one first language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupScores {
    /// Counts and rates.
    #[serde(flatten)]
    pub rates: Rates,
    /// The language.
    pub group: String,
    /// DE/(DE + CD).
    pub diagnosis_error_rate: Option<f64>,
}

/// How a canonical phone fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneScores {
    /// Its name.
    pub phone: String,
    /// How often it should have been said.
    pub said: usize,
    /// Of these, mispronounced.
    pub mispronounced: usize,
    /// Of the mispronounced, called so.
    pub found: usize,
    /// Well said, but called mispronounced.
    pub false_alarms: usize,
    /// What annotators heard in its place, the most frequent first; empty where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perceived: Vec<Other>,
    /// What fused verdicts say was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_says: Vec<Other>,
}

/// A phone in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its name, or `nothing`.
    pub phone: String,
    /// How often.
    pub count: usize,
}

/// What became of phones that were replaced in the prompt, and of the good ones beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Phones that were said well and replaced.
    pub substituted: usize,
    /// Share of them that the classifier calls wrong.
    pub found: Option<f64>,
    /// Share of the found ones whose diagnosis is the phone that was said.
    pub named_of_found: Option<f64>,
    /// Share of the replaced ones in whose place the decoder heard what was said.
    pub heard: Option<f64>,
    /// Phones left alone that nobody calls wrong.
    pub good: usize,
    /// Share of them that the classifier calls wrong.
    pub false_alarms: Option<f64>,
}
