//! Layers of the speech models: convolution modules, Transformer blocks, heads, EMA.
//!
//! # Nomenclature
//!
//! `B` batch, `T` input frames, `T'` encoder frames, `F` mel bins, `C` channels, `D` model width,
//! `H` heads, `V` vocabulary. Tensors are channels-last, `[B, T, C]`, everywhere.
//!
//! A layer never decides how arithmetic is done: it calls [`auricle_tensor::ops`].
//! A layer never draws random numbers by itself either: dropout and layer drop come from the
//! [`Context`] that the caller passes, so a training step is a pure function of its key.

pub mod config;
mod context;
mod conv;
mod decoder;
mod ema;
mod encoder;
mod heads;
mod init;
mod linear;
mod mask;
mod norm;
pub mod params;
mod positional;
pub mod pytorch;
pub mod stored;
pub mod streaming;
mod tdnnf;
mod transformer;
pub mod weights;

pub use config::ConfigError;
pub use context::Context;
pub use conv::{Conv1d, Conv1dConfig, ConvModule, ConvModuleConfig};
pub use decoder::{AttentionDecoder, DecoderConfig, smoothed_cross_entropy};
pub use ema::{MomentumSchedule, ema_update, warm_momentum};
pub use encoder::{ConvTransformerEncoder, EncoderConfig, StageConfig};
pub use heads::{CharacterHead, CtcHead, CtcHeadConfig, SubwordHead};
pub use init::{Init, Initializer};
pub use linear::Linear;
pub use mask::zero_beyond;
pub use norm::{BatchNorm, BatchStats, LayerNorm};
pub use positional::{PositionalConv, PositionalConvConfig};
pub use stored::StoredError;
pub use tdnnf::{
    FrameNorm, Moments, SUBSAMPLING, Tdnnf, TdnnfConfig, TdnnfHead, TdnnfLayer, semi_orthogonal_step,
};
pub use transformer::{NormScheme, TransformerBlock, TransformerConfig, TransformerLayer};
