//! `auricle npu`.

use crate::shared::terminal::Terminal;
use anyhow::{Context as _, Result, bail};
use auricle_io::AtomicFile;
use auricle_tensor::npu::Basis;
use auricle_tensor::npu::profile::{Line, lines};
use auricle_tensor::npu::session::{self, Mode, Session};
use auricle_tensor::npu::spec::{Confidence, DeviceSpec, names};
use auricle_tensor::npu::tile::trace::Trace;
use auricle_tensor::npu::tile::{Pipe, time};
use auricle_train::Recipe;
use auricle_train::report::{Report, Span};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Descriptions of devices: every number with its source and confidence.
    #[command(after_help = "Example:\n  auricle npu devices 910b3")]
    Devices {
        /// One description in full.
        name: Option<String>,
    },
    /// Modelled cost of every operation of one training step (of the longest batch) on a described device.
    ///
    /// Forward and backward pass, update of the weights, average of a teacher or of the weights.
    /// The step is computed on the CPU; nothing here is measured on an NPU.
    #[command(
        after_help = "Example:\n  auricle npu profile recipes/mini_librispeech/spiral_pretrain.toml --device 910b3"
    )]
    Profile(Profile),
}

#[derive(clap::Args)]
pub struct Profile {
    /// Recipe (TOML).
    recipe: PathBuf,
    /// Overrides a value of the recipe. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device and, after a colon, type of the operands of matrix products (`910b3`, `910a:fp16`).
    #[arg(long, default_value = "910b3")]
    device: String,
    /// Page with table and timeline.
    #[arg(long, default_value = "npu_profile.html")]
    report: PathBuf,
    /// Chrome trace (JSON) of every instruction: each operation of the table once, one after another.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Devices { name: None } => {
            for name in names() {
                let spec = DeviceSpec::named(name)?;
                let tera = 2.0 * spec.peak_macs() / 1e12;
                outln!(
                    "{name:9} {:32} {tera:5.0} TFLOP/s half precision at its clock ({})",
                    spec.title,
                    Basis::Modelled
                );
            }
        }
        Command::Devices { name: Some(name) } => {
            let spec = DeviceSpec::named(name)?;
            outln!("{}", spec.title);
            for (name, fact) in spec.facts() {
                let basis = match fact.confidence {
                    Confidence::Published => Basis::Published.to_string(),
                    other => format!("{} ({other})", other.basis()),
                };
                outln!("{name:20} {:>16} {:9} {basis}: {}", fact.value, fact.unit, fact.source);
            }
        }
        Command::Profile(args) => profile(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn profile(args: &Profile) -> Result<()> {
    let mut recipe = Recipe::load(&args.recipe, &args.set)?;
    recipe.train.device = "cpu".into();
    let npu = Session::open(&format!("sim:{}", args.device), Mode::Record)?;
    // The step of the longest batch, computed on the CPU and written down.
    let stepped = auricle::rehearse(&recipe, &Terminal::new(true), || session::choose(Some(npu.clone())));
    session::choose(None);
    stepped.context("one training step")?;
    let lines = lines(&npu, &npu.take_records());
    if lines.is_empty() {
        bail!("the step asked for no operation that has an NPU body");
    }
    let spec = DeviceSpec::named(args.device.split(':').next().unwrap_or_default())?;
    show(args, &spec, &lines)?;
    if let Some(path) = &args.trace {
        trace(path, &spec, &lines).with_context(|| path.display().to_string())?;
        outln!("trace: {}", path.display());
    }
    Ok(())
}

/// One run of every operation, one after another, as a trace.
fn trace(path: &Path, spec: &DeviceSpec, lines: &[Line]) -> Result<()> {
    let mut trace = Trace::begin(BufWriter::new(AtomicFile::create(path)?), spec)?;
    for line in lines.iter().filter(|line| line.timeline.is_some()) {
        let program = line.op.program(spec)?;
        trace.add(&program, &time(&program, spec, true))?;
    }
    let file = trace.end()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(file.commit()?)
}

const HEADER: [&str; 13] = [
    "operation",
    "sizes",
    "runs",
    "cycles",
    "share %",
    "MTE2 %",
    "MTE1 %",
    "cube %",
    "fixpipe %",
    "vector %",
    "MTE3 %",
    "bound",
    "figures are",
];

fn show(args: &Profile, spec: &DeviceSpec, lines: &[Line]) -> Result<()> {
    let total: f64 = lines.iter().map(Line::cycles).sum();
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by(|a, b| b.cycles().total_cmp(&a.cycles()));
    let rows: Vec<Vec<String>> = sorted.iter().map(|line| row(line, total)).collect();
    let macs: f64 = lines.iter().filter(|l| l.timeline.is_some()).map(|l| l.op.macs() * l.count as f64).sum();
    let secs = spec.secs_from_cycles(total);
    let share = 100.0 * macs / (secs * spec.peak_macs());
    let launch: f64 =
        lines.iter().filter_map(|l| l.timeline.as_ref().map(|t| t.launch * l.count as f64)).sum();
    let basis = Basis::Modelled;
    let summary = [
        format!("{}: one step of the longest batch, operations one after another: {:.3} ms ({basis}).", spec.title, 1e3 * secs),
        format!("Starting programs takes {:.0} % of it ({basis}).", 100.0 * launch / total),
        format!("Matrix products use {share:.1} % of the peak ({basis}): multiply-adds without padding / (time · cube cores · 4096 · clock)."),
        "Counted: every operation that has an NPU body, in forward and backward pass, losses, update of the weights and averages. \
         Not counted: copies between host and device, and tensor arithmetic without such a body (sums of branches, look-ups, norm of the gradients).".into(),
        "Utilisations are means over cores, starts included.".into(),
    ];
    outln!("{}", HEADER.join("\t"));
    rows.iter().for_each(|row| outln!("{}", row.join("\t")));
    summary.iter().for_each(|line| outln!("{line}"));
    for line in lines {
        if let Some(why) = &line.refused {
            outln!("on the CPU: {} {}: {why}", line.op.name(), line.sizes());
        }
    }
    let mut page = Report::new(&format!("NPU profile: {}", args.recipe.display()));
    for line in &summary {
        page = page.paragraph(line);
    }
    let lanes: Vec<String> = Pipe::ALL.iter().map(|pipe| pipe.name().to_owned()).collect();
    let caption = format!("Mean time at work of each pipe, operation after operation ({basis})");
    page = page.heading("Timeline").timeline(&caption, "us", &lanes, &spans(spec, lines));
    page = page
        .heading("Operations")
        .paragraph(&format!("All cycles and shares are {basis}."))
        .table(&HEADER, &rows);
    page.write(&args.report).with_context(|| args.report.display().to_string())?;
    outln!("report: {}", args.report.display());
    Ok(())
}

fn row(line: &Line, total: f64) -> Vec<String> {
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    let (bound, basis) = match &line.timeline {
        Some(timeline) => (timeline.bound, Basis::Modelled.to_string()),
        None => ("on the CPU", "not modelled".into()),
    };
    let mut cells = vec![
        line.op.name().into(),
        line.sizes(),
        line.count.to_string(),
        format!("{:.0}", line.cycles()),
        percent(line.cycles() / total),
    ];
    cells.extend(Pipe::ALL.iter().map(|pipe| percent(line.utilisation(*pipe))));
    cells.extend([bound.into(), basis]);
    cells
}

/// For every operation, from its start, how long each pipe works.
fn spans(spec: &DeviceSpec, lines: &[Line]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut now = 0.0;
    for line in lines {
        for (lane, pipe) in Pipe::ALL.iter().enumerate() {
            let busy = line.cycles() * line.utilisation(*pipe);
            if busy > 0.0 {
                let micros = |cycles: f64| 1e6 * spec.secs_from_cycles(cycles);
                let label = format!(
                    "{} {} x{}: {:.1} us ({})",
                    line.op.name(),
                    line.sizes(),
                    line.count,
                    micros(busy),
                    Basis::Modelled
                );
                spans.push(Span { lane, start: micros(now), end: micros(now + busy), label });
            }
        }
        now += line.cycles();
    }
    spans
}
