//! How many learners a machine can listen to at once.
//!
//! Clients on the loopback send 40 ms of sound every 40 ms and wait for the event of each piece; the number of
//! clients grows until the 99th percentile of that time passes 200 ms in three tries. One JSON line per number.
//!
//! `cargo run --release --workspace --bin serve_load -- [--secs 12] [--model runs/mdd/model.safetensors]`

use anyhow::{Context as _, Result, bail};
use auricle_benches::noise;
use auricle_cca_mdd::{Assessor, CcaMddConfig, CcaMddModel};
use auricle_nn::Initializer;
use auricle_rng::{Key, Purpose};
use auricle_serve::{Config, Limits, Server};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_text::{Lexicon, Pronouncer};
use auricle_train::recipe;
use burn::tensor::Device;
use clap::Parser;
use cpu_time::ProcessTime;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const RATE: u32 = 16_000;
const PIECE: Duration = Duration::from_millis(40);
const LATENCY_MS: f64 = 200.0;
const PROMPT: &str = "she sells sea shells by the sea shore";
const LEXICON: &str =
    "she SH IY\nsells S EH L Z\nsea S IY\nshells SH EH L Z\nby B AY\nthe DH AH\nshore SH AO R\n";

#[derive(Parser)]
struct Args {
    /// Seconds that each number of clients is measured.
    #[arg(long, default_value_t = 12.0)]
    secs: f64,
    /// Exported weights. Default: random ones of the small streaming encoder.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Numbers of clients to try before the search.
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    clients: Vec<usize>,
}

fn assessor(model: Option<&Path>) -> Result<Assessor> {
    let device = Device::flex();
    if let Some(path) = model {
        let (tensors, metadata) = auricle_nn::weights::from_bytes(&std::fs::read(path)?)?;
        return Ok(Assessor::from_weights(tensors, &metadata, &device)?);
    }
    let recipe = recipe::load(Path::new("recipes/speechocean762/mdd_from_scratch.toml"), &[])?;
    let config: CcaMddConfig = recipe.get("model").context("no model")?.clone().try_into()?;
    let mut stream = Key::new(1).stream(Purpose::Init);
    let model = CcaMddModel::new(&config, &mut Initializer::new(&mut stream, &device));
    Ok(Assessor::new(config, model, &device)?)
}

/// Bytes of memory in use, as Linux says.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

fn connect(address: SocketAddr) -> Result<WebSocket<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (socket, _) = tungstenite::client(format!("ws://{address}/session"), stream)?;
    Ok(socket)
}

fn event(socket: &mut WebSocket<TcpStream>) -> Result<Value> {
    loop {
        if let Message::Text(text) = socket.read()? {
            let event: Value = serde_json::from_str(&text)?;
            if event["type"] == "error" {
                bail!("{}", event["message"]);
            }
            return Ok(event);
        }
    }
}

/// One client: milliseconds from sending a piece to its event, and from `stop` to the result.
fn client(address: SocketAddr, seed: u64, start: Instant, secs: f64) -> Result<(Vec<f64>, f64)> {
    let mut socket = connect(address)?;
    let begin = json!({"type": "start", "prompt": PROMPT, "sample_rate": RATE, "encoding": "s16le"});
    socket.send(Message::text(begin.to_string()))?;
    event(&mut socket)?;
    let samples = noise(seed, RATE as usize / 25, 0.1);
    let bytes: Vec<u8> = samples.iter().flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes()).collect();
    let pieces = (secs / PIECE.as_secs_f64()) as u32;
    let mut times = Vec::new();
    // Sending and reading are one thread: an answer that is late also delays the next piece, but its time is
    // counted from when it was due.
    for piece in 0..pieces {
        let due = start + PIECE * piece;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        socket.send(Message::binary(bytes.clone()))?;
        while event(&mut socket)?["type"] != "partial" {}
        times.push(due.elapsed().as_secs_f64() * 1e3);
    }
    let stopped = Instant::now();
    socket.send(Message::text(r#"{"type":"stop"}"#))?;
    while event(&mut socket)?["type"] != "final" {}
    Ok((times, stopped.elapsed().as_secs_f64() * 1e3))
}

fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0.0)
}

/// Whether so many clients are served in time, in one of three tries: other work of the machine is not the
/// server's limit.
fn is_served(address: SocketAddr, clients: usize, secs: f64) -> Result<bool> {
    for _ in 0..3 {
        if measure(address, clients, secs)? < LATENCY_MS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Measures so many clients at once; the 99th percentile.
fn measure(address: SocketAddr, clients: usize, secs: f64) -> Result<f64> {
    let before = resident();
    let computed = ProcessTime::now();
    let start = Instant::now() + Duration::from_millis(200);
    let threads: Vec<_> = (0..clients)
        .map(|i| {
            // Not all at the same moment.
            let start = start + PIECE * i as u32 / clients as u32;
            thread::spawn(move || client(address, i as u64, start, secs))
        })
        .collect();
    thread::sleep(Duration::from_secs_f64(secs * 0.9));
    let grown = resident().saturating_sub(before);
    let (mut times, mut ends) = (Vec::new(), Vec::new());
    for thread in threads {
        let (own, end) = thread.join().map_err(|_| anyhow::anyhow!("a client failed"))??;
        times.extend(own);
        ends.push(end);
    }
    // Of server and clients together, which are one process.
    let share = computed.elapsed().as_secs_f64() / (clients as f64 * secs);
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    println!(
        "{}",
        json!({
            "clients": clients, "p50_ms": p50, "p99_ms": p99, "result_p50_ms": percentile(&mut ends, 0.5),
            "cores_per_client": share, "rss_bytes": resident(), "rss_grown_bytes": grown,
        })
    );
    Ok(p99)
}

fn main() -> Result<()> {
    keep_pages();
    let args = Args::parse();
    let assessor = Arc::new(assessor(args.model.as_deref())?);
    let pronouncer = Pronouncer::new(Lexicon::parse(LEXICON, "benchmark")?, None);
    let limits = Limits { max_sessions: 1024, max_sessions_per_address: 1024, ..Limits::default() };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { listen: any, limits, ..Config::default() };
    let server = Server::bind(config, assessor.clone(), pronouncer.clone())?;
    let (address, stopper) = (server.address(), server.stopper());
    let serving = thread::spawn(move || server.run());

    for &clients in &args.clients {
        measure(address, clients, args.secs)?;
    }
    // Doubling, then halving the interval.
    let (mut good, mut bad) = (1, 2);
    while is_served(address, bad, args.secs)? {
        (good, bad) = (bad, 2 * bad);
    }
    while bad - good > 1.max(good / 16) {
        let middle = usize::midpoint(good, bad);
        if is_served(address, middle, args.secs)? { good = middle } else { bad = middle }
    }
    println!("{}", json!({"most_clients": good, "p99_below_ms": LATENCY_MS}));
    stopper.stop();
    let _ = serving.join();

    // What one client more than allowed gets.
    let limits = Limits { max_sessions: 2, ..Limits::default() };
    let server = Server::bind(Config { listen: any, limits, ..Config::default() }, assessor, pronouncer)?;
    let (address, stopper) = (server.address(), server.stopper());
    let serving = thread::spawn(move || server.run());
    let _inside = (connect(address)?, connect(address)?);
    let asked = Instant::now();
    let refused = event(&mut connect(address)?).err().context("a third client was let in")?;
    let took = asked.elapsed().as_secs_f64() * 1e3;
    println!("{}", json!({"one_more": refused.to_string(), "after_ms": took}));
    stopper.stop();
    let _ = serving.join();
    Ok(())
}
