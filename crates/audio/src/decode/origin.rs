//! The file that is being decoded: its name for errors, and what is to be said about it.

use std::io;
use std::path::PathBuf;

use super::warning::{Warning, WarningKind};
use crate::error::AudioError;

pub(super) struct Origin {
    pub(super) path: PathBuf,
    pub(super) warnings: Vec<Warning>,
}

impl Origin {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, warnings: Vec::new() }
    }

    pub(super) fn warn(&mut self, kind: WarningKind) {
        self.warnings.push(Warning { path: self.path.clone(), kind });
    }

    /// The end is missing: a warning, or an error where nothing comes before it.
    pub(super) fn cut(
        &mut self,
        position_samples: u64,
        expected_samples: Option<u64>,
        sample_rate: u32,
    ) -> Result<(), AudioError> {
        if position_samples == 0 {
            return Err(self.truncated(expected_samples, sample_rate));
        }
        self.warn(WarningKind::Truncated { position_samples, expected_samples, sample_rate });
        Ok(())
    }

    pub(super) fn io(&self, action: &'static str) -> impl Fn(io::Error) -> AudioError + use<> {
        let path = self.path.clone();
        move |source| AudioError::Io { action, path: path.clone(), source }
    }

    pub(super) fn truncated(&self, expected_samples: Option<u64>, sample_rate: u32) -> AudioError {
        AudioError::Truncated { path: self.path.clone(), position_samples: 0, expected_samples, sample_rate }
    }

    pub(super) fn corrupt(&self, position_samples: u64, sample_rate: u32, detail: String) -> AudioError {
        AudioError::Corrupt { path: self.path.clone(), position_samples, sample_rate, detail }
    }

    pub(super) fn bad_header(&self, detail: impl Into<String>) -> AudioError {
        AudioError::BadHeader { path: self.path.clone(), detail: detail.into() }
    }

    pub(super) fn unsupported_codec(&self, detail: impl Into<String>) -> AudioError {
        AudioError::UnsupportedCodec { path: self.path.clone(), detail: detail.into() }
    }
}
