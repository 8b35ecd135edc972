//! What several commands share: the terminal, Ctrl-C, arguments.

pub mod args;
pub mod hypotheses;
pub mod interrupt;
pub mod sequences;
pub mod terminal;
