//! `auricle mdd mic`.

#[cfg(feature = "mic")]
mod capture;
mod screen;

use crate::shared::args::{LexiconArgs, assessor, check_threshold, threshold};
use crate::shared::interrupt;
use crate::shared::terminal::show;
use anyhow::{Context as _, Result, bail};
use auricle_audio::Limits;
use auricle_cca_mdd::{Event, Live, MAX_SECS, Scored, Streaming as _, Target};
use screen::Screen;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sound is taken in pieces of this length.
const PIECE: Duration = Duration::from_millis(40);

#[derive(clap::Args)]
pub struct Args {
    /// What will be said.
    #[arg(long, required_unless_present_any = ["phones", "list_devices"], conflicts_with = "phones")]
    text: Option<String>,
    /// What will be said, in phones of the CMU dictionary.
    #[arg(long)]
    phones: Option<String>,
    /// Show the microphones and end.
    #[arg(long)]
    list_devices: bool,
    /// Microphone, by its number or name in --list-devices. Default: the system's.
    #[arg(long, conflicts_with = "replay")]
    input: Option<String>,
    /// A recording instead of a microphone, played as fast as it was spoken.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Listen until Ctrl-C, and not only until the sentence is over.
    #[arg(long)]
    hold: bool,
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "mdd-en-small")]
    model: PathBuf,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// A phone below this score, of 0 to 100, is mispronounced. Default: the model's.
    #[arg(long)]
    threshold: Option<f64>,
    /// One JSON object, as of `auricle mdd score`.
    #[arg(long)]
    json: bool,
    /// Device that computes.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Where sound comes from.
trait Source {
    /// Samples per second.
    fn rate(&self) -> u32;

    /// Appends what has come since the last call, after waiting a little for it; false at the end.
    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool>;
}

pub fn run(args: &Args) -> Result<ExitCode> {
    check_threshold(args.threshold)?;
    if args.list_devices {
        return list();
    }
    let target = match (&args.text, &args.phones) {
        (Some(text), _) => Target::of_prompt(args.lexicon.pronouncer()?.prompt(text)?),
        (None, Some(phones)) => Target::of_phones(phones).context("--phones")?,
        (None, None) => bail!("give --text or --phones"),
    };
    // Before the model is read: no sound, no need for it.
    let mut source: Box<dyn Source> = match &args.replay {
        Some(path) => Box::new(Replay::new(path)?),
        None => microphone(args.input.as_deref())?,
    };
    let assessor = assessor(&args.model, &args.device)?;
    let threshold = threshold(args.threshold, &assessor)?;
    let mut live = Live::new("microphone", assessor, target, source.rate(), threshold)?;
    let stop = stop_flag()?;
    let scored = listen(&mut live, source.as_mut(), args.hold, &stop)?;
    let text = if args.json { serde_json::to_string(&scored)? } else { scored.table() };
    show(&scored, &text);
    Ok(ExitCode::SUCCESS)
}

fn stop_flag() -> Result<std::sync::Arc<AtomicBool>> {
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    interrupt::first(move || asked.store(true, Ordering::Relaxed))?;
    Ok(stop)
}

fn listen(live: &mut Live, source: &mut dyn Source, hold: bool, stop: &AtomicBool) -> Result<Scored> {
    let mut screen = Screen::new(live.target());
    let mut samples = Vec::new();
    let mut goes_on = true;
    while goes_on && !stop.load(Ordering::Relaxed) {
        samples.clear();
        goes_on = source.read(&mut samples)?;
        let room = ((MAX_SECS - live.audio_secs()) * f64::from(source.rate())) as usize;
        // A little is kept for the resampler's last block.
        if samples.len() + source.rate() as usize / 10 > room {
            errln!("warning: stopped after {MAX_SECS} s, the longest recording");
            break;
        }
        live.push(&samples)?.iter().for_each(|event| screen.take(event));
        screen.draw(live.audio_secs(), live.position(), &samples);
        goes_on &= hold || !live.seems_over();
    }
    screen.close();
    let result = live.finish()?.iter().find_map(|event| match event {
        Event::Final(scored) => Some(scored.clone()),
        _ => None,
    });
    result.context("the recording has no result")
}

/// A recording, as fast as it was spoken.
struct Replay {
    samples: Vec<f32>,
    rate: u32,
    given: usize,
    started: Option<Instant>,
}

impl Replay {
    fn new(path: &Path) -> Result<Self> {
        let limits = Limits { max_duration_secs: MAX_SECS, ..Limits::default() };
        let audio = auricle_audio::read(path, &limits)?;
        Ok(Self { samples: audio.samples, rate: audio.sample_rate, given: 0, started: None })
    }
}

impl Source for Replay {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool> {
        let started = *self.started.get_or_insert_with(Instant::now);
        std::thread::sleep(PIECE);
        let due = (started.elapsed().as_secs_f64() * f64::from(self.rate)) as usize;
        let due = due.clamp(self.given, self.samples.len());
        samples.extend_from_slice(&self.samples[self.given..due]);
        self.given = due;
        Ok(due < self.samples.len())
    }
}

#[cfg(feature = "mic")]
fn microphone(name: Option<&str>) -> Result<Box<dyn Source>> {
    Ok(Box::new(capture::Microphone::open(name)?))
}

#[cfg(feature = "mic")]
fn list() -> Result<ExitCode> {
    capture::list()?;
    Ok(ExitCode::SUCCESS)
}

/// What is missing where the program was built without microphones.
#[cfg(not(feature = "mic"))]
const WITHOUT: &str = "this build cannot record. Build it with `cargo build --release -p auricle-cli --features mic` \
    (on Linux after `apt-get install libasound2-dev pkg-config`), or use `auricle serve`, which records in the browser";

#[cfg(not(feature = "mic"))]
fn microphone(_: Option<&str>) -> Result<Box<dyn Source>> {
    bail!(WITHOUT)
}

#[cfg(not(feature = "mic"))]
fn list() -> Result<ExitCode> {
    bail!(WITHOUT)
}
