//! Preparation of public corpora, one file a corpus.
//!
//! A corpus in its official layout becomes one [manifest](auricle_data::Manifest) per set:
//!
//! | Corpus | Manifests |
//! |---|---|
//! | [`librispeech`] | one per subset folder: `train-clean-100.jsonl`, `dev-other.jsonl`, … |
//! | [`mini_librispeech`] | `train.jsonl`, `dev.jsonl` |
//! | [`ljspeech`] | `all.jsonl` |
//! | [`musan`] | `noise.jsonl`, `music.jsonl`, `speech.jsonl` |
//! | [`rirs`] | `rirs.jsonl` |
//! | [`asterisk`] | `all.jsonl` |
//! | [`tree`] | `all.jsonl` |
//! | [`speechocean762`] | `train.jsonl`, `dev.jsonl`, `test.jsonl` |
//! | [`l2arctic`] | `train.jsonl`, `dev.jsonl`, `test.jsonl`, `train-unannotated.jsonl` |
//! | [`timit`] | `train.jsonl`, `dev.jsonl`, `test.jsonl` |
//! | [`slurp`] | `train.jsonl`, `devel.jsonl`, `test.jsonl`, `train-synthetic.jsonl`, each with `…-text.jsonl`; `lm-text.jsonl` |
//! | [`stop`] | `train.jsonl`, `eval.jsonl`, `test.jsonl`, each with `…-text.jsonl` |
//! | [`fsc`] | `train.jsonl`, `valid.jsonl`, `test.jsonl`, each with `…-text.jsonl` |
//! | [`snips`] | `train-text.jsonl`, `valid-text.jsonl`, `test-text.jsonl` |
//! | [`hwu64`] | `train-text.jsonl`, `test-text.jsonl` |
//! | [`picovoice_coffee`] | `train.jsonl`, `dev.jsonl`, `heldout.jsonl`, `grammar-text.jsonl` |
//!
//! Those from `slurp` on say what is meant, in the field `meaning` ([`auricle_text::slu`]). What ends in
//! `-text.jsonl` is a [text manifest](auricle_data::Sentence), without audio.
//!
//! `speechocean762`, `l2arctic` and `timit` say which phones should be said and which were, in the 39 phones of the CMU
//! dictionary, upper case and without stress, as the built-in corpus has them; a sound that is no phone
//! is `err`.
//!
//! ```no_run
//! use auricle_data_prep::{Corpus, Options};
//!
//! let options = Options {
//!     source: "corpora/LibriSpeech".into(),
//!     out: "data/mini_librispeech".into(),
//!     ..Options::default()
//! };
//! for set in Corpus::from_name("mini-librispeech")?.prepare(&options, &mut |line| eprintln!("{line}"))? {
//!     println!("{}: {} utterances", set.manifest.display(), set.utterances);
//! }
//! # Ok::<(), auricle_data_prep::PrepError>(())
//! ```
//!
//! # What a preparation leaves behind
//! * The manifests. Audio below their folder is written relative to it, so that the folder can move;
//!   other audio by its absolute path, so that they can be used from any working directory.
//! * `prepare.json`: the corpus, and per set the digests of the manifest and of all that it was made
//!   from (ids, audio paths and sizes, transcripts, speakers). A set for which both still hold is
//!   left alone. An audio file replaced by another of the same size is not noticed.
//! * Where a corpus is in NIST SPHERE: a folder `wav` with its audio. Files that are there and have the
//!   right size are left alone.
//! * While durations are being looked up, `durations.partial.jsonl`: a preparation that was stopped
//!   goes on from there. It is removed at the end.
//!
//! Durations come from the headers where these have them, in whole microseconds. What only decoding
//! can show, such as a FLAC file that was cut short, is left to `auricle data check`.

mod annotation;
pub mod asterisk;
mod delimited;
mod download;
mod durations;
mod error;
pub mod fsc;
pub mod hwu64;
mod kaldi;
pub mod l2arctic;
pub mod librispeech;
mod listing;
pub mod ljspeech;
mod meant;
pub mod mini_librispeech;
pub mod musan;
pub mod picovoice_coffee;
mod prepare;
mod record;
pub mod rirs;
mod set;
pub mod slurp;
pub mod snips;
pub mod speechocean762;
mod sphere;
mod sphere_to_wav;
pub mod stop;
mod textgrid;
pub mod timit;
pub mod tree;

use std::path::{Path, PathBuf};

pub use error::PrepError;

