//! The numbers of `auricle eval mdd`.

use anyhow::Result;
use auricle_cca_mdd::inventory;
use auricle_rng::Key;
use auricle_text::mdd::{
    self, Detection, Judged, MddCounts, MddReport, Scorer, bootstrap, precision_recall, reliability,
};
use serde_json::{Map, Value, json};
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

/// All numbers; intervals are 95 % bootstrap intervals over speakers.
///
/// # Errors
/// Probabilities that are none.
pub fn scores(all: &[Utter], threshold: f64) -> Result<Map<String, Value>> {
    let mut speakers: BTreeMap<&str, Vec<&Utter>> = BTreeMap::new();
    for utter in all {
        speakers.entry(&utter.speaker).or_default().push(utter);
    }
    let groups: Vec<Vec<&Utter>> = speakers.into_values().collect();
    let key = Key::new(1);
    let pool = |groups: &[&Vec<&Utter>], of: Kind| -> Vec<Detection> {
        groups.iter().flat_map(|group| group.iter()).flat_map(|utter| of(utter).iter().copied()).collect()
    };
    let everyone: Vec<&Vec<&Utter>> = groups.iter().collect();
    let mut out = Map::new();
    let state = pool(&everyone, |utter| &utter.state);
    out.insert("phones".into(), json!(state.len()));
    out.insert("mispronounced".into(), json!(state.iter().filter(|detection| detection.wrong).count()));
    let kinds: [(&str, Kind, f64); 4] = [
        ("provisional", |utter| &utter.provisional, threshold),
        ("stream", |utter| &utter.stream, 0.5),
        ("classifier", |utter| &utter.state, threshold),
        ("fused", |utter| &utter.fused, FUSED_ABOVE),
    ];
    for (name, of, threshold) in kinds {
        let interval = |rate: fn(&MddCounts) -> Option<f64>| {
            bootstrap(&groups, RESAMPLES, key, |drawn| {
                rate(&MddCounts::of_detections(&pool(drawn, of), threshold))
            })
        };
        let detections = pool(&everyone, of);
        let mut block = counted(&MddCounts::of_detections(&detections, threshold));
        block.insert("f1_interval".into(), json!(interval(MddCounts::f1)));
        block.insert("detection_accuracy_interval".into(), json!(interval(MddCounts::detection_accuracy)));
        block.insert("average_precision".into(), json!(precision_recall(&detections)?.average_precision()));
        out.insert(name.into(), Value::Object(block));
    }
    let curve = precision_recall(&state)?;
    let best = curve.best_f1().map(|point| json!({"f1": point.f1(), "threshold": point.threshold}));
    out.insert("average_precision".into(), json!(curve.average_precision()));
    let interval = bootstrap(&groups, RESAMPLES, key, |drawn| {
        precision_recall(&pool(drawn, |utter| &utter.state)).ok()?.average_precision()
    });
    out.insert("average_precision_interval".into(), json!(interval));
    out.insert("best_on_this_set".into(), json!(best));
    let reliability = reliability(&state, 10)?;
    out.insert("calibration_error".into(), json!(reliability.calibration_error));
    let step = curve.points.len().div_ceil(POINTS).max(1);
    let points = curve.points.iter().step_by(step).chain(curve.points.last());
    out.insert("precision_recall".into(), points.map(|point| json!(point)).collect());
    let bins = reliability.bins.iter().filter(|bin| bin.count > 0);
    out.insert("reliability".into(), bins.map(|bin| json!(bin)).collect());
    let pairs: Vec<(f64, f64)> = all.iter().flat_map(|utter| utter.scores.iter().copied()).collect();
    if !pairs.is_empty() {
        let interval = |of: fn(&[(f64, f64)]) -> Option<f64>| {
            bootstrap(&groups, RESAMPLES, key, |drawn| {
                let utters = drawn.iter().flat_map(|group| group.iter());
                of(&utters.flat_map(|utter| utter.scores.iter().copied()).collect::<Vec<_>>())
            })
        };
        out.insert("phone_pcc".into(), json!(mdd::correlation(&pairs)));
        out.insert("phone_pcc_interval".into(), json!(interval(mdd::correlation)));
        out.insert("phone_mse".into(), json!(mdd::mean_squared_error(&pairs)));
        out.insert("phone_mse_interval".into(), json!(interval(mdd::mean_squared_error)));
        let early: Vec<(f64, f64)> =
            all.iter().flat_map(|utter| utter.early_scores.iter().copied()).collect();
        out.insert("provisional_phone_pcc".into(), json!(mdd::correlation(&early)));
    }
    out.insert("decoder_wait_secs".into(), waits(all.iter().flat_map(|utter| &utter.decoder_waits)));
    out.insert("word_wait_secs".into(), waits(all.iter().flat_map(|utter| &utter.word_waits)));
    let judged = |i: usize| -> Vec<Judged<u32>> {
        all.iter().filter_map(|utter| utter.judged.as_ref().map(|judged| judged[i].clone())).collect()
    };
    let mut confusions = BTreeMap::new();
    if all.iter().any(|utter| utter.judged.is_some()) {
        for (i, kind) in ["", "fused_"].into_iter().enumerate() {
            for (name, scorer) in [("scorer_f", Scorer::Fu), ("scorer_m", Scorer::Mpl)] {
                let report = mdd::evaluate(&judged(i), scorer, RESAMPLES, key);
                out.insert(format!("{kind}{name}"), Value::Object(diagnosed(&report)));
                if scorer == Scorer::Mpl && i == 1 {
                    out.insert("by_group".into(), by_group(&report.groups));
                    let said = report.phones.into_iter();
                    confusions = said.map(|(phone, row)| (phone, (row.perceived, row.hypothesis))).collect();
                }
            }
        }
    }
    out.insert("by_phone".into(), by_phone(all, threshold, &confusions));
    Ok(out)
}

