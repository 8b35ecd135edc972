//! Audio files to mono samples: format by content, limits, clear errors.
//!
//! | Format | Reader | Length trimmed exactly |
//! |---|---|---|
//! | WAV: 8/16/24/32-bit PCM, 32-bit float | hound header + bulk conversion | yes |
//! | WAV: A-law, µ-law, ADPCM, 64-bit float | symphonia | yes |
//! | FLAC | symphonia, MD5 verified | yes |
//! | Ogg Vorbis | symphonia | yes |
//! | MP3 | symphonia | if the encoder wrote a LAME tag |
//! | AAC-LC in M4A or ADTS | symphonia | no: the encoder's delay (typically 1024 or 2112 samples) remains |
//!
//! Extensions are ignored. Channels are averaged. Integer samples become `x / 2^(bits−1)`;
//! float samples outside [−1, 1] are kept as they are.

mod compressed;
mod wav;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{AudioError, first_non_finite};
use crate::resample::StreamingResampler;

pub use wav::write_wav;

/// Mono audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Samples, nominally in [−1, 1].
    pub samples: Vec<f32>,
    /// Sampling rate in Hz.
    pub sample_rate: u32,
}

impl Audio {
    /// Duration in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate.max(1))
    }
}

/// Bounds on what is read, against damaged or hostile files.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest file in seconds. Default: 4 hours.
    pub max_duration_secs: f64,
    /// Most channels. Default: 32.
    pub max_channels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_duration_secs: 4.0 * 3600.0, max_channels: 32 }
    }
}

impl Limits {
    /// No limit on the duration, for streaming; the other limits are the defaults.
    pub fn unlimited_duration() -> Self {
        Self { max_duration_secs: f64::INFINITY, ..Self::default() }
    }
}

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioInfo {
    /// Sampling rate in Hz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: usize,
    /// Samples per channel, where the header says so.
    /// Exact for WAV, FLAC and Ogg Vorbis, an estimate for MP3 and AAC.
    pub num_samples: Option<u64>,
    /// Short name of the codec ("pcm_s16", "flac", "vorbis", …).
    pub codec: &'static str,
}

impl AudioInfo {
    /// Samples per channel, where the header can be relied on. An MP3's length is that of its first
    /// part where several were joined, an AAC's is rounded to packets: decode these to know.
    pub fn exact_num_samples(&self) -> Option<u64> {
        self.num_samples.filter(|_| !matches!(self.codec, "mp1" | "mp2" | "mp3" | "aac"))
    }

    /// Duration in seconds, where the header says so.
    pub fn duration_secs(&self) -> Option<f64> {
        self.num_samples.map(|n| n as f64 / f64::from(self.sample_rate.max(1)))
    }
}

/// Reads the header of a file.
///
/// # Errors
/// As [`stream`], for what the header can show.
pub fn probe(path: &Path) -> Result<AudioInfo, AudioError> {
    let no_limits = Limits { max_duration_secs: f64::INFINITY, max_channels: usize::MAX };
    Ok(stream(path, &no_limits)?.info)
}

/// Reads a whole file as mono at its own sampling rate.
///
/// # Errors
/// A missing, empty, unknown, truncated or damaged file, NaN or infinite samples, a broken limit.
pub fn read(path: &Path, limits: &Limits) -> Result<Audio, AudioError> {
    stream(path, limits)?.collect_all()
}

/// Reads a whole file as mono, resampled to `sample_rate` (see [`mod@crate::resample`]).
///
/// # Errors
/// As [`read`]; a sampling rate of 0.
pub fn read_at(path: &Path, sample_rate: u32, limits: &Limits) -> Result<Audio, AudioError> {
    let stream = stream(path, limits)?;
    if stream.info.sample_rate == sample_rate {
        return stream.collect_all();
    }
    let mut resampler = StreamingResampler::new(stream.info.sample_rate, sample_rate)?;
    let mut samples = Vec::new();
    for block in stream {
        resampler.push(&block?, &mut samples);
    }
    resampler.finish(&mut samples);
    Ok(Audio { samples, sample_rate })
}

