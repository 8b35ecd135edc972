//! Progress and messages on the terminal.

use auricle::Events;
use auricle_cca_mdd::Scored;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal as _;

/// A bar of recordings, where there is somebody to see it.
pub fn progress(count: usize, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} recordings, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style)
}

/// Shows what the library tells: results on the standard output, the rest on the error stream.
pub struct Terminal {
    quiet: bool,
    bar: RefCell<ProgressBar>,
}

impl Terminal {
    /// With progress bars, or without where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, bar: RefCell::new(ProgressBar::hidden()) }
    }
}

impl Events for Terminal {
    fn begin(&self, _: &str, count: usize) {
        self.bar.replace(progress(count, self.quiet));
    }

    fn advance(&self) {
        self.bar.borrow().inc(1);
    }

    fn end(&self) {
        self.bar.borrow().finish_and_clear();
    }

    fn note(&self, text: &str) {
        self.bar.borrow().suspend(|| outln!("{text}"));
    }

    fn warning(&self, text: &str) {
        self.bar.borrow().suspend(|| errln!("warning: {text}"));
    }

    fn failure(&self, text: &str) {
        self.bar.borrow().suspend(|| errln!("error: {text}"));
    }

    fn shows_training(&self) -> bool {
        !self.quiet
    }
}

/// Prints a result, and what should be known before it is believed.
pub fn show(scored: &Scored, text: &str) {
    if let Some(notice) = scored.notice {
        errln!("warning: {notice}");
    }
    outln!("{}", text.trim_end());
}
