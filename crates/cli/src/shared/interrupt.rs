//! Ctrl-C and requests to terminate.

use anyhow::{Context as _, Result};
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
        errln!("finishing the step; once more ends at once");
    })?;
    Ok(stop)
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

/// The command as it was typed, quoted for a shell, with `more` at its end where it is not there already: what goes on
/// with interrupted work must have every `--set` of it.
pub fn command_again(arguments: impl IntoIterator<Item = std::ffi::OsString>, more: &str) -> String {
    let mut words: Vec<String> = arguments.into_iter().map(|word| quoted(&word.to_string_lossy())).collect();
    if let Some(program) = words.first_mut() {
        *program = "auricle".into();
    }
    if !words.iter().any(|word| word == more) {
        words.push(more.into());
    }
    words.join(" ")
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_repeated_whole() {
        let again = |words: &[&str]| command_again(words.iter().map(Into::into), "--resume");
        assert_eq!(
            again(&[
                "/opt/auricle",
                "train",
                "a b.toml",
                "--set",
                "data.train=['x.jsonl']",
                "--device",
                "cuda:0"
            ]),
            "auricle train 'a b.toml' --set 'data.train=['\\''x.jsonl'\\'']' --device cuda:0 --resume"
        );
        assert_eq!(
            again(&["auricle", "train", "r.toml", "--resume", ""]),
            "auricle train r.toml --resume ''"
        );
    }
}
