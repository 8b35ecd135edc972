//! Picovoice's coffee orders: one intent, six slots, over 50 speakers; with the grammar of the orders.
//!
//! * Source: <https://github.com/Picovoice/speech-to-intent-benchmark>.
//! * Licence: Apache-2.0.
//! * Layout: `data/label/label.json` (`{"clip.wav": {"intent", "slots"}}`), clips in `data/speech/clean`, grammar in
//!   `data/rhino/coffee_maker.yaml`. Perhaps `transcripts.tsv`, made by others, as the corpus has no transcripts:
//!   clip, draft of a recogniser, slots found in it, sentence of the grammar, edits between the two. The
//!   fourth column is the text here.
//!
//! | Manifest | Clips |
//! |---|---|
//! | `dev.jsonl` | the fifth whose names have the least hashes (blake3) |
//! | `train.jsonl` | the others |
//! | `heldout.jsonl` | of both, those with a value that is held out ([`Options::hold_out`]) |
//! | `grammar-text.jsonl` | none: sentences of the grammar, 5,000 unless [`Options::sentences`] says otherwise |
//!
//! This split is no official one; there are no speaker ids, so speakers may be in several sets. The grammar
//! also says values that are held out: text of a new domain, of which there is no speech.
//!
//! Slots stand in the order of the transcript; where it is not known or has not all values, in the order of
//! their names.

mod grammar;

use crate::listing::{SourceFile, audio_at, read_text, root_of};
use crate::meant::unwritable;
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError};
use auricle_data::Sentence;
use auricle_rng::Key;
use auricle_text::slu::{Entity, Frame, Intent};
use auricle_text::spoken;
use grammar::Grammar;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "picovoice-coffee",
    about: About {
        what: "coffee orders with one intent and six slots (1.5 h, 619 clips), and their grammar",
        licence: "Apache-2.0",
        source: "https://github.com/Picovoice/speech-to-intent-benchmark",
    },
    version: 1,
    archives: &[],
    top: "speech-to-intent-benchmark",
    layout,
};

/// Sentences made of the grammar.
const SENTENCES: usize = 5_000;
/// More than a manifest should have.
const MAX_SENTENCES: usize = 5_000_000;
/// One clip of so many is for validation.
const DEV_SHARE: usize = 5;

/// A clip in `label.json`.
#[derive(Debug, Deserialize)]
struct Label {
    intent: String,
    slots: BTreeMap<String, String>,
}

fn layout(source: &Path, options: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let path = root.join("data/label/label.json");
    if !path.is_file() {
        let reason = "not there; pass the folder of the repository, which holds data/label and data/speech";
        return Err(PrepError::layout(&path, reason));
    }
    let labels: BTreeMap<String, Label> = serde_json::from_str(&read_text(&path)?).map_err(|e| {
        PrepError::layout(&path, format!("not the labels of this corpus: {e}; get the file again"))
    })?;
    check_values(&labels, options, &path)?;
    let transcripts = read_transcripts(&root.join("transcripts.tsv"))?;
    let dev = dev_clips(labels.keys());
    let [mut train, mut dev_set, mut held_out] = ["train", "dev", "heldout"].map(Draft::new);
    let mut unordered = 0;
    for (clip, label) in &labels {
        let file = clip_file(&root, clip, &path)?;
        let text = transcripts.get(clip).map(|text| spoken(text)).filter(|text| !text.is_empty());
        let (frame, in_order) = frame_of(label, text.as_deref());
        unordered += usize::from(!in_order);
        let meaning = frame.to_text().map_err(unwritable(&path, clip))?;
        let is_held_out = frame.entities.iter().any(|entity| {
            options.hold_out.iter().any(|(slot, value)| entity.kind == *slot && entity.value == *value)
        });
        let stem = Path::new(clip).file_stem().unwrap_or_default().to_string_lossy();
        let mut item = Item::new(stem, file, text, None);
        item.labels.meaning = Some(meaning);
        let set = match (is_held_out, dev.contains(clip.as_str())) {
            (true, _) => &mut held_out,
            (false, true) => &mut dev_set,
            (false, false) => &mut train,
        };
        set.items.push(item);
    }
    if transcripts.is_empty() {
        train.notes.push("no transcripts.tsv: clips have no text".to_owned());
    } else if unordered > 0 {
        let note = "without all values in the transcript: slots in the order of their names";
        train.notes.push(format!("{} {note}", counted(unordered, "clip")));
    }
    let mut drafts: Vec<Draft> =
        [train, dev_set, held_out].into_iter().filter(|draft| !draft.items.is_empty()).collect();
    let grammar = root.join("data/rhino/coffee_maker.yaml");
    if grammar.is_file() {
        drafts.push(sentences(&grammar, options.sentences.unwrap_or(SENTENCES))?);
    }
    Ok(drafts)
}

