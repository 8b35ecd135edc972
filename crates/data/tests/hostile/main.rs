//! Lists made to break a reader: damaged in every place, or small and asking for gigabytes.
#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod bombs;
mod memory;
mod mutations;
