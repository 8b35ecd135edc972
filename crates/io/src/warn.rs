//! What a user should know though it is no error.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// Where warnings go.
type Sink = Box<dyn Fn(&str) + Send>;

/// `None`: standard error.
static SINK: Mutex<Option<Sink>> = Mutex::new(None);

/// What has been said already: a list is read several times, and what is wrong with it is said once.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// More is not kept: then warnings may come twice.
const MAX_SAID: usize = 1000;

/// Says that something was passed over, mended or guessed: one sentence, without "warning:" before it. The same sentence
/// is said once.
///
/// It goes to standard error as `warning: …`, or wherever [`on_warning`] has sent it. Control characters, which names
/// in foreign files can hold, are shown and not sent to the terminal.
pub fn warn(text: &str) {
    let text = visible(text);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.contains(&text) {
        return;
    }
    if said.len() < MAX_SAID {
        said.insert(text.clone());
    }
    drop(said);
    match &*SINK.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(sink) => sink(&text),
        // Nobody is left to tell where standard error is closed.
        None => writeln!(std::io::stderr(), "warning: {text}").unwrap_or(()),
    }
}

/// Sends the warnings of this process somewhere else, such as above a progress bar.
pub fn on_warning(sink: impl Fn(&str) + Send + 'static) {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(sink));
}

fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn warnings_reach_their_sink_without_escapes() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = heard.clone();
        on_warning(move |text| sink.lock().unwrap().push(text.to_owned()));
        for _ in 0..2 {
            warn("column `\u{1b}[31mred` is passed over");
        }
        assert_eq!(*heard.lock().unwrap(), ["column `\\u{1b}[31mred` is passed over"]);
    }
}
