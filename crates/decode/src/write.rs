//! Transcripts in the formats that other tools read.

use crate::Word;
use auricle_text::text_line;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The transcript of one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Utterance id, or the file's name.
    pub id: String,
    /// The audio file, as it was given.
    #[serde(default)]
    pub audio: String,
    /// The words, joined by spaces.
    pub text: String,
    /// How long the recording is, in seconds.
    pub duration_secs: f64,
    /// Words with times.
    pub words: Vec<Word>,
}

/// Which format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<id> <text>` a line, as Kaldi's `text`; see [`text_line`] for ids with white space.
    Text,
    /// One JSON object a line.
    Json,
    /// NIST time marks: `<id> 1 <start> <duration> <word> <confidence>`; white space in ids becomes `_`.
    Ctm,
    /// SubRip subtitles; several recordings are one after another.
    Srt,
}

/// A subtitle holds at most this many characters…
const SRT_CHARACTERS: usize = 84;
/// …and this many seconds, and ends where a pause of `SRT_PAUSE_SECS` follows.
const SRT_SECS: f64 = 6.0;
const SRT_PAUSE_SECS: f64 = 0.8;

/// Writes transcripts in one format.
///
/// Subtitles of several recordings go on as if these were played one after another, so that no time comes twice.
///
/// ```
/// use auricle_decode::write::{Format, Transcript, Writer};
/// let talk = Transcript {
///     id: "my talk".into(),
///     audio: "my talk.wav".into(),
///     text: "good morning".into(),
///     duration_secs: 1.5,
///     words: vec![],
/// };
/// let mut writer = Writer::new(Vec::new(), Format::Text);
/// writer.write(&talk)?;
/// assert_eq!(writer.into_inner(), b"my talk\tgood morning\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    format: Format,
    /// Subtitles so far.
    cues: usize,
    /// Where the subtitles of the next recording begin.
    clock_secs: f64,
}

impl<W: Write> Writer<W> {
    /// A writer of a format.
    pub fn new(out: W, format: Format) -> Self {
        Self { out, format, cues: 0, clock_secs: 0.0 }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes one transcript.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, transcript: &Transcript) -> io::Result<()> {
        let out = &mut self.out;
        match self.format {
            Format::Text => writeln!(out, "{}", text_line(&transcript.id, &transcript.text))?,
            Format::Json => {
                serde_json::to_writer(&mut *out, transcript)?;
                writeln!(out)?;
            }
            Format::Ctm => {
                let id = match transcript.id.as_str() {
                    "" => "-".to_string(),
                    id => id.replace(|c: char| c.is_whitespace() || c.is_control(), "_"),
                };
                for Word { word, start_secs, end_secs, confidence } in &transcript.words {
                    let duration = end_secs - start_secs;
                    writeln!(out, "{id} 1 {start_secs:.3} {duration:.3} {word} {confidence:.3}")?;
                }
            }
            Format::Srt => {
                self.write_cues(&transcript.words)?;
                self.clock_secs += transcript.duration_secs;
            }
        }
        Ok(())
    }

    /// Ends the output: everything is handed to what is written to.
    ///
    /// # Errors
    /// What it says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_cues(&mut self, words: &[Word]) -> io::Result<()> {
        for cue in srt_cues(words) {
            let (Some(first), Some(last)) = (cue.first(), cue.last()) else { continue };
            self.cues += 1;
            let text: Vec<&str> = cue.iter().map(|w| w.word.as_str()).collect();
            let clock = self.clock_secs;
            let (from, to) = (srt_time(clock + first.start_secs), srt_time(clock + last.end_secs));
            writeln!(self.out, "{}\n{from} --> {to}\n{}\n", self.cues, text.join(" "))?;
        }
        Ok(())
    }
}

impl Writer<Vec<u8>> {
    /// What was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Splits words into subtitles.
fn srt_cues(words: &[Word]) -> Vec<&[Word]> {
    let mut cues = Vec::new();
    let mut start = 0;
    let mut characters = 0;
    for (i, word) in words.iter().enumerate() {
        let (first, length) = (&words[start], word.word.chars().count());
        let paused = i > start && word.start_secs - words[i - 1].end_secs > SRT_PAUSE_SECS;
        let long = characters + length > SRT_CHARACTERS || word.end_secs - first.start_secs > SRT_SECS;
        if i > start && (paused || long) {
            cues.push(&words[start..i]);
            (start, characters) = (i, 0);
        }
        characters += length + 1;
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
        let audio = "a b.wav".into();
        Transcript {
            id: "a b".into(),
            audio,
            text: "good morning \"all\"".into(),
            duration_secs: 3700.0,
            words,
        }
    }

    fn written(format: Format) -> String {
        let mut writer = Writer::new(Vec::new(), format);
        writer.write(&transcript()).unwrap();
        String::from_utf8(writer.into_inner()).unwrap()
    }

    #[test]
    fn formats() {
        assert_eq!(written(Format::Text), "a b\tgood morning \"all\"\n");
        assert!(written(Format::Ctm).starts_with("a_b 1 0.250 0.400 good 0.500\na_b 1 0.750 0.400 morning"));
        assert_eq!(
            written(Format::Srt),
            "1\n00:00:00,250 --> 00:00:01,150\ngood morning\n\n2\n01:01:01,500 --> 01:01:01,900\n\"all\"\n\n"
        );
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["words"][2]["word"], "\"all\"");
        assert_eq!((json["id"].as_str(), json["audio"].as_str()), (Some("a b"), Some("a b.wav")));
        assert_eq!(serde_json::from_value::<Transcript>(json).unwrap(), transcript());
    }

    #[test]
    fn times_of_two_recordings_do_not_restart() {
        let mut writer = Writer::new(Vec::new(), Format::Srt);
        writer.write(&transcript()).unwrap();
        writer.write(&Transcript { id: "c".into(), ..transcript() }).unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        assert!(text.contains("\n3\n01:01:40,250 --> 01:01:41,150\ngood morning\n"), "{text}");
    }

    /// Letters are counted, not bytes: a subtitle in Greek is as long as one in English.
    #[test]
    fn subtitles_count_characters() {
        let words = |word: &str| -> Vec<Word> {
            (0..12)
                .map(|i| Word {
                    word: word.into(),
                    start_secs: 0.1 * f64::from(i),
                    end_secs: 0.1 * f64::from(i) + 0.1,
                    confidence: 1.0,
                })
                .collect()
        };
        let lengths = |word: &str| srt_cues(&words(word)).iter().map(|cue| cue.len()).collect::<Vec<_>>();
        assert_eq!(lengths("καλημέρες"), lengths("mornings9"));
    }
}
