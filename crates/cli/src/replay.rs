//! `auricle replay`.

use crate::tasks::AnyTrainer;
use anyhow::Result;
use auricle_train::log::RunLog;
use auricle_train::{AudioStore, Capsule};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example:
  auricle replay runs/mini/capsule-step-1200")]
pub struct Args {
    /// The capsule's folder.
    capsule: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let (capsule, recipe, _) = Capsule::read(&args.capsule)?;
    let scratch = std::env::temp_dir().join(format!("auricle-replay-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let mut trainer =
        AnyTrainer::build(&recipe, &scratch, RunLog::open(&scratch, recipe.train.steps, true)?)?;
    trainer.resume(&args.capsule.join("checkpoint.safetensors"))?;
    std::fs::remove_dir_all(&scratch).ok();
    let store = AudioStore::new(16_000, 0);
    let waves = capsule.utterances.iter().map(|u| store.wave(u)).collect::<Result<Vec<_>, _>>()?;
    let (loss, bad) = trainer.replay(&capsule, &waves)?;
    println!("step {} epoch {} batch {}: {}", capsule.step, capsule.epoch, capsule.batch, capsule.what);
    for utterance in &capsule.utterances {
        println!("  {} ({:.2} s)", utterance.id, utterance.duration_secs);
    }
    println!("loss {loss}");
    println!(
        "parameters with non-finite gradients: {}",
        if bad.is_empty() { "none".into() } else { bad.join(", ") }
    );
    Ok(ExitCode::SUCCESS)
}
