//! Options and results of normalisation over a batch.

/// What [`batch_norm`](crate::ops::batch_norm) does around the normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormOptions {
    /// Whether a ReLU comes first.
    pub relu: bool,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Moments of the channels over the valid frames of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchMoments {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel, biased.
    pub variance: Vec<f32>,
}
