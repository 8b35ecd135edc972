//! What is known so far, in the terminal.

use auricle_cca_mdd::{Event, Target, inventory};
use auricle_text::mdd::Verdict;
use std::io::{IsTerminal as _, Write as _};

/// Cells of the level meter, 3 dB each.
const CELLS: usize = 20;

/// A line that is drawn again and again: level, time, the sentence as far as it has been said. Words that have
/// been judged go above it. Where the error stream is no terminal there are only those.
pub struct Screen {
    /// Words in phones.
    words: Vec<Vec<&'static str>>,
    /// What has been heard in place of each phone so far.
    verdicts: Vec<Option<Verdict<u32>>>,
    is_terminal: bool,
}

impl Screen {
    pub fn new(target: &Target) -> Self {
        let names = |phones: &[auricle_text::Phone]| {
            phones.iter().map(|phone| inventory::name(phone.index() as u32)).collect()
        };
        let screen = Self {
            words: target.words().map(|(_, _, phones)| names(phones)).collect(),
            verdicts: vec![None; target.classes().len()],
            is_terminal: std::io::stderr().is_terminal(),
        };
        errln!("speak; Ctrl-C ends the recording");
        screen
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Phone(phone) => {
                if let Some(verdict) = self.verdicts.get_mut(phone.index) {
                    verdict.clone_from(&phone.verdict);
                }
            }
            Event::Word(word) => {
                self.clear();
                let word = &word.result;
                let phones: Vec<String> =
                    word.phones.iter().map(|phone| format!("{} {:.0}", phone.phone, phone.score)).collect();
                errln!("{:5.1}  {}  ({})", word.score, word.text, phones.join(", "));
            }
            Event::Heard { .. } | Event::Final(_) => {}
        }
    }

    pub fn draw(&self, audio_secs: f64, position: usize, samples: &[f32]) {
        if self.is_terminal {
            let level = meter(samples.iter().fold(0.0, |peak: f32, x| peak.max(x.abs())));
            let line = format!("{level} {audio_secs:5.1} s  {}", self.sentence(position));
            // Cut by the terminal and not wrapped; then the rest of the line is cleared.
            draw(&format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
        }
    }

    pub fn close(&mut self) {
        self.clear();
    }

    fn clear(&self) {
        if self.is_terminal {
            draw("\r\x1b[K");
        }
    }

    /// The words around the one that is being said: phones that were heard bold, others in their place
    /// underlined, those that were left out dim.
    fn sentence(&self, position: usize) -> String {
        let mut at = 0;
        let mut text = String::new();
        for phones in &self.words {
            // What was said long ago makes room.
            if at + phones.len() + 8 >= position {
                for (i, phone) in phones.iter().enumerate() {
                    text += if i > 0 { "·" } else { "" };
                    let style =
                        self.verdicts.get(at + i).and_then(Option::as_ref).map(|verdict| match verdict {
                            Verdict::Correct => 1,
                            Verdict::Substituted(_) | Verdict::Error(_) => 4,
                            Verdict::Deleted => 2,
                        });
                    text += &style.map_or(phone.to_string(), |style| format!("\x1b[{style}m{phone}\x1b[0m"));
                }
                text += "  ";
            }
            at += phones.len();
        }
        text
    }
}

/// Sends escapes that are our own to the terminal; one that is gone is no error.
fn draw(text: &str) {
    let mut terminal = std::io::stderr().lock();
    terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()).ok();
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
    fn phones_look_like_what_was_heard() {
        let verdicts =
            vec![Some(Verdict::Correct), Some(Verdict::Substituted(3)), Some(Verdict::Deleted), None];
        let screen = Screen { words: vec![vec!["w", "iy"], vec!["k", "ao"]], verdicts, is_terminal: false };
        assert_eq!(screen.sentence(3), "\x1b[1mw\x1b[0m·\x1b[4miy\x1b[0m  \x1b[2mk\x1b[0m·ao  ");
    }
}
