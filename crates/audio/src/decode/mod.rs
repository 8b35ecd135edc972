//! Audio files to mono samples: format by content, limits, clear errors.
//!
//! | Format | Reader | Length trimmed exactly |
//! |---|---|---|
//! | WAV, RF64, BW64: 8/16/24/32-bit PCM, 32/64-bit float, A-law, µ-law | bulk conversion | yes |
//! | WAV: Microsoft and IMA ADPCM | symphonia | yes |
//! | FLAC | cut into frames here, symphonia's decoder, MD5 verified | yes |
//! | Ogg Vorbis, Ogg FLAC, also several one after the other | symphonia | yes |
//! | MP3 | symphonia | if the encoder wrote a LAME tag |
//! | AAC-LC or MP3 in MP4, AAC in ADTS | symphonia | no: the encoder's delay (typically 1024 or 2112 samples) remains |
//!
//! Extensions are ignored. Channels are averaged. Integer samples become `x / 2^(bits−1)`;
//! float samples outside [−1, 1] are kept as they are. Tags before and behind the sound (ID3, APE, Lyrics3) are
//! stepped over.
//!
//! # Damage
//! A file whose end is missing gives what is there and a [`Warning`]; so does one whose header is wrong about its
//! length. A hole in the middle is an error, because what comes after it would stand at the wrong time.
//!
//! # Pipes
//! What cannot be entered in the middle (a named pipe, standard input as `/dev/stdin`, `<(…)` of a shell) is read
//! into memory when it is first opened, up to 512 MiB for all pipes together, and kept as long as the program runs.

mod compressed;
mod detect;
mod flac;
mod guard;
mod info;
mod input;
mod limits;
mod mp4;
mod mpeg;
mod ogg;
mod origin;
mod pipe;
mod stream;
mod tags;
mod warning;
mod wav;

use std::path::Path;
use std::sync::Arc;

use crate::error::AudioError;
use crate::resample::{StreamingResampler, resampled_len};
use input::Input;

pub use info::{Audio, AudioInfo};
pub use limits::Limits;
pub use stream::AudioStream;
pub use warning::{Warning, WarningKind};
pub use wav::write_wav;

/// Reads the header of a file.
///
/// # Errors
/// As [`stream()`], for what the header can show.
pub fn probe(path: &Path) -> Result<AudioInfo, AudioError> {
    let no_limits =
        Limits { max_duration_secs: f64::INFINITY, max_channels: usize::MAX, max_bytes: u64::MAX };
    Ok(stream(path, &no_limits)?.info().clone())
}

/// Reads a whole file as mono at its own sampling rate.
///
/// # Errors
/// A missing, empty, unknown or damaged file, NaN or infinite samples, a broken limit.
pub fn read(path: &Path, limits: &Limits) -> Result<Audio, AudioError> {
    collect(stream(path, limits)?, None, limits)
}

/// Reads a whole file as mono, resampled to `sample_rate` (see [`mod@crate::resample`]).
///
/// # Errors
/// As [`read`]; a sampling rate that the resampler refuses; a file so short that nothing of it is left.
pub fn read_at(path: &Path, sample_rate: u32, limits: &Limits) -> Result<Audio, AudioError> {
    collect(stream(path, limits)?, Some(sample_rate), limits)
}

/// As [`read`], from memory: the bytes of a file, and the name it has in errors and warnings.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &Path, bytes: Vec<u8>, limits: &Limits) -> Result<Audio, AudioError> {
    collect(stream_bytes(name, bytes, limits)?, None, limits)
}

fn collect(mut stream: AudioStream, sample_rate: Option<u32>, limits: &Limits) -> Result<Audio, AudioError> {
    let own_rate = stream.info().sample_rate;
    let sample_rate = sample_rate.unwrap_or(own_rate);
    let mut resampler = StreamingResampler::new(own_rate, sample_rate)?;
    let mut budget = limits.budget();
    // The header is a hint only: a lying one must not reserve gigabytes.
    let hint = stream.info().exact_num_samples().unwrap_or(0).min(1 << 24) as usize;
    let mut samples = Vec::with_capacity(resampled_len(hint, own_rate, sample_rate));
    let mut heard = 0u64;
    while let Some(block) = stream.next().transpose()? {
        heard += block.len() as u64;
        let before = samples.len();
        resampler.push(&block, &mut samples);
        budget.charge_for::<f32>(samples.len() - before).map_err(|_| AudioError::TooLarge {
            path: stream.path().to_owned(),
            limit_bytes: limits.max_bytes,
        })?;
    }
    resampler.finish(&mut samples);
    if samples.is_empty() {
        return Err(AudioError::LessThanASample {
            path: stream.path().to_owned(),
            num_samples: heard,
            sample_rate: own_rate,
            wanted_rate: sample_rate,
        });
    }
    Ok(Audio { samples, sample_rate, warnings: stream.into_warnings() })
}

/// Opens a file for decoding block by block in bounded memory, as mono at its own sampling rate.
///
/// The blocks concatenated are what [`read`] returns. After an error the iterator ends.
///
/// # Errors
/// A missing, empty or unknown file, an unusable header, a limit that the header already breaks.
pub fn stream(path: &Path, limits: &Limits) -> Result<AudioStream, AudioError> {
    AudioStream::open(Input::open(path)?, path, limits)
}

/// As [`stream()`], from memory: the bytes of a file, and the name it has in errors and warnings.
///
/// # Errors
/// As [`stream()`].
pub fn stream_bytes(name: &Path, bytes: Vec<u8>, limits: &Limits) -> Result<AudioStream, AudioError> {
    AudioStream::open(Input::of_memory(Arc::new(bytes)), name, limits)
}
