//! Mini LibriSpeech: a part of [LibriSpeech](crate::librispeech) for quick experiments.
//!
//! * Source: <https://www.openslr.org/31>.
//! * Licence: CC BY 4.0.
//! * Layout: that of LibriSpeech, with the subsets `train-clean-5` and `dev-clean-2`. Parts of the
//!   corpus that have a folder `dev-clean-5` instead of `dev-clean-2` are understood.
//!
//! | Manifest | Subset | Utterances |
//! |---|---|---|
//! | `train.jsonl` | `train-clean-5` | 1,519 |
//! | `dev.jsonl` | `dev-clean-2` | 1,089 |

use crate::download::Archive;
use crate::librispeech::{TOP, read_subset};
use crate::listing::root_of;
use crate::set::Draft;
use crate::{About, Definition, Options, PrepError};
use std::path::Path;

pub(crate) static CORPUS: Definition = Definition {
    name: "mini-librispeech",
    about: About {
        what: "read English, 5 h for training and 2 h for validation (0.5 GB)",
        licence: "CC BY 4.0",
        source: "https://www.openslr.org/31",
    },
    version: 1,
    archives: &[
        Archive::new("31/dev-clean-2.tar.gz", "dev-clean-2", "6d7ab67ac6a1d2c993d050e16d61080d"),
        Archive::new("31/train-clean-5.tar.gz", "train-clean-5", "5df7d4e78065366204ca6845bb08f490"),
    ],
    top: TOP,
    layout,
};

/// Manifest, folders that it may be made of, official number of utterances.
const SETS: [(&str, &[&str], usize); 2] =
    [("train", &["train-clean-5"], 1_519), ("dev", &["dev-clean-2", "dev-clean-5"], 1_089)];

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, TOP);
    let mut drafts = Vec::new();
    let mut missing = Vec::new();
    for (set, folders, expected) in SETS {
        match folders.iter().map(|name| root.join(name)).find(|folder| folder.is_dir()) {
            Some(folder) => drafts.push(Draft { expected: Some(expected), ..read_subset(&folder, set)? }),
            None => missing.push(folders.join(" or ")),
        }
    }
    let missing = missing.join(", ");
    match drafts.first_mut() {
        None => {
            let reason = format!(
                "no folder {missing}; pass the folder that holds them, or fetch them with --download; a subset of another \
                 name is prepared as `librispeech`"
            );
            Err(PrepError::layout(&root, reason))
        }
        Some(first) => {
            if !missing.is_empty() {
                first
                    .notes
                    .push(format!("no folder {missing} in {}: only a part is prepared", root.display()));
            }
            Ok(drafts)
        }
    }
}
