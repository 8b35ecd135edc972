//! TIMIT: sentences read by 630 speakers of American English, with the phones that were said.
//!
//! * Source: <https://catalog.ldc.upenn.edu/LDC93S1>. J. Garofolo et al., "TIMIT Acoustic-Phonetic
//!   Continuous Speech Corpus", LDC93S1, 1993.
//! * Licence: that of the Linguistic Data Consortium.
//! * Layout: `TRAIN/` and `TEST/` with `DR1/FCJF0/SX37.WAV`, `.PHN`, `.TXT`, names in any case. `.WAV` may
//!   be NIST SPHERE, which becomes WAV in a folder `wav` beside the manifests, or RIFF; where both are
//!   there (`SX37.WAV.wav`), RIFF is taken.
//! * The sentences SA1 and SA2, which all speakers read, are left out.
//! * The 61 labels are brought to the 39 phones of the CMU dictionary, upper case: closures, pauses and
//!   `q` go, flaps are `DH`, and other than in Lee and Hon's 39 classes `AO` and `ZH` are kept.
//!
//! | Manifest | Speakers | Utterances |
//! |---|---|---|
//! | `train.jsonl` | all of `TRAIN` | 3,696 |
//! | `dev.jsonl` | 50 of `TEST`, those of the Kaldi recipe | 400 |
//! | `test.jsonl` | the 24 of the core test set | 192 |
//!
//! The other 94 speakers of `TEST` are left out. Speakers are native: `phones` and `perceived_phones` are
//! the same, that which was said. Further fields are `perceived_spans` (start and end of each phone in
//! seconds; a stop's is that of its release), `dialect` (`DR1` to `DR8`) and `sex`.

use crate::annotation::{self, Slot};
use crate::listing::{SourceFile, first_folder, folder_names, read_text, walk};
use crate::set::{Draft, Item, Labels, counted};
use crate::sphere::Sphere;
use crate::{About, Definition, Options, PrepError};
use auricle_data::readers::AUDIO_EXTENSIONS;
use auricle_text::{Perceived, normalise};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) static CORPUS: Definition = Definition {
    name: "timit",
    about: About {
        what: "read American English with time-aligned phones, 630 speakers (5 h)",
        licence: "LDC user agreement",
        source: "https://catalog.ldc.upenn.edu/LDC93S1",
    },
    version: 1,
    archives: &[],
    top: "",
    layout,
};

/// Samples a second, in which `.PHN` counts.
const SAMPLE_RATE: f64 = 16_000.0;

/// More phones are not one sentence.
const MAX_PHONES: usize = 10_000;

const CORE_TEST: &str = "MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 MBPM0 \
    MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0";

const DEV: &str = "FAKS0 FDAC1 FJEM0 MGWT0 MJAR0 MMDB1 MMDM2 MPDF0 FCMH0 FKMS0 MBDG0 MBWM0 MCSH0 FADG0 \
    FDMS0 FEDW0 MGJF0 MGLB0 MRTK0 MTAA0 MTDT0 MTHC0 MWJG0 FNMR0 FREW0 FSEM0 MBNS0 MMJR0 MDLS0 MDLF0 \
    MDVC0 MERS0 FMAH0 FDRW0 MRCS0 MRJM4 FCAL1 MMWH0 FJSJ0 MAJC0 MJSW0 MREB0 FGJD0 FJMG0 MROA0 MTEB0 \
    MJFC0 MRJR0 FMML0 MRWS1";

fn is_among(speakers: &str, speaker: &str) -> bool {
    speakers.split_whitespace().any(|known| known == speaker)
}

fn layout(source: &Path, _: &Options) -> Result<Vec<Draft>, PrepError> {
    let root = find_root(source)?;
    let mut drafts: Vec<Draft> = [("train", 3_696), ("dev", 400), ("test", 192)]
        .map(|(name, expected)| Draft { expected: Some(expected), ..Draft::new(name) })
        .into();
    let mut others = 0;
    for part in ["TRAIN", "TEST"] {
        let Some(folder) = subfolder(&root, part)? else { continue };
        for sentence in sentences(&folder)? {
            let set = match part {
                "TRAIN" => 0,
                _ if is_among(DEV, &sentence.speaker) => 1,
                _ if is_among(CORE_TEST, &sentence.speaker) => 2,
                _ => {
                    others += 1;
                    continue;
                }
            };
            drafts[set].items.push(sentence.item()?);
        }
    }
    if others > 0 {
        let note = format!("{} of other speakers of TEST left out", counted(others, "sentence"));
        drafts[2].notes.push(note);
    }
    drafts.retain(|draft| !draft.items.is_empty());
    if drafts.is_empty() {
        let reason = "no .PHN below TRAIN or TEST but those of SA1 and SA2; unpack the corpus again";
        return Err(PrepError::layout(&root, reason));
    }
    Ok(drafts)
}

