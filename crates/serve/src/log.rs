//! Lines for who runs the server.

use std::io::Write as _;

/// Writes a line to the error stream. Where that is full or gone the line is lost, and the server goes on:
/// `eprintln!` would end the thread.
pub fn line(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
