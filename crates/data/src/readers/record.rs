//! What a table's row or a JSON line says of an utterance, by the names that toolkits use.

use crate::Utterance;
use crate::list::{first_names, is_audio_name, path_id, resolve, stem};
use crate::probe::{only_channel, probe_or_zero};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a column or field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Audio,
    Start,
    End,
    Duration,
    Text,
    Speaker,
    Phones,
    PerceivedPhones,
    Meaning,
    Channel,
}

/// The names of each field, in lower case; of several in one record the first here is used. Times are in seconds, or in
/// milliseconds where a name ends in `_ms`.
const NAMES: [(Field, &[&str]); 11] = [
    (Field::Id, &["id", "utt_id", "utterance_id", "uttid", "utt", "key", "segment_id"]),
    (
        Field::Audio,
        &[
            "audio",
            "path",
            "audio_filepath",
            "audio_path",
            "wav",
            "file",
            "filename",
            "file_name",
            "wav_filename",
            "wav_path",
            "wav_file",
            "audio_file",
            "audio_filename",
            "filepath",
            "file_path",
        ],
    ),
    (
        Field::Start,
        &[
            "start_secs",
            "start",
            "offset",
            "begin",
            "start_time",
            "begin_time",
            "start_seconds",
            "start_sec",
            "onset",
            "seg_start",
            "segment_start",
            "start_ms",
            "offset_ms",
            "begin_ms",
        ],
    ),
    (
        Field::End,
        &[
            "end_secs",
            "end",
            "stop",
            "end_time",
            "stop_time",
            "end_seconds",
            "end_sec",
            "seg_end",
            "segment_end",
            "end_ms",
            "stop_ms",
        ],
    ),
    (
        Field::Duration,
        &[
            "duration_secs",
            "duration",
            "length",
            "dur",
            "duration_seconds",
            "duration_sec",
            "audio_duration",
            "duration_ms",
            "length_ms",
        ],
    ),
    (
        Field::Text,
        &[
            "text",
            "sentence",
            "transcript",
            "transcription",
            "wrd",
            "words",
            "normalized_text",
            "normalised_text",
            "normalized_transcription",
        ],
    ),
    (Field::Speaker, &["speaker", "spk_id", "speaker_id", "speakerid", "spk", "client_id", "speaker_name"]),
    (Field::Phones, &["phones"]),
    (Field::PerceivedPhones, &["perceived_phones"]),
    (Field::Meaning, &["meaning"]),
    (Field::Channel, &["channel", "channel_id", "channel_selector"]),
];

/// Folders beside a list that published corpora keep their audio in.
const AUDIO_FOLDERS: [&str; 2] = ["clips", "wavs"];

/// What a name is about; case and blanks around it do not matter.
pub(super) fn field_of(name: &str) -> Option<Field> {
    let name = name.trim().to_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|&(field, _)| field)
}

/// The names of a field, for a message.
pub(super) fn names_of(wanted: Field) -> String {
    let names = NAMES.iter().find(|(field, _)| *field == wanted).map_or(&[][..], |(_, names)| *names);
    names.join(", ")
}

/// The records of one list.
#[derive(Debug)]
pub(super) struct Records {
    list: PathBuf,
    /// Where the audio may be beside the list itself.
    folders: Vec<PathBuf>,
    read: usize,
    /// Fields that are not understood, named once for the whole list.
    unused: BTreeSet<String>,
    /// Positions of utterances without an id, and how their audio is written.
    unnamed: Vec<(usize, String)>,
}

/// More names of fields that are not understood are not collected.
const MAX_UNUSED: usize = 1000;

/// What a list says of one utterance, in the order of its fields.
pub(super) type Record = Map<String, Value>;

impl Records {
    /// The records of the list at a path.
    pub(super) fn of(list: &Path) -> Self {
        let beside = list.parent().unwrap_or(Path::new(""));
        let folders =
            AUDIO_FOLDERS.iter().map(|name| beside.join(name)).filter(|folder| folder.is_dir()).collect();
        Self { list: list.to_owned(), folders, read: 0, unused: BTreeSet::new(), unnamed: Vec::new() }
    }

