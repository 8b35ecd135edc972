//! From verdicts to numbers.

use super::scores::{
    BestThreshold, Detected, Diagnosed, Evaluation, Graded, GroupScores, Other, PhoneScores, Waits,
};
use crate::inventory;
use auricle_rng::Key;
use auricle_text::mdd::{
    self, Detection, Interval, Judged, MddCounts, MddError, MddReport, Scorer, bootstrap, precision_recall,
    reliability,
};
use std::collections::BTreeMap;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Points of a curve that are kept.
const POINTS: usize = 200;
/// A fused verdict ranks phones by a third of: rejected by either, rejected by the decoder, probability of the
/// classifier. Above a third, either rejects.
const FUSED_ABOVE: f64 = 1.0 / 3.0;

/// What became of an utterance's canonical phones.
#[derive(Default)]
pub struct Utter {
    speaker: String,
    /// Canonical phones.
    canonical: Vec<u32>,
    /// Probability of error by the classifier, and the truth.
    pub state: Vec<Detection>,
    /// Verdicts of the stream, 0 or 1.
    pub stream: Vec<Detection>,
    /// Both: wrong where either says so.
    pub fused: Vec<Detection>,
    /// The classifier's verdicts when a word had just been said.
    pub provisional: Vec<Detection>,
    /// Annotators' and model's score, 0 to 2.
    pub scores: Vec<(f64, f64)>,
    /// The same when a word had just been said.
    pub early_scores: Vec<(f64, f64)>,
    /// Seconds of sound between the end of a phone and the decoder's last verdict on it while speech came.
    pub decoder_waits: Vec<f64>,
    /// Seconds of sound between the end of a phone and the classifier's provisional verdict on its word.
    pub word_waits: Vec<f64>,
    /// Where perceived phones are known: what the decoder heard, and what the fused verdicts say was said.
    pub judged: Option<[Judged<u32>; 2]>,
}

/// One kind of verdicts on an utterance.
type Kind = fn(&Utter) -> &Vec<Detection>;

impl Utter {
    /// Nothing yet.
    pub fn new(speaker: String, canonical: Vec<u32>) -> Self {
        Self { speaker, canonical, ..Self::default() }
    }
}

/// Utterances by speaker: what the bootstrap draws.
struct Speakers<'u>(Vec<Vec<&'u Utter>>);

impl<'u> Speakers<'u> {
    fn of(all: &'u [Utter]) -> Self {
        let mut speakers: BTreeMap<&str, Vec<&Utter>> = BTreeMap::new();
        for utter in all {
            speakers.entry(&utter.speaker).or_default().push(utter);
        }
        Self(speakers.into_values().collect())
    }

    /// The interval of a number that is made of utterances.
    fn interval(&self, of: impl Fn(&mut dyn Iterator<Item = &'u Utter>) -> Option<f64>) -> Option<Interval> {
        bootstrap(&self.0, RESAMPLES, Key::new(1), |drawn| {
            of(&mut drawn.iter().flat_map(|group| group.iter().copied()))
        })
    }

    /// How well one kind of verdicts finds mistakes at a threshold.
    fn detected(&self, all: &[Utter], of: Kind, threshold: f64) -> Result<Detected, MddError> {
        let detections = pool(&mut all.iter(), of);
        let interval = |rate: fn(&MddCounts) -> Option<f64>| {
            self.interval(|drawn| rate(&MddCounts::of_detections(&pool(drawn, of), threshold)))
        };
        Ok(Detected {
            rates: (&MddCounts::of_detections(&detections, threshold)).into(),
            f1_interval: interval(MddCounts::f1),
            detection_accuracy_interval: interval(MddCounts::detection_accuracy),
            average_precision: precision_recall(&detections)?.average_precision(),
        })
    }
}

fn pool(utters: &mut dyn Iterator<Item = &Utter>, of: Kind) -> Vec<Detection> {
    utters.flat_map(|utter| of(utter).iter().copied()).collect()
}

fn pairs(utters: &mut dyn Iterator<Item = &Utter>) -> Vec<(f64, f64)> {
    utters.flat_map(|utter| utter.scores.iter().copied()).collect()
}

/// All numbers of utterances; times and simulated mistakes are the caller's.
///
/// # Errors
/// Probabilities that are none.
pub fn evaluation(all: &[Utter], threshold: f64) -> Result<Evaluation, MddError> {
    let speakers = Speakers::of(all);
    let state = pool(&mut all.iter(), |utter| &utter.state);
    let curve = precision_recall(&state)?;
    let reliability = reliability(&state, 10)?;
    let step = curve.points.len().div_ceil(POINTS).max(1);
    let points = curve.points.iter().step_by(step).chain(curve.points.last()).copied();
    let mut diagnosed = [None, None, None, None];
    let (mut by_group, mut confusions) = (Vec::new(), BTreeMap::new());
    if all.iter().any(|utter| utter.judged.is_some()) {
        let of = |i: usize, scorer| {
            let judged = all.iter().filter_map(|utter| Some(utter.judged.as_ref()?[i].clone()));
            mdd::evaluate(&judged.collect::<Vec<Judged<u32>>>(), scorer, RESAMPLES, Key::new(1))
        };
        let fused = of(1, Scorer::Mpl);
        let others = [of(0, Scorer::Fu), of(0, Scorer::Mpl), of(1, Scorer::Fu)];
        diagnosed = [&others[0], &others[1], &others[2], &fused].map(|report| Some(Diagnosed::from(report)));
        by_group = fused.groups.iter().map(GroupScores::from).collect();
        let said = fused.phones.into_iter();
        confusions = said.map(|(phone, row)| (phone, (row.perceived, row.hypothesis))).collect();
    }
    let [scorer_f, scorer_m, fused_scorer_f, fused_scorer_m] = diagnosed;
    Ok(Evaluation {
        phones: state.len(),
        mispronounced: state.iter().filter(|detection| detection.wrong).count(),
        provisional: speakers.detected(all, |utter| &utter.provisional, threshold)?,
        stream: speakers.detected(all, |utter| &utter.stream, 0.5)?,
        classifier: speakers.detected(all, |utter| &utter.state, threshold)?,
        fused: speakers.detected(all, |utter| &utter.fused, FUSED_ABOVE)?,
        average_precision: curve.average_precision(),
        average_precision_interval: speakers
            .interval(|drawn| precision_recall(&pool(drawn, |utter| &utter.state)).ok()?.average_precision()),
        best_on_this_set: curve
            .best_f1()
            .map(|point| BestThreshold { f1: point.f1(), threshold: point.threshold }),
        calibration_error: reliability.calibration_error,
        precision_recall: points.collect(),
        reliability: reliability.bins.into_iter().filter(|bin| bin.count > 0).collect(),
        graded: graded(all, &speakers),
        decoder_wait_secs: waits(all.iter().flat_map(|utter| &utter.decoder_waits)),
        word_wait_secs: waits(all.iter().flat_map(|utter| &utter.word_waits)),
        scorer_f,
        scorer_m,
        fused_scorer_f,
        fused_scorer_m,
        by_group,
        by_phone: by_phone(all, threshold, &confusions),
        simulated: None,
        audio_secs: 0.0,
        real_time_factor: 0.0,
        wall_secs: 0.0,
    })
}

fn graded(all: &[Utter], speakers: &Speakers<'_>) -> Option<Graded> {
    let scores = pairs(&mut all.iter());
    if scores.is_empty() {
        return None;
    }
    let early: Vec<(f64, f64)> = all.iter().flat_map(|utter| utter.early_scores.iter().copied()).collect();
    Some(Graded {
        graded_phones: scores.len(),
        phone_pcc: mdd::correlation(&scores),
        phone_pcc_interval: speakers.interval(|drawn| mdd::correlation(&pairs(drawn))),
        phone_mse: mdd::mean_squared_error(&scores),
        phone_mse_interval: speakers.interval(|drawn| mdd::mean_squared_error(&pairs(drawn))),
        provisional_phone_pcc: mdd::correlation(&early),
    })
}

fn waits<'w>(waits: impl Iterator<Item = &'w f64>) -> Waits {
    let mut waits: Vec<f64> = waits.copied().collect();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get((share * waits.len().saturating_sub(1) as f64).round() as usize).copied();
    Waits { p50: at(0.5), p99: at(0.99), phones: waits.len() }
}

