//! LJSpeech: one American speaker reads books, 24 hours, 22.05 kHz.
//!
//! * Source: <https://keithito.com/LJ-Speech-Dataset/>, version 1.1. K. Ito and L. Johnson, 2017.
//! * Licence: public domain.
//! * Layout: `metadata.csv` with lines `ID|TEXT|TEXT WITH NUMBERS AS WORDS`, and `wavs/ID.wav`.
//! * Manifest: `all.jsonl`; the transcript is the third field, [normalised](auricle_text::normalise()).

use crate::listing::{audio_at, each_line, root_of};
use crate::set::{Draft, Item};
use crate::{About, Definition, Options, PrepError};
use auricle_text::normalise;
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "ljspeech",
    about: About {
        what: "read English, one speaker, 24 h (13,100 utterances)",
        licence: "public domain",
        source: "https://keithito.com/LJ-Speech-Dataset",
    },
    version: 1,
    archives: &[],
    top: "LJSpeech-1.1",
    layout,
};

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let list = root.join("metadata.csv");
    let mut draft = Draft { expected: Some(13_100), ..Draft::new("all") };
    each_line(&list, |number, line| {
        let fail = |reason: String| PrepError::layout(&list, format!("line {number}: {reason}"));
        let fields: Vec<&str> = line.split('|').collect();
        let &[id, _, words] = fields.as_slice() else {
            return Err(fail(format!("{} fields between bars, not 3; get the file again", fields.len())));
        };
        let audio = audio_at(&root.join("wavs").join(format!("{id}.wav")))
            .ok_or_else(|| fail(format!("no audio wavs/{id}.wav; unpack the archive again")))?;
        let text = Some(normalise(words)).filter(|text| !text.is_empty());
        draft.items.push(Item::new(id, audio, text, Some("linda-johnson".to_owned())));
        Ok(())
    })?;
    Ok(vec![draft])
}
