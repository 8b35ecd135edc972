//! Snips: 14,484 commands to a voice assistant with 7 intents and slots; text alone.
//!
//! * Source: <https://github.com/sonos/nlu-benchmark>, in the form that slot-filling papers use. A. Coucke et
//!   al., "Snips Voice Platform", arXiv 1805.10190.
//! * Licence: CC0.
//! * Layout: folders `train`, `valid` and `test`, each with `seq.in` (words), `seq.out` (a tag `O`, `B-slot` or
//!   `I-slot` for each word) and `label` (the intent), a line a sentence.
//! * Manifests, without audio: `train-text.jsonl` (13,084 sentences), `valid-text.jsonl` (700),
//!   `test-text.jsonl` (700).
//!
//! Texts and values are [as they are said](auricle_text::spoken()), numbers in words, so values differ from
//! those of the tags.

use crate::listing::{each_line, root_of};
use crate::meant::{Meant, Same, said_value, text_draft, unwritable};
use crate::set::Draft;
use crate::{About, Definition, Options, PrepError};
use auricle_text::slu::{Frame, Intent};
use auricle_text::spoken;
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "snips",
    about: About {
        what: "commands with 7 intents and slots, text alone (14,484 sentences)",
        licence: "CC0",
        source: "https://github.com/sonos/nlu-benchmark",
    },
    version: 1,
    archives: &[],
    top: "snips",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let mut drafts = Vec::new();
    for (set, expected) in [("train", 13_084), ("valid", 700), ("test", 700)] {
        let folder = root.join(set);
        if folder.join("seq.in").is_file() {
            let utterances = read(&folder, set)?;
            let found = utterances.len();
            let mut draft = text_draft(&format!("{set}-text"), &utterances, Same::Id);
            if found != expected {
                draft.notes.push(format!("{found} sentences, the official set has {expected}"));
            }
            drafts.push(draft);
        }
    }
    if drafts.is_empty() {
        let reason =
            "no train/seq.in, valid/seq.in or test/seq.in; pass the folder that holds train, valid and test";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(drafts)
}

fn lines(path: &Path) -> Result<Vec<String>, PrepError> {
    let mut lines = Vec::new();
    each_line(path, |_, line| {
        lines.push(line.to_owned());
        Ok(())
    })?;
    Ok(lines)
}

fn read(folder: &Path, set: &str) -> Result<Vec<Meant>, PrepError> {
    let (words, tags, labels) =
        (lines(&folder.join("seq.in"))?, lines(&folder.join("seq.out"))?, lines(&folder.join("label"))?);
    if words.len() != tags.len() || words.len() != labels.len() {
        let reason = format!(
            "seq.in has {} lines, seq.out {} and label {}; get the files again",
            words.len(),
            tags.len(),
            labels.len()
        );
        return Err(PrepError::layout(folder, reason));
    }
    let mut utterances = Vec::with_capacity(words.len());
    for (i, ((words, tags), label)) in words.iter().zip(&tags).zip(&labels).enumerate() {
        let place = format!("line {}", i + 1);
        let (text, frame) = tagged(words, tags, label.trim()).map_err(|reason| {
            PrepError::layout(&folder.join("seq.out"), format!("{place}: {reason}; correct it"))
        })?;
        let id = format!("{set}-{:05}", i + 1);
        let meaning = frame.to_text().map_err(unwritable(&folder.join("seq.out"), place))?;
        utterances.push(Meant { sentence_id: id.clone(), id, text, meaning, ..Meant::default() });
    }
    Ok(utterances)
}

/// Text and meaning of words with tags.
fn tagged(words: &str, tags: &str, intent: &str) -> Result<(String, Frame), String> {
    let (words, tags): (Vec<&str>, Vec<&str>) =
        (words.split_whitespace().collect(), tags.split_whitespace().collect());
    if words.len() != tags.len() {
        return Err(format!("{} words but {} tags", words.len(), tags.len()));
    }
    // Runs of words of one slot, or of none.
    let mut runs: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
    for (&word, &tag) in words.iter().zip(&tags) {
        let (slot, begins) = match (tag, tag.split_once('-')) {
            ("O", _) => (None, false),
            (_, Some(("B", slot))) => (Some(slot), true),
            (_, Some(("I", slot))) => (Some(slot), false),
            _ => return Err(format!("`{tag}` is no tag O, B-… or I-…")),
        };
        match runs.last_mut() {
            Some((last, run)) if *last == slot && !begins => run.push(word),
            _ => runs.push((slot, vec![word])),
        }
    }
    let mut frame = Frame::new(Intent::new(intent));
    let mut text = Vec::new();
    for (slot, run) in runs {
        let written = run.join(" ");
        text.push(spoken(&written));
        if let Some(slot) = slot {
            frame = frame.with(slot, &said_value(&written));
        }
    }
    text.retain(|part| !part.is_empty());
    Ok((text.join(" "), frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_slots() {
        let (text, frame) =
            tagged("rate it 5 of 6 stars now ", "O O B-value O B-best B-unit O", "RateBook").unwrap();
        assert_eq!(text, "rate it five of six stars now");
        let meaning =
            "<int:RateBook> <slot:value> five </slot> <slot:best> six </slot> <slot:unit> stars </slot>";
        assert_eq!(frame.to_text().unwrap(), meaning);
        let (_, frame) = tagged("a b c d", "B-x I-x B-x I-y", "i").unwrap();
        let values: Vec<_> = frame.entities.iter().map(|e| (&*e.kind, &*e.value)).collect();
        assert_eq!(values, [("x", "a b"), ("x", "c"), ("y", "d")]);
        assert!(tagged("a b", "O", "i").unwrap_err().contains("2 words but 1 tags"));
        assert!(tagged("a", "X", "i").unwrap_err().contains("`X`"));
    }
}