    /// The utterance of a record.
    ///
    /// # Errors
    /// In words: no audio, times that contradict each other or are none, a channel of several, a text that is no text.
    pub(super) fn utterance(&mut self, record: Record) -> Result<Utterance, String> {
        let mut said = Said::default();
        // In the order of the names, so that the first of several is used.
        let mut ranked: Vec<(usize, Option<Field>, String, Value)> = record
            .into_iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(name, value)| (rank(&name), field_of(&name), name, value))
            .collect();
        ranked.sort_by_key(|(rank, ..)| *rank);
        let mut extra = Map::new();
        for (_, field, name, value) in ranked {
            let Some(value) = (match field {
                Some(field) => said.take(field, &name, value)?,
                None => Some(value),
            }) else {
                continue;
            };
            if self.unused.len() < MAX_UNUSED {
                self.unused.insert(name.clone());
            }
            extra.insert(name, value);
        }
        let written = said.audio.ok_or("no audio path")?;
        let audio = self.find_audio(&written);
        let (start, duration) = times(&audio, said.start, said.end, said.duration)?;
        if let Some(channel) = &said.channel {
            only_channel(&audio, channel)?;
        }
        let is_named = said.id.is_some();
        let id = said.id.unwrap_or_else(|| stem(&audio));
        let whole = Utterance::segment(id, audio, start, duration).map_err(|e| e.to_string())?;
        if !is_named {
            self.unnamed.push((self.read, written));
        }
        self.read += 1;
        Ok(Utterance {
            text: said.text,
            speaker: said.speaker,
            phones: said.phones,
            perceived_phones: said.perceived_phones,
            meaning: said.meaning,
            extra,
            ..whole
        })
    }

    /// The file that the list means: the path as written, or in `clips` or `wavs` beside the list; LJSpeech and old lists
    /// of Common Voice leave out the extension.
    pub(super) fn find_audio(&self, written: &str) -> PathBuf {
        let plain = resolve(&self.list, written);
        if plain.exists() {
            return plain;
        }
        let ends = if is_audio_name(written) { &[""][..] } else { &["", ".wav", ".mp3", ".flac"] };
        let beside = self.list.parent().unwrap_or(Path::new(""));
        let folders = std::iter::once(beside).chain(self.folders.iter().map(PathBuf::as_path));
        let candidates =
            folders.flat_map(|folder| ends.iter().map(move |end| folder.join(format!("{written}{end}"))));
        candidates.into_iter().find(|candidate| candidate.is_file()).unwrap_or(plain)
    }

    /// Gives the utterances without an id theirs, and says which fields are not used.
    ///
    /// File names are ids where no two files of the list are called the same, else the paths as they are written, with
    /// `-` for `/`; a number follows where a file comes again, as with segments of one recording.
    pub(super) fn finish(self, utterances: &mut [Utterance]) -> Option<String> {
        let unnamed: HashSet<usize> = self.unnamed.iter().map(|(at, _)| *at).collect();
        let named = utterances.iter().enumerate().filter(|(at, _)| !unnamed.contains(at));
        let mut used: HashSet<String> = named.map(|(_, utterance)| utterance.id.clone()).collect();
        let files: BTreeSet<&str> = self.unnamed.iter().map(|(_, written)| written.as_str()).collect();
        let names: BTreeSet<String> = files.iter().map(|written| stem(Path::new(written))).collect();
        let mut repeats = HashMap::<String, usize>::new();
        for (at, written) in &self.unnamed {
            let written = without_extension(Path::new(written));
            let name = match names.len() == files.len() {
                true => written.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                false => path_id(Path::new(""), &written),
            };
            let mut id = name.clone();
            // `x-2` may itself be the name of a file.
            while !used.insert(id.clone()) {
                let repeat = repeats.entry(name.clone()).or_insert(1);
                *repeat += 1;
                id = format!("{name}-{repeat}");
            }
            if let Some(utterance) = utterances.get_mut(*at) {
                utterance.id = id;
            }
        }
        let names = self.unused;
        (!names.is_empty()).then(|| {
            let (noun, verb) = if names.len() == 1 { ("field", "is") } else { ("fields", "are") };
            format!("{noun} {} {verb} kept as extra fields, but mean nothing here", first_names(names))
        })
    }
}

/// The place of a name among those of its field; what is unknown comes last.
fn rank(name: &str) -> usize {
    let name = name.trim().to_lowercase();
    NAMES.iter().find_map(|(_, names)| names.iter().position(|n| *n == name)).unwrap_or(usize::MAX)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// What has been said so far.
#[derive(Default)]
struct Said {
    id: Option<String>,
    audio: Option<String>,
    start: Option<f64>,
    end: Option<f64>,
    duration: Option<f64>,
    text: Option<String>,
    speaker: Option<String>,
    phones: Option<Vec<String>>,
    perceived_phones: Option<Vec<String>>,
    meaning: Option<String>,
    channel: Option<String>,
}

impl Said {
    /// Takes a value in, or gives it back where another name has said it already.
    fn take(&mut self, field: Field, name: &str, value: Value) -> Result<Option<Value>, String> {
        let place = match field {
            Field::Start => return time(&mut self.start, name, &value),
            Field::End => return time(&mut self.end, name, &value),
            Field::Duration => return time(&mut self.duration, name, &value),
            Field::Phones => return phones(&mut self.phones, name, value),
            Field::PerceivedPhones => return phones(&mut self.perceived_phones, name, value),
            Field::Id => &mut self.id,
            Field::Audio => &mut self.audio,
            Field::Text => &mut self.text,
            Field::Speaker => &mut self.speaker,
            Field::Meaning => &mut self.meaning,
            Field::Channel => &mut self.channel,
        };
        if place.is_some() {
            return Ok(Some(value));
        }
        *place = Some(text(name, value)?);
        Ok(None)
    }
}

/// Numbers are texts too: `"text": 123`.
fn text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("`{name}` is {}, not a text", short(&other))),
    }
}

