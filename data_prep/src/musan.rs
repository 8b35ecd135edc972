//! MUSAN: music, speech and noise, 16 kHz, 109 hours.
//!
//! * Source: <https://www.openslr.org/17>. D. Snyder, G. Chen, D. Povey, "MUSAN: A Music, Speech, and
//!   Noise Corpus", arXiv 1510.08484.
//! * Licence: CC BY 4.0; the files' own licences stand beside them.
//! * Layout: `noise/`, `music/` and `speech/`, each with a folder per origin and WAV files in it.
//! * Manifests: whole files without text, long as they may be.
//!
//! | Manifest | Files |
//! |---|---|
//! | `noise.jsonl` | 930 |
//! | `music.jsonl` | 660 |
//! | `speech.jsonl` | 426 |

use crate::download::Archive;
use crate::listing::{audio_by_stem, ids, root_of, walk};
use crate::set::{Draft, Item};
use crate::{About, Definition, Options, PrepError};
use std::path::Path;

const TOP: &str = "musan";

pub(crate) static CORPUS: Definition = Definition {
    name: "musan",
    about: About {
        what: "noise, music and speech as backgrounds, 109 h (11 GB)",
        licence: "CC BY 4.0, single files as their LICENSE says",
        source: "https://www.openslr.org/17",
    },
    version: 1,
    archives: &[Archive::new("17/musan.tar.gz", "speech", "0c472d4fc0c5141eca47ad1ffeb2a7df")],
    top: TOP,
    layout,
};

const SETS: [(&str, usize); 3] = [("noise", 930), ("music", 660), ("speech", 426)];

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, TOP);
    let mut drafts = Vec::new();
    for (set, expected) in SETS {
        let folder = root.join(set);
        if !folder.is_dir() {
            continue;
        }
        let audio = audio_by_stem(&walk(&folder)?);
        let ids = ids(&folder, audio.keys());
        let items = ids.into_iter().zip(audio.into_values());
        let items = items.map(|(id, audio)| Item::new(id, audio, None, None));
        let draft = Draft { items: items.collect(), expected: Some(expected), ..Draft::new(set) };
        if !draft.items.is_empty() {
            drafts.push(draft);
        }
    }
    if drafts.is_empty() {
        let reason = "no folder noise, music or speech with audio; pass the folder that holds them, \
                      or fetch them with --download";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(drafts)
}
