//! Ctrl-C and requests to terminate.

use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit status of work that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Set by the first Ctrl-C (or SIGTERM), so that the work can end in good order; the second one ends
/// the program at once.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    first(move || {
        asked.store(true, Ordering::Relaxed);
        say("finishing the step; once more ends at once");
    })?;
    Ok(stop)
}

/// Tells the user, if somebody is there to read it: a handler that panics, as `eprintln!` does at a full or closed
/// error stream, would never be called again.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Calls `stop` at the first Ctrl-C (or SIGTERM); the second one ends the program at once.
pub fn first(stop: impl Fn() + Send + 'static) -> Result<()> {
    let asked = AtomicBool::new(false);
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        stop();
    };
    ctrlc::set_handler(handler).context("cannot catch Ctrl-C")
}
