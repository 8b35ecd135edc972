//! What several commands share: the terminal and what is written to it, Ctrl-C, arguments.

#[macro_use]
pub mod out;

pub mod args;
pub mod hypotheses;
pub mod interrupt;
pub mod sequences;
pub mod terminal;
