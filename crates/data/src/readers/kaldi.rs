//! Kaldi data directories.

use crate::list::{Collector, first_names, for_each_line, resolve};
use crate::probe::{only_channel, probe_or_zero};
use crate::{DataError, Utterance};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The end time of a segment that goes on to the end of its recording, and the channel of one that says none.
const UNSAID: &str = "-1";

/// Files that say nothing which is not said elsewhere, or nothing of audio and text.
const DERIVED: [&str; 13] = [
    "spk2utt",
    "feats.scp",
    "cmvn.scp",
    "vad.scp",
    "utt2num_frames",
    "frame_shift",
    "feats_type",
    "utt2uniq",
    "ivector.scp",
    "num_spks",
    "warned",
    "README",
    "README.md",
];

/// Reads a Kaldi data directory: `wav.scp`, and of `segments`, `text`, `utt2spk`, `utt2dur`, `reco2dur`,
/// `reco2file_and_channel`, `spk2gender` and `utt2lang` those that are there. Other files are named in a note.
///
/// # Errors
/// A missing `wav.scp`; an entry of it that is a command (`… |`), which would have to be run, or a place in an archive;
/// a segment without its recording or with times that make no sense; one channel of several.
pub fn read_kaldi(folder: &Path) -> Result<Vec<Utterance>, DataError> {
    let mut collector = Collector::strict();
    read(folder, &mut collector)?;
    Ok(collector.reading.utterances)
}

pub(super) fn read(folder: &Path, collector: &mut Collector) -> Result<(), DataError> {
    let mut lists = Lists::read(folder, collector)?;
    match lists.segments.take() {
        Some(segments) => {
            for (id, (line, segment)) in &segments {
                let utterance = lists.segment(id, segment).map_err(|e| e.at(&folder.join("segments"), *line));
                let pushed = utterance.map(|utterance| collector.push(utterance));
                collector.take(pushed)?;
            }
            lists.note_unused_recordings(&segments, collector);
        }
        None => {
            let recordings: Vec<(String, usize)> =
                lists.recordings.iter().map(|(id, (line, _))| (id.clone(), *line)).collect();
            for (id, line) in recordings {
                let utterance = lists.recording(&id).map_err(|e| e.at(&lists.scp, line));
                let pushed = utterance.map(|utterance| collector.push(utterance));
                collector.take(pushed)?;
            }
        }
    }
    lists.note_differences(collector);
    note_other_files(folder, collector)
}

/// Lines of a key and a value, with their numbers.
type Table = BTreeMap<String, (usize, String)>;

/// What is wrong with an utterance: with the line that names it, or in another list.
enum Fault {
    Here(String),
    There(DataError),
}

