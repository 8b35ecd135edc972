//! Corpora in the layouts of other toolkits.
//!
//! # What is recognised, and by what
//!
//! | Layout | Recognised by |
//! |---|---|
//! | auricle manifest | a JSON line with `id`, `audio` and `duration_secs` |
//! | NeMo manifest, Hugging Face `metadata.jsonl`, other JSON lines | a JSON line with an audio field (see below) |
//! | lhotse | JSON lines of cuts (`recording`), or a folder with `*recordings*.jsonl` and `*supervisions*.jsonl` |
//! | Kaldi | a folder with `wav.scp` |
//! | table (SpeechBrain, Common Voice, Hugging Face `metadata.csv`) | `.csv`, `.tsv` or `.psv`; a header with an audio column; fields between commas, tabs, semicolons or bars |
//! | LJSpeech | a `.csv` without a header whose first field between bars names a file, such as `wavs/LJ001-0001.wav` |
//! | folder with one list | a folder with exactly one of the JSON lists or tables above: the list is read |
//! | folder of audio, LibriSpeech | any other folder; transcripts stand beside the audio, or in `*.trans.txt` |
//! | one recording | any other file, also a pipe |
//!
//! JSON lists and tables are also read zipped (`.gz`), and with a byte order mark. Text must be UTF-8.
//! A folder with several lists (Common Voice's `train.tsv`, `dev.tsv`, …) is refused with their names: one of them is meant.
//!
//! # Columns of tables and fields of JSON lines
//!
//! Case does not matter; of several names of one thing in one list, the first here is used.
//!
//! | What | Names |
//! |---|---|
//! | audio | `audio`, `path`, `audio_filepath`, `audio_path`, `wav`, `file`, `filename`, `file_name`, `wav_filename`, `wav_path`, `wav_file`, `audio_file`, `audio_filename`, `filepath`, `file_path` |
//! | id | `id`, `utt_id`, `utterance_id`, `uttid`, `utt`, `key`, `segment_id` |
//! | start | `start_secs`, `start`, `offset`, `begin`, `start_time`, `begin_time`, `start_seconds`, `start_sec`, `onset`, `seg_start`, `segment_start`, `start_ms`, `offset_ms`, `begin_ms` |
//! | end | `end_secs`, `end`, `stop`, `end_time`, `stop_time`, `end_seconds`, `end_sec`, `seg_end`, `segment_end`, `end_ms`, `stop_ms` |
//! | duration | `duration_secs`, `duration`, `length`, `dur`, `duration_seconds`, `duration_sec`, `audio_duration`, `duration_ms`, `length_ms` |
//! | transcript | `text`, `sentence`, `transcript`, `transcription`, `wrd`, `words`, `normalized_text`, `normalised_text`, `normalized_transcription` |
//! | speaker | `speaker`, `spk_id`, `speaker_id`, `speakerid`, `spk`, `client_id`, `speaker_name` |
//! | channel | `channel`, `channel_id`, `channel_selector`: only the one channel of a recording with one |
//! | phones, meaning | `phones`, `perceived_phones` (lists, or texts between blanks), `meaning` |
//!
//! Times are seconds (milliseconds where the name ends in `_ms`); of start, end and duration two say the third, and
//! three must agree. Without end and duration an utterance goes on to its file's end. Every other column or field is
//! kept in [`Utterance::extra`], and named in a note. Numbers may be written as texts and texts as numbers.
//!
//! # Files of a Kaldi folder
//!
//! `wav.scp` (paths only: commands are never run), `segments` (with `-1` for the recording's end), `text`, `utt2spk`,
//! `utt2dur` or `reco2dur`, `reco2file_and_channel` (only of recordings with one channel), `spk2gender` and `utt2lang`
//! (kept as `gender` and `language`). What can be made from these is passed over (`spk2utt`, `feats.scp`, …); other files
//! are named in a note, as are utterances without a line in `text` or `utt2spk` and lines without an utterance.
//!
//! # Ids
//!
//! Ids come from the list where it has them. A single file is called by its name without extension; a file in a folder
//! by its path below that folder, with `-` for `/` (`a/x.wav` is `a-x`), or by its name in LibriSpeech's list. Rows of a
//! table or JSON lines without ids are called by their file names where these differ, else by the paths as they are
//! written; where one file comes several times, a number follows.

mod kaldi;
mod lhotse;
mod nemo;
mod record;
mod table;
mod tree;

pub use crate::list::AUDIO_EXTENSIONS;
pub use kaldi::read_kaldi;
pub use lhotse::read_lhotse;
pub use nemo::read_nemo;
pub use table::read_table;
pub use tree::read_tree;

use crate::json::{Object, first_object};
use crate::list::{Collector, first_names, refuse_repeats};
use crate::{DataError, Manifest, Reading, Utterance};
use record::{Field, field_of};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Reads whatever is at `path`, by its content (see the table above). What is not used is said as a
/// [warning](auricle_io::warn).
///
/// Where a duration is not written down, the audio file is asked. One that cannot be read has a
/// duration of 0: a bad file must not hide a thousand good ones, and whoever reads its samples
/// learns what is wrong with it.
///
/// # Errors
/// Names the file and line, or says what was looked for; an id that comes twice.
pub fn read_any(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let reading = read_noting(path)?;
    reading.notes.iter().for_each(|note| auricle_io::warn(note));
    Ok(reading.utterances)
}