/// Refuses held-out values that no clip has.
fn check_values(labels: &BTreeMap<String, Label>, options: &Options, path: &Path) -> Result<(), PrepError> {
    for (slot, value) in &options.hold_out {
        let known: BTreeSet<&str> =
            labels.values().filter_map(|label| label.slots.get(slot)).map(|value| value.trim()).collect();
        if !known.contains(value.as_str()) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            let reason = format!("no clip has {slot}={value}, which is to be held out; values are: {known}");
            return Err(PrepError::layout(path, reason));
        }
    }
    Ok(())
}

fn clip_file(root: &Path, clip: &str, list: &Path) -> Result<SourceFile, PrepError> {
    let is_name = Path::new(clip).components().count() == 1 && !clip.starts_with('.');
    audio_at(&root.join("data/speech/clean").join(clip)).filter(|_| is_name).ok_or_else(|| {
        let reason = format!(
            "lists {clip}, which is not in data/speech/clean; get the clips again, or remove its label"
        );
        PrepError::layout(list, reason)
    })
}

/// The clips for validation.
fn dev_clips<'a>(clips: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    // Of the name alone: the same clip in another encoding has the same place.
    let stem = |clip: &'a str| clip.rsplit_once('.').map_or(clip, |(stem, _)| stem);
    let hashed = clips.map(|clip| (*blake3::hash(stem(clip).as_bytes()).as_bytes(), clip.as_str()));
    let mut hashed: Vec<_> = hashed.collect();
    hashed.sort_unstable();
    hashed.truncate(hashed.len() / DEV_SHARE);
    hashed.into_iter().map(|(_, clip)| clip).collect()
}

/// The frame of a label, and whether its slots stand in the order of the text.
fn frame_of(label: &Label, text: Option<&str>) -> (Frame, bool) {
    let words: Vec<&str> = text.unwrap_or_default().split(' ').collect();
    let mut entities: Vec<Entity> =
        label.slots.iter().map(|(slot, value)| Entity::new(slot, &value.to_lowercase())).collect();
    // Long values first: `medium` is not that of `medium roast`.
    entities.sort_by_key(|entity| std::cmp::Reverse(entity.value.split(' ').count()));
    let mut taken = vec![false; words.len()];
    let mut slots: Vec<(Option<usize>, Entity)> = Vec::new();
    for entity in entities {
        let value: Vec<&str> = entity.value.split(' ').collect();
        let place = words
            .windows(value.len())
            .zip(taken.windows(value.len()))
            .rposition(|(window, taken)| window == value.as_slice() && !taken.contains(&true));
        if let Some(place) = place {
            taken[place..place + value.len()].fill(true);
        }
        slots.push((place, entity));
    }
    slots.sort_by(|a, b| a.1.kind.cmp(&b.1.kind));
    let in_order = slots.iter().all(|(place, _)| place.is_some());
    if in_order {
        slots.sort_by_key(|(place, _)| *place);
    }
    let entities = slots.into_iter().map(|(_, entity)| entity).collect();
    (Frame { entities, ..Frame::new(Intent::new(&label.intent)) }, in_order)
}

