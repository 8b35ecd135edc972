//! `auricle replay`.

use crate::shared::terminal::Terminal;
use anyhow::Result;
use auricle::Replayed;
use std::path::PathBuf;
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
    let Replayed { capsule, loss, bad } = auricle::replay(&args.capsule, &Terminal::new(true))?;
    outln!("step {} epoch {} batch {}: {}", capsule.step, capsule.epoch, capsule.batch, capsule.what);
    for utterance in &capsule.utterances {
        outln!("  {} ({:.2} s)", utterance.id, utterance.duration_secs);
    }
    outln!("loss {loss}");
    outln!(
        "parameters with non-finite gradients: {}",
        if bad.is_empty() { "none".into() } else { bad.join(", ") }
    );
    if loss.is_finite() && bad.is_empty() {
        outln!("not reproduced: were the audio files, the program or the device changed since?");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
