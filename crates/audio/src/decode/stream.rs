//! A recording block by block.

use std::path::Path;

use super::compressed::CompressedBlocks;
use super::detect::{self, Container, Unreadable};
use super::flac::FlacBlocks;
use super::info::AudioInfo;
use super::input::Input;
use super::limits::Limits;
use super::origin::Origin;
use super::tags;
use super::warning::{Warning, WarningKind};
use super::wav::{self, Opened, WavBlocks};
use crate::error::{AudioError, first_non_finite};
use crate::time::SAMPLE_RATES_HZ;

/// Where blocks of interleaved samples come from.
pub(super) enum Source {
    Wav(WavBlocks),
    Flac(Box<FlacBlocks>),
    Compressed(CompressedBlocks),
}

impl Source {
    fn open(input: Input, origin: &mut Origin) -> Result<Self, AudioError> {
        let input = tags::without_leading(input).map_err(origin.io("read"))?;
        let head = input.peek(0, detect::HEAD_BYTES).map_err(origin.io("read"))?;
        if head.is_empty() {
            return Err(AudioError::Empty { path: origin.path.clone(), detail: "0 bytes" });
        }
        let container = detect::detect(&head, head.len() as u64 == input.len()).map_err(|e| match e {
            Unreadable::Known(name) => AudioError::UnsupportedFormat { path: origin.path.clone(), name },
            Unreadable::Unknown(detail) => {
                AudioError::UnknownFormat { path: origin.path.clone(), detail: detail.to_owned() }
            }
        })?;
        Ok(match container {
            Container::Wav => match wav::open(input, origin)? {
                Opened::Plain(blocks) => Self::Wav(blocks),
                Opened::Compressed(blocks) => Self::Compressed(blocks),
            },
            Container::Flac => Self::Flac(Box::new(FlacBlocks::open(input, origin)?)),
            Container::Ogg | Container::Mp4 => {
                Self::Compressed(CompressedBlocks::open(container, input, false, origin)?)
            }
            Container::Mpeg(skip) | Container::Adts(skip) => {
                if skip > 0 {
                    origin.warn(WarningKind::SkippedBeforeSound { bytes: skip as u64 });
                }
                let input = input.part(skip as u64, input.len());
                Self::Compressed(CompressedBlocks::open(container, input, false, origin)?)
            }
        })
    }

    fn info(&self) -> &AudioInfo {
        match self {
            Self::Wav(blocks) => &blocks.info,
            Self::Flac(blocks) => &blocks.info,
            Self::Compressed(blocks) => &blocks.info,
        }
    }

    /// Replaces `interleaved` with the next block and gives its channels; `None` at the end of the file.
    /// `position_samples` is what was decoded so far, for messages and checks.
    fn next_block(
        &mut self,
        origin: &mut Origin,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<Option<usize>, AudioError> {
        match self {
            Self::Wav(blocks) => blocks.next_block(origin, position_samples, interleaved),
            Self::Flac(blocks) => blocks.next_block(origin, position_samples, interleaved),
            Self::Compressed(blocks) => blocks.next_block(origin, position_samples, interleaved),
        }
    }
}

/// A file being decoded: an iterator over blocks of mono samples. See [`super::stream()`].
pub struct AudioStream {
    origin: Origin,
    limits: Limits,
    info: AudioInfo,
    source: Source,
    position_samples: u64,
    interleaved: Vec<f32>,
    is_done: bool,
}

impl AudioStream {
    pub(super) fn open(input: Input, path: &Path, limits: &Limits) -> Result<Self, AudioError> {
        let mut origin = Origin::new(path.to_owned());
        let source = Source::open(input, &mut origin)?;
        let info = source.info().clone();
        let (limits, interleaved) = (limits.clone(), Vec::new());
        let stream = Self { origin, limits, info, source, position_samples: 0, interleaved, is_done: false };
        stream.check_header()?;
        Ok(stream)
    }

    /// What the header says.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// What a listener should know about this file. Complete when the last block has been taken.
    pub fn warnings(&self) -> &[Warning] {
        &self.origin.warnings
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.origin.warnings
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.origin.path
    }

    /// Leaves out the next `samples` without decoding them. False, with nothing left out, where the format
    /// cannot be entered in the middle without a trace in what follows (all but plain WAV), or where there
    /// are not that many.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn leave_out(&mut self, samples: u64) -> Result<bool, AudioError> {
        let Source::Wav(wav) = &mut self.source else { return Ok(false) };
        let skipped = wav.skip(&self.origin, self.position_samples, samples)?;
        self.position_samples += if skipped { samples } else { 0 };
        Ok(skipped)
    }

    fn check_header(&self) -> Result<(), AudioError> {
        let AudioInfo { sample_rate, channels, .. } = self.info;
        if channels == 0 {
            return Err(self.origin.bad_header("0 channels"));
        }
        let path = || self.origin.path.clone();
        if !SAMPLE_RATES_HZ.contains(&sample_rate) {
            return Err(AudioError::SampleRate { path: path(), sample_rate });
        }
        if channels > self.limits.max_channels {
            let limit = self.limits.max_channels;
            return Err(AudioError::TooManyChannels { path: path(), channels, limit });
        }
        // Only an exact length may refuse a file before it is decoded.
        self.check_duration(self.info.exact_num_samples().unwrap_or(0))
    }

    fn check_duration(&self, num_samples: u64) -> Result<(), AudioError> {
        let duration_secs = num_samples as f64 / f64::from(self.info.sample_rate);
        let limit_secs = self.limits.max_duration_secs;
        if duration_secs > limit_secs {
            let path = self.origin.path.clone();
            return Err(AudioError::TooLong { path, duration_secs, limit_secs });
        }
        Ok(())
    }

    fn next_mono(&mut self) -> Result<Option<Vec<f32>>, AudioError> {
        loop {
            let Self { source, origin, position_samples, interleaved, .. } = self;
            let Some(channels) = source.next_block(origin, *position_samples, interleaved)? else {
                if self.position_samples == 0 {
                    let path = self.origin.path.clone();
                    return Err(AudioError::Empty { path, detail: "a header and no samples" });
                }
                return Ok(None);
            };
            if self.interleaved.is_empty() {
                continue;
            }
            let mono = mono_from_interleaved(&self.interleaved, channels);
            if let Some(i) = first_non_finite(&mono) {
                let position_samples = self.position_samples + i as u64;
                return Err(AudioError::NonFinite { path: self.origin.path.clone(), position_samples });
            }
            self.position_samples += mono.len() as u64;
            self.check_duration(self.position_samples)?;
            return Ok(Some(mono));
        }
    }
}

impl Iterator for AudioStream {
    type Item = Result<Vec<f32>, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let block = self.next_mono().transpose();
        self.is_done = !matches!(block, Some(Ok(_)));
        block
    }
}

/// The mean over channels; an incomplete last sample group is dropped.
fn mono_from_interleaved(interleaved: &[f32], channels: usize) -> Vec<f32> {
    match channels {
        1 => interleaved.to_vec(),
        2 => interleaved.as_chunks::<2>().0.iter().map(|[l, r]| 0.5 * (l + r)).collect(),
        _ => {
            let scale = 1.0 / channels.max(1) as f32;
            let groups = interleaved.chunks_exact(channels.max(1));
            groups.map(|group| group.iter().sum::<f32>() * scale).collect()
        }
    }
}