/// What this crate knows of one corpus.
#[derive(Debug)]
struct Definition {
    name: &'static str,
    about: About,
    /// Raised when the same source would now give other manifests.
    version: u32,
    /// What `download` fetches; empty where there is no one official place.
    archives: &'static [download::Archive],
    /// The folder that the archives hold everything in.
    top: &'static str,
    /// Lists the sets of a corpus folder, without looking into the audio.
    layout: fn(&Path, &Options) -> Result<Vec<set::Draft>, PrepError>,
}

static ALL: [Corpus; 16] = [
    Corpus(&librispeech::CORPUS),
    Corpus(&mini_librispeech::CORPUS),
    Corpus(&ljspeech::CORPUS),
    Corpus(&musan::CORPUS),
    Corpus(&rirs::CORPUS),
    Corpus(&asterisk::CORPUS),
    Corpus(&tree::CORPUS),
    Corpus(&speechocean762::CORPUS),
    Corpus(&l2arctic::CORPUS),
    Corpus(&timit::CORPUS),
    Corpus(&slurp::CORPUS),
    Corpus(&stop::CORPUS),
    Corpus(&fsc::CORPUS),
    Corpus(&snips::CORPUS),
    Corpus(&hwu64::CORPUS),
    Corpus(&picovoice_coffee::CORPUS),
];

/// A corpus that can be prepared.
#[derive(Debug, Clone, Copy)]
pub struct Corpus(&'static Definition);

/// What a corpus is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// One line on the content.
    pub what: &'static str,
    /// Under which terms it is published.
    pub licence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// What to prepare, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The corpus folder in its official layout, or the folder that it was unpacked in.
    pub source: PathBuf,
    /// Folder for the manifests; made if need be.
    pub out: PathBuf,
    /// Fetch what `source` does not hold yet.
    pub download: bool,
    /// Slots and values, such as `coffeeDrink` and `mocha`: utterances with one of them go into a set of
    /// their own. Only [`picovoice_coffee`] takes them.
    pub hold_out: Vec<(String, String)>,
    /// How many sentences are made of a grammar; `None` takes the corpus' default. Only
    /// [`picovoice_coffee`] has one.
    pub sentences: Option<usize>,
}

/// A manifest that is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedSet {
    /// The manifest, below [`Options::out`].
    pub manifest: PathBuf,
    /// Its number of utterances, or of sentences without audio.
    pub utterances: usize,
    /// Their duration in all; 0 without audio.
    pub hours: f64,
    /// Whether it is a manifest of audio, not of text.
    pub has_audio: bool,
}

impl Corpus {
    /// The corpus of a name such as `mini-librispeech` (or `mini_librispeech`).
    ///
    /// # Errors
    /// An unknown name.
    pub fn from_name(name: &str) -> Result<Self, PrepError> {
        let wanted = name.to_lowercase().replace('_', "-");
        Self::all().iter().find(|corpus| corpus.name() == wanted).copied().ok_or_else(|| {
            let known = Self::all().iter().map(Self::name).collect::<Vec<_>>().join(", ");
            PrepError::UnknownCorpus { name: name.to_owned(), known }
        })
    }

    /// All corpora.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The corpus' name on the command line.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Content, licence and source.
    pub fn about(&self) -> About {
        self.0.about
    }

    /// Writes the manifests of every set that the source holds, and returns them.
    ///
    /// `report` gets lines of text: progress, and from "note: …" on what is unusual but no error,
    /// such as a set with fewer utterances than the official one.
    ///
    /// Sets that were prepared earlier and have not changed are not touched; a preparation that was
    /// stopped goes on where it was.
    ///
    /// # Errors
    /// A source without the corpus' layout, transcripts without audio, audio that cannot be used
    /// (all such files are counted, the first is described), a download that fails, and what the
    /// file system says. The manifests of finished sets stay.
    pub fn prepare(
        &self,
        options: &Options,
        report: &mut dyn FnMut(&str),
    ) -> Result<Vec<PreparedSet>, PrepError> {
        prepare::prepare(self.0, options, report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpora_are_found_by_name_and_an_unknown_one_is_answered_with_the_names() {
        for corpus in Corpus::all() {
            assert_eq!(Corpus::from_name(corpus.name()).unwrap().name(), corpus.name());
        }
        assert_eq!(Corpus::from_name("Mini_LibriSpeech").unwrap().name(), "mini-librispeech");
        let message = Corpus::from_name("libri").unwrap_err().to_string();
        assert!(message.contains("`libri`") && message.contains("mini-librispeech"), "{message}");
    }
}
