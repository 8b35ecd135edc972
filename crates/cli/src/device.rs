//! `auricle device`.

use anyhow::Result;
use auricle_tensor::npu::runtime::ascend::library::{Presence, places};
use auricle_tensor::npu::spec::names;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The cargo feature, the device's name and whether this program has it.
const GPUS: [(&str, &str, bool); 4] = [
    ("cuda", "cuda:<index>", cfg!(feature = "cuda")),
    ("rocm", "rocm:<index>", cfg!(feature = "rocm")),
    ("metal", "metal", cfg!(feature = "metal")),
    ("wgpu", "wgpu", cfg!(feature = "wgpu")),
];

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  auricle device list\n  auricle device list --json")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Machine-readable output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List devices (also without this word).
    #[command(after_help = "Example:\n  auricle device list --json")]
    List,
}

/// What is there of AscendCL, and where it was looked.
fn ascend(presence: &Presence) -> Value {
    let missing: Vec<&str> =
        presence.found.iter().filter(|(_, file)| file.is_none()).map(|(name, _)| *name).collect();
    let found: serde_json::Map<String, Value> = presence
        .found
        .iter()
        .filter_map(|(name, file)| Some((name.to_string(), file.as_ref()?.display().to_string().into())))
        .collect();
    let looked_in: Vec<Value> = presence
        .places
        .iter()
        .map(|place| json!({ "folder": place.folder.as_ref().map(|f| f.display().to_string()), "why": place.why }))
        .collect();
    json!({
        "name": "npu:ascend",
        "usable": missing.is_empty(),
        "missing": missing,
        "found": found,
        "looked_in": looked_in,
    })
}

pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        None | Some(Command::List) => list(args.json),
    }
    Ok(ExitCode::SUCCESS)
}

/// Devices of this machine first, then what this build or machine lacks, simulators last.
fn list(as_json: bool) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let presence = Presence::look(&places());
    let has_ascend = presence.found.iter().all(|(_, file)| file.is_some());
    if as_json {
        let mut devices = vec![json!({ "name": "cpu", "threads": threads })];
        devices.extend(
            GPUS.iter()
                .filter(|(_, _, built)| *built)
                .map(|(_, name, _)| json!({ "name": name.trim_end_matches(":<index>") })),
        );
        devices.push(ascend(&presence));
        devices.extend(names().iter().map(|n| json!({ "name": format!("npu:sim:{n}"), "simulated": true })));
        outln!("{}", Value::Array(devices));
        return;
    }
    outln!("cpu  {threads} threads, vector instructions chosen at run time");
    for (_, name, _) in GPUS.iter().filter(|(_, _, built)| *built) {
        outln!("{name}  in this build, opened when it is named");
    }
    if has_ascend {
        outln!("npu:ascend:<index>  libraries found:\n{presence}");
    }
    for (feature, name, _) in GPUS.iter().filter(|(_, _, built)| !*built) {
        outln!("{name}  not in this build: --features {feature}");
    }
    if !has_ascend {
        outln!("npu:ascend:<index>  not usable here:\n{presence}");
    }
    for name in names() {
        outln!("npu:sim:{name}  simulated: computed on the host, times modelled");
    }
}
