//! Law 6: bad input is an answer, not a crash, and nothing is lost by it.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod audio;
mod capsule;
mod checkpoints;
mod recipes;
mod training;
