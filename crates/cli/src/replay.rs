//! `auricle replay`.

use crate::tasks::AnyTrainer;
use anyhow::Result;
use auricle_train::log::RunLog;
use auricle_train::{AudioStore, Capsule};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example:
  auricle replay runs/mini/capsule-step-1200

Run it in the folder that the run was started in. Exits with status 1 where the batch is finite now.")]
pub struct Args {
    /// The capsule's folder.
    capsule: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let scratch = std::env::temp_dir().join(format!("auricle-replay-{}", std::process::id()));
    let result = replay(args, &scratch);
    std::fs::remove_dir_all(&scratch).ok();
    result
}

fn replay(args: &Args, scratch: &Path) -> Result<ExitCode> {
    let (capsule, recipe, _) = Capsule::read(&args.capsule)?;
    std::fs::create_dir_all(scratch)?;
    let log = RunLog::open(scratch, recipe.train.steps, true)?;
    let mut trainer = AnyTrainer::build(&recipe, scratch, log, true)?;
    trainer.resume(&args.capsule.join("checkpoint.safetensors"))?;
    let store = AudioStore::new(trainer.sample_rate(), 0);
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
    if loss.is_finite() && bad.is_empty() {
        println!("not reproduced: were the audio files, the program or the device changed since?");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
