//! `auricle device`.

use anyhow::Result;
use auricle_tensor::npu::runtime::ascend::library::{Presence, places};
use auricle_tensor::npu::spec::names;
use std::process::ExitCode;

/// The cargo feature, the device's name and whether this program has it.
const GPUS: [(&str, &str, bool); 4] = [
    ("cuda", "cuda:<index>", cfg!(feature = "cuda")),
    ("rocm", "rocm:<index>", cfg!(feature = "rocm")),
    ("metal", "metal", cfg!(feature = "metal")),
    ("wgpu", "wgpu", cfg!(feature = "wgpu")),
];

#[derive(clap::Args)]
#[command(after_help = "Example:\n  auricle device --json")]
pub struct Args {
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if args.json {
        let mut devices = vec![serde_json::json!({ "name": "cpu", "threads": threads })];
        devices.extend(
            names().iter().map(|n| serde_json::json!({ "name": format!("npu:sim:{n}"), "simulated": true })),
        );
        devices.extend(
            GPUS.iter()
                .filter(|(_, _, built)| *built)
                .map(|(_, name, _)| serde_json::json!({ "name": name.trim_end_matches(":<index>") })),
        );
        println!("{}", serde_json::Value::Array(devices));
    } else {
        println!("cpu  {threads} threads, vector instructions chosen at run time");
        for name in names() {
            println!("npu:sim:{name}  simulated: computed on the host, times modelled");
        }
        let presence = Presence::look(&places());
        if presence.found.iter().all(|(_, file)| file.is_some()) {
            println!("npu:ascend:<index>  libraries found:\n{presence}");
        } else {
            println!("npu:ascend:<index>  not usable here:\n{presence}");
        }
        for (feature, name, built) in GPUS {
            if built {
                println!("{name}  in this build, opened when it is named");
            } else {
                println!("{name}  not in this build: --features {feature}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
