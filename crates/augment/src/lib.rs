//! Perturbations of waveforms and spectrograms.
//!
//! Pure functions of (input, random stream): what is drawn depends on the key that the caller
//! gives, never on what was drawn before for another utterance.
//!
//! | on features, `ndarray` views with the axes [frames, bins] | on samples, slices |
//! |---|---|
//! | [`time_spans`], [`frequency_bands`], [`spec_augment`], [`PositionShift`] | [`add_noise`], [`speed`], [`volume`], [`reverb`], [`low_pass`], [`SilenceConfig`], and the chain of them: [`ChannelConfig`] |

mod channel;
mod error;
mod noise;
mod shift;
mod silence;
mod spec;
mod wave;

pub use channel::{ChannelConfig, Libraries, LowPassConfig, ReverbConfig, VolumeConfig};
pub use error::AugmentError;
pub use noise::{NoiseConfig, NoiseError, NoiseSource, add_noise, mix_at_snr};
pub use shift::PositionShift;
pub use silence::SilenceConfig;
pub use spec::{
    SpanMask, SpecAugmentConfig, frequency_band_count, frequency_bands, spec_augment, time_spans,
};
pub use wave::{low_pass, reverb, speed, volume};
