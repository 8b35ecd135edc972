//! Latent synthesis (LaSyn, arXiv 2310.05374): text becomes pseudo-acoustic latents of a trained speech
//! model, on which the upper part of the model is trained as on real speech.
//!
//! A trained recogniser is cut at a layer: the lower part turns speech into latents and stays as it is. Where
//! the phones of a transcript stand in the latents is found by [alignment](align); from that comes a
//! [bank](Bank) of real latents. A [`Synthesizer`] turns a text into latents that look like those of speech;
//! the [task](LasynTask) trains the upper part on both.
//!
//! # What is the paper's
//! Of the paper the abstract was known to us, and a review's beginning; the rest was remembered, more or less surely, or is
//! our own. No number of ours is the paper's.
//!
//! | Part | Where from |
//! |---|---|
//! | latents of a pre-trained speech model are synthesised from text and added to real speech; by a fixed projection or a diffusion model; SLU gains by other textual tasks | abstract, review |
//! | lower part frozen ([`SplitRecogniser`]); the upper part as a frozen guiding net; training in three stages: recogniser, synthesizer, both kinds of latents; `guide` loss | remembered, fairly surely |
//! | encoder and attention decoder above the cut; text brought to the rate of speech; which tasks ([`TextTask`]) | remembered, not surely |
//! | where it is cut; [alignment](align) from a flat start; [`Bank`]; phone statistics, exemplars by unit selection (whole phones, not warped in time), prototypes; lengths ([`Durations`], [`DurationPredictor`]); sizes and samplers of [`NetworkConfig`]; flow matching; `matching` and `moments` losses; mixing by seconds, masks and noise on latents; late steps on speech alone; triggered decoders and their search; [`compare()`] | our own |
//!
//! Masks and noise on latents are the same for both kinds; what a recipe does to waveforms and features (`[augment]`) can
//! only be done to real speech.
//!
//! Training is behind the feature `train`, which is on by default; a [`SequenceRecogniser`] does without the trainer.

pub mod align;
mod bank;
#[cfg(feature = "train")]
mod batch;
mod cached;
#[cfg(feature = "train")]
mod compare;
mod config;
mod durations;
mod error;
mod frames;
mod judge;
mod make_bank;
mod model;
pub mod network;
#[cfg(feature = "train")]
mod perturb;
mod places;
mod pool;
pub mod prototypes;
mod recogniser;
mod split;
#[cfg(feature = "train")]
mod synthesis;
mod synthesizer;
#[cfg(feature = "train")]
mod task;
mod text_tasks;
mod trained;
mod triggered;
pub mod units;

pub use bank::{Bank, BankInfo, Exemplar};
#[cfg(feature = "train")]
pub use batch::{LasynBatch, LasynPrepare};
pub use cached::CachedSynthesizer;
#[cfg(feature = "train")]
pub use compare::{Comparison, compare};
pub use config::{LasynConfig, Target};
pub use durations::DurationPredictor;
pub use error::LasynError;
pub use judge::{read_latents, read_sentences};
pub use make_bank::{BankOptions, make_bank, pair_with_latents};
pub use model::{LasynModel, Upper};
pub use network::{Lengths, Method, NetworkConfig, SynthesizerNetwork};
pub use pool::{Sentence, TextPool};
pub use recogniser::SequenceRecogniser;
pub use split::SplitRecogniser;
#[cfg(feature = "train")]
pub use synthesis::{SynthesisBatch, SynthesisConfig, SynthesisPrepare, SynthesisTask};
pub use synthesizer::{Durations, FixedProjection, Projection, Synthesizer};
#[cfg(feature = "train")]
pub use task::LasynTask;
pub use text_tasks::{TasksConfig, TextTask};
pub use trained::{Scale, TrainedSynthesizer};
pub use triggered::TriggeredSearch;
