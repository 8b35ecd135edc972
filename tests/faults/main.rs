//! Law 6: bad input is an answer, not a crash, and nothing is lost by it.

mod audio;
mod checkpoints;
mod recipes;
