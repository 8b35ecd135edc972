//! What is known so far, in the terminal.

use auricle_cca_mdd::{ScoredWord, Target, Update, inventory};
use std::io::{IsTerminal as _, Write as _};

/// Cells of the level meter, 3 dB each.
const CELLS: usize = 20;

/// A line that is drawn again and again: level, time, the sentence as far as it has been said. Words that have
/// been judged go above it. Where the error stream is no terminal there are only those.
pub struct Screen {
    words: Vec<(String, Vec<&'static str>)>,
    is_terminal: bool,
}

impl Screen {
    pub fn new(target: &Target) -> Self {
        let word = |(text, _, phones): (&str, _, &[auricle_text::Phone])| {
            let names = phones.iter().map(|phone| inventory::name(phone.index() as u32)).collect();
            (text.to_string(), names)
        };
        let screen =
            Self { words: target.words().map(word).collect(), is_terminal: std::io::stderr().is_terminal() };
        eprintln!("speak; Ctrl-C ends the recording");
        screen
    }

    pub fn show(&mut self, update: &Update, judged: &[ScoredWord], samples: &[f32]) {
        for word in judged {
            self.clear();
            let phones: Vec<String> =
                word.phones.iter().map(|phone| format!("{} {:.0}", phone.phone, phone.score)).collect();
            eprintln!("{:5.1}  {}  ({})", word.score, word.text, phones.join(", "));
        }
        if self.is_terminal {
            let level = meter(samples.iter().fold(0.0, |peak: f32, x| peak.max(x.abs())));
            let line = format!("{level} {:5.1} s  {}", update.audio_secs, self.sentence(update.position));
            // Cut by the terminal and not wrapped; then the rest of the line is cleared.
            eprint!("\r\x1b[?7l{line}\x1b[K\x1b[?7h");
            let _ = std::io::stderr().flush();
        }
    }

    pub fn close(&mut self) {
        self.clear();
    }

    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }

    /// The words around the one that is being said, said phones bold.
    fn sentence(&self, position: usize) -> String {
        let mut at = 0;
        let mut text = String::new();
        for (_, phones) in &self.words {
            // What was said long ago makes room.
            if at + phones.len() + 8 >= position {
                for (i, phone) in phones.iter().enumerate() {
                    text += if i > 0 { "·" } else { "" };
                    text +=
                        &if at + i < position { format!("\x1b[1m{phone}\x1b[0m") } else { phone.to_string() };
                }
                text += "  ";
            }
            at += phones.len();
        }
        text
    }
}

/// −60 dB to full scale.
fn meter(peak: f32) -> String {
    let decibels = 20.0 * peak.max(1e-6).log10();
    let filled = ((decibels + 60.0) / 3.0).clamp(0.0, CELLS as f32) as usize;
    format!("[{}{}]", "█".repeat(filled), " ".repeat(CELLS - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_their_bars() {
        assert_eq!(meter(1.0).matches('█').count(), 20);
        assert_eq!(meter(0.0).matches('█').count(), 0);
        assert_eq!(meter(0.1).matches('█').count(), 13);
        assert_eq!(meter(5.0).chars().count(), 22);
    }

    #[test]
    fn said_phones_are_bold() {
        let screen = Screen { words: vec![("we".into(), vec!["w", "iy"])], is_terminal: false };
        assert_eq!(screen.sentence(1), "\x1b[1mw\x1b[0m·iy  ");
    }
}