/// The folder with TRAIN or TEST in it, at most two folders below the source.
fn find_root(source: &Path) -> Result<PathBuf, PrepError> {
    let mut folder = source.to_owned();
    for _ in 0..3 {
        if subfolder(&folder, "TRAIN")?.is_some() || subfolder(&folder, "TEST")?.is_some() {
            return Ok(folder);
        }
        match (subfolder(&folder, "TIMIT")?, subfolder(&folder, "DATA")?) {
            (Some(below), _) | (None, Some(below)) => folder = below,
            (None, None) => break,
        }
    }
    Err(PrepError::layout(source, "no folder TRAIN or TEST; pass the folder that holds them"))
}

fn subfolder(folder: &Path, name: &str) -> Result<Option<PathBuf>, PrepError> {
    let names = folder_names(folder)?;
    Ok(names.iter().find(|found| found.eq_ignore_ascii_case(name)).map(|found| folder.join(found)))
}

/// The files of one sentence.
struct Sentence {
    speaker: String,
    name: String,
    dialect: Option<String>,
    phones: PathBuf,
    text: Option<PathBuf>,
    audio: Vec<SourceFile>,
}

/// The sentences of TRAIN or TEST that have a `.PHN`, but for SA1 and SA2.
fn sentences(folder: &Path) -> Result<Vec<Sentence>, PrepError> {
    // By folder and name of the sentence, upper case.
    let mut grouped: BTreeMap<(PathBuf, String), Vec<SourceFile>> = BTreeMap::new();
    for file in walk(folder)? {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sentence = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
        let parent = file.path.parent().unwrap_or(folder).to_owned();
        if !matches!(sentence.as_str(), "SA1" | "SA2") {
            grouped.entry((parent, sentence)).or_default().push(file);
        }
    }
    let mut found = Vec::new();
    for ((parent, name), files) in grouped {
        let with_end = |end: &str| files.iter().find(|file| file.name_ends_with(end)).map(|f| f.path.clone());
        let Some(phones) = with_end(".phn") else { continue };
        let Some(speaker) = parent.file_name().and_then(|name| name.to_str()) else { continue };
        found.push(Sentence {
            speaker: speaker.to_ascii_uppercase(),
            name,
            dialect: first_folder(folder, &phones)
                .map(|name| name.to_ascii_uppercase())
                .filter(|name| name.starts_with("DR")),
            phones,
            text: with_end(".txt"),
            audio: files
                .iter()
                .filter(|file| {
                    let extension = file.path.extension().and_then(|extension| extension.to_str());
                    let extension = extension.unwrap_or_default().to_ascii_lowercase();
                    extension == "sph" || AUDIO_EXTENSIONS.contains(&extension.as_str())
                })
                .cloned()
                .collect(),
        });
    }
    Ok(found)
}

