//! Asterisk's core sound prompts in English: one professional speaker, 25 minutes.
//!
//! * Source: the package `asterisk-core-sounds-en-wav` of <https://www.asterisk.org> and of Linux
//!   distributions (on Debian with `asterisk-core-sounds-en`, which has the transcripts).
//! * Licence: CC BY-SA 3.0; recorded by Allison Smith for Digium.
//! * Layout: audio files, some in folders such as `digits/`, and `core-sounds-en.txt` (or the same
//!   with `.gz`) anywhere below the corpus folder, with lines `path: transcript` where `path` is
//!   that of the audio without extension; `;` begins a comment.
//! * Manifest: `all.jsonl`; the id is the path with `-` for `/`, the transcript is
//!   [normalised](auricle_text::normalise()). Single digits are the keys of a telephone ("press 1")
//!   and become words.
//!
//! Left out and counted are prompts with a remark, such as `[beep]`, `<beep>` or `(1 second of
//! silence)`, those with other digits (how `500` is read is not written), and those without
//! transcript or audio.

use crate::listing::{audio_by_stem, read_text, walk};
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError};
use auricle_text::{Oddity, normalise, oddities};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "asterisk",
    about: About {
        what: "telephone prompts in English, one speaker, 25 min",
        licence: "CC BY-SA 3.0",
        source: "https://www.asterisk.org (packages asterisk-core-sounds-en-wav and asterisk-core-sounds-en)",
    },
    version: 1,
    archives: &[],
    top: "",
    layout,
};

const LIST: &str = "core-sounds-en.txt";
const SPEAKER: &str = "allison-smith";

const KEYS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let files = walk(source)?;
    let is_list = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_suffix(".gz").unwrap_or(name) == LIST
    };
    let list = files.iter().find(|file| is_list(&file.path)).ok_or_else(|| {
        PrepError::layout(source, format!("no {LIST} below it; put that list of transcripts there"))
    })?;
    let mut transcripts = parse(&read_text(&list.path)?);
    let mut draft = Draft::new("all");
    let (mut sounds, mut with_digits, mut unlisted) = (0usize, 0usize, 0usize);
    for (stem, audio) in audio_by_stem(&files) {
        let Some((name, transcript)) = transcript_of(source, &stem, &mut transcripts) else {
            unlisted += 1;
            continue;
        };
        let transcript = spell_keys(&transcript);
        let odd = oddities(&transcript);
        if transcript.contains(['[', '<', '(']) || odd.contains(&Oddity::Empty) {
            sounds += 1;
        } else if odd.iter().any(|oddity| matches!(oddity, Oddity::Digit(_))) {
            with_digits += 1;
        } else {
            let (text, speaker) = (Some(normalise(&transcript)), Some(SPEAKER.to_owned()));
            draft.items.push(Item::new(name.replace('/', "-"), audio, text, speaker));
        }
    }
    if draft.items.is_empty() {
        let reason =
            format!("none of its prompts has audio below {}; unpack the sounds there", source.display());
        return Err(PrepError::layout(&list.path, reason));
    }
    for (count, noun, why) in [
        (sounds, "audio file", "left out: a sound, or a remark in the transcript"),
        (with_digits, "prompt", "left out: numbers in digits"),
        (unlisted, "audio file", "without transcript left out"),
        (transcripts.len(), "transcript", "without audio passed over"),
    ] {
        if count > 0 {
            draft.notes.push(format!("{} {why}", counted(count, noun)));
        }
    }
    Ok(vec![draft])
}

/// Transcripts by path.
fn parse(list: &str) -> BTreeMap<String, String> {
    let lines = list.lines().filter(|line| !line.trim_start().starts_with(';'));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(path, text)| (path.trim().to_owned(), text.trim().to_owned())).collect()
}

/// The same with single digits as words.
fn spell_keys(transcript: &str) -> String {
    let words = transcript.split_whitespace().map(|word| {
        let key: Option<usize> = match word.trim_matches(|c: char| !c.is_alphanumeric()) {
            digit if digit.len() == 1 => digit.parse().ok(),
            _ => None,
        };
        key.and_then(|digit| KEYS.get(digit).copied()).unwrap_or(word)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Takes out the transcript whose path is the longest end of the audio's path below the source: the
/// sounds may lie in a folder of the speaker's name.
fn transcript_of(
    source: &Path,
    stem: &Path,
    transcripts: &mut BTreeMap<String, String>,
) -> Option<(String, String)> {
    let mut below = stem.strip_prefix(source).ok()?.components();
    loop {
        let parts: Vec<_> = below.clone().map(|c| c.as_os_str().to_string_lossy()).collect();
        if let Some(found) = transcripts.remove_entry(&parts.join("/")) {
            return Some(found);
        }
        below.next()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_words_and_other_numbers_stay() {
        assert_eq!(spell_keys("Press 1, 2 or 10 in 3D:  \"0\"."), "Press one two or 10 in 3D: zero");
    }

    #[test]
    fn the_longest_path_decides() {
        let mut list = parse("; comment\n\n1: one of the root\ndigits/1: one\nlate: at: ten \n");
        let mut find = |stem: &str| transcript_of(Path::new("/c"), Path::new(stem), &mut list);
        assert_eq!(find("/c/en/digits/1").unwrap(), ("digits/1".into(), "one".into()));
        assert_eq!(find("/c/en/late").unwrap().1, "at: ten");
        assert_eq!(find("/c/1").unwrap().1, "one of the root");
        assert_eq!(find("/c/1"), None);
    }
}