impl Fault {
    fn at(self, path: &Path, line: usize) -> DataError {
        match self {
            Self::Here(reason) => DataError::line(path, line, reason),
            Self::There(error) => error,
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Here(reason)
    }
}

struct Lists {
    folder: PathBuf,
    scp: PathBuf,
    recordings: Table,
    segments: Option<Table>,
    /// By utterance, as `text` has them, `None` where there is no such file.
    texts: Option<Table>,
    speakers: Option<Table>,
    languages: Option<Table>,
    genders: Option<Table>,
    durations: Table,
    channels: Table,
    utterances: Vec<String>,
}

impl Lists {
    fn read(folder: &Path, collector: &mut Collector) -> Result<Self, DataError> {
        let scp = folder.join("wav.scp");
        let recordings = table(&scp, collector)?;
        let mut optional = |name: &str| {
            let path = folder.join(name);
            path.is_file().then(|| table(&path, collector)).transpose()
        };
        let segments = optional("segments")?;
        let (texts, speakers) = (optional("text")?, optional("utt2spk")?);
        let (languages, genders) = (optional("utt2lang")?, optional("spk2gender")?);
        let of_utterances = optional("utt2dur")?.unwrap_or_default();
        let of_recordings = optional("reco2dur")?.unwrap_or_default();
        // Of a segment the times are said; of a recording either list tells.
        let durations = of_recordings.into_iter().chain(of_utterances).collect();
        let channels = optional("reco2file_and_channel")?.unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            scp,
            recordings,
            segments,
            texts,
            speakers,
            languages,
            genders,
            durations,
            channels,
            utterances: Vec::new(),
        })
    }

    /// A whole recording as an utterance.
    fn recording(&mut self, id: &str) -> Result<Utterance, Fault> {
        let audio = self.audio_of(id)?;
        let secs = match self.durations.get(id) {
            Some((_, secs)) => secs
                .parse()
                .map_err(|_| format!("the duration `{secs}` of `{id}` is no number of seconds"))?,
            None => probe_or_zero(&audio),
        };
        self.utterance(id, audio, 0.0, secs)
    }

    /// A line of `segments`.
    fn segment(&mut self, id: &str, segment: &str) -> Result<Utterance, Fault> {
        let fields: Vec<&str> = segment.split_whitespace().collect();
        let (recording, start, end, channel) = match *fields.as_slice() {
            [recording, start, end] => (recording, start, end, UNSAID),
            [recording, start, end, channel] => (recording, start, end, channel),
            _ => {
                let reason = format!(
                    "segment `{id}` must be `<recording> <start> <end>` in seconds (and perhaps a channel), not \
                     `{segment}`"
                );
                return Err(reason.into());
            }
        };
        let secs = |text: &str| {
            let secs = text.parse::<f64>().ok().filter(|secs| secs.is_finite());
            secs.ok_or_else(|| format!("segment `{id}`: `{text}` is no number of seconds"))
        };
        let (start_secs, end_secs) = (secs(start)?, secs(end)?);
        let audio = self.audio_of(recording)?;
        if channel != UNSAID {
            only_channel(&audio, channel).map_err(|reason| format!("segment `{id}`: {reason}"))?;
        }
        let is_open = end_secs == -1.0;
        let end_secs = if is_open { probe_or_zero(&audio) } else { end_secs };
        // A recording that cannot be read is told of by whoever reads it.
        if is_open && end_secs <= 0.0 && start_secs >= 0.0 {
            return self.utterance(id, audio, start_secs, 0.0);
        }
        if start_secs < 0.0 || end_secs <= start_secs {
            let reason = format!(
                "segment `{id}` starts at {start_secs} s and ends at {end_secs} s, which is no stretch of a recording; \
                 correct or remove the line"
            );
            return Err(reason.into());
        }
        self.utterance(id, audio, start_secs, end_secs - start_secs)
    }

    fn utterance(&mut self, id: &str, audio: PathBuf, start: f64, secs: f64) -> Result<Utterance, Fault> {
        let mut utterance =
            Utterance::segment(id, audio, start, secs).map_err(|e| Fault::Here(e.to_string()))?;
        utterance.text = value(&self.texts, id);
        utterance.speaker = value(&self.speakers, id).filter(|speaker| !speaker.is_empty());
        let gender = utterance.speaker.as_ref().and_then(|speaker| value(&self.genders, speaker));
        for (name, value) in [("language", value(&self.languages, id)), ("gender", gender)] {
            if let Some(value) = value {
                utterance.extra.insert(name.to_owned(), value.into());
            }
        }
        self.utterances.push(id.to_owned());
        Ok(utterance)
    }

    /// The file of a recording, if it is one file with one channel.
    fn audio_of(&self, recording: &str) -> Result<PathBuf, Fault> {
        let (line, written) = self.recordings.get(recording).ok_or_else(|| {
            let scp = self.scp.display();
            format!("recording `{recording}` is not in {scp}; add it there, or remove this line")
        })?;
        let refuse = |reason: String| Err(Fault::There(DataError::line(&self.scp, *line, reason)));
        if written.is_empty() {
            return refuse(format!("`{recording}` has no path"));
        }
        if let Some(command) = written.strip_suffix('|') {
            return refuse(format!(
                "`{recording}` is a command, and commands are never run from here; run `{} > {recording}.wav` yourself \
                 and write that path",
                command.trim()
            ));
        }
        let audio = resolve(&self.scp, written);
        let is_offset =
            |(_, offset): (&str, &str)| !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_digit());
        if !audio.exists() && written.rsplit_once(':').is_some_and(is_offset) {
            return refuse(format!(
                "`{recording}` is a place in an archive; write its recordings as files (`wav-copy scp:wav.scp …`) and \
                 name these"
            ));
        }
        if let Some((line, said)) = self.channels.get(recording) {
            let channel = said.split_whitespace().nth(1).unwrap_or(UNSAID);
            if let Err(reason) = only_channel(&audio, channel) {
                let path = self.folder.join("reco2file_and_channel");
                return Err(Fault::There(DataError::line(&path, *line, format!("`{recording}`: {reason}"))));
            }
        }
        Ok(audio)
    }

    /// Recordings of which no segment is.
    fn note_unused_recordings(&self, segments: &Table, collector: &mut Collector) {
        let used: std::collections::BTreeSet<&str> =
            segments.values().filter_map(|(_, segment)| segment.split_whitespace().next()).collect();
        let unused: Vec<&String> =
            self.recordings.keys().filter(|recording| !used.contains(recording.as_str())).collect();
        if !unused.is_empty() {
            let reason =
                format!("no segment is of the recordings {}, which are left out", first_names(unused));
            collector.note(&self.scp, reason);
        }
    }

    /// Utterances that a list leaves out, and what it has of others.
    fn note_differences(&self, collector: &mut Collector) {
        let known: std::collections::BTreeSet<&str> = self.utterances.iter().map(String::as_str).collect();
        let broken = !collector.reading.broken.is_empty();
        for (name, list) in [("text", &self.texts), ("utt2spk", &self.speakers)] {
            let Some(list) = list else { continue };
            let path = self.folder.join(name);
            let missing: Vec<&&str> = known.iter().filter(|id| !list.contains_key(**id)).collect();
            if !missing.is_empty() {
                collector.note(&path, format!("no line for {}", first_names(missing)));
            }
            let others: Vec<&String> = list.keys().filter(|id| !known.contains(id.as_str())).collect();
            // Lines that were refused are told of as such.
            if !others.is_empty() && !broken {
                collector.note(&path, format!("the lines of {} belong to no utterance", first_names(others)));
            }
        }
    }
}

