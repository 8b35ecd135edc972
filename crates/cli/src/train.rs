//! `auricle train`.

use crate::shared::interrupt::{self, command_again};
use crate::shared::terminal::Terminal;
use anyhow::Result;
use auricle::{Training, train};
use auricle_train::{Outcome, Recipe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle train recipes/mini_librispeech/spiral_pretrain.toml
  auricle train recipes/mini_librispeech/ctc_from_pretrained.toml --set optimizer.lr=3e-4 --run runs/lr3e-4
  auricle train recipes/mini_librispeech/spiral_pretrain.toml --resume
  auricle train recipes/librispeech/spiral_base.toml --dry-run

Ctrl-C finishes the step, writes a checkpoint and exits with status 130; --resume goes on.")]
pub struct Args {
    /// Recipe (TOML).
    #[arg(required_unless_present = "keys")]
    pub recipe: Option<PathBuf>,
    /// Print every key that a recipe can have, with type, default and meaning, for every task.
    #[arg(long, exclusive = true)]
    pub keys: bool,
    /// Overrides a value of the recipe, for example `optimizer.lr=3e-4`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Device to train on (`cpu`, `cuda:0`, `npu:sim:910b3`; `auricle device` lists them). Default: the recipe's
    /// `train.device`.
    #[arg(long, conflicts_with = "smoke")]
    pub device: Option<String>,
    /// Run directory. Default: runs/<folder>-<recipe>.
    #[arg(long)]
    pub run: Option<PathBuf>,
    /// Go on from the run directory's last checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Print parameter count, memory, plan and utterances that cannot align; run the longest
    /// batch once; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// A few steps of a shrunken model on the built-in corpus: does the recipe work?
    #[arg(long)]
    pub smoke: bool,
    /// No progress bar.
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let Some(path) = &args.recipe else {
        outln!("{}", auricle::RECIPE_KEYS.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    let mut recipe = Recipe::load(path, &args.set)?;
    if let Some(device) = &args.device {
        recipe.train.device.clone_from(device);
    }
    let run = args.run.clone().unwrap_or_else(|| default_run(path));
    if args.smoke {
        let name = recipe.title().to_string();
        auricle::smoke(recipe, &Terminal::new(args.quiet))?;
        outln!("{name}: ok");
        return Ok(ExitCode::SUCCESS);
    }
    if args.dry_run {
        return dry_run(&recipe);
    }
    let stop = interrupt::flag()?;
    let terminal = Terminal::new(args.quiet);
    let training = Training { resume: args.resume, events: &terminal, stop: &stop };
    match train(&recipe, &run, training)? {
        Outcome::Interrupted => {
            errln!("interrupted; go on with: {}", command_again(std::env::args_os(), "--resume"));
            Ok(ExitCode::from(interrupt::INTERRUPTED))
        }
        Outcome::EarlyStopped | Outcome::Finished => {
            outln!("model: {}", run.join("model.safetensors").display());
            outln!("report: {}", run.join("report.html").display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `runs/<folder>-<recipe>`.
fn default_run(recipe: &Path) -> PathBuf {
    let part =
        |name: Option<&std::ffi::OsStr>| name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = part(recipe.parent().and_then(Path::file_name));
    Path::new("runs").join(format!("{folder}-{}", part(recipe.file_stem())))
}

fn dry_run(recipe: &Recipe) -> Result<ExitCode> {
    let probe = auricle::probe(recipe, &Terminal::new(true))?;
    outln!("task                  {}", recipe.task);
    outln!("trained parameters    {}", probe.parameters);
    outln!(
        "weights and optimiser {:.0} MiB (values, gradients, two moments{})",
        probe.state_bytes as f64 / (1024.0 * 1024.0),
        if probe.has_teacher { ", teacher" } else { "" }
    );
    outln!("training utterances   {} ({:.2} h)", probe.utterances, probe.hours);
    outln!("steps per epoch       {}", probe.batches / recipe.train.accumulate.max(1));
    outln!(
        "epochs                {:.1}",
        (recipe.train.steps * recipe.train.accumulate) as f64 / probe.batches.max(1) as f64
    );
    outln!("padding waste         {:.1} %", 100.0 * probe.padding_waste);
    if let Some(reasons) = &probe.cannot_align {
        outln!("cannot align (CTC)    {}", reasons.len());
        for reason in reasons.iter().take(10) {
            outln!("  {reason}");
        }
    }
    outln!("longest batch         loss {:.3} in {:.2} s, forward and backward", probe.loss, probe.secs);
    if let Some((before, after)) = probe.memory_mib {
        outln!("peak memory           {after:.0} MiB ({:.0} MiB by the longest batch)", after - before);
    }
    Ok(ExitCode::SUCCESS)
}
