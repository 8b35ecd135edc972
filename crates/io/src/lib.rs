//! What every reader and writer of files shares.
//!
//! - [`Budget`]: how much memory foreign bytes may ask for, charged before anything is allocated.
//! - [`open`], [`Lines`]: text as people save it: gzip or not, with or without a byte order mark, lines that end
//!   in `\n` or `\r\n`, none of them longer than a limit.
//! - [`atomic_write`], [`AtomicFile`]: a file that is either the old or the new one, never a part.
//! - [`TemporaryFile`]: intermediate results on disk that no end of the process leaves behind.
//! - [`warn()`]: what a user should know though it is no error.
//!
//! The crate knows no format and no model.

mod atomic;
mod budget;
mod temporary;
mod text;
mod warn;

pub use atomic::{AtomicFile, atomic_write, atomic_write_with, remove_unfinished};
pub use budget::{Budget, OverBudget};
pub use temporary::TemporaryFile;
pub use text::{Lines, TextError, open, read_to_string, strip_mark};
pub use warn::{on_warning, warn};