fn value(list: &Option<Table>, key: &str) -> Option<String> {
    list.as_ref()?.get(key).map(|(_, value)| value.clone())
}

/// Names the files that are not read.
fn note_other_files(folder: &Path, collector: &mut Collector) -> Result<(), DataError> {
    const READ: [&str; 9] = [
        "wav.scp",
        "segments",
        "text",
        "utt2spk",
        "utt2dur",
        "reco2dur",
        "reco2file_and_channel",
        "spk2gender",
        "utt2lang",
    ];
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_audio = crate::list::is_audio_name(&name);
        let is_known = READ.contains(&name.as_str()) || DERIVED.contains(&name.as_str());
        if entry.path().is_file() && !is_known && !is_audio && !name.starts_with('.') {
            others.push(name);
        }
    }
    others.sort();
    if !others.is_empty() {
        collector.note(folder, format!("not read: {}", first_names(others)));
    }
    Ok(())
}

/// `key rest-of-line`, with line numbers.
fn table(path: &Path, collector: &mut Collector) -> Result<Table, DataError> {
    let mut entries = Table::new();
    for_each_line(path, |number, line| {
        let entry = line.and_then(|line| {
            let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match entries.contains_key(key) {
                true => Err(DataError::line(
                    path,
                    number,
                    format!("`{key}` comes twice; remove one of the lines"),
                )),
                false => {
                    entries.insert(key.to_owned(), (number, rest.trim().to_owned()));
                    Ok(())
                }
            }
        });
        collector.take(entry)
    })?;
    Ok(entries)
}