/// Median and 99th percentile of waiting times.
fn waits<'w>(waits: impl Iterator<Item = &'w f64>) -> Value {
    let mut waits: Vec<f64> = waits.copied().collect();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get((share * waits.len().saturating_sub(1) as f64).round() as usize);
    json!({"p50": at(0.5), "p99": at(0.99), "phones": waits.len()})
}

/// Counts and the rates made of them.
fn counted(counts: &MddCounts) -> Map<String, Value> {
    let pairs = [
        ("true_acceptances", json!(counts.true_acceptances)),
        ("false_rejections", json!(counts.false_rejections)),
        ("false_acceptances", json!(counts.false_acceptances)),
        ("true_rejections", json!(counts.true_rejections())),
        ("precision", json!(counts.precision())),
        ("recall", json!(counts.recall())),
        ("f1", json!(counts.f1())),
        ("false_rejection_rate", json!(counts.false_rejection_rate())),
        ("false_acceptance_rate", json!(counts.false_acceptance_rate())),
        ("detection_accuracy", json!(counts.detection_accuracy())),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn diagnosed(report: &MddReport<u32>) -> Map<String, Value> {
    let counts = &report.counts;
    let mut block = counted(counts);
    let more = [
        ("correct_diagnoses", json!(counts.correct_diagnoses)),
        ("diagnosis_errors", json!(counts.diagnosis_errors)),
        ("diagnosis_error_rate", json!(counts.diagnosis_error_rate())),
        ("f1_interval", json!(report.f1_interval)),
        ("phone_error_rate", json!(report.phone_errors.rate())),
        ("phone_error_rate_interval", json!(report.phone_error_interval)),
    ];
    block.extend(more.into_iter().map(|(name, value)| (name.to_string(), value)));
    block
}

/// Scores by first language, as scorer M counts.
fn by_group(groups: &BTreeMap<String, MddCounts>) -> Value {
    let row = |(group, counts): (&String, &MddCounts)| {
        let mut row = counted(counts);
        row.insert("group".into(), json!(group));
        row.insert("diagnosis_error_rate".into(), json!(counts.diagnosis_error_rate()));
        Value::Object(row)
    };
    groups.iter().map(row).collect()
}

/// What was said for a phone, and how often; `None` is nothing.
type Said = BTreeMap<Option<u32>, usize>;

/// How every canonical phone fared at a threshold, those with most mistakes first; and where perceived phones are
/// known what annotators heard in its place and what the model says.
fn by_phone(all: &[Utter], threshold: f64, confusions: &BTreeMap<u32, (Said, Said)>) -> Value {
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
    let row = |(phone, [said, wrong, found, alarms]): (u32, [usize; 4])| {
        let mut row = json!({"phone": inventory::name(phone), "said": said, "mispronounced": wrong, "found": found, "false_alarms": alarms});
        if let Some((perceived, hypothesis)) = confusions.get(&phone) {
            row["perceived"] = others(phone, perceived);
            row["model_says"] = others(phone, hypothesis);
        }
        row
    };
    rows.into_iter().map(row).collect()
}

/// What stands for a phone other than itself, the most frequent first.
fn others(phone: u32, said: &Said) -> Value {
    let mut rows: Vec<(&Option<u32>, &usize)> =
        said.iter().filter(|(other, _)| **other != Some(phone)).collect();
    rows.sort_by_key(|(other, count)| (std::cmp::Reverse(**count), **other));
    let name = |other: &Option<u32>| other.map_or("nothing", inventory::name);
    rows.into_iter().map(|(other, count)| json!({"phone": name(other), "count": count})).collect()
}
