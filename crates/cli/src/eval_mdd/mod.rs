//! `auricle eval mdd`.

mod page;
mod simulate;

use crate::tasks::{find_model, load_model};
use anyhow::{Context as _, Result, bail};
use auricle_cca_mdd::{Assessor, Labels, MISPRONOUNCED_BELOW, Session, inventory};
use auricle_data::{Utterance, read_any};
use auricle_nn::weights;
use auricle_rng::Key;
use auricle_text::mdd::{
    self, Detection, Judged, MddCounts, Scorer, Verdicts, bootstrap, precision_recall, reliability,
};
use auricle_text::phones::Slot;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use simulate::Simulated;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Samples given to a session at a time: 40 ms at 16 kHz.
const CHUNK_MS: usize = 40;

/// Results that are lists: for --json and the page.
const LISTS: [&str; 3] = ["precision_recall", "reliability", "by_phone"];
/// Points of a curve that are kept.
const POINTS: usize = 200;

#[derive(clap::Args)]
pub struct Mdd {
    /// Manifest with canonical phones, and perceived phones or phone scores.
    manifest: PathBuf,
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "mdd-en-small")]
    model: PathBuf,
    /// Probability of error above which the classifier calls a phone mispronounced. Default: the model's.
    #[arg(long)]
    threshold: Option<f64>,
    /// Store the threshold with the best F1 on this data in the model: only on development data.
    #[arg(long)]
    store_threshold: bool,
    /// Ask for other phones than were said in this share of the places, always the same ones, and tell how many of these known
    /// mistakes were found and named. Phones without labels count as said: native speech will do.
    #[arg(long, value_name = "SHARE")]
    simulate: Option<f64>,
    /// Write a page with curves and tables here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress bar.
    #[arg(long, short)]
    quiet: bool,
}

/// One kind of verdicts on an utterance.
type Kind = fn(&Utter) -> &Vec<Detection>;

/// What became of an utterance's canonical phones.
struct Utter {
    speaker: String,
    /// Canonical phones.
    canonical: Vec<u32>,
    /// Probability of error by the classifier, and the truth.
    state: Vec<Detection>,
    /// Verdicts of the stream, 0 or 1.
    stream: Vec<Detection>,
    /// Both: wrong where either says so.
    fused: Vec<Detection>,
    /// Annotators' and model's score, 0 to 2.
    scores: Vec<(f64, f64)>,
    judged: Option<Judged<u32>>,
}

