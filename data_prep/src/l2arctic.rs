//! L2-ARCTIC: English read by 24 speakers of six other languages, with annotated mispronunciations.
//!
//! * Source: <https://psi.engr.tamu.edu/l2-arctic-corpus/>, on request. G. Zhao et al., "L2-ARCTIC: A
//!   Non-native English Speech Corpus", Interspeech 2018.
//! * Licence: CC BY-NC 4.0.
//! * Layout, of version 5: a folder per speaker, `ABA/`, … with `wav/`, `transcript/` (one line of text),
//!   `annotation/` (TextGrids of about 150 utterances with what was heard) and `textgrid/` (TextGrids of
//!   all, with what should be said). `suitcase_corpus` is no part of this preparation.
//! * Labels of an annotation's tier `phones` are one phone, or `canonical,perceived,type`; silence for
//!   perceived is a phone that was not said, silence for canonical one that was added. They are brought
//!   to the 39 phones of the CMU dictionary, upper case, and `err`.
//! * Annotations that cannot be read are left out and named: arctic_a0209 and arctic_a0272 of YDCK are known to
//!   be broken.
//!
//! | Manifest | Speakers | Utterances |
//! |---|---|---|
//! | `train.jsonl` | EBVS ERMS HQTV PNV ASI RRBI BWC LXC HJK HKK ABA SKA, and any others | 1,800 |
//! | `dev.jsonl` | MBMPS THV SVBI NCC YDCK YBAA | 899, or 897 without the broken ones |
//! | `test.jsonl` | NJS TLV TNI TXHC YKWK ZHAA | 900 |
//! | `train-unannotated.jsonl` | those of `train.jsonl` | what has no annotation |
//!
//! Manifest lines have `phones` and `perceived_phones` (the latter not in `train-unannotated.jsonl`), and
//! the fields `l1`, `sex`, `phone_errors`, `perceived_spans` and, where words and phones fit,
//! `word_phones`: the number of canonical phones of each word of the text.

use crate::annotation::{self, Slot};
use crate::listing::{SourceFile, audio_by_stem, folder_names, read_text, root_of, walk};
use crate::set::{Draft, Item, Labels, counted};
use crate::textgrid::{Interval, TextGrid};
use crate::{About, Definition, Options, PrepError};
use auricle_text::{Perceived, normalise};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) static CORPUS: Definition = Definition {
    name: "l2arctic",
    about: About {
        what: "English of 24 non-native speakers, mispronounced phones annotated (27 h, 3,599 utterances annotated)",
        licence: "CC BY-NC 4.0",
        source: "https://psi.engr.tamu.edu/l2-arctic-corpus/",
    },
    version: 1,
    archives: &[],
    top: "l2arctic_release_v5.0",
    layout,
};

/// Speaker, native language, sex.
const SPEAKERS: [(&str, &str, &str); 24] = [
    ("ABA", "Arabic", "m"),
    ("SKA", "Arabic", "f"),
    ("YBAA", "Arabic", "m"),
    ("ZHAA", "Arabic", "f"),
    ("BWC", "Mandarin", "m"),
    ("LXC", "Mandarin", "f"),
    ("NCC", "Mandarin", "f"),
    ("TXHC", "Mandarin", "m"),
    ("ASI", "Hindi", "m"),
    ("RRBI", "Hindi", "m"),
    ("SVBI", "Hindi", "f"),
    ("TNI", "Hindi", "f"),
    ("HJK", "Korean", "f"),
    ("HKK", "Korean", "m"),
    ("YDCK", "Korean", "f"),
    ("YKWK", "Korean", "m"),
    ("EBVS", "Spanish", "m"),
    ("ERMS", "Spanish", "m"),
    ("MBMPS", "Spanish", "f"),
    ("NJS", "Spanish", "f"),
    ("HQTV", "Vietnamese", "m"),
    ("PNV", "Vietnamese", "f"),
    ("THV", "Vietnamese", "f"),
    ("TLV", "Vietnamese", "m"),
];

const DEV: [&str; 6] = ["MBMPS", "THV", "SVBI", "NCC", "YDCK", "YBAA"];
const TEST: [&str; 6] = ["NJS", "TLV", "TNI", "TXHC", "YKWK", "ZHAA"];

/// A note names so many files.
const MAX_NAMES: usize = 5;