/// Opens a file for decoding block by block in bounded memory, as mono at its own sampling rate.
///
/// The blocks concatenated are what [`read`] returns. After an error the iterator ends.
///
/// # Errors
/// A missing, empty or unknown file, an unusable header, a limit that the header already breaks.
pub fn stream(path: &Path, limits: &Limits) -> Result<AudioStream, AudioError> {
    let io = |action, source| AudioError::Io { action, path: path.to_owned(), source };
    let mut magic = Vec::with_capacity(12);
    let file = File::open(path).map_err(|e| io("open", e))?;
    if file.metadata().map_err(|e| io("open", e))?.is_dir() {
        return Err(io("open", std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    file.take(12).read_to_end(&mut magic).map_err(|e| io("read", e))?;
    if magic.is_empty() {
        return Err(AudioError::Empty { path: path.to_owned(), detail: "0 bytes" });
    }

    let is_wav = magic.starts_with(b"RIFF") && magic.ends_with(b"WAVE");
    let wav = if is_wav { wav::WavBlocks::open(path)? } else { None };
    let source = match wav {
        Some(wav) => Source::Wav(wav),
        None => Source::Compressed(compressed::CompressedBlocks::open(path, &magic)?),
    };
    let info = source.info().clone();
    let stream = AudioStream {
        path: path.to_owned(),
        limits: limits.clone(),
        info,
        source,
        position_samples: 0,
        interleaved: Vec::new(),
        is_done: false,
    };
    stream.check_header()?;
    Ok(stream)
}

/// Where blocks of interleaved samples come from.
enum Source {
    Wav(wav::WavBlocks),
    Compressed(compressed::CompressedBlocks),
}

impl Source {
    fn info(&self) -> &AudioInfo {
        match self {
            Self::Wav(blocks) => &blocks.info,
            Self::Compressed(blocks) => &blocks.info,
        }
    }

    /// Replaces `interleaved` with the next block; `false` at the regular end of the file.
    /// `position_samples` is what was decoded so far, for error messages and checks.
    fn next_block(
        &mut self,
        path: &Path,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<bool, AudioError> {
        match self {
            Self::Wav(blocks) => blocks.next_block(path, position_samples, interleaved),
            Self::Compressed(blocks) => blocks.next_block(path, position_samples, interleaved),
        }
    }
}

/// A file being decoded: an iterator over blocks of mono samples. See [`stream`].
pub struct AudioStream {
    path: PathBuf,
    limits: Limits,
    info: AudioInfo,
    source: Source,
    position_samples: u64,
    interleaved: Vec<f32>,
    is_done: bool,
}

impl AudioStream {
    /// What the header says.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Leaves out the next `samples` without decoding them. False, with nothing left out, where the format
    /// cannot be entered in the middle without a trace in what follows (all but plain WAV), or where there
    /// are not that many.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn leave_out(&mut self, samples: u64) -> Result<bool, AudioError> {
        let Source::Wav(wav) = &mut self.source else { return Ok(false) };
        let skipped = wav.skip(&self.path, self.position_samples, samples)?;
        self.position_samples += if skipped { samples } else { 0 };
        Ok(skipped)
    }

    fn collect_all(self) -> Result<Audio, AudioError> {
        let sample_rate = self.info.sample_rate;
        // The header is a hint only: a lying one must not reserve gigabytes.
        let hint = self.info.num_samples.unwrap_or(0).min(1 << 24) as usize;
        let mut samples = Vec::with_capacity(hint);
        for block in self {
            samples.extend_from_slice(&block?);
        }
        Ok(Audio { samples, sample_rate })
    }

    fn check_header(&self) -> Result<(), AudioError> {
        let AudioInfo { sample_rate, channels, .. } = self.info;
        let path = || self.path.clone();
        if sample_rate == 0 || channels == 0 {
            let detail = format!("{channels} channels at {sample_rate} Hz");
            return Err(AudioError::BadHeader { path: path(), detail });
        }
        if channels > self.limits.max_channels {
            let limit = self.limits.max_channels;
            return Err(AudioError::TooManyChannels { path: path(), channels, limit });
        }
        // Only an exact length may refuse a file before it is decoded.
        if matches!(self.source, Source::Wav(_)) || matches!(self.info.codec, "flac" | "vorbis") {
            self.check_duration(self.info.num_samples.unwrap_or(0))?;
        }
        Ok(())
    }

    fn check_duration(&self, num_samples: u64) -> Result<(), AudioError> {
        let duration_secs = num_samples as f64 / f64::from(self.info.sample_rate);
        let limit_secs = self.limits.max_duration_secs;
        if duration_secs > limit_secs {
            return Err(AudioError::TooLong { path: self.path.clone(), duration_secs, limit_secs });
        }
        Ok(())
    }

    fn next_mono(&mut self) -> Result<Option<Vec<f32>>, AudioError> {
        loop {
            let Self { source, path, position_samples, interleaved, .. } = self;
            if !source.next_block(path, *position_samples, interleaved)? {
                if self.position_samples == 0 {
                    let path = self.path.clone();
                    return Err(AudioError::Empty { path, detail: "a header and no samples" });
                }
                return Ok(None);
            }
            if self.interleaved.is_empty() {
                continue;
            }
            let mono = mono_from_interleaved(&self.interleaved, self.info.channels);
            if let Some(i) = first_non_finite(&mono) {
                let position_samples = self.position_samples + i as u64;
                return Err(AudioError::NonFinite { path: self.path.clone(), position_samples });
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
            let scale = 1.0 / channels as f32;
            interleaved.chunks_exact(channels).map(|group| group.iter().sum::<f32>() * scale).collect()
        }
    }
}
