//! Transcripts in the formats that other tools read.

use crate::Word;
use serde::Serialize;
use std::io::{self, Write};

/// The transcript of one recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// Utterance id, or the file's name.
    pub id: String,
    /// The words, joined by spaces.
    pub text: String,
    /// How long the recording is.
    pub duration_secs: f64,
    /// Words with times.
    pub words: Vec<Word>,
}

/// Which format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<id> <text>` a line, as Kaldi's `text`.
    Text,
    /// One JSON object a line.
    Json,
    /// NIST time marks: `<id> 1 <start> <duration> <word> <confidence>`.
    Ctm,
    /// SubRip subtitles.
    Srt,
}

/// A subtitle holds at most this many characters…
const SRT_CHARACTERS: usize = 84;
/// …and this many seconds, and ends where a pause of `SRT_PAUSE_SECS` follows.
const SRT_SECS: f64 = 6.0;
const SRT_PAUSE_SECS: f64 = 0.8;

/// Writes one transcript. `cues` counts subtitles over several calls; start with 0.
///
/// # Errors
/// What the writer says.
pub fn write(
    out: &mut dyn Write,
    transcript: &Transcript,
    format: Format,
    cues: &mut usize,
) -> io::Result<()> {
    match format {
        Format::Text => writeln!(out, "{} {}", transcript.id, transcript.text),
        Format::Json => {
            serde_json::to_writer(&mut *out, transcript)?;
            writeln!(out)
        }
        Format::Ctm => transcript.words.iter().try_for_each(|w| {
            let id = transcript.id.replace(char::is_whitespace, "_");
            writeln!(
                out,
                "{id} 1 {:.3} {:.3} {} {:.3}",
                w.start_secs,
                w.end_secs - w.start_secs,
                w.word,
                w.confidence
            )
        }),
        Format::Srt => srt_cues(&transcript.words).into_iter().try_for_each(|cue| {
            *cues += 1;
            let (first, last) = match cue {
                [first, .., last] => (first, last),
                [only] => (only, only),
                [] => return Ok(()),
            };
            let text: Vec<&str> = cue.iter().map(|w| w.word.as_str()).collect();
            writeln!(
                out,
                "{cues}\n{} --> {}\n{}\n",
                srt_time(first.start_secs),
                srt_time(last.end_secs),
                text.join(" ")
            )
        }),
    }
}

/// Splits words into subtitles.
fn srt_cues(words: &[Word]) -> Vec<&[Word]> {
    let mut cues = Vec::new();
    let mut start = 0;
    let mut characters = 0;
    for (i, word) in words.iter().enumerate() {
        let first = &words[start];
        let paused = i > start && word.start_secs - words[i - 1].end_secs > SRT_PAUSE_SECS;
        let long =
            characters + word.word.len() > SRT_CHARACTERS || word.end_secs - first.start_secs > SRT_SECS;
        if i > start && (paused || long) {
            cues.push(&words[start..i]);
            (start, characters) = (i, 0);
        }
        characters += word.word.len() + 1;
    }
    if start < words.len() {
        cues.push(&words[start..]);
    }
    cues
}

/// `HH:MM:SS,mmm`.
fn srt_time(secs: f64) -> String {
    let millis = (secs.max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02},{:03}", millis / 1000 % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        let word = |word: &str, start_secs: f64| Word {
            word: word.into(),
            start_secs,
            end_secs: start_secs + 0.4,
            confidence: 0.5,
        };
        let words = vec![word("good", 0.25), word("morning", 0.75), word("\"all\"", 3661.5)];
        Transcript { id: "a b".into(), text: "good morning \"all\"".into(), duration_secs: 3700.0, words }
    }

    fn written(format: Format) -> String {
        let mut out = Vec::new();
        write(&mut out, &transcript(), format, &mut 0).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats() {
        assert_eq!(written(Format::Text), "a b good morning \"all\"\n");
        assert!(written(Format::Ctm).starts_with("a_b 1 0.250 0.400 good 0.500\na_b 1 0.750 0.400 morning"));
        assert_eq!(
            written(Format::Srt),
            "1\n00:00:00,250 --> 00:00:01,150\ngood morning\n\n2\n01:01:01,500 --> 01:01:01,900\n\"all\"\n\n"
        );
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["words"][2]["word"], "\"all\"");
    }
}