pub fn run(args: &Mdd) -> Result<ExitCode> {
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    let assessor = Assessor::from_weights(tensors, &metadata, &device)
        .with_context(|| format!("model {}", args.model.display()))?;
    let threshold = args.threshold.unwrap_or(assessor.threshold());
    if args.simulate.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        bail!("--simulate: the share of replaced phones lies between 0 and 1");
    }
    let utterances = read_any(&args.manifest)?;
    let scores = evaluate(&Arc::new(assessor), &utterances, threshold, args.simulate, args.quiet)?;
    if let Some(path) = &args.report {
        let title = format!("{} on {}", args.model.display(), args.manifest.display());
        page::page(&title, &scores).write(path).with_context(|| path.display().to_string())?;
    }
    if args.store_threshold {
        let best = scores.pointer("/best_on_this_set/threshold").and_then(Value::as_f64);
        let best =
            best.context("no phone of this set is mispronounced: no threshold is better than another")?;
        let path = find_model(&args.model)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let (tensors, mut metadata) = weights::from_bytes(&bytes)?;
        metadata.insert("threshold".into(), best.to_string());
        auricle_train::files::write_weights(&path, &tensors, &metadata, weights::precision(&bytes)?)?;
        eprintln!("{}: threshold {best:.4} stored", path.display());
    }
    if args.json {
        println!("{scores}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(values) = scores.as_object() {
        for (name, value) in values.iter().filter(|(name, _)| !LISTS.contains(&name.as_str())) {
            println!("{name:28} {value}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every utterance through a session, in pieces as from a microphone, and scores the verdicts.
///
/// # Errors
/// Utterances without labels, audio that cannot be read.
pub fn evaluate(
    assessor: &Arc<Assessor>,
    utterances: &[Utterance],
    threshold: f64,
    simulate: Option<f64>,
    quiet: bool,
) -> Result<Value> {
    if utterances.is_empty() {
        bail!("no utterances to score");
    }
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(utterances.len() as u64) };
    let started = Instant::now();
    let mut simulated = Simulated::default();
    let (mut all, mut secs, mut busy) = (Vec::new(), 0.0, 0.0);
    for utterance in utterances {
        let mut labels =
            Labels::of(utterance).map_err(|e| anyhow::anyhow!("utterance {}: {e}", utterance.id))?;
        let replaced = simulate.map(|share| simulate::substitute(&mut labels, &utterance.id, share));
        if !labels.judged && replaced.is_none() {
            bail!(
                "utterance {}: it has neither perceived_phones nor phone_scores to compare with",
                utterance.id
            );
        }
        let samples = utterance.samples(assessor.sample_rate())?;
        secs += samples.len() as f64 / f64::from(assessor.sample_rate());
        let chunk = assessor.sample_rate() as usize * CHUNK_MS / 1000;
        let begun = Instant::now();
        let mut session = Session::new(assessor.clone(), labels.canonical())?;
        for piece in samples.chunks(chunk) {
            session.push(piece)?;
        }
        let verdicts = session.finish().with_context(|| format!("utterance {}", utterance.id))?;
        busy += begun.elapsed().as_secs_f64();
        if let Some(replaced) = &replaced {
            simulated.count(&labels, replaced, &verdicts, threshold);
        }
        let heard: Vec<u32> = session.heard().iter().map(|heard| heard.phone).collect();
        let streamed = Verdicts::from_hypothesis(&labels.canonical(), &heard);
        let graded = utterance.extra.contains_key("phone_scores");
        let mut utter = Utter {
            speaker: utterance.speaker.clone().unwrap_or_else(|| utterance.id.clone()),
            canonical: labels.canonical(),
            state: Vec::new(),
            stream: Vec::new(),
            fused: Vec::new(),
            scores: Vec::new(),
            judged: None,
        };
        for (i, (slot, verdict)) in labels.slots.iter().zip(&verdicts).enumerate() {
            let truth = 2.0 * (1.0 - f64::from(slot.badness));
            let wrong = truth < MISPRONOUNCED_BELOW;
            let probability = f64::from(1.0 - verdict.goodness);
            let rejected = f64::from(u8::from(streamed.rejects(i)));
            utter.state.push(Detection { probability, wrong });
            utter.stream.push(Detection { probability: rejected, wrong });
            let either = if probability > threshold { 1.0 } else { rejected };
            utter.fused.push(Detection { probability: either, wrong });
            if graded {
                utter.scores.push((truth, 2.0 * f64::from(verdict.goodness)));
            }
        }
        if utterance.perceived_phones.is_some() || replaced.is_some() {
            utter.judged = Some(Judged {
                id: utterance.id.clone(),
                speaker: utterance.speaker.clone(),
                group: utterance.extra.get("l1").and_then(Value::as_str).map(str::to_string),
                annotation: Slot::pair(&labels.canonical(), &labels.perceived),
                hypothesis: heard,
            });
        }
        all.push(utter);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut scored = scores(&all, threshold)?;
    if simulate.is_some() {
        scored.insert("simulated".into(), simulated.report());
    }
    scored.insert("audio_secs".into(), json!(secs));
    scored.insert("real_time_factor".into(), json!(busy / secs.max(1e-9)));
    scored.insert("wall_secs".into(), json!(started.elapsed().as_secs_f64()));
    Ok(Value::Object(scored))
}

/// How every canonical phone fared at a threshold, those with most mistakes first.
fn by_phone(all: &[Utter], threshold: f64) -> Value {
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
    let row = |(phone, [said, wrong, found, alarms]): (u32, [usize; 4])| json!({"phone": inventory::name(phone), "said": said, "mispronounced": wrong, "found": found, "false_alarms": alarms});
    rows.into_iter().map(row).collect()
}

fn scores(all: &[Utter], threshold: f64) -> Result<serde_json::Map<String, Value>> {
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
    let mut out = serde_json::Map::new();
    let state = pool(&everyone, |utter| &utter.state);
    out.insert("phones".into(), json!(state.len()));
    out.insert("mispronounced".into(), json!(state.iter().filter(|detection| detection.wrong).count()));
    let kinds: [(&str, Kind, f64); 3] = [
        ("stream", |utter| &utter.stream, 0.5),
        ("classifier", |utter| &utter.state, threshold),
        ("fused", |utter| &utter.fused, 0.5),
    ];
    for (name, of, threshold) in kinds {
        let counts = MddCounts::of_detections(&pool(&everyone, of), threshold);
        let interval = bootstrap(&groups, RESAMPLES, key, |drawn| {
            MddCounts::of_detections(&pool(drawn, of), threshold).f1()
        });
        out.insert(
            name.into(),
            json!({
                "precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1(), "f1_interval": interval,
                "false_rejection_rate": counts.false_rejection_rate(),
                "false_acceptance_rate": counts.false_acceptance_rate(),
                "detection_accuracy": counts.detection_accuracy(),
            }),
        );
    }
    let curve = precision_recall(&state)?;
    let best = curve.best_f1().map(|point| json!({"f1": point.f1(), "threshold": point.threshold}));
    out.insert("average_precision".into(), json!(curve.average_precision()));
    out.insert("best_on_this_set".into(), json!(best));
    let reliability = reliability(&state, 10)?;
    out.insert("calibration_error".into(), json!(reliability.calibration_error));
    let step = curve.points.len().div_ceil(POINTS).max(1);
    let points = curve.points.iter().step_by(step).chain(curve.points.last());
    out.insert("precision_recall".into(), points.map(|point| json!(point)).collect());
    let bins = reliability.bins.iter().filter(|bin| bin.count > 0);
    out.insert("reliability".into(), bins.map(|bin| json!(bin)).collect());
    out.insert("by_phone".into(), by_phone(all, threshold));
    let pairs: Vec<(f64, f64)> = all.iter().flat_map(|utter| utter.scores.iter().copied()).collect();
    if !pairs.is_empty() {
        let interval = bootstrap(&groups, RESAMPLES, key, |drawn| {
            let pairs =
                drawn.iter().flat_map(|group| group.iter()).flat_map(|utter| utter.scores.iter().copied());
            mdd::correlation(&pairs.collect::<Vec<_>>())
        });
        out.insert("phone_pcc".into(), json!(mdd::correlation(&pairs)));
        out.insert("phone_pcc_interval".into(), json!(interval));
        out.insert("phone_mse".into(), json!(mdd::mean_squared_error(&pairs)));
    }
    let judged: Vec<Judged<u32>> = all.iter().filter_map(|utter| utter.judged.clone()).collect();
    if !judged.is_empty() {
        for (name, scorer) in [("scorer_f", Scorer::Fu), ("scorer_m", Scorer::Mpl)] {
            let report = mdd::evaluate(&judged, scorer, RESAMPLES, key);
            let counts = report.counts;
            out.insert(
                name.into(),
                json!({
                    "true_acceptances": counts.true_acceptances, "false_rejections": counts.false_rejections,
                    "false_acceptances": counts.false_acceptances, "correct_diagnoses": counts.correct_diagnoses,
                    "diagnosis_errors": counts.diagnosis_errors, "precision": counts.precision(),
                    "recall": counts.recall(), "f1": counts.f1(), "f1_interval": report.f1_interval,
                    "diagnosis_error_rate": counts.diagnosis_error_rate(),
                    "phone_error_rate": report.phone_errors.rate(),
                }),
            );
        }
    }
    Ok(out)
}
