//! `auricle lasyn compare`.

use super::{Source, check_bank, paired};
use crate::lexicon::{LexiconArgs, pronouncer};
use crate::tasks::{load_model, manifests};
use anyhow::Result;
use auricle_lasyn::{Comparison, SplitRecogniser, compare, read_latents};
use auricle_rng::{Key, Purpose};
use auricle_text::{ErrorCounts, cer, normalise};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Compare {
    /// Transcribed speech that the bank was not made of.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Another seed, other voices and another classifier.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Compare) -> Result<ExitCode> {
    let device = auricle_tensor::device("cpu")?;
    let (bank, path) = args.source.bank()?;
    let (tensors, metadata) = load_model(&args.source.model)?;
    let base = SplitRecogniser::from_weights(tensors, &metadata, Some(bank.info.split), &device)?;
    check_bank(&bank, &base, &path)?;
    let synthesizer = args.source.synthesizer(bank)?;
    let utterances = manifests(&args.inputs)?;
    let texts: HashMap<&str, String> = utterances
        .iter()
        .map(|u| (u.id.as_str(), normalise(u.text.as_deref().unwrap_or_default())))
        .collect();
    let (mut real, mut made) = (Vec::new(), Vec::new());
    let mut errors = [ErrorCounts::default(), ErrorCounts::default()];
    for utterance in paired(&base, &utterances, &pronouncer(&args.lexicon)?, &device)? {
        let mut stream = Key::new(args.seed).utterance(&utterance.id).stream(Purpose::Synthesis);
        let latents = synthesizer.synthesize(&utterance.words, &mut stream);
        let text = texts.get(utterance.id.as_str()).map_or("", String::as_str);
        for (errors, latents) in errors.iter_mut().zip([&utterance.latents, &latents]) {
            *errors += cer(text, &read_latents(&base, latents.clone(), &device)?);
        }
        real.push(utterance.latents);
        made.push(latents);
    }
    let comparison = compare(&real, &made, base.width(), Key::new(args.seed), &device)?;
    let read = errors.map(|errors| errors.rate());
    if args.json {
        let mut out = serde_json::to_value(&comparison)?;
        out["character_error_rate"] = json!(read);
        println!("{out}");
    } else {
        print!("{}", table(&comparison, read, base.frame_secs()));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(comparison: &Comparison, read: [f64; 2], frame_secs: f64) -> String {
    let secs = |frames: [f64; 2]| frames.map(|frames| frames * frame_secs);
    let ([real, made], [real_std, made_std]) = (secs(comparison.frames), secs(comparison.frames_std));
    let correlation = comparison
        .frames_correlation
        .map_or_else(|| "none".into(), |correlation| format!("{correlation:.3}"));
    format!(
        "{} sentences                     speech   synthesized\n\
         length, mean                {real:8.2} s {made:8.2} s\n\
         length, standard deviation  {real_std:8.2} s {made_std:8.2} s   correlation {correlation}\n\
         characters misread          {:8.1} % {:8.1} %\n\
         shift of the means          {:8.3}     in variances, mean over channels\n\
         ratio of the variances      {:8.3}\n\
         ratio of the motion         {:8.3}     variance between neighbouring frames\n\
         told apart, five frames     {:8.3}     area under the ROC curve; 0.5: not at all\n\
         told apart, sentences       {:8.3}\n",
        comparison.sentences,
        100.0 * read[0],
        100.0 * read[1],
        comparison.mean_shift,
        comparison.variance_ratio,
        comparison.motion_ratio,
        comparison.auc_frames,
        comparison.auc_sentences,
    )
}
