//! Kaldi-compatible log-mel filter banks and MFCC, offline and streaming.
//!
//! The numbers are those of Kaldi's `compute-fbank-feats` and `compute-mfcc-feats`
//! (feature-window.cc, feature-fbank.cc, feature-mfcc.cc, mel-computations.cc), checked against the
//! `kaldi-native-fbank` package.
//!
//! # Differences from Kaldi
//! - Samples are in [−1, 1]; [`FrameConfig::input_scale`] brings them to Kaldi's 16-bit range.
//! - Dither is off unless a random stream is given, and is drawn from that stream.
//! - There is no vocal tract length normalisation.

mod analysis;
mod config;
mod energy;
mod frames;
mod heads;
mod streaming;

use std::sync::Arc;

use auricle_rng::Stream;

use crate::error::AudioError;
use crate::features::Features;
use analysis::Analysis;
use frames::Framing;
use heads::Head;

pub use config::{FbankConfig, FrameConfig, MelBankConfig, MfccConfig, WindowKind};
pub use streaming::{StreamingFbank, StreamingKaldi};

/// Kaldi's log-mel filter-bank features. Immutable: one instance serves all threads.
#[derive(Clone)]
pub struct Fbank(Arc<Analysis>);

impl Fbank {
    /// Plans transforms and filters.
    ///
    /// # Errors
    /// A value out of its domain.
    pub fn new(config: &FbankConfig) -> Result<Self, AudioError> {
        config.validate()?;
        let (framing, head) = (Framing::new(&config.frame), Head::fbank(config)?);
        Ok(Self(Arc::new(Analysis { framing, head })))
    }

    /// Values per frame: the filters, and the energy if asked for.
    pub fn num_features(&self) -> usize {
        self.0.head.num_features()
    }

    /// Features [frames, values] of samples `[S]`. A signal shorter than a window has no frames under `snip_edges`.
    ///
    /// # Errors
    /// NaN or infinite samples.
    pub fn compute(&self, samples: &[f32], dither: Option<&mut Stream>) -> Result<Features, AudioError> {
        self.0.compute(samples, dither)
    }

    /// The same features for a signal that arrives in pieces.
    pub fn streaming(&self) -> StreamingFbank {
        StreamingKaldi::new(Arc::clone(&self.0))
    }
}

/// Kaldi's mel-frequency cepstral coefficients. Immutable: one instance serves all threads.
#[derive(Clone)]
pub struct Mfcc(Arc<Analysis>);

impl Mfcc {
    /// Plans transforms, filters and the cosine transform.
    ///
    /// # Errors
    /// A value out of its domain.
    pub fn new(config: &MfccConfig) -> Result<Self, AudioError> {
        config.validate()?;
        let (framing, head) = (Framing::new(&config.frame), Head::mfcc(config)?);
        Ok(Self(Arc::new(Analysis { framing, head })))
    }

    /// Values per frame.
    pub fn num_features(&self) -> usize {
        self.0.head.num_features()
    }

    /// Features [frames, coefficients] of samples `[S]`.
    ///
    /// # Errors
    /// NaN or infinite samples.
    pub fn compute(&self, samples: &[f32], dither: Option<&mut Stream>) -> Result<Features, AudioError> {
        self.0.compute(samples, dither)
    }

    /// The same features for a signal that arrives in pieces.
    pub fn streaming(&self) -> StreamingKaldi {
        StreamingKaldi::new(Arc::clone(&self.0))
    }
}
