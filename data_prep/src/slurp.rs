//! SLURP: requests to a home assistant, recorded close and from afar, with scenario, action and entities.
//!
//! * Source: <https://github.com/pswietojanski/slurp> (texts) and <https://zenodo.org/record/4274930> (audio).
//!   E. Bastianelli, A. Vanzo, P. Swietojanski, V. Rieser, "SLURP: A Spoken Language Understanding Resource
//!   Package", EMNLP 2020.
//! * Licence: texts CC BY 4.0, audio CC BY-NC 4.0.
//! * Layout: `train.jsonl`, `devel.jsonl`, `test.jsonl` and `train_synthetic.jsonl` in `dataset/slurp` or in the
//!   folder itself, beside them perhaps `metadata.json` (who speaks); audio in `audio/slurp_real` and
//!   `audio/slurp_synth`, or in `slurp_real` and `slurp_synth`; `lm.txt` in `dataset/lm` or in the folder
//!   itself.
//!
//! | Manifest | Sentences | Recordings |
//! |---|---|---|
//! | `train.jsonl`, `train-text.jsonl` | 11,514 | 50,628 |
//! | `devel.jsonl`, `devel-text.jsonl` | 2,033 | 8,690 |
//! | `test.jsonl`, `test-text.jsonl` | 2,974 | 13,078 |
//! | `train-synthetic.jsonl`, `train-synthetic-text.jsonl` | | 69,253, by text-to-speech |
//! | `lm-text.jsonl` | text without meaning, every line once | |
//!
//! Those without `-text` need audio. An utterance is a recording, its id the file name without extension, as
//! the official scores are by recording. Values are the words of the span in lower case, as the official
//! program has them; `text` is the sentence [as it is said](auricle_text::spoken()). Fields `slurp_id` and
//! `headset`.

use crate::listing::{each_line, read_text, root_of};
use crate::meant::{Meant, Same, drafts, unwritable};
use crate::set::{Draft, counted};
use crate::{About, Definition, Options, PrepError};
use auricle_data::Sentence;
use auricle_text::slu::{Entity, Frame, Intent};
use auricle_text::spoken;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) static CORPUS: Definition = Definition {
    name: "slurp",
    about: About {
        what: "requests to a home assistant with scenario, action and entities (58 h and 43 h by text-to-speech, 6 GB)",
        licence: "texts CC BY 4.0, audio CC BY-NC 4.0",
        source: "https://github.com/pswietojanski/slurp and https://zenodo.org/record/4274930",
    },
    version: 1,
    archives: &[],
    top: "slurp",
    layout,
};

/// List, manifest, folder of the audio, recordings of the official set.
const SETS: [(&str, &str, &str, usize); 4] = [
    ("train.jsonl", "train", "slurp_real", 50_628),
    ("devel.jsonl", "devel", "slurp_real", 8_690),
    ("test.jsonl", "test", "slurp_real", 13_078),
    ("train_synthetic.jsonl", "train-synthetic", "slurp_synth", 69_253),
];

#[derive(Debug, Deserialize)]
struct Entry {
    slurp_id: serde_json::Value,
    sentence: String,
    scenario: String,
    action: String,
    tokens: Vec<Token>,
    recordings: Vec<Recording>,
    entities: Vec<Span>,
}

#[derive(Debug, Deserialize)]
struct Token {
    surface: String,
}

#[derive(Debug, Deserialize)]
struct Recording {
    file: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    span: Vec<usize>,
    #[serde(rename = "type")]
    kind: String,
}

/// An entry of `metadata.json`.
#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    recordings: BTreeMap<String, Speaker>,
}

#[derive(Debug, Deserialize)]
struct Speaker {
    usrid: Option<String>,
}

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let lists = root_of(&root, "dataset/slurp");
    let audio = root_of(&root, "audio");
    let speakers = read_speakers(&lists.join("metadata.json"))?;
    let mut sets = Vec::new();
    for (list, name, folder, expected) in SETS {
        let path = lists.join(list);
        if !path.is_file() {
            continue;
        }
        let folder = audio.join(folder);
        let (utterances, again) = read(&path, folder.is_dir().then_some(folder), &speakers)?;
        let mut drafts = drafts(name, &path, utterances, Same::Id)?;
        if let [recorded, _] = drafts.as_mut_slice() {
            recorded.expected = Some(expected);
            if again > 0 {
                recorded.notes.push(format!("{} listed twice, kept once", counted(again, "recording")));
            }
        }
        sets.append(&mut drafts);
    }
    if sets.is_empty() {
        let reason =
            "no dataset/slurp/train.jsonl, devel.jsonl or test.jsonl; pass the folder of the repository";
        return Err(PrepError::layout(&root, reason));
    }
    for path in [root.join("dataset/lm/lm.txt"), lists.join("lm.txt")] {
        if path.is_file() {
            sets.push(read_text_alone(&path)?);
            break;
        }
    }
    Ok(sets)
}

