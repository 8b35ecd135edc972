//! How much a file may ask for.

use auricle_io::Budget;

/// Bounds on what is read, against damaged or hostile files. They hold while decoding: a small file that expands
/// to hours is refused when it passes the limit, not when all of it is in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest file in seconds. Default: 4 hours.
    pub max_duration_secs: f64,
    /// Most channels. Default: 32.
    pub max_channels: usize,
    /// Most memory for the samples of a recording that is read as a whole, in bytes. Default: 1 GiB, which is
    /// 4.6 hours at 16 kHz. Reading block by block needs no such memory and has no such limit.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_duration_secs: 4.0 * 3600.0, max_channels: 32, max_bytes: 1 << 30 }
    }
}

impl Limits {
    /// No limit on the duration, for streaming; the other limits are the defaults.
    pub fn unlimited_duration() -> Self {
        Self { max_duration_secs: f64::INFINITY, ..Self::default() }
    }

    pub(super) fn budget(&self) -> Budget {
        Budget::new("the samples of a recording", self.max_bytes)
    }
}
