//! What operations and kernels share: options, sizes, and the choice of products.
//!
//! They stand below both, so that kernels need not know the public operations. Users find them in [`ops`](crate::ops).

mod attention;
mod batch_norm;
mod conv;
pub mod dropout;
mod mmi;
mod optimizer;
mod products;

pub use attention::{AttentionOptions, AttentionSizes, alibi_slope};
pub use batch_norm::{BatchMoments, BatchNormOptions};
pub use conv::{Conv1dOptions, Conv1dSizes};
pub use dropout::Dropout;
pub(crate) use mmi::Arcs;
pub use mmi::{DenGraph, LfMmiOptions, LfMmiScore, MmiArc, MmiGraphError, MmiState, NumGraph};
pub use optimizer::{AdamWScalars, AdamWStep};
pub use products::{Products, with_products};
