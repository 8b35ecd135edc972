//! HWU64: commands to a home assistant with 64 intents in 18 scenarios, and entities; text alone.
//!
//! * Source: <https://github.com/xliuhw/NLU-Evaluation-Data>. X. Liu, A. Eshghi, P. Swietojanski, V. Rieser,
//!   "Benchmarking Natural Language Understanding Services for building Conversational Agents", IWSDS 2019.
//! * Licence: CC BY 4.0.
//! * Layout: the folder of a fold, such as `KFold_1` (the first is taken where there are several), with
//!   `trainset` and `testset`, in which the files `scenario_intent.csv` lie right away or in `csv`. Columns are
//!   parted by `;`: `scenario`, `intent`, `answer_annotation`, in which slots are `[slot : value]`.
//! * Manifests, without audio: `train-text.jsonl` and `test-text.jsonl`, of the first fold 9,960 and 1,076
//!   rows.

use crate::delimited::{Fields, Table};
use crate::listing::{root_of, walk};
use crate::meant::{Meant, Same, said_value, text_draft, unwritable};
use crate::set::Draft;
use crate::{About, Definition, Options, PrepError};
use auricle_text::slu::{Frame, Intent};
use auricle_text::spoken;
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "hwu64",
    about: About {
        what: "commands to a home assistant with 64 intents and entities, text alone (11,036 sentences)",
        licence: "CC BY 4.0",
        source: "https://github.com/xliuhw/NLU-Evaluation-Data",
    },
    version: 1,
    archives: &[],
    top: "KFold_1",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(&root_of(source, "hwu64"), CORPUS.top);
    let mut drafts = Vec::new();
    for (set, folder, expected) in [("train", "trainset", 9_960), ("test", "testset", 1_076)] {
        let folder = root_of(&root.join(folder), "csv");
        if !folder.is_dir() {
            continue;
        }
        let mut utterances = Vec::new();
        for file in walk(&folder)?.into_iter().filter(|file| file.name_ends_with(".csv")) {
            read(&file.path, &mut utterances)?;
        }
        let found = utterances.len();
        let mut draft = text_draft(&format!("{set}-text"), &utterances, Same::Id);
        if found != expected {
            draft.notes.push(format!("{found} rows, those of the official first fold are {expected}"));
        }
        if found > 0 {
            drafts.push(draft);
        }
    }
    if drafts.is_empty() {
        let reason = "no .csv in trainset or testset; pass the folder of a fold, such as KFold_1";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(drafts)
}

fn read(path: &Path, utterances: &mut Vec<Meant>) -> Result<(), PrepError> {
    let table = Table::read(path, Fields::Quoted(';'))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for (number, [scenario, intent, annotation]) in table.rows(["scenario", "intent", "answer_annotation"])? {
        let (text, frame) = annotated(annotation, Intent::in_scenario(scenario.trim(), intent.trim()))
            .map_err(|reason| PrepError::layout(path, format!("line {number}: {reason}; correct it")))?;
        // Answer ids are missing in some rows.
        let id = format!("{stem}-{number:04}");
        let meaning = frame.to_text().map_err(unwritable(path, format!("line {number}")))?;
        utterances.push(Meant { sentence_id: id.clone(), id, text, meaning, ..Meant::default() });
    }
    Ok(())
}

/// Text and meaning of a text with `[slot : value]` in it.
fn annotated(annotation: &str, intent: Intent) -> Result<(String, Frame), String> {
    let mut frame = Frame::new(intent);
    let mut text = Vec::new();
    let mut rest = annotation;
    while let Some((before, after)) = rest.split_once('[') {
        let (slot, after) = after.split_once(']').ok_or("a `[` without `]`")?;
        let (kind, value) =
            slot.split_once(':').ok_or_else(|| format!("`[{slot}]` is not `[slot : value]`"))?;
        text.extend([spoken(before), spoken(value)]);
        frame = frame.with(kind.trim(), &said_value(value));
        rest = after;
    }
    text.push(spoken(rest));
    text.retain(|part| !part.is_empty());
    Ok((text.join(" "), frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_become_slots() {
        let intent = || Intent::in_scenario("alarm", "set");
        let (text, frame) = annotated("Wake me [date : tomorrow] at [time : 5 am]!", intent()).unwrap();
        assert_eq!(text, "wake me tomorrow at five a m");
        let meaning = "<scn:alarm> <act:set> <slot:date> tomorrow </slot> <slot:time> five a m </slot>";
        assert_eq!(frame.to_text().unwrap(), meaning);
        assert!(annotated("wake [date : today", intent()).unwrap_err().contains("without `]`"));
        assert!(annotated("wake [today]", intent()).unwrap_err().contains("`[today]`"));
    }
}
