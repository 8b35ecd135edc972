//! `auricle eval mdd`.

mod page;
mod scores;
mod simulate;

use crate::tasks::{find_model, load_model};
use anyhow::{Context as _, Result, bail};
use auricle_cca_mdd::{
    Assessor, Event, Labels, Live, MISPRONOUNCED_BELOW, Streaming as _, Target, inventory,
};
use auricle_data::{Utterance, read_any};
use auricle_nn::weights;
use auricle_text::mdd::{Detection, Judged, Said, Verdicts};
use auricle_text::phones::{Phone, Slot};
use indicatif::ProgressBar;
use scores::Utter;
use serde_json::{Value, json};
use simulate::Simulated;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Samples given to a session at a time: 40 ms at 16 kHz.
const CHUNK_MS: usize = 40;

/// Results that are lists: for --json and the page.
const LISTS: [&str; 4] = ["precision_recall", "reliability", "by_phone", "by_group"];

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
        let samples = utterance.samples_within(assessor.sample_rate(), auricle_cca_mdd::MAX_SECS)?;
        secs += samples.len() as f64 / f64::from(assessor.sample_rate());
        let chunk = assessor.sample_rate() as usize * CHUNK_MS / 1000;
        let target = target(&labels)
            .with_context(|| format!("utterance {}: a canonical phone that is none", utterance.id))?;
        let spans = target.spans();
        let begun = Instant::now();
        let mut live = Live::new(
            &utterance.id,
            assessor.clone(),
            target,
            assessor.sample_rate(),
            100.0 * (1.0 - threshold),
        )?;
        let mut early = vec![Early::default(); labels.slots.len()];
        for piece in samples.chunks(chunk) {
            live.push(piece).with_context(|| format!("utterance {}", utterance.id))?;
            let now = live.audio_secs();
            for event in live.events() {
                match event {
                    Event::Phone(phone) => {
                        early[phone.index].decoder_secs = phone.verdict.as_ref().map(|_| now)
                    }
                    Event::Word(word) => {
                        for (i, phone) in spans[word.index].clone().zip(&word.result.phones) {
                            early[i].goodness = Some(phone.score / 100.0);
                            early[i].word_secs = Some(now);
                        }
                    }
                    Event::Heard { .. } | Event::Final(_) => {}
                }
            }
        }
        live.close().with_context(|| format!("utterance {}", utterance.id))?;
        let session = live.session();
        let verdicts = session.verdicts()?;
        busy += begun.elapsed().as_secs_f64();
        if let Some(replaced) = &replaced {
            simulated.count(&labels, replaced, &verdicts, threshold);
        }
        let heard: Vec<u32> = session.heard().iter().map(|heard| heard.phone).collect();
        let streamed = Verdicts::from_hypothesis(&labels.canonical(), &heard);
        let graded = utterance.extra.contains_key("phone_scores");
        let mut utter =
            Utter::new(utterance.speaker.clone().unwrap_or_else(|| utterance.id.clone()), labels.canonical());
        let badness: Vec<f32> = verdicts.iter().map(|verdict| 1.0 - verdict.goodness).collect();
        let predicted: Vec<Said<u32>> = verdicts.iter().map(|verdict| said(verdict.predicted.0)).collect();
        let fused =
            streamed.clone().fuse(&labels.canonical(), &badness, Some(predicted.as_slice()), threshold)?;
        for (i, (slot, verdict)) in labels.slots.iter().zip(&verdicts).enumerate() {
            let end_secs = verdict.frames.end as f64 * session.frame_secs();
            utter.decoder_waits.extend(early[i].decoder_secs.map(|secs| secs - end_secs));
            utter.word_waits.extend(early[i].word_secs.map(|secs| secs - end_secs));
            let truth = 2.0 * (1.0 - f64::from(slot.badness));
            let wrong = truth < MISPRONOUNCED_BELOW;
            let probability = f64::from(badness[i]);
            let rejected = f64::from(u8::from(streamed.rejects(i)));
            utter.state.push(Detection { probability, wrong });
            utter.stream.push(Detection { probability: rejected, wrong });
            // What the decoder rejects lies above what the classifier alone rejects, that above the rest.
            let by_either = f64::from(u8::from(fused.rejects(i)));
            utter.fused.push(Detection { probability: (by_either + rejected + probability) / 3.0, wrong });
            if let Some(goodness) = early[i].goodness {
                utter.provisional.push(Detection { probability: 1.0 - goodness, wrong });
            }
            if graded {
                utter.scores.push((truth, 2.0 * f64::from(verdict.goodness)));
                utter.early_scores.extend(early[i].goodness.map(|goodness| (truth, 2.0 * goodness)));
            }
        }
        if utterance.perceived_phones.is_some() || replaced.is_some() {
            let judged = |hypothesis| Judged {
                id: utterance.id.clone(),
                speaker: utterance.speaker.clone(),
                group: utterance.extra.get("l1").and_then(Value::as_str).map(str::to_string),
                annotation: Slot::pair(&labels.canonical(), &labels.perceived),
                hypothesis,
            };
            utter.judged =
                Some([judged(heard), judged(fused.to_hypothesis(&labels.canonical(), &inventory::ERR))]);
        }
        all.push(utter);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut scored = scores::scores(&all, threshold)?;
    if simulate.is_some() {
        scored.insert("simulated".into(), simulated.report());
    }
    scored.insert("audio_secs".into(), json!(secs));
    scored.insert("real_time_factor".into(), json!(busy / secs.max(1e-9)));
    scored.insert("wall_secs".into(), json!(started.elapsed().as_secs_f64()));
    Ok(Value::Object(scored))
}

/// What the phone predictor takes a phone for.
fn said(class: u32) -> Said<u32> {
    if class == inventory::DELETED { Said::Nothing } else { Said::Phone(class) }
}

/// What was known of a canonical phone while the learner spoke.
#[derive(Clone, Default)]
struct Early {
    /// The classifier's goodness when the phone's word had been said.
    goodness: Option<f64>,
    /// How much sound had come when it was known.
    word_secs: Option<f64>,
    /// How much sound had come when the decoder's verdict last changed.
    decoder_secs: Option<f64>,
}

/// The words of a prompt, or all of it as one word where its words are not known; `None` where a phone is none.
fn target(labels: &Labels) -> Option<Target> {
    let phones: Vec<Phone> =
        labels.slots.iter().map(|slot| inventory::phone(slot.canonical)).collect::<Option<_>>()?;
    let covered: usize = labels.words.iter().map(ExactSizeIterator::len).sum();
    if covered < phones.len() {
        return Some(Target::of_words([(String::new(), phones)]));
    }
    Some(Target::of_words(labels.words.iter().map(|span| (String::new(), phones[span.clone()].to_vec()))))
}
