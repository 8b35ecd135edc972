//! The log-mel front end of SPIRAL (arXiv 2201.10207), offline and streaming.
//!
//! Peak normalisation → dither (training) → pre-emphasis → short-time power spectrum with a
//! symmetric Hann window centred in the frame and reflected edges → Slaney mel filters →
//! `ln(m + 2⁻²⁴)` → normalisation of every mel bin over the utterance.

mod config;
mod front_end;
mod numerics;
mod streaming;

pub use config::{FeatureNorm, MelConfig, PeakNorm};
pub use front_end::{MelFrontEnd, frames_from_samples};
pub use streaming::StreamingMel;
