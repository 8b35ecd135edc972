//! `auricle eval mdd`.

mod page;

use crate::shared::terminal::progress;
use anyhow::{Context as _, Result, bail};
use auricle::models;
use auricle_cca_mdd::evaluation::{EvaluationConfig, evaluate};
use auricle_data::read_any;
use auricle_nn::weights;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

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
    let assessor = models::assessor(&args.model, &device)?;
    let threshold = args.threshold.unwrap_or(assessor.threshold());
    if args.simulate.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        bail!("--simulate: the share of replaced phones lies between 0 and 1");
    }
    let utterances = read_any(&args.manifest)?;
    let config = EvaluationConfig { threshold, simulate: args.simulate };
    let bar = progress(utterances.len(), args.quiet);
    let scores = evaluate(&Arc::new(assessor), &utterances, &config, &mut |_| bar.inc(1));
    bar.finish_and_clear();
    let scores = scores?;
    if let Some(path) = &args.report {
        let title = format!("{} on {}", args.model.display(), args.manifest.display());
        page::page(&title, &scores).write(path).with_context(|| path.display().to_string())?;
    }
    if args.store_threshold {
        let best = scores.best_on_this_set.map(|best| best.threshold);
        let best =
            best.context("no phone of this set is mispronounced: no threshold is better than another")?;
        let path = models::find(&args.model)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let (tensors, mut metadata) = weights::from_bytes(&bytes)?;
        metadata.insert("threshold".into(), best.to_string());
        auricle_train::files::write_weights(&path, &tensors, &metadata, weights::precision(&bytes)?)?;
        errln!("{}: threshold {best:.4} stored", path.display());
    }
    if args.json {
        outln!("{}", serde_json::to_string(&scores)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(values) = serde_json::to_value(&scores)?.as_object() {
        for (name, value) in values.iter().filter(|(name, _)| !LISTS.contains(&name.as_str())) {
            outln!("{name:28} {value}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
