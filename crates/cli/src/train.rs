//! `auricle train`.

use crate::tasks::AnyTrainer;
use anyhow::{Context as _, Result, bail};
use auricle_train::files::{RunLock, atomic_write, remove_unfinished};
use auricle_train::log::{RunLog, peak_memory_mib};
use auricle_train::{Outcome, Recipe, recipe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle train recipes/mini_librispeech/spiral_pretrain.toml
  auricle train recipes/mini_librispeech/ctc_from_pretrained.toml --set optimizer.lr=3e-4 --run runs/lr3e-4
  auricle train recipes/mini_librispeech/spiral_pretrain.toml --resume
  auricle train recipes/librispeech/spiral_base.toml --dry-run

Ctrl-C finishes the step, writes a checkpoint and exits with status 130; --resume goes on.")]
pub struct Args {
    /// Recipe (TOML).
    pub recipe: PathBuf,
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
    let mut recipe = load(&args.recipe, &args.set)?;
    if let Some(device) = &args.device {
        recipe.train.device.clone_from(device);
    }
    let run = args.run.clone().unwrap_or_else(|| default_run(&args.recipe));
    if args.smoke {
        return crate::smoke::run(recipe, args.quiet);
    }
    if args.dry_run {
        return dry_run(&mut recipe);
    }
    let stop = crate::interrupt::flag()?;
    match train(&recipe, &run, args.resume, args.quiet, &stop)? {
        Outcome::Interrupted => {
            let device = args.device.as_ref().map_or_else(String::new, |name| format!(" --device {name}"));
            eprintln!(
                "interrupted; go on with: auricle train {}{device} --run {} --resume",
                args.recipe.display(),
                run.display()
            );
            Ok(ExitCode::from(crate::interrupt::INTERRUPTED))
        }
        Outcome::EarlyStopped | Outcome::Finished => {
            println!("model: {}", run.join("model.safetensors").display());
            println!("report: {}", run.join("report.html").display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads and checks a recipe.
pub fn load(path: &Path, set: &[String]) -> Result<Recipe> {
    let table = recipe::load(path, set)?;
    Ok(recipe::parse(&table, &path.display().to_string())?)
}

/// `runs/<folder>-<recipe>`.
fn default_run(recipe: &Path) -> PathBuf {
    let part =
        |name: Option<&std::ffi::OsStr>| name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = part(recipe.parent().and_then(Path::file_name));
    Path::new("runs").join(format!("{folder}-{}", part(recipe.file_stem())))
}

/// Trains a resolved recipe in a run directory and writes its report.
pub fn train(recipe: &Recipe, run: &Path, resume: bool, quiet: bool, stop: &AtomicBool) -> Result<Outcome> {
    if let Some(config) = &recipe.train.self_training {
        if run.join("round-0").exists() && !resume {
            bail!(
                "{} holds a run already; --resume goes on with it, --run NAME starts another",
                run.display()
            );
        }
        return crate::self_training::train(recipe, config, run, quiet, stop);
    }
    let last = run.join("checkpoints/last.safetensors");
    if last.exists() && !resume {
        bail!("{} holds a run already; --resume goes on with it, --run NAME starts another", run.display());
    }
    std::fs::create_dir_all(run.join("checkpoints")).with_context(|| run.display().to_string())?;
    let in_run = || run.display().to_string();
    let _lock = RunLock::acquire(run)?;
    remove_unfinished(&run.join("checkpoints")).with_context(in_run)?;
    let mut log = RunLog::open(run, recipe.train.steps, quiet).with_context(in_run)?;
    if !last.exists() {
        // A run that was killed before its first checkpoint begins anew, and its log with it.
        log.resume_from(0).with_context(in_run)?;
    }
    let mut trainer = AnyTrainer::build(recipe, run, log, last.exists())?;
    if last.exists() {
        trainer.resume(&last)?;
    }
    // Only now: another recipe than the run's is refused above, and its own stays on record.
    let resolved = toml::to_string(recipe).context("recipe")?;
    let path = run.join("recipe.resolved.toml");
    atomic_write(&path, resolved.as_bytes()).with_context(|| path.display().to_string())?;
    let outcome = trainer.run(stop)?;
    crate::report::write_run_report(run, recipe)?;
    Ok(outcome)
}

fn dry_run(recipe: &mut Recipe) -> Result<ExitCode> {
    let scratch = std::env::temp_dir().join(format!("auricle-dry-run-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let result = plan_and_probe(recipe, &scratch);
    std::fs::remove_dir_all(&scratch).ok();
    result
}

fn plan_and_probe(recipe: &Recipe, scratch: &Path) -> Result<ExitCode> {
    let mut trainer =
        AnyTrainer::build(recipe, scratch, RunLog::open(scratch, recipe.train.steps, true)?, false)?;
    let parameters = trainer.parameters();
    let plan = trainer.plan();
    let hours = trainer.training_utterances().iter().map(|u| u.duration_secs).sum::<f64>() / 3600.0;
    println!("task                  {}", recipe.task);
    println!("trained parameters    {parameters}");
    let copies = if recipe.task == "spiral" { 5.0 } else { 4.0 };
    println!(
        "weights and optimiser {:.0} MiB (values, gradients, two moments{})",
        parameters as f64 * 4.0 * copies / (1024.0 * 1024.0),
        if copies > 4.0 { ", teacher" } else { "" }
    );
    println!("training utterances   {} ({hours:.2} h)", trainer.training_utterances().len());
    let batches = plan.batches.len() as u64;
    println!("steps per epoch       {}", batches / recipe.train.accumulate.max(1));
    println!(
        "epochs                {:.1}",
        (recipe.train.steps * recipe.train.accumulate) as f64 / batches.max(1) as f64
    );
    println!("padding waste         {:.1} %", 100.0 * plan.padding_waste);
    if recipe.task == "ctc" {
        let bad = crate::data::cannot_align(trainer.training_utterances(), recipe)?;
        println!("cannot align (CTC)    {}", bad.len());
        for reason in bad.iter().take(10) {
            println!("  {reason}");
        }
    }
    let before = peak_memory_mib();
    let started = std::time::Instant::now();
    let loss = trainer.dry_run()?;
    println!(
        "longest batch         loss {loss:.3} in {:.2} s, forward and backward",
        started.elapsed().as_secs_f64()
    );
    if let (Some(before), Some(after)) = (before, peak_memory_mib()) {
        println!("peak memory           {after:.0} MiB ({:.0} MiB by the longest batch)", after - before);
    }
    Ok(ExitCode::SUCCESS)
}
