//! `auricle serve`.

use crate::shared::args::{LexiconArgs, assessor, threshold};
use crate::shared::interrupt;
use anyhow::{Context as _, Result, bail};
use auricle_serve::{Config, Limits, Server};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle serve --lexicon cmudict.dict
  auricle serve --model runs/mdd --lexicon cmudict.dict --prompts sentences.txt
  auricle serve --origin https://speak.example --proxy 127.0.0.1   # behind a proxy with TLS

Open the address that it prints. Browsers give the microphone only to pages from localhost or by https, so
for other machines put a proxy with TLS in front. Nothing that is said is stored. The protocol for other
clients is described in crates/serve/README.md. Ctrl-C ends it.")]
pub struct Args {
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "mdd-en-small")]
    model: PathBuf,
    /// Address to listen on. Default: this machine only.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port; 0 takes any.
    #[arg(long, default_value_t = 8765)]
    port: u16,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// Sentences that the page offers, one a line. Default: a few of its own.
    #[arg(long)]
    prompts: Option<PathBuf>,
    /// A phone below this score, of 0 to 100, is mispronounced. Default: the model's.
    #[arg(long)]
    threshold: Option<f64>,
    /// Origin whose pages may connect besides the server's own, like `https://speak.example`; may be repeated.
    #[arg(long)]
    origin: Vec<String>,
    /// Name that the server may be called by besides `localhost` and addresses, like `speak.example`; may be repeated.
    /// Hosts of --origin are allowed, too.
    #[arg(long = "allow-host", value_name = "NAME")]
    allow_host: Vec<String>,
    /// Address of a proxy in front of the server, whose `X-Forwarded-For` tells clients apart; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    proxy: Vec<IpAddr>,
    /// Computations at once. Default: as many as the machine can run.
    #[arg(long)]
    workers: Option<usize>,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Defaults are those of the library.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Most clients at once.
    #[arg(long, default_value_t = Limits::default().max_sessions)]
    max_sessions: usize,
    /// Most clients of one address at once; with a proxy in front see --proxy.
    #[arg(long, default_value_t = Limits::default().max_sessions_per_address)]
    max_sessions_per_address: usize,
    /// Most bytes of a message.
    #[arg(long, default_value_t = Limits::default().max_message_bytes)]
    max_message_bytes: usize,
    /// Most characters of a prompt.
    #[arg(long, default_value_t = Limits::default().max_prompt_chars)]
    max_prompt_chars: usize,
    /// Most seconds of an utterance.
    #[arg(long, default_value_t = Limits::default().max_utterance_secs)]
    max_utterance_secs: f64,
    /// Seconds without sound after which a client is closed.
    #[arg(long, default_value_t = Limits::default().idle_secs)]
    idle_secs: f64,
    /// Seconds without sound after which a client is closed if another needs its place.
    #[arg(long, default_value_t = Limits::default().yield_secs)]
    yield_secs: f64,
    /// How many times faster than real time sound may come.
    #[arg(long, default_value_t = Limits::default().max_speed)]
    max_speed: f64,
    /// Seconds of sound that may come at once.
    #[arg(long, default_value_t = Limits::default().burst_secs)]
    burst_secs: f64,
    /// Seconds that a client which sends too fast is held back before it is closed.
    #[arg(long, default_value_t = Limits::default().patience_secs)]
    patience_secs: f64,
    /// Most messages that wait for a client to read them.
    #[arg(long, default_value_t = Limits::default().max_queue)]
    max_queue: usize,
    /// Bytes of a connection's send buffer in the system.
    #[arg(long, default_value_t = Limits::default().send_buffer_bytes)]
    send_buffer_bytes: u32,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let l = &args.limits;
    let limits = Limits {
        max_sessions: l.max_sessions,
        max_sessions_per_address: l.max_sessions_per_address,
        max_message_bytes: l.max_message_bytes,
        max_prompt_chars: l.max_prompt_chars,
        max_utterance_secs: l.max_utterance_secs,
        idle_secs: l.idle_secs,
        yield_secs: l.yield_secs,
        max_speed: l.max_speed,
        burst_secs: l.burst_secs,
        patience_secs: l.patience_secs,
        max_queue: l.max_queue,
        send_buffer_bytes: l.send_buffer_bytes,
    };
    // Before the model is read, which takes longer.
    limits.validate()?;
    let assessor = assessor(&args.model, &args.device)?;
    let default = Config::default();
    let config = Config {
        listen: SocketAddr::new(args.host, args.port),
        origins: args.origin.clone(),
        hosts: args.allow_host.clone(),
        proxies: args.proxy.clone(),
        threshold: threshold(args.threshold, &assessor)?,
        workers: args.workers.unwrap_or(default.workers),
        prompts: args.prompts.as_ref().map(sentences).transpose()?.unwrap_or(default.prompts),
        limits,
    };
    let server = Server::bind(config, assessor, args.lexicon.pronouncer()?)?;
    let address = server.address();
    if !address.ip().is_loopback() {
        errln!(
            "warning: everybody who can reach {address} can use this server, and what they say travels unencrypted; put a proxy with TLS in front, which browsers also want for the microphone"
        );
    }
    let stopper = server.stopper();
    interrupt::first(move || {
        stopper.stop();
        errln!("ending sessions; once more ends at once");
    })?;
    outln!("http://{address}/");
    server.run();
    Ok(ExitCode::SUCCESS)
}

fn sentences(path: &PathBuf) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
    if lines.is_empty() {
        bail!("{}: no sentences; write one a line", path.display());
    }
    Ok(lines)
}