/// The sets while they are being filled.
#[derive(Default)]
struct Sets {
    by_name: BTreeMap<&'static str, Draft>,
    broken: BTreeMap<&'static str, Vec<String>>,
}

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = root_of(source, CORPUS.top);
    let mut sets = Sets::default();
    for name in folder_names(&root)? {
        // The archive of a speaker may have been unpacked in a folder of its name.
        let folder = root_of(&root.join(&name), &name);
        if folder.join("wav").is_dir() && folder.join("transcript").is_dir() {
            read_speaker(&folder, &name, &mut sets)?;
        }
    }
    for (name, broken) in sets.broken {
        let names = broken.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join("; ");
        let more = if broken.len() > MAX_NAMES { "; …" } else { "" };
        let note = format!("{} left out: {names}{more}", counted(broken.len(), "unreadable annotation"));
        match sets.by_name.get_mut(name) {
            Some(draft) => draft.notes.push(note),
            None => {
                return Err(PrepError::layout(&root, format!("nothing for {name}: {note}; unpack it again")));
            }
        }
    }
    if !sets.by_name.keys().any(|name| *name != UNANNOTATED) {
        let reason = "no speaker's folder with wav, transcript and annotation in it; pass the folder that \
                      holds ABA, SKA, …";
        return Err(PrepError::layout(&root, reason));
    }
    if let Some(draft) = sets.by_name.get_mut(UNANNOTATED) {
        let unknown = draft.items.iter().filter(|item| item.labels.phones.is_none()).count();
        if unknown > 0 {
            let note = "without canonical phones: no TextGrid, or one that has not every word";
            draft.notes.push(format!("{} {note}", counted(unknown, "utterance")));
        }
    }
    Ok(sets.by_name.into_values().collect())
}

const UNANNOTATED: &str = "train-unannotated";

/// Adds the utterances of one speaker.
///
/// # Errors
/// An annotation or a transcript without audio; an audio file without transcript.
fn read_speaker(folder: &Path, speaker: &str, sets: &mut Sets) -> Result<(), PrepError> {
    let (set, expected) = match speaker {
        _ if TEST.contains(&speaker) => ("test", Some(900)),
        _ if DEV.contains(&speaker) => ("dev", None),
        _ => ("train", Some(1_800)),
    };
    let annotations = grids(&folder.join("annotation"))?;
    let canonical = grids(&folder.join("textgrid"))?;
    let wav = folder.join("wav");
    let mut audio = audio_by_stem(&walk(&wav)?);
    for name in annotations.keys() {
        if !audio.contains_key(&wav.join(name)) {
            let reason = format!("annotates {name}, of which there is no audio; unpack {speaker} again");
            return Err(PrepError::layout(&folder.join("annotation"), reason));
        }
    }
    let about = SPEAKERS.iter().find(|(known, ..)| *known == speaker);
    while let Some((stem, file)) = audio.pop_first() {
        let Some(name) = stem.file_name().and_then(|name| name.to_str()) else { continue };
        let transcript = folder.join("transcript").join(format!("{name}.txt"));
        if !transcript.is_file() {
            let reason = format!("is missing beside the audio of {name}; unpack {speaker} again");
            return Err(PrepError::layout(&transcript, reason));
        }
        let text = normalise(&read_text(&transcript)?);
        let (set, expected, labels) = match (annotations.get(name), canonical.get(name)) {
            (Some(path), _) => match annotated(path, &text) {
                Ok(labels) => (set, expected, labels),
                Err(reason) => {
                    sets.broken.entry(set).or_default().push(format!("{}: {reason}", path.display()));
                    continue;
                }
            },
            // Annotated utterances only, for comparisons.
            (None, _) if set != "train" => continue,
            (None, grid) => (UNANNOTATED, None, dictionary(grid.map(PathBuf::as_path), &text)),
        };
        let mut item = Item {
            labels,
            ..Item::new(
                format!("{speaker}_{name}"),
                file,
                Some(text).filter(|text| !text.is_empty()),
                Some(speaker.to_owned()),
            )
        };
        if let Some(&(_, l1, sex)) = about {
            item.labels.add("l1", l1);
            item.labels.add("sex", sex);
        }
        let draft = sets.by_name.entry(set).or_insert_with(|| Draft { expected, ..Draft::new(set) });
        draft.items.push(item);
    }
    Ok(())
}

/// The labels of an utterance that nobody annotated: what should be said, where all of it is known.
fn dictionary(grid: Option<&Path>, text: &str) -> Labels {
    let labels = grid.and_then(|path| annotated(path, text).ok()).unwrap_or_default();
    let mut known = Labels::default();
    // A word that the dictionary did not have is one without phones.
    if let Some(word_phones) = labels.extra.get("word_phones") {
        known.phones = labels.phones;
        known.add("word_phones", word_phones.clone());
    }
    known
}

/// The TextGrids of a folder by name without extension; none where there is no such folder.
fn grids(folder: &Path) -> Result<BTreeMap<String, PathBuf>, PrepError> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let files = walk(folder)?;
    let grids = files.into_iter().filter(|file| file.name_ends_with(".textgrid"));
    let named = |SourceFile { path, .. }| Some((path.file_stem()?.to_str()?.to_owned(), path));
    Ok(grids.filter_map(named).collect())
}

