//! Tests of the whole program and across crates: one module a subject.

mod browser;
mod cli;
mod devices;
mod examples;
mod faults;
mod golden_data;
mod golden_spiral;
mod lasyn;
mod laws;
mod mdd;
mod models;
mod npu_spiral;
mod official_layouts;
mod output;
mod recipes;
mod resume;
mod self_training;
mod serve;
mod serve_limits;
mod streaming;
mod training;
mod understanding;