impl From<&MddReport<u32>> for Diagnosed {
    fn from(report: &MddReport<u32>) -> Self {
        Self {
            rates: (&report.counts).into(),
            correct_diagnoses: report.counts.correct_diagnoses,
            diagnosis_errors: report.counts.diagnosis_errors,
            diagnosis_error_rate: report.counts.diagnosis_error_rate(),
            f1_interval: report.f1_interval,
            phone_error_rate: report.phone_errors.rate(),
            phone_error_rate_interval: report.phone_error_interval,
        }
    }
}

impl From<(&String, &MddCounts)> for GroupScores {
    fn from((group, counts): (&String, &MddCounts)) -> Self {
        Self {
            rates: counts.into(),
            group: group.clone(),
            diagnosis_error_rate: counts.diagnosis_error_rate(),
        }
    }
}

/// What was said for a phone, and how often; `None` is nothing.
type Said = BTreeMap<Option<u32>, usize>;

/// How every canonical phone fared at a threshold, those with most mistakes first; and where perceived phones are
/// known what annotators heard in its place and what the model says.
fn by_phone(all: &[Utter], threshold: f64, confusions: &BTreeMap<u32, (Said, Said)>) -> Vec<PhoneScores> {
    let mut phones: BTreeMap<u32, [usize; 4]> = BTreeMap::new();
    for (phone, detection) in all.iter().flat_map(|utter| utter.canonical.iter().zip(&utter.state)) {
        let [said, wrong, found, alarms] = phones.entry(*phone).or_default();
        let rejected = detection.probability > threshold;
        *said += 1;
        *wrong += usize::from(detection.wrong);
        *found += usize::from(detection.wrong && rejected);
        *alarms += usize::from(!detection.wrong && rejected);
    }
    let mut rows: Vec<(u32, [usize; 4])> = phones.into_iter().collect();
    rows.sort_by_key(|(phone, counts)| (std::cmp::Reverse(counts[1]), *phone));
    let row = |(phone, [said, mispronounced, found, false_alarms]): (u32, [usize; 4])| {
        let known = confusions.get(&phone);
        PhoneScores {
            phone: inventory::name(phone).to_string(),
            said,
            mispronounced,
            found,
            false_alarms,
            perceived: known.map(|(perceived, _)| others(phone, perceived)).unwrap_or_default(),
            model_says: known.map(|(_, hypothesis)| others(phone, hypothesis)).unwrap_or_default(),
        }
    };
    rows.into_iter().map(row).collect()
}

/// What stands for a phone other than itself, the most frequent first.
fn others(phone: u32, said: &Said) -> Vec<Other> {
    let mut rows: Vec<(&Option<u32>, &usize)> =
        said.iter().filter(|(other, _)| **other != Some(phone)).collect();
    rows.sort_by_key(|(other, count)| (std::cmp::Reverse(**count), **other));
    let name = |other: &Option<u32>| other.map_or("nothing", inventory::name).to_string();
    rows.into_iter().map(|(other, &count)| Other { phone: name(other), count }).collect()
}
