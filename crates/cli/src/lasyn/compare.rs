//! `auricle lasyn compare`.

use crate::shared::args::{LexiconArgs, SourceArgs};
use crate::shared::terminal::progress;
use anyhow::{Result, bail};
use auricle::latents::check_bank;
use auricle::models;
use auricle_lasyn::{Comparison, SplitRecogniser, compare, pair_with_latents, read_latents};
use auricle_rng::{Key, Purpose};
use auricle_text::{ErrorCounts, cer, normalise};
use burn::tensor::Device;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Compare {
    /// Transcribed speech that the bank was not made of.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Another recogniser with the same lower part, for example a run of `upper_speech.toml`: a synthesizer that learnt
    /// from its guide may please the guide alone.
    #[arg(long)]
    judge: Option<PathBuf>,
    /// Another seed, other voices and another classifier.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Compare) -> Result<ExitCode> {
    let device = auricle_tensor::device("cpu")?;
    let source = args.source.source();
    let (bank, path) = source.bank()?;
    let base = models::split_recogniser(&source.model, Some(bank.info.split), &device)?;
    check_bank(&bank, &base, &path)?;
    let synthesizer = source.synthesizer(bank)?;
    let judge = args.judge.as_deref().map(|name| judge(name, &base, &device)).transpose()?;
    let utterances = auricle::utterances(&args.inputs)?;
    let texts: HashMap<&str, String> = utterances
        .iter()
        .map(|u| (u.id.as_str(), normalise(u.text.as_deref().unwrap_or_default())))
        .collect();
    let (mut real, mut made) = (Vec::new(), Vec::new());
    let readers: Vec<&SplitRecogniser> = [&base].into_iter().chain(&judge).collect();
    let mut errors = vec![[ErrorCounts::default(); 2]; readers.len()];
    let pronouncer = args.lexicon.pronouncer()?;
    let bar = progress(utterances.len(), args.json);
    let paired = pair_with_latents(&base, &utterances, &pronouncer, &device, &mut |_| bar.inc(1));
    bar.finish_and_clear();
    for utterance in paired? {
        let mut stream = Key::new(args.seed).utterance(&utterance.id).stream(Purpose::Synthesis);
        let latents = synthesizer.synthesize(&utterance.words, &mut stream)?;
        let text = texts.get(utterance.id.as_str()).map_or("", String::as_str);
        for (reader, errors) in readers.iter().zip(&mut errors) {
            for (errors, latents) in errors.iter_mut().zip([&utterance.latents, &latents]) {
                *errors += cer(text, &read_latents(reader, latents.clone(), &device)?);
            }
        }
        real.push(utterance.latents);
        made.push(latents);
    }
    let comparison = compare(&real, &made, base.width(), Key::new(args.seed), &device)?;
    let read: Vec<[f64; 2]> = errors.iter().map(|errors| errors.map(|errors| errors.rate())).collect();
    if args.json {
        let mut out = serde_json::to_value(&comparison)?;
        out["character_error_rate"] = json!(read[0]);
        if let Some(judged) = read.get(1) {
            out["character_error_rate_judge"] = json!(judged);
        }
        outln!("{out}");
    } else {
        out!("{}", table(&comparison, &read, base.frame_secs()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A recogniser that reads the latents of another.
fn judge(name: &Path, base: &SplitRecogniser, device: &Device) -> Result<SplitRecogniser> {
    let judge = models::split_recogniser(name, Some(base.split), device)?;
    if judge.lower_hash() != base.lower_hash() {
        bail!("{}: its lower part is another one than the model's: it reads other latents", name.display());
    }
    Ok(judge)
}

fn table(comparison: &Comparison, read: &[[f64; 2]], frame_secs: f64) -> String {
    let secs = |frames: [f64; 2]| frames.map(|frames| frames * frame_secs);
    let ([real, made], [real_std, made_std]) = (secs(comparison.frames), secs(comparison.frames_std));
    let correlation = comparison
        .frames_correlation
        .map_or_else(|| "none".into(), |correlation| format!("{correlation:.3}"));
    let misread = |(name, rates): (&str, &[f64; 2])| {
        format!("{name:26} {:9.1} % {:8.1} %\n", 100.0 * rates[0], 100.0 * rates[1])
    };
    let read: String = ["characters misread", "by the judge"].into_iter().zip(read).map(misread).collect();
    format!(
        "{} sentences                     speech   synthesized\n\
         length, mean                {real:8.2} s {made:8.2} s\n\
         length, standard deviation  {real_std:8.2} s {made_std:8.2} s   correlation {correlation}\n\
         {read}\
         shift of the means          {:8.3}     in variances, mean over channels\n\
         ratio of the variances      {:8.3}\n\
         ratio of the motion         {:8.3}     variance between neighbouring frames\n\
         told apart, five frames     {:8.3}     area under the ROC curve; 0.5: not at all\n\
         told apart, sentences       {:8.3}\n",
        comparison.sentences,
        comparison.mean_shift,
        comparison.variance_ratio,
        comparison.motion_ratio,
        comparison.auc_frames,
        comparison.auc_sentences,
    )
}
