//! Streaming mispronunciation detection and diagnosis (CCA-MDD, arXiv 2111.08191).
//!
//! A learner reads a prompt. An incremental encoder hears frames of 40 ms with a look-ahead of 60 ms;
//! each frame attends to the canonical phones of the prompt, and by the same scores each phone collects
//! the frames that belong to it ([`CoupledAttention`]). A CTC decoder writes down what was said while
//! the learner speaks; a phone predictor and a state classifier judge every canonical phone.
//!
//! Training is behind the feature `train`, which is on by default; an [`Assessor`] does without the trainer.

pub mod analysis;
mod assessor;
#[cfg(feature = "train")]
mod batch;
mod coca;
mod config;
mod confusions;
pub mod evaluation;
mod exposure;
mod gop;
pub mod inventory;
mod level;
mod limits;
mod live;
#[cfg(feature = "train")]
mod losses;
#[cfg(feature = "train")]
mod mining;
mod model;
mod near_words;
mod scored;
mod session;
mod slots;
mod stream;
mod target;
#[cfg(feature = "train")]
mod task;

pub use assessor::Assessor;
#[cfg(feature = "train")]
pub use batch::{MddBatch, MddPrepare};
pub use coca::{Coupled, CoupledAttention};
pub use config::{
    CcaMddConfig, CocaConfig, ExposureConfig, FrameWeights, LossConfig, StackConfig, streaming_front_end,
};
pub use confusions::Confusions;
pub use gop::{Evidence, Gop};
pub use level::Notice;
pub use limits::{MAX_PHONES, MAX_SECS};
pub use live::Live;
pub use model::{CcaMddModel, Judged, Output};
pub use near_words::{NearWords, word_spans};
pub use scored::{Scored, ScoredPhone, ScoredWord};
pub use session::{Heard, PhoneVerdict, Session, SessionError};
pub use slots::{LabelError, Labels, MISPRONOUNCED_BELOW, Slot, said_for_each};
pub use stream::{Event, PartialPhone, PartialWord, Streaming};
pub use target::{Reading, Target, TargetError};
#[cfg(feature = "train")]
pub use task::CcaMddTask;
