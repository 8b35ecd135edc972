//! Phone recognition trained by LF-MMI (Povey et al. 2016; Hadian et al. 2018 for training from a flat start).
//!
//! A factored time-delay network gives scores of phones every 30 ms. Training compares, for whole utterances, the
//! transcript's pronunciations with everything that a phone language model allows; there are no alignments to begin with.
//! A lexicon and a language model of words make words of the scores.

mod batch;
mod config;
mod masks;
mod model;
mod phones;
mod probe;
mod recogniser;
mod task;

pub use batch::{MmiBatch, MmiPrepare};
pub use config::{MmiAugment, MmiConfig};
pub use masks::MaskConfig;
pub use model::MmiModel;
pub use phones::{Pronunciations, Said, System};
pub use recogniser::MmiRecogniser;
pub use task::MmiTask;
