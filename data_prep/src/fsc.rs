//! Fluent Speech Commands: 248 commands to a smart home, read by 97 speakers, with 31 intents.
//!
//! * Source: Fluent.ai, `fluent_speech_commands_dataset`; L. Lugosch et al., "Speech Model Pre-training for
//!   End-to-End Spoken Language Understanding", Interspeech 2019 (arXiv 1904.03670).
//! * Licence: Fluent Speech Commands Public License, in the archive: for research.
//! * Layout: `data/train_data.csv`, `valid_data.csv`, `test_data.csv` with the columns `path`, `speakerId`,
//!   `transcription`, `action`, `object`, `location`; audio at `path` below the corpus folder.
//! * Manifests: `train.jsonl` (23,132 utterances), `valid.jsonl` (3,118), `test.jsonl` (3,793) where there is
//!   audio, and always `train-text.jsonl`, … with every sentence once.
//!
//! The intent is the action, the slots are `object` and `location`; one that is `none` is left out. So frame
//! accuracy is the corpus' accuracy.

use crate::delimited::{Fields, Table};
use crate::listing::root_of;
use crate::meant::{Meant, Same, drafts, unwritable};
use crate::set::Draft;
use crate::{About, Definition, Options, PrepError};
use auricle_text::slu::{Frame, Intent};
use auricle_text::spoken;
use std::path::{Component, Path};

pub(crate) static CORPUS: Definition = Definition {
    name: "fsc",
    about: About {
        what: "Fluent Speech Commands: commands to a smart home with 31 intents (19 h, 30,043 utterances)",
        licence: "Fluent Speech Commands Public License (research)",
        source: "Fluent.ai (fluent_speech_commands_dataset)",
    },
    version: 1,
    archives: &[],
    top: "fluent_speech_commands_dataset",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let mut sets = Vec::new();
    for (set, expected) in [("train", 23_132), ("valid", 3_118), ("test", 3_793)] {
        let path = root.join("data").join(format!("{set}_data.csv"));
        if !path.is_file() {
            continue;
        }
        let mut drafts = drafts(set, &path, read(&path, &root)?, Same::Content)?;
        if let [recorded, _] = drafts.as_mut_slice() {
            recorded.expected = Some(expected);
        }
        sets.append(&mut drafts);
    }
    if sets.is_empty() {
        let reason = "no data/train_data.csv, valid_data.csv or test_data.csv; pass the folder of the unpacked archive";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(sets)
}

fn read(path: &Path, root: &Path) -> Result<Vec<Meant>, PrepError> {
    let table = Table::read(path, Fields::Quoted(','))?;
    let columns = ["path", "speakerId", "transcription", "action", "object", "location"];
    let mut utterances = Vec::new();
    for (number, [audio, speaker, text, action, object, location]) in table.rows(columns)? {
        let below = Path::new(audio).components().all(|part| matches!(part, Component::Normal(_)));
        if audio.is_empty() || !below {
            let reason =
                format!("line {number}: `{audio}` is no path below the corpus folder; get the file again");
            return Err(PrepError::layout(path, reason));
        }
        let mut frame = Frame::new(Intent::new(action.trim().replace(' ', "_")));
        for (slot, value) in [("object", object), ("location", location)] {
            if !matches!(value.trim(), "none" | "") {
                frame = frame.with(slot, &value.to_lowercase());
            }
        }
        let id = Path::new(audio).with_extension("").to_string_lossy().replace('/', "-");
        utterances.push(Meant {
            sentence_id: id.clone(),
            id,
            text: spoken(text),
            meaning: frame.to_text().map_err(unwritable(path, format!("line {number}")))?,
            speaker: Some(speaker.to_owned()).filter(|speaker| !speaker.is_empty()),
            audio: Some(root.join(audio)),
            ..Meant::default()
        });
    }
    Ok(utterances)
}
