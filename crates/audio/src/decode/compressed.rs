//! Everything that is not plain WAV, through symphonia.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::Duration;

use super::AudioInfo;
use crate::error::AudioError;

/// How far the number of samples in the header can be trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// The header is right or the file is damaged.
    Exact(u64),
    /// The header should know, does not: the end of the file is missing.
    Missing,
    /// An estimate, or nothing.
    Unknown,
}

pub(super) struct CompressedBlocks {
    pub(super) info: AudioInfo,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    length: Length,
    /// Where an MP3's tag says that the encoder's padding ends; 0 where the length is an estimate.
    mp3_padding_end: Option<u64>,
    is_flac: bool,
}

impl CompressedBlocks {
    /// `magic`: the first bytes of the file.
    pub(super) fn open(path: &Path, magic: &[u8]) -> Result<Self, AudioError> {
        let is_known = [&b"fLaC"[..], b"OggS", b"ID3"].iter().any(|m| magic.starts_with(m))
            || magic.get(4..8) == Some(b"ftyp");
        let file = File::open(path).map_err(|source| AudioError::Io {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        // No hint: the extension must not decide.
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|e| match e {
                SymphoniaError::IoError(e) if is_known && e.kind() == ErrorKind::UnexpectedEof => {
                    AudioError::Truncated {
                        path: path.to_owned(),
                        position_samples: 0,
                        expected_samples: None,
                        sample_rate: 0,
                    }
                }
                e => AudioError::UnknownFormat { path: path.to_owned(), detail: e.to_string() },
            })?;
        let container = format.format_info().short_name;

        let no_audio = || AudioError::UnsupportedCodec {
            path: path.to_owned(),
            detail: format!("no audio track that can be decoded in a {container} file"),
        };
        let track = format.default_track(TrackType::Audio).ok_or_else(no_audio)?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(no_audio());
        };
        let bad_header =
            |detail: &str| AudioError::BadHeader { path: path.to_owned(), detail: detail.to_owned() };
        let decoder = symphonia::default::get_codecs()
            // FLAC carries an MD5 of its samples, so that silent damage can be noticed.
            .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
            .map_err(|e| AudioError::UnsupportedCodec { path: path.to_owned(), detail: e.to_string() })?;
        let codec = decoder.codec_info().short_name;
        let sample_rate = params.sample_rate.ok_or_else(|| bad_header("no sampling rate"))?;
        let channels = params.channels.as_ref().map_or(0, |c| c.count());
        let info = AudioInfo { sample_rate, channels, num_samples: track.num_frames, codec };
        let length = match (container, track.num_frames) {
            ("flac" | "wave", Some(n)) => Length::Exact(n),
            // The Ogg reader finds the length on the page that is marked as the last one.
            ("ogg", Some(n)) => Length::Exact(n),
            ("ogg", None) => Length::Missing,
            // A LAME tag counts samples, other MP3 lengths are estimates.
            (_, Some(n)) if codec == "mp3" && track.delay.is_some() => Length::Exact(n),
            _ => Length::Unknown,
        };
        let mp3_padding_end = matches!(codec, "mp1" | "mp2" | "mp3").then(|| match length {
            Length::Exact(n) => n + u64::from(track.padding.unwrap_or(0)),
            Length::Missing | Length::Unknown => 0,
        });
        let track_id = track.id;
        Ok(Self { info, format, decoder, track_id, length, mp3_padding_end, is_flac: codec == "flac" })
    }

    pub(super) fn next_block(
        &mut self,
        path: &Path,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<bool, AudioError> {
        interleaved.clear();
        let sample_rate = self.info.sample_rate;
        let truncated = || AudioError::Truncated {
            path: path.to_owned(),
            position_samples,
            expected_samples: match self.length {
                Length::Exact(n) => Some(n),
                Length::Missing | Length::Unknown => None,
            },
            sample_rate,
        };
        let corrupt = |detail: String| AudioError::Corrupt {
            path: path.to_owned(),
            position_samples,
            sample_rate,
            detail,
        };
        let failed = |e| match e {
            SymphoniaError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => truncated(),
            SymphoniaError::IoError(source) => {
                AudioError::Io { action: "read", path: path.to_owned(), source }
            }
            SymphoniaError::ResetRequired => corrupt("the stream changes its format".to_owned()),
            other => corrupt(other.to_string()),
        };

        let Some(mut packet) = self.format.next_packet().map_err(failed)? else {
            return match self.length {
                Length::Missing => Err(truncated()),
                Length::Exact(n) if position_samples < n => Err(truncated()),
                _ if self.decoder.finalize().verify_ok == Some(false) => {
                    Err(corrupt("the samples do not match the checksum in the header".to_owned()))
                }
                _ => Ok(false),
            };
        };
        if packet.track_id != self.track_id {
            return Ok(true);
        }
        // FLAC frames are numbered: after damage the reader skips to the next good one.
        if self.is_flac && packet.pts.get() != position_samples as i64 {
            return Err(corrupt(format!(
                "the next frame that can be read starts at sample {}",
                packet.pts.get()
            )));
        }
        // What comes after the padding is more audio (of files that were joined, or more than an
        // estimate); the reader would have it cut.
        if self.mp3_padding_end.is_some_and(|end| packet.pts.get() >= end as i64) {
            packet.trim_end = Duration::ZERO;
        }
        let decoded = self.decoder.decode(&packet).map_err(failed)?;
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if decoded.frames() > 0 && (rate, channels) != (sample_rate, self.info.channels) {
            let Self { info, .. } = self;
            let detail = format!(
                "the stream changes from {} channels at {sample_rate} Hz to {channels} at {rate} Hz",
                info.channels
            );
            return Err(corrupt(detail));
        }
        decoded.copy_to_vec_interleaved(interleaved);
        Ok(true)
    }
}
