//! Tokens to words.

use crate::TimedToken;
use serde::{Deserialize, Serialize};

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// As the tokenizer spells it.
    pub word: String,
    /// Where it begins, in seconds from the beginning of the recording.
    pub start_secs: f64,
    /// Where it ends.
    pub end_secs: f64,
    /// The least confidence of its tokens, in [0, 1].
    pub confidence: f32,
}

/// Splits tokens into words.
///
/// `piece` spells a token. A piece that is or begins with a space or `▁` (U+2581) ends the word
/// before it; a piece that ends with one ends its own. `offset_secs` is added to all times.
///
/// CTC places a token where the model is sure of it, usually late in the sound, so times are good
/// to about the width of an output frame and its neighbours.
pub fn words<'p>(
    tokens: &[TimedToken],
    piece: impl Fn(u32) -> &'p str,
    frame_secs: f64,
    offset_secs: f64,
) -> Vec<Word> {
    let boundary = [' ', '\u{2581}'];
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    for token in tokens {
        let spelled = piece(token.id);
        if spelled.starts_with(boundary) {
            open = false;
        }
        let letters: String = spelled.chars().filter(|c| !boundary.contains(c)).collect();
        if letters.is_empty() {
            continue;
        }
        let (start, end) = (token.start_frame as f64 * frame_secs, token.end_frame as f64 * frame_secs);
        match words.last_mut().filter(|_| open) {
            Some(word) => {
                word.word.push_str(&letters);
                word.end_secs = offset_secs + end;
                word.confidence = word.confidence.min(token.confidence);
            }
            None => words.push(Word {
                word: letters,
                start_secs: offset_secs + start,
                end_secs: offset_secs + end,
                confidence: token.confidence,
            }),
        }
        open = !spelled.ends_with(boundary);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, frame: usize, confidence: f32) -> TimedToken {
        TimedToken { id, start_frame: frame, end_frame: frame + 1, confidence }
    }

    #[test]
    fn characters_and_subwords() {
        let characters = [" ", "a", "b"];
        let tokens =
            [token(1, 0, 0.9), token(2, 2, 0.5), token(0, 3, 0.1), token(0, 5, 0.1), token(2, 6, 1.0)];
        let got = words(&tokens, |id| characters[id as usize], 0.5, 10.0);
        let expected = [("ab", 10.0, 11.5, 0.5), ("b", 13.0, 13.5, 1.0)];
        for (word, (text, start, end, confidence)) in got.iter().zip(expected) {
            assert_eq!(
                (word.word.as_str(), word.start_secs, word.end_secs, word.confidence),
                (text, start, end, confidence)
            );
        }
        assert_eq!(got.len(), 2);
        let subwords = ["▁", "▁he", "llo", "▁you"];
        let tokens =
            [token(1, 0, 1.0), token(2, 1, 1.0), token(3, 2, 1.0), token(0, 3, 1.0), token(2, 4, 1.0)];
        let got: Vec<String> =
            words(&tokens, |id| subwords[id as usize], 1.0, 0.0).into_iter().map(|w| w.word).collect();
        assert_eq!(got, ["hello", "you", "llo"]);
    }
}
