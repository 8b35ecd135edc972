//! Corpora in the layouts of other toolkits.
//!
//! | Layout | Recognised by |
//! |---|---|
//! | auricle manifest | a JSON line (also `.gz`) with `id` and `audio` |
//! | NeMo manifest | a JSON line with `audio_filepath` |
//! | lhotse | JSON lines (also `.gz`) of cuts, or a folder with recordings and supervisions |
//! | Kaldi | a folder with `wav.scp` |
//! | table | `.csv` or `.tsv` with a header that names a path or audio column |
//! | tree | any other folder, or a single audio file |

mod kaldi;
mod lhotse;
mod nemo;
mod table;
mod tree;

pub use kaldi::read_kaldi;
pub use lhotse::read_lhotse;
pub use nemo::read_nemo;
pub use table::read_table;
pub use tree::{AUDIO_EXTENSIONS, read_tree};

use crate::manifest::{for_each_line, refuse_repeats};
use crate::{DataError, Manifest, Utterance};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// A line of a list that is no utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLine {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What becomes of a line that is no utterance.
pub(crate) enum Faults {
    /// It ends the reading: nothing is trained on half a list.
    Refuse,
    /// It is passed over and kept here, for the doctor.
    Collect(Vec<BrokenLine>),
}

impl Faults {
    pub(crate) fn take(&mut self, result: Result<(), DataError>) -> Result<(), DataError> {
        match (self, result) {
            (Self::Collect(lines), Err(DataError::Line { line, reason, .. })) => {
                lines.push(BrokenLine { line, reason });
                Ok(())
            }
            (_, result) => result,
        }
    }
}

/// Reads whatever is at `path`, by its content (see the table above).
///
/// Where a duration is not written down, the audio file is asked. One that cannot be read has a
/// duration of 0: a bad file must not hide a thousand good ones, and whoever reads its samples
/// learns what is wrong with it.
///
/// # Errors
/// Names the file and line, or says what was looked for; an id that comes twice.
pub fn read_any(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let utterances = read(path, &mut Faults::Refuse)?;
    refuse_repeats(path, &utterances)?;
    Ok(utterances)
}

/// Reads as [`read_any`] what can be read of a list that is to be mended: repeated ids stay, and of
/// JSON lines and tables the broken lines are told apart.
///
/// # Errors
/// Names the file, or says what was looked for.
pub fn read_leniently(path: &Path) -> Result<(Vec<Utterance>, Vec<BrokenLine>), DataError> {
    let mut faults = Faults::Collect(Vec::new());
    let utterances = read(path, &mut faults)?;
    let broken = if let Faults::Collect(broken) = faults { broken } else { Vec::new() };
    Ok((utterances, broken))
}

/// Reads several lists as one.
///
/// # Errors
/// As [`read_any`]; an id that is in two of them, by the names of both.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Utterance>, DataError> {
    Ok(read_lists(paths)?.into_iter().flatten().collect())
}

/// Reads several lists whose ids are unique over all of them, and keeps them apart.
///
/// # Errors
/// As [`read_all`].
pub fn read_lists(paths: &[PathBuf]) -> Result<Vec<Vec<Utterance>>, DataError> {
    let mut lists = Vec::with_capacity(paths.len());
    let mut first = HashMap::<String, usize>::new();
    for (list, path) in paths.iter().enumerate() {
        let utterances = read_any(path)?;
        for utterance in &utterances {
            let home = *first.entry(utterance.id.clone()).or_insert(list);
            if home != list {
                let (id, home) = (&utterance.id, paths[home].display());
                let reason = format!(
                    "utterance id `{id}` is also in {home}; ids must be unique over all lists: rename one, or \
                     leave one list out"
                );
                return Err(DataError::layout(path, reason));
            }
        }
        lists.push(utterances);
    }
    Ok(lists)
}

fn read(path: &Path, faults: &mut Faults) -> Result<Vec<Utterance>, DataError> {
    if path.is_dir() {
        return read_folder(path, faults);
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "csv" | "tsv" => table::read(path, faults),
        "jsonl" | "json" | "gz" | "ndjson" => match first_object(path, faults)? {
            None => Manifest::read_lines(path, faults),
            Some(object) if object.get("audio_filepath").is_some() => nemo::read(path, faults),
            Some(object) if object.get("id").is_some() && object.get("audio").is_some() => {
                Manifest::read_lines(path, faults)
            }
            Some(object) if object.get("recording").is_some() || object.get("tracks").is_some() => {
                lhotse::read(path, faults)
            }
            Some(_) => Err(DataError::line(
                path,
                1,
                "neither an auricle (`audio`), NeMo (`audio_filepath`) nor lhotse (`recording`) line",
            )),
        },
        _ => read_tree(path),
    }
}

fn read_folder(path: &Path, faults: &mut Faults) -> Result<Vec<Utterance>, DataError> {
    if path.join("wav.scp").is_file() {
        read_kaldi(path)
    } else if lhotse::supervisions_of(path)?.is_some() {
        lhotse::read(path, faults)
    } else {
        read_tree(path)
    }
}

/// Lines of a file, unzipped where its name ends in `.gz`.
pub(crate) fn open_list(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    Ok(match path.extension() {
        Some(extension) if extension == "gz" => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    })
}

/// Calls `each` with every line as a JSON object.
fn for_each_object(
    path: &Path,
    faults: &mut Faults,
    mut each: impl FnMut(usize, Value) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for_each_line(path, open_list(path)?, |number, line| {
        let broken = |e: serde_json::Error| DataError::line(path, number, e.to_string());
        let value = line.and_then(|line| serde_json::from_str(line).map_err(broken));
        faults.take(value.and_then(|value| each(number, value)))
    })
}

/// The first line's object; of those that are one, where broken lines are passed over.
fn first_object(path: &Path, faults: &Faults) -> Result<Option<Value>, DataError> {
    let mut line = Vec::new();
    let limit = crate::manifest::MAX_LINE_BYTES as u64;
    let mut reader = open_list(path)?.take(limit);
    for number in 1.. {
        if reader.read_until(b'\n', &mut line).map_err(DataError::io(path))? == 0 {
            break;
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            match (serde_json::from_slice(text), faults) {
                (Ok(object), _) => return Ok(Some(object)),
                (Err(e), Faults::Refuse) => return Err(DataError::line(path, number, e.to_string())),
                (Err(_), Faults::Collect(_)) => {}
            }
        }
        line.clear();
    }
    Ok(None)
}

/// A path as written in a list: absolute, below the list's folder, or below the working directory.
fn resolve(list: &Path, written: &str) -> PathBuf {
    let path = PathBuf::from(written);
    let beside = list.parent().unwrap_or(Path::new("")).join(&path);
    if path.is_absolute() || !beside.exists() && path.exists() { path } else { beside }
}

/// The file name without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The duration of one file among many; 0 where it cannot be read.
fn probe_or_zero(path: &Path) -> f64 {
    probe_secs(path).unwrap_or(0.0)
}

/// The duration that a file's header gives exactly, or by decoding it: audio is cut to a duration
/// that is too short, and nobody would notice.
pub(crate) fn probe_secs(path: &Path) -> Result<f64, DataError> {
    let info = auricle_audio::probe(path)?;
    let samples = match info.exact_num_samples() {
        Some(samples) => samples,
        None => {
            let mut stream = auricle_audio::stream(path, &auricle_audio::Limits::unlimited_duration())?;
            stream.try_fold(0, |sum, block| Ok::<_, DataError>(sum + block?.len() as u64))?
        }
    };
    Ok(samples as f64 / f64::from(info.sample_rate.max(1)))
}
