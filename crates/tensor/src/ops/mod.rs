//! The operations of the models.
//!
//! Layout: sequences are `[B, T, C]`, the last dimension is contiguous and is what a kernel runs along.
//! Randomness is a pure function of a seed and an element's position (see [`Dropout`]), never a shared generator.
//!
//! # Panics
//! As in burn, operands whose shapes do not fit each other are a mistake of the caller and panic;
//! each function says what it expects. Values never panic: infinities, NaN, masked rows and empty
//! sequences all have a defined result.

mod activation;
mod attention;
mod batch_norm;
mod contrastive;
mod conv;
mod ctc;
mod dropout;
mod linear;
mod mmi;
mod norm;
mod optimizer;
mod softmax;

pub use crate::options::{
    AdamWStep, AttentionOptions, Conv1dOptions, Conv1dSizes, Dropout, Products, alibi_slope, with_products,
};
pub use crate::options::{BatchMoments, BatchNormOptions};
pub use crate::options::{DenGraph, LfMmiOptions, LfMmiScore, MmiArc, MmiGraphError, MmiState, NumGraph};
pub use crate::reference::ContrastiveOutput;
pub use activation::gelu;
pub use attention::attention;
pub use batch_norm::batch_norm;
pub use contrastive::contrastive_loss;
pub use conv::conv1d;
pub use ctc::ctc_loss;
pub use dropout::dropout;
pub use linear::{linear, linear_gelu};
pub use mmi::{LfMmiOutput, lf_mmi};
pub use norm::{add_layer_norm, layer_norm, rms_norm};
pub use optimizer::{adamw, adamw_ema, ema};
pub use softmax::{log_softmax, masked_softmax, softmax};
