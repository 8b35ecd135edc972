//! Corpora as manifests: readers, the doctor, batch plans and the loader.
//!
//! | Module | What |
//! |---|---|
//! | [`Utterance`], [`Manifest`] | one JSONL file per set, sorted by id, with a byte-offset index |
//! | [`Sentence`] | text without audio, for language models and synthesis |
//! | [`readers`] | NeMo, Kaldi, lhotse, tables and plain folders, all to utterances; what is recognised by what |
//! | [`doctor`] | what is wrong with a corpus, and how to mend it |
//! | [`plan()`] | which utterances share a batch |
//! | [`load_ordered`] | threads that work ahead of the training loop, in order and with back-pressure |
//! | [`builtin`] | a small synthetic corpus inside the program |

pub mod builtin;
pub mod doctor;
mod error;
mod json;
mod list;
mod loader;
mod manifest;
mod plan;
mod probe;
pub mod readers;
mod sentence;
mod utterance;

pub use error::DataError;
pub use list::{BrokenLine, Reading};
pub use loader::{LoaderError, MAX_WORKERS, load_ordered};
pub use manifest::Manifest;
pub use plan::{Batch, BatchConfig, BatchConfigError, BatchPlan, plan};
pub use probe::say as say_audio_warnings;
pub use readers::{read_all, read_any, read_leniently, read_lists, read_noting};
pub use sentence::Sentence;
pub use utterance::{Utterance, UtteranceError};
