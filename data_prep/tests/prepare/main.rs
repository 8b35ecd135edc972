//! Preparations of small corpora, from the layout to the manifests.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod corpora;
mod mutations;
mod phones;
mod repeat;
mod slu;