/// As [`read_any`], with the notes on what is not used instead of warnings.
///
/// # Errors
/// As [`read_any`].
pub fn read_noting(path: &Path) -> Result<Reading, DataError> {
    let mut collector = Collector::strict();
    read(path, &mut collector)?;
    refuse_repeats(path, &collector.reading.utterances)?;
    Ok(collector.reading)
}

/// Reads as [`read_noting`] what can be read of a list that is to be mended: repeated ids stay, and broken lines are told
/// apart.
///
/// # Errors
/// Names the file, or says what was looked for.
pub fn read_leniently(path: &Path) -> Result<Reading, DataError> {
    let mut collector = Collector::lenient();
    read(path, &mut collector)?;
    Ok(collector.reading)
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

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Json,
    Recording,
}

fn kind_of(path: &Path) -> Kind {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match Path::new(name).extension().unwrap_or_default().to_string_lossy().as_ref() {
        "csv" | "tsv" | "psv" => Kind::Table,
        "jsonl" | "json" | "ndjson" => Kind::Json,
        _ if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) => Kind::Json,
        _ => Kind::Recording,
    }
}

fn read(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    if path.is_dir() {
        return read_folder(path, collector);
    }
    match kind_of(path) {
        Kind::Table => table::read(path, collector),
        Kind::Json => read_json(path, collector),
        Kind::Recording => tree::read(path, collector),
    }
}

/// What the first line of a JSON list tells of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonKind {
    Manifest,
    Fields,
    Lhotse,
    LhotsePart,
    Unknown,
}

fn json_kind(object: &Object) -> JsonKind {
    let has = |name: &str| object.contains_key(name);
    if ["id", "audio", "duration_secs"].into_iter().all(has) {
        JsonKind::Manifest
    } else if has("recording") || has("tracks") {
        JsonKind::Lhotse
    } else if has("sources") || has("recording_id") {
        JsonKind::LhotsePart
    } else if object.keys().any(|name| field_of(name) == Some(Field::Audio)) {
        JsonKind::Fields
    } else {
        JsonKind::Unknown
    }
}

fn read_json(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    let Some(object) = first_object(path, collector.is_lenient())? else {
        return Manifest::read_into(path, collector);
    };
    match json_kind(&object) {
        JsonKind::Manifest => Manifest::read_into(path, collector),
        JsonKind::Fields => nemo::read(path, collector),
        JsonKind::Lhotse => lhotse::read(path, collector),
        JsonKind::LhotsePart => {
            let reason =
                "one half of a lhotse corpus; name the folder that holds its recordings and supervisions";
            Err(DataError::layout(path, reason))
        }
        JsonKind::Unknown => {
            let names = record::names_of(Field::Audio);
            let reason = format!(
                "the first line names no audio: it has neither lhotse's `recording` nor one of {names}; it has {}",
                first_names(object.keys())
            );
            Err(DataError::line(path, 1, reason))
        }
    }
}

fn read_folder(path: &Path, collector: &mut Collector) -> Result<(), DataError> {
    if path.join("wav.scp").is_file() {
        return kaldi::read(path, collector);
    }
    if lhotse::supervisions_of(path)?.is_some() {
        return lhotse::read(path, collector);
    }
    let (lists, others) = lists_in(path)?;
    match lists.as_slice() {
        [] => {
            if !others.is_empty() {
                collector
                    .note(path, format!("not read, because they name no audio: {}", first_names(others)));
            }
            tree::read(path, collector)
        }
        [list] => {
            let begin = collector.reading.utterances.len();
            read(list, collector)?;
            // A note only: the folder can be too deep to be looked through.
            let unlisted = tree::unlisted(path, &collector.reading.utterances[begin..]).unwrap_or_default();
            if let Some((count, first)) = unlisted {
                let first = first.display();
                collector
                    .note(list, format!("does not name {count} audio files of its folder, such as {first}"));
            }
            Ok(())
        }
        several => {
            let reason = format!(
                "holds several lists of audio; name the one that is meant: {}",
                first_names(several.iter().map(|list| list.display()))
            );
            Err(DataError::layout(path, reason))
        }
    }
}

/// The lists of audio that a folder holds, and the names of other tables and JSON files in it. Where a folder has none of
/// its own, the `metadata.csv` and `metadata.jsonl` of the folders in it are taken, which Hugging Face makes of its sets.
fn lists_in(folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>), DataError> {
    let (mut lists, mut others, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            folders.push(path);
        } else if kind_of(&path) != Kind::Recording {
            match is_list(&path) {
                true => lists.push(path),
                false => others.push(name),
            }
        }
    }
    if lists.is_empty() {
        let below = folders
            .iter()
            .flat_map(|folder| ["csv", "jsonl"].map(|e| folder.join("metadata").with_extension(e)));
        lists.extend(below.filter(|path| path.is_file() && is_list(path)));
    }
    Ok((lists, others))
}

/// What a folder holds, sorted, without hidden names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_list(path: &Path) -> bool {
    match kind_of(path) {
        Kind::Table => table::is_list(path),
        Kind::Json => match first_object(path, true) {
            Ok(Some(object)) => {
                matches!(json_kind(&object), JsonKind::Manifest | JsonKind::Fields | JsonKind::Lhotse)
            }
            _ => false,
        },
        Kind::Recording => false,
    }
}