impl Sentence {
    fn item(self) -> Result<Item, PrepError> {
        let (mut chosen, mut refused) = (None, None);
        for file in &self.audio {
            match Sphere::open(file) {
                Ok(None) => {
                    chosen = Some((file, None));
                    break;
                }
                Ok(sphere) => chosen = chosen.or(Some((file, sphere))),
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        let (audio, sphere) = match (chosen, refused) {
            (Some(chosen), _) => chosen,
            (None, Some(e)) => return Err(e),
            (None, None) => {
                let reason = format!("no audio of {} {} beside it; copy it again", self.speaker, self.name);
                return Err(PrepError::layout(&self.phones, reason));
            }
        };
        let text = match &self.text {
            Some(path) => Some(sentence_text(&read_text(path)?)).filter(|text| !text.is_empty()),
            None => None,
        };
        let mut labels = labels(&self.phones, &read_text(&self.phones)?)?;
        if let Some(dialect) = self.dialect {
            labels.add("dialect", dialect);
        }
        if let Some(sex) = self.speaker.get(..1).filter(|sex| matches!(*sex, "F" | "M")) {
            labels.add("sex", sex.to_ascii_lowercase());
        }
        let id = format!("{}_{}", self.speaker, self.name);
        Ok(Item { labels, sphere, ..Item::new(id, audio.clone(), text, Some(self.speaker)) })
    }
}

/// The words of `0 46797 She had your dark suit.`
fn sentence_text(line: &str) -> String {
    normalise(line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace()))
}

/// The labels of a `.PHN`: lines `start end label`, in samples.
fn labels(path: &Path, content: &str) -> Result<Labels, PrepError> {
    let mut slots = Vec::new();
    let mut last = 0;
    for (index, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let shown: String = line.chars().take(40).collect();
        let failed = |reason: &str| {
            let reason = format!("line {} (`{shown}`): {reason}; copy the file again", index + 1);
            PrepError::layout(path, reason)
        };
        let mut parts = line.split_whitespace();
        let mut sample = || parts.next()?.parse::<u32>().ok();
        let (Some(start), Some(end)) = (sample(), sample()) else {
            return Err(failed("no start and end in samples"));
        };
        let label = parts.next().map(str::to_ascii_lowercase);
        let heard = match (label.as_deref().map(Perceived::from_timit), parts.next()) {
            // The glottal stop is none of the 39 phones: like silence, it is not written.
            (Some(Ok(heard)), None) => heard.unwrap_or(Perceived::Silence),
            (Some(Err(_)), None) => return Err(failed("the label is none of TIMIT's 61")),
            _ => return Err(failed("not `start end label`")),
        };
        if end < start || start < last {
            return Err(failed("the times are out of order"));
        }
        last = start;
        if slots.len() == MAX_PHONES {
            return Err(failed("too many phones for a sentence"));
        }
        let secs = |sample: u32| f64::from(sample) / SAMPLE_RATE;
        slots.push(Slot { span_secs: Some((secs(start), secs(end))), ..Slot::new(heard, heard) });
    }
    let labels = annotation::labels(&slots);
    if labels.phones.as_ref().is_none_or(Vec::is_empty) {
        return Err(PrepError::layout(path, "no phone in it; copy the file again"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_speakers_of_the_sets_differ() {
        let all: BTreeSet<_> = DEV.split_whitespace().chain(CORE_TEST.split_whitespace()).collect();
        assert_eq!((all.len(), CORE_TEST.split_whitespace().count()), (74, 24));
    }

    #[test]
    fn phone_files() {
        let path = Path::new("SX37.PHN");
        let found =
            labels(path, "0 1600 h#\n1600 3200 sh\r\n3200 4800 ix\n4800 5000 q\n\n5000 5100 tcl\n").unwrap();
        assert_eq!(found.phones.as_ref().unwrap(), &["SH", "IH"]);
        assert_eq!(found.phones, found.perceived_phones);
        assert_eq!(found.extra["perceived_spans"], serde_json::json!([[0.1, 0.2], [0.2, 0.3]]));
        for (content, message) in [
            ("0 100 zz\n", "line 1 (`0 100 zz`): the label"),
            ("0 100\n", "start end label"),
            ("0 100 sh sh\n", "start end label"),
            ("0 100 sh\n-1 200 ix", "line 2"),
            ("100 0 sh\n", "out of order"),
            ("0 100 sh\n50 60 ix\n20 30 s", "line 3"),
            ("0 100 h#\n", "no phone"),
            ("", "no phone"),
        ] {
            let error = labels(path, content).unwrap_err().to_string();
            assert!(error.contains(message), "{content}: {error}");
        }
        let long = labels(path, &"x".repeat(1 << 20)).unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
        assert!(
            labels(path, &"0 1 s\n".repeat(MAX_PHONES + 1)).unwrap_err().to_string().contains("too many")
        );
    }

    #[test]
    fn the_text_begins_after_the_samples() {
        assert_eq!(sentence_text("0 46797 She had your dark suit.\n"), "she had your dark suit");
    }
}
