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
mod products;
mod softmax;

pub use activation::gelu;
pub use attention::{AttentionOptions, alibi_slope, attention};
pub use batch_norm::{BatchMoments, BatchNormOptions, batch_norm};
pub(crate) use batch_norm::{host, valid_frames};
pub use contrastive::{ContrastiveOutput, contrastive_loss};
pub use conv::{Conv1dOptions, Conv1dSizes, conv1d};
pub use ctc::ctc_loss;
pub(crate) use dropout::{
    BLOCK as DROPOUT_BLOCK, LANE as DROPOUT_LANE, MIX as DROPOUT_MIX, bits as dropout_bits,
    block_key as dropout_key,
};
pub use dropout::{Dropout, dropout};
pub use linear::{linear, linear_gelu};
pub(crate) use mmi::Arcs;
pub use mmi::{
    DenGraph, LfMmiOptions, LfMmiOutput, LfMmiScore, MmiArc, MmiGraphError, MmiState, NumGraph, lf_mmi,
};
pub use norm::{add_layer_norm, layer_norm, rms_norm};
pub use optimizer::{AdamWStep, adamw, adamw_ema, ema};
pub use products::{Products, with_products};
pub use softmax::{log_softmax, masked_softmax, softmax};