/// The labels of an annotation.
///
/// # Errors
/// What is wrong with it.
fn annotated(path: &Path, text: &str) -> Result<Labels, String> {
    let grid = TextGrid::read(path)?;
    let tier = grid.tier("phones").ok_or("no tier called phones")?;
    let slots: Vec<Slot> = tier.iter().map(slot).collect::<Result<_, _>>()?;
    let mut labels = annotation::labels(&slots);
    if labels.phones.as_ref().is_none_or(Vec::is_empty) {
        return Err("no phone in it".into());
    }
    if let Some(word_phones) = grid.tier("words").and_then(|words| word_phones(words, &slots, text)) {
        labels.add("word_phones", word_phones);
    }
    Ok(labels)
}

fn slot(interval: &Interval) -> Result<Slot, String> {
    let parts: Vec<&str> = interval.label.split(',').collect();
    let (canonical, perceived) = match parts.as_slice() {
        [both] => (*both, *both),
        [canonical, perceived] | [canonical, perceived, _] => (*canonical, *perceived),
        _ => return Err(format!("`{}` has {} parts, not one or three", interval.label, parts.len())),
    };
    let heard = |label| Perceived::from_l2arctic(label).map_err(|error| error.to_string());
    let canonical = heard(canonical)?;
    if canonical == Perceived::Error {
        return Err(format!("`{}` is no phone that should be said", interval.label));
    }
    Ok(Slot {
        span_secs: Some((interval.start_secs, interval.end_secs)),
        ..Slot::new(canonical, heard(perceived)?)
    })
}

/// The number of canonical phones below each word; nothing where the words are not those of the text
/// or phones are in none.
fn word_phones(words: &[Interval], slots: &[Slot], text: &str) -> Option<Vec<usize>> {
    let words: Vec<&Interval> =
        words.iter().filter(|word| !matches!(word.label.trim(), "" | "sp" | "sil" | "SIL")).collect();
    if !words.iter().map(|word| normalise(&word.label)).eq(text.split(' ').map(str::to_owned)) {
        return None;
    }
    let mut counts = vec![0; words.len()];
    for slot in slots.iter().filter(|slot| slot.canonical != Perceived::Silence) {
        let (start, end) = slot.span_secs?;
        let middle = f64::midpoint(start, end);
        let word = words.partition_point(|word| word.end_secs <= middle);
        words.get(word).filter(|word| word.start_secs <= middle)?;
        counts[word] += 1;
    }
    counts.iter().all(|&count| count > 0).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start_secs: f64, end_secs: f64, label: &str) -> Interval {
        Interval { start_secs, end_secs, label: label.to_owned() }
    }

    #[test]
    fn labels_of_the_phone_tier() {
        let sides =
            |label: &str| slot(&interval(0.0, 1.0, label)).map(|slot| (slot.canonical, slot.perceived));
        let phone = |name| Perceived::Phone(auricle_text::Phone::parse(name).unwrap());
        assert_eq!(sides("AH0"), Ok((phone("AH"), phone("AH"))));
        assert_eq!(sides("DH, D*, s"), Ok((phone("DH"), phone("D"))));
        assert_eq!(sides("D,sil,d"), Ok((phone("D"), Perceived::Silence)));
        assert_eq!(sides("sil,AX,a"), Ok((Perceived::Silence, phone("AH"))));
        assert_eq!(sides("R,err,s"), Ok((phone("R"), Perceived::Error)));
        assert_eq!(sides("sp"), Ok((Perceived::Silence, Perceived::Silence)));
        for bad in ["DH,D,s,s", "QQ", "DH,QQ,s", "err,D,s", "err"] {
            assert!(sides(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn phones_are_counted_below_their_words() {
        let words = [
            interval(0.0, 0.1, ""),
            interval(0.1, 0.3, "THE"),
            interval(0.3, 0.5, "end"),
            interval(0.5, 0.6, "sp"),
        ];
        let slots: Vec<Slot> = [(0.1, 0.2, "DH"), (0.2, 0.3, "AH"), (0.3, 0.4, "sil,AH,a"), (0.4, 0.5, "N")]
            .iter()
            .map(|&(start, end, label)| slot(&interval(start, end, label)).unwrap())
            .collect();
        assert_eq!(word_phones(&words, &slots, "the end"), Some(vec![2, 1]));
        assert_eq!(word_phones(&words, &slots, "the one"), None, "other words");
        assert_eq!(word_phones(&words[..3], &slots[..2], "the end"), None, "a word without phones");
        let late = [slots.clone(), vec![slot(&interval(0.5, 0.6, "D")).unwrap()]].concat();
        assert_eq!(word_phones(&words, &late, "the end"), None, "a phone in no word");
    }
}
