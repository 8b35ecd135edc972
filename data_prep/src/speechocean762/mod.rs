//! speechocean762: English read by 250 Mandarin speakers, half of them children, scored by five experts.
//!
//! * Source: <https://www.openslr.org/101>. J. Zhang et al., "speechocean762: An Open-Source Non-native
//!   English Speech Corpus for Pronunciation Assessment", Interspeech 2021.
//! * Licence: CC BY 4.0.
//! * Layout: `train/` and `test/` with Kaldi's lists `wav.scp` (paths below the corpus folder), `text`,
//!   `utt2spk`, and if there are any `spk2gender` and `spk2age`; audio in `WAVE/SPEAKER0001/`, with another
//!   extension than listed if need be; scores in `resource/scores.json`, or else in
//!   `resource/phone_scores.csv` and `resource/text-phone`.
//!
//! | Manifest | Utterances |
//! |---|---|
//! | `train.jsonl` | those of `train/`, 2,500, without the speakers of `dev.jsonl` |
//! | `dev.jsonl` | those of the speakers in `train/dev_speakers`, if there is such a list |
//! | `test.jsonl` | those of `test/`, 2,500 |
//!
//! # Fields
//! | Field | Content | Needs |
//! |---|---|---|
//! | `phones` | canonical phones | any of the three files |
//! | `phone_scores` | accuracy of each of `phones`, 0 (wrong or missing) to 2 (correct) | scores |
//! | `word_phones` | number of `phones` of each word of the text | `scores.json` or `text-phone` |
//! | `perceived_phones` | what was heard, where every phone below 0.5 has its `mispronunciations` | `scores.json` |
//! | `phone_errors` | `at` in `phones`, `canonical`, `perceived`: a phone, `X*` close to one, `err`, `null` | `scores.json` |
//! | `utterance_scores` | `accuracy`, `completeness`, `fluency`, `prosodic`, `total` | `scores.json` |
//! | `word_scores` | lists `accuracy`, `stress`, `total`, one number a word | `scores.json` |
//! | `sex`, `age` | `f` or `m`, years | lists |
//!
//! `X*` counts as X in `perceived_phones`, so `phones` and `perceived_phones` may be the same although a
//! phone is scored below 0.5.

mod scores;

use crate::kaldi::{read_list, read_list_if_there};
use crate::listing::{SourceFile, audio_at, read_text, root_of};
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError, download::Archive};
use auricle_text::normalise;
use scores::Scores;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TOP: &str = "speechocean762";

pub(crate) static CORPUS: Definition = Definition {
    name: "speechocean762",
    about: About {
        what: "English of 250 Mandarin speakers with scores of every phone (5 h, 0.5 GB)",
        licence: "CC BY 4.0",
        source: "https://www.openslr.org/101",
    },
    version: 1,
    archives: &[
        // OpenSLR publishes no check sum of it.
        Archive { path: "101/speechocean762.tar.gz", provides: "resource", md5: None },
    ],
    top: TOP,
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, TOP);
    let scores = Scores::read(&root)?;
    let mut drafts = Vec::new();
    for (part, expected) in [("train", 2_500), ("test", 2_500)] {
        let folder = root.join(part);
        if !folder.join("wav.scp").is_file() {
            continue;
        }
        let mut draft = read_part(&root, part, &scores)?;
        let held_out = folder.join("dev_speakers");
        if part == "train" && held_out.is_file() {
            let (dev, train) = split(draft, &held_out)?;
            drafts.extend([dev, train]);
        } else {
            draft.expected = Some(expected);
            drafts.push(draft);
        }
    }
    if drafts.is_empty() {
        let reason = "no train/wav.scp or test/wav.scp; pass the folder that holds train, test, WAVE and \
                      resource, or fetch it with --download";
        return Err(PrepError::layout(&root, reason));
    }
    drafts.iter_mut().for_each(note_what_is_unknown);
    Ok(drafts)
}

