//! `auricle device`.

use anyhow::Result;
use std::process::ExitCode;

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
        println!("{}", serde_json::json!([{ "name": "cpu", "threads": threads }]));
    } else {
        println!("cpu  {threads} threads, vector instructions chosen at run time");
        println!("GPU back ends are cargo features of the build and are not part of this one.");
    }
    Ok(ExitCode::SUCCESS)
}
