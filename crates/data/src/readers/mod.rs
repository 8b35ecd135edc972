//! Corpora in the layouts of other toolkits.
//!
//! | Layout | Recognised by |
//! |---|---|
//! | auricle manifest | a JSON line with `id` and `audio` |
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

use crate::manifest::for_each_line;
use crate::{DataError, Manifest, Utterance};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Reads whatever is at `path`, by its content (see the table above).
///
/// Where a duration is not written down, the audio file is asked. One that cannot be read has a
/// duration of 0: a bad file must not hide a thousand good ones, and whoever reads its samples
/// learns what is wrong with it.
///
/// # Errors
/// Names the file and line, or says what was looked for.
pub fn read_any(path: &Path) -> Result<Vec<Utterance>, DataError> {
    if path.is_dir() {
        return read_folder(path);
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "csv" | "tsv" => read_table(path),
        "jsonl" | "json" | "gz" | "ndjson" => match first_object(path)? {
            None => Ok(Vec::new()),
            Some(object) if object.get("audio_filepath").is_some() => read_nemo(path),
            Some(object) if object.get("id").is_some() && object.get("audio").is_some() => {
                Manifest::read(path)
            }
            Some(object) if object.get("recording").is_some() || object.get("tracks").is_some() => {
                read_lhotse(path)
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

fn read_folder(path: &Path) -> Result<Vec<Utterance>, DataError> {
    if path.join("wav.scp").is_file() {
        read_kaldi(path)
    } else if lhotse::supervisions_of(path)?.is_some() {
        read_lhotse(path)
    } else {
        read_tree(path)
    }
}

/// Lines of a file, unzipped where its name ends in `.gz`.
fn open(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    Ok(match path.extension() {
        Some(extension) if extension == "gz" => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    })
}

/// Calls `each` with every line as a JSON object.
fn for_each_object(
    path: &Path,
    mut each: impl FnMut(usize, Value) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for_each_line(path, open(path)?, |number, line| {
        let value = serde_json::from_str(line).map_err(|e| DataError::line(path, number, e.to_string()))?;
        each(number, value)
    })
}

/// The first line's object.
fn first_object(path: &Path) -> Result<Option<Value>, DataError> {
    let mut line = Vec::new();
    let limit = crate::manifest::MAX_LINE_BYTES as u64;
    let mut reader = open(path)?.take(limit);
    while reader.read_until(b'\n', &mut line).map_err(DataError::io(path))? > 0 {
        let text = line.trim_ascii();
        if !text.is_empty() {
            return serde_json::from_slice(text)
                .map(Some)
                .map_err(|e| DataError::line(path, 1, e.to_string()));
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

/// The duration that a file's header gives, or by decoding it.
pub(crate) fn probe_secs(path: &Path) -> Result<f64, DataError> {
    if let Some(secs) = auricle_audio::probe(path)?.duration_secs() {
        return Ok(secs);
    }
    let mut samples = 0;
    let stream = auricle_audio::stream(path, &auricle_audio::Limits::unlimited_duration())?;
    let rate = f64::from(auricle_audio::probe(path)?.sample_rate.max(1));
    for block in stream {
        samples += block?.len();
    }
    Ok(samples as f64 / rate)
}
