//! How much one session takes.

/// Longest recording of a session, in seconds.
pub const MAX_SECS: f64 = 120.0;
/// Most canonical phones of a prompt.
pub const MAX_PHONES: usize = 1024;
