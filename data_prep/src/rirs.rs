//! Room impulse responses, simulated and real, 16 kHz.
//!
//! * Source: <https://www.openslr.org/28>. T. Ko, V. Peddinti, D. Povey, M. Seltzer, S. Khudanpur, "A
//!   study on data augmentation of reverberant speech for robust speech recognition", ICASSP 2017.
//! * Licence: Apache-2.0.
//! * Layout: `simulated_rirs/ROOMSIZE/ROOM/*.wav`, and `real_rirs_isotropic_noises/*.wav`, where names
//!   with `_noise_` are noises. `pointsource_noises` is no part of this preparation. Any other folder
//!   of audio files is taken as a collection of responses.
//! * Manifest: `rirs.jsonl`, 60,000 simulated and 325 real responses, without the noises.

use crate::download::Archive;
use crate::listing::{audio_by_stem, path_id, root_of, walk};
use crate::set::{Draft, Item, counted};
use crate::{About, Definition, Options, PrepError};
use std::path::Path;

const TOP: &str = "RIRS_NOISES";
const SIMULATED: &str = "simulated_rirs";
const REAL: &str = "real_rirs_isotropic_noises";

pub(crate) static CORPUS: Definition = Definition {
    name: "rirs",
    about: About {
        what: "room impulse responses, simulated and real (1.3 GB); or any folder of them",
        licence: "Apache-2.0",
        source: "https://www.openslr.org/28",
    },
    version: 1,
    archives: &[Archive::new("28/rirs_noises.zip", SIMULATED, "e6f48e257286e05de56413b4779d8ffb")],
    top: TOP,
    layout,
};

/// Responses in the whole of the official corpus.
const EXPECTED: usize = 60_325;

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, TOP);
    let official: Vec<_> =
        [SIMULATED, REAL].iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()).collect();
    let mut draft = Draft::new("rirs");
    let mut noises = 0;
    for folder in if official.is_empty() { std::slice::from_ref(&root) } else { &official } {
        for (stem, audio) in audio_by_stem(&walk(folder)?) {
            if folder.ends_with(REAL) && path_id(folder, &stem).contains("_noise_") {
                noises += 1;
                continue;
            }
            draft.items.push(Item::new(path_id(&root, &stem), audio, None, None));
        }
    }
    if draft.items.is_empty() {
        let reason =
            "no audio file below it; pass a folder of impulse responses, or fetch some with --download";
        return Err(PrepError::layout(&root, reason));
    }
    if !official.is_empty() {
        draft.expected = Some(EXPECTED);
    }
    if noises > 0 {
        draft.notes.push(format!("{} left out: no impulse responses", counted(noises, "isotropic noise")));
    }
    Ok(vec![draft])
}