/// The fourth column by clip; empty where there is no such file.
fn read_transcripts(path: &Path) -> Result<BTreeMap<String, String>, PrepError> {
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let mut texts = BTreeMap::new();
    for (number, line) in read_text(path)?.lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [clip, _, _, text, ..] = fields.as_slice() else {
            let reason = format!("line {} has {} columns, not five; correct it", number + 1, fields.len());
            return Err(PrepError::layout(path, reason));
        };
        texts.insert((*clip).to_owned(), (*text).to_owned());
    }
    Ok(texts)
}

/// Different sentences of the grammar, drawn evenly over its expressions; fewer where it has not so many.
fn sentences(path: &Path, count: usize) -> Result<Draft, PrepError> {
    if count > MAX_SENTENCES {
        let reason =
            format!("{count} sentences are too many for a manifest; ask for {MAX_SENTENCES} at most");
        return Err(PrepError::layout(path, reason));
    }
    let grammar = Grammar::parse(&read_text(path)?).map_err(|reason| PrepError::layout(path, reason))?;
    let mut stream = Key::new(0).stream(auricle_rng::Purpose::Subset);
    let (mut seen, mut sentences) = (BTreeSet::new(), Vec::new());
    let mut in_vain = 0;
    // A small grammar runs out of new ones.
    while sentences.len() < count && in_vain < 20 * count.max(50) {
        let (text, frame) = grammar.draw(&mut stream);
        let text = spoken(&text);
        let meaning = frame.to_text().map_err(unwritable(path, &text))?;
        if !seen.insert((text.clone(), meaning.clone())) {
            in_vain += 1;
            continue;
        }
        sentences.push(Sentence::new(format!("grammar-{:06}", sentences.len()), text).with_meaning(meaning));
    }
    let mut draft = Draft::of_text("grammar-text", sentences);
    if draft.sentences.len() < count {
        draft
            .notes
            .push(format!("the grammar has no more than {}", counted(draft.sentences.len(), "sentence")));
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(slots: &[(&str, &str)]) -> Label {
        let slots = slots.iter().map(|(slot, value)| ((*slot).to_owned(), (*value).to_owned()));
        Label { intent: "orderDrink".into(), slots: slots.collect() }
    }

    #[test]
    fn slots_stand_where_their_values_are_said() {
        let label = label(&[("coffeeDrink", "coffee"), ("milkAmount", " some milk"), ("size", "Large")]);
        let order = |text: Option<&str>| {
            let (frame, in_order) = frame_of(&label, text);
            (frame.entities.into_iter().map(|e| e.value).collect::<Vec<_>>().join(", "), in_order)
        };
        assert_eq!(order(Some("a large coffee with some milk")), ("large, coffee, some milk".into(), true));
        assert_eq!(order(Some("a large coffee with milk")), ("coffee, some milk, large".into(), false));
        assert!(!order(None).1);
        let label = self::label(&[("roast", "medium roast"), ("size", "medium")]);
        let order = |text| frame_of(&label, Some(text)).0.entities[0].value.clone();
        assert_eq!(
            (order("a medium medium roast"), order("a medium roast medium")),
            ("medium".into(), "medium roast".into())
        );
    }

    #[test]
    fn the_split_is_by_name_alone() {
        let names = |extension: &str| (0..10).map(|i| format!("{i}.{extension}")).collect::<Vec<_>>();
        let stems = |clips: &[String]| -> Vec<String> {
            dev_clips(clips.iter()).iter().map(|clip| clip[..1].to_owned()).collect()
        };
        assert_eq!(stems(&names("wav")), stems(&names("ogg")));
        assert_eq!(stems(&names("wav")).len(), 2);
    }
}
