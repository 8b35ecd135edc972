//! What operations and kernels share: options, sizes, and the choice of products.
//!
//! They stand below both, so that kernels need not know the public operations. Users find them in [`ops`](crate::ops).

mod attention;
mod conv;
pub mod dropout;
mod optimizer;
mod products;

pub use attention::{AttentionOptions, AttentionSizes, alibi_slope};
pub use conv::{Conv1dOptions, Conv1dSizes};
pub use dropout::Dropout;
pub use optimizer::{AdamWScalars, AdamWStep};
pub use products::{Products, with_products};