/// Puts the speakers of a list into a set of their own.
fn split(draft: Draft, list: &Path) -> Result<(Draft, Draft), PrepError> {
    let content = read_text(list)?;
    let speakers: BTreeSet<&str> = content.split_whitespace().collect();
    let (mut dev, mut train) = (Draft::new("dev"), Draft { items: Vec::new(), ..draft });
    let mut found = BTreeSet::new();
    for item in draft.items {
        match item.speaker.as_deref().and_then(|speaker| speakers.get(speaker)) {
            Some(speaker) => {
                found.insert(*speaker);
                dev.items.push(item);
            }
            None => train.items.push(item),
        }
    }
    if let Some(unknown) = speakers.difference(&found).next() {
        let reason = format!("names speaker {unknown}, of whom train has nothing; correct it");
        return Err(PrepError::layout(list, reason));
    }
    if dev.items.is_empty() || train.items.is_empty() {
        let reason = "leaves nothing for train or for dev; name some of the speakers in it, or remove it";
        return Err(PrepError::layout(list, reason));
    }
    Ok((dev, train))
}

fn note_what_is_unknown(draft: &mut Draft) {
    let count = |known: fn(&Item) -> bool| draft.items.iter().filter(|&item| !known(item)).count();
    let without_phones = count(|item| item.labels.phones.is_some());
    let without_scores = count(|item| item.labels.extra.contains_key("phone_scores"));
    let without_perceived = count(|item| item.labels.perceived_phones.is_some());
    for (missing, what) in [
        (without_phones, "without canonical phones"),
        (without_scores, "without scores"),
        (without_perceived, "of which is not known what was said for some phone"),
    ] {
        if missing > 0 {
            draft.notes.push(format!("{} {what}", counted(missing, "utterance")));
        }
    }
}

/// Reads the lists of `train` or `test`.
///
/// # Errors
/// Lists that do not go together; audio that is not there; scores that cannot be used.
fn read_part(root: &Path, part: &str, scores: &Scores) -> Result<Draft, PrepError> {
    let folder = root.join(part);
    let wav_scp = folder.join("wav.scp");
    let audio = read_list(&wav_scp)?;
    let texts = read_list(&folder.join("text"))?;
    let speakers = read_list(&folder.join("utt2spk"))?;
    let sexes = read_list_if_there(&folder.join("spk2gender"))?;
    let ages = read_list_if_there(&folder.join("spk2age"))?;
    if audio.is_empty() {
        return Err(PrepError::layout(&wav_scp, "no utterance in it; unpack the archive again"));
    }
    let mut draft = Draft::new(part);
    let mut missing = Vec::new();
    for (id, place) in &audio {
        let of = |list: &BTreeMap<String, String>, name: &str| match list.get(id) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => {
                let reason = format!("says nothing of {id}, which wav.scp lists; unpack the archive again");
                Err(PrepError::layout(&folder.join(name), reason))
            }
        };
        let Some(file) = find_audio(root, id, place, &wav_scp)? else {
            missing.push((id, place));
            continue;
        };
        let text = normalise(&of(&texts, "text")?);
        let speaker = of(&speakers, "utt2spk")?;
        let mut labels = scores.of(id, &text)?;
        if let Some(sex) = sexes.get(&speaker).filter(|sex| !sex.is_empty()) {
            labels.add("sex", sex.to_ascii_lowercase());
        }
        if let Some(age) = ages.get(&speaker) {
            let age: u32 = age.parse().ok().filter(|age| (1..=130).contains(age)).ok_or_else(|| {
                let reason = format!("speaker {speaker} has no age in years there; correct the line");
                PrepError::layout(&folder.join("spk2age"), reason)
            })?;
            labels.add("age", age);
        }
        draft.items.push(Item { labels, ..Item::new(id, file, Some(text), Some(speaker)) });
    }
    match missing.first() {
        None => Ok(draft),
        Some((id, place)) => {
            let reason = format!(
                "lists {id} as {place}, which is not there ({} of {} without audio); unpack the archive \
                 again, or remove the lines",
                counted(missing.len(), "line"),
                audio.len()
            );
            Err(PrepError::layout(&wav_scp, reason))
        }
    }
}

/// The file that `wav.scp` names, or the same with another extension for audio.
fn find_audio(root: &Path, id: &str, place: &str, list: &Path) -> Result<Option<SourceFile>, PrepError> {
    if place.is_empty() || place.ends_with('|') {
        let reason = format!("{id} is no file but `{place}`; write a path below the corpus folder");
        return Err(PrepError::layout(list, reason));
    }
    Ok(audio_at(&root.join(place)))
}