fn read(
    path: &Path,
    audio: Option<PathBuf>,
    speakers: &BTreeMap<String, String>,
) -> Result<(Vec<Meant>, usize), PrepError> {
    let mut utterances = Vec::new();
    let (mut seen, mut again) = (BTreeSet::new(), 0);
    each_line(path, |number, line| {
        let fail =
            |reason: String| PrepError::layout(path, format!("line {number}: {reason}; get the file again"));
        let entry: Entry = serde_json::from_str(line).map_err(|e| fail(e.to_string()))?;
        let frame = frame_of(&entry).map_err(fail)?;
        let id = match &entry.slurp_id {
            serde_json::Value::String(id) => id.clone(),
            other => other.to_string(),
        };
        let sentence = Meant {
            sentence_id: format!("slurp-{id}"),
            id: format!("slurp-{id}"),
            text: spoken(&entry.sentence),
            meaning: frame.to_text().map_err(unwritable(path, format!("line {number}")))?,
            extra: vec![("slurp_id", entry.slurp_id.clone())],
            ..Meant::default()
        };
        let Some(folder) = audio.as_ref().filter(|_| !entry.recordings.is_empty()) else {
            utterances.push(sentence);
            return Ok(());
        };
        for Recording { file } in &entry.recordings {
            let is_name = Path::new(file).components().count() == 1 && !file.starts_with('.');
            if !is_name {
                return Err(fail(format!("`{file}` is no file name")));
            }
            let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !seen.insert(stem.clone()) {
                again += 1;
                continue;
            }
            let mut recorded = sentence.clone();
            recorded.extra.push(("headset", stem.ends_with("-headset").into()));
            recorded.speaker = speakers.get(file).cloned();
            recorded.audio = Some(folder.join(file));
            recorded.id = stem;
            utterances.push(recorded);
        }
        Ok(())
    })?;
    Ok((utterances, again))
}

/// The frame of an entry, entities in the order of the sentence.
fn frame_of(entry: &Entry) -> Result<Frame, String> {
    let mut spans: Vec<&Span> = entry.entities.iter().collect();
    spans.sort_by_key(|span| span.span.first().copied());
    let mut frame = Frame::new(Intent::in_scenario(&entry.scenario, &entry.action));
    for Span { span, kind } in spans {
        let words: Vec<&str> = span
            .iter()
            .map(|&at| entry.tokens.get(at).map(|token| token.surface.as_str()))
            .collect::<Option<_>>()
            .filter(|words: &Vec<&str>| !words.is_empty())
            .ok_or_else(|| format!("entity {kind} is at words {span:?} of {}", entry.tokens.len()))?;
        frame.entities.push(Entity::new(kind, &words.join(" ").to_lowercase()));
    }
    Ok(frame)
}

/// Speakers by recording; none where there is no such file.
fn read_speakers(path: &Path) -> Result<BTreeMap<String, String>, PrepError> {
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let entries: BTreeMap<String, Metadata> = serde_json::from_str(&read_text(path)?).map_err(|e| {
        PrepError::layout(path, format!("not the metadata of this corpus: {e}; get the file again"))
    })?;
    let recordings = entries.into_values().flat_map(|entry| entry.recordings);
    Ok(recordings.filter_map(|(file, speaker)| Some((file, speaker.usrid?))).collect())
}

/// Text of the same field, without meaning; every line once.
fn read_text_alone(path: &Path) -> Result<Draft, PrepError> {
    let (mut seen, mut sentences) = (BTreeSet::new(), Vec::new());
    each_line(path, |number, line| {
        let text = spoken(line);
        if !text.is_empty() && seen.insert(text.clone()) {
            sentences.push(Sentence::new(format!("lm-{number:06}"), text));
        }
        Ok(())
    })?;
    Ok(Draft::of_text("lm-text", sentences))
}