/// Texts are numbers too: `"duration": "2.5"`.
fn time(place: &mut Option<f64>, name: &str, value: &Value) -> Result<Option<Value>, String> {
    let secs = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let secs = secs.ok_or_else(|| format!("`{name}` is {}, no number of seconds", short(value)))?;
    let secs = if name.trim().to_lowercase().ends_with("_ms") { secs / 1000.0 } else { secs };
    match *place {
        None => *place = Some(secs),
        Some(other) if (other - secs).abs() > TOLERANCE_SECS => {
            return Err(format!(
                "`{name}` says {secs} s, another field {other} s; correct or remove one of them"
            ));
        }
        Some(_) => {}
    }
    Ok(None)
}

/// A list of phones, or a text of phones between blanks.
fn phones(place: &mut Option<Vec<String>>, name: &str, value: Value) -> Result<Option<Value>, String> {
    let phones = match value {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.into_iter().map(|phone| text(name, phone)).collect::<Result<_, _>>()?,
        other => return Err(format!("`{name}` is {}, not a list of phones", short(&other))),
    };
    *place = Some(phones);
    Ok(None)
}

/// A value as a message shows it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Times of a list may be rounded by so much.
const TOLERANCE_SECS: f64 = 0.02;

/// Where an utterance starts and how long it is. Where no length is said, it goes on to the file's end.
fn times(
    audio: &Path,
    start: Option<f64>,
    end: Option<f64>,
    duration: Option<f64>,
) -> Result<(f64, f64), String> {
    let begins = start.unwrap_or(0.0);
    match (start, end, duration) {
        (_, None, Some(duration)) => Ok((begins, duration)),
        (None, Some(end), Some(duration)) if end >= duration - TOLERANCE_SECS => {
            Ok(((end - duration).max(0.0), duration))
        }
        (_, Some(end), _) if end <= begins => {
            Err(format!("it ends at {end} s, but starts at {begins} s; correct one of them"))
        }
        (_, Some(end), None) => Ok((begins, end - begins)),
        (_, Some(end), Some(duration)) => {
            if (end - begins - duration).abs() <= TOLERANCE_SECS + 1e-3 * duration {
                return Ok((begins, duration));
            }
            Err(format!(
                "from {begins} to {end} is not the duration of {duration} s; times must be in seconds (not in samples) \
                 and agree: correct or remove one of the three"
            ))
        }
        (_, None, None) => match probe_or_zero(audio) {
            // Whoever reads the file says what is wrong with it.
            file_secs if file_secs <= 0.0 => Ok((begins, 0.0)),
            file_secs if begins >= file_secs => {
                Err(format!("it starts at {begins} s, but {} ends at {file_secs:.2} s", audio.display()))
            }
            file_secs => Ok((begins, file_secs - begins)),
        },
    }
}

/// A path without the extension of its file name, if that is one of audio: `v1.2` is a name.
fn without_extension(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_audio_name(&name) { path.with_extension("") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_thing() {
        let mut names: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        // The page for users names them all.
        let page = include_str!("mod.rs");
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        assert_eq!(field_of(" Start "), Some(Field::Start));
    }

    #[test]
    fn times_agree_or_are_refused() {
        let of = |start, end, duration| times(Path::new("/none.wav"), start, end, duration);
        assert_eq!(of(Some(6.58), Some(9.78), Some(3.2)), Ok((6.58, 3.2)));
        assert_eq!(of(Some(2.0), Some(3.5), None), Ok((2.0, 1.5)));
        assert_eq!(of(None, Some(3.5), Some(1.5)), Ok((2.0, 1.5)));
        assert_eq!(of(None, Some(3.5), None), Ok((0.0, 3.5)));
        assert_eq!(of(Some(2.0), None, None), Ok((2.0, 0.0)));
        // Samples instead of seconds; turned about; nothing between.
        assert!(of(Some(0.0), Some(48_000.0), Some(3.0)).unwrap_err().contains("samples"));
        assert!(of(Some(3.0), Some(2.0), None).is_err());
        assert!(of(Some(3.0), Some(3.0), None).is_err());
        assert!(of(None, Some(1.0), Some(1.5)).is_err());
    }
}
