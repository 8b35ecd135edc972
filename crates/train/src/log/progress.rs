//! Progress on the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Time between plain lines where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// A bar on a terminal, lines at intervals elsewhere, nothing where quiet.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    steps: u64,
    /// When and where the rate is measured from: the first step of this process.
    origin: Option<(Instant, u64, f64)>,
    last_line: Instant,
}

impl Progress {
    /// Progress of a run of `steps` steps.
    pub fn new(steps: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (!quiet && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30.cyan/dim} {pos}/{len} {msg} eta {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, plain: !quiet && !terminal, steps, origin: None, last_line: Instant::now() }
    }

    /// A resumed run starts here.
    pub fn start_at(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.reset_eta();
        }
    }

    /// One step is done; `audio_secs` of audio were trained on since step 0.
    pub fn advance(&mut self, step: u64, audio_secs: f64, loss: f64) {
        let (started, first, from) = *self.origin.get_or_insert((Instant::now(), step, audio_secs));
        let elapsed = started.elapsed().as_secs_f64();
        let hours_per_hour = if elapsed > 0.0 { (audio_secs - from) / elapsed } else { 0.0 };
        let message = format!("loss {loss:.3}, {hours_per_hour:.0} audio hours/hour");
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(message);
        } else if self.plain && (self.last_line.elapsed() >= PLAIN_INTERVAL || step == self.steps) {
            let left = elapsed / (step - first).max(1) as f64 * self.steps.saturating_sub(step) as f64;
            say(&format!("step {step}/{}: {message}, eta {left:.0} s", self.steps));
            self.last_line = Instant::now();
        }
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.plain => say(text),
            None => {}
        }
    }

    /// The end.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

/// A line on the error stream. That may be closed, or full, or its reader gone: a training goes on all the same.
fn say(text: &str) {
    let line = format!("{text}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}
