//! What symphonia reads: Ogg, MP3, AAC, MP4, and the codecs in WAV files that are not plain samples.

use std::io::{ErrorKind, Read as _};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::units::Duration;
use symphonia::default::formats::{AdtsReader, IsoMp4Reader, MpaReader, OggReader, WavReader};

use super::detect::Container;
use super::guard::{Panicked, guarded};
use super::info::AudioInfo;
use super::input::Input;
use super::origin::Origin;
use super::warning::WarningKind;
use super::{mp4, mpeg, ogg, tags};
use crate::error::AudioError;

/// Samples by which the number of frames that an MP3 counts may be off: some encoders count the tag itself.
const MP3_SLACK: u64 = 2 * 1152;

/// How far the number of samples in the header can be trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// The header is right or the file is damaged.
    Exact(u64),
    /// An encoder has counted frames, not samples.
    Counted(u64),
    /// The header should know, does not: the end of the file is missing.
    Missing,
    /// An estimate, or nothing.
    Unknown,
}

impl Length {
    fn samples(self) -> Option<u64> {
        match self {
            Self::Exact(n) | Self::Counted(n) => Some(n),
            Self::Missing | Self::Unknown => None,
        }
    }
}

pub(super) struct CompressedBlocks {
    pub(super) info: AudioInfo,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    length: Length,
    /// Where an MP3's tag says that the encoder's padding ends; 0 where the length is an estimate.
    mp3_padding_end: Option<u64>,
    channels: usize,
    /// The first block, where it was decoded to learn what the header does not say.
    first_block: Option<Vec<f32>>,
    /// An Ogg file can hold several recordings one after the other.
    is_chained: bool,
}

impl CompressedBlocks {
    /// `is_cut`: the end is known to be missing.
    pub(super) fn open(
        container: Container,
        input: Input,
        mut is_cut: bool,
        origin: &mut Origin,
    ) -> Result<Self, AudioError> {
        let input = tags::without_trailing(input).map_err(origin.io("read"))?;
        let mut pages = None;
        let input = match container {
            Container::Ogg => pages.insert(check_pages(&input, origin)?).mended(input),
            Container::Mp4 => {
                let (input, has_no_end) = mp4::with_last_size(input).map_err(origin.io("read"))?;
                is_cut = has_no_end;
                input
            }
            _ => input,
        };
        is_cut |= pages.as_ref().is_some_and(|pages| pages.is_cut);
        let head = input.peek(0, 4096).map_err(origin.io("read"))?;
        let format = open_format(container, input.clone(), origin)?;
        let track = format.default_track(TrackType::Audio);
        let Some((track, decoder)) = track.and_then(|track| Some((track, make_decoder(track)?))) else {
            let detail = match container {
                Container::Mp4 => mp4::codec_name(&input).map_err(origin.io("read"))?,
                _ => "no audio track that can be decoded".to_owned(),
            };
            return Err(origin.unsupported_codec(detail));
        };
        let params = decoder.codec_params();
        let codec = decoder.codec_info().short_name;
        let sample_rate = params.sample_rate.ok_or_else(|| origin.bad_header("no sampling rate"))?;
        let channels = params.channels.as_ref().map_or(0, |c| c.count());
        // The decoder would pass over the hole without a word.
        if let Some(granule) = pages.as_ref().and_then(|pages| pages.damage) {
            let detail = "a page of the file is damaged or missing here".to_owned();
            return Err(origin.corrupt(granule, sample_rate, detail));
        }
        let is_chained = pages.as_ref().is_some_and(|p| p.num_links > 1);
        let length = match (container, track.num_frames) {
            _ if is_cut => Length::Missing,
            (Container::Wav | Container::Ogg, Some(n)) => Length::Exact(n),
            // A LAME tag counts samples, the tags without it frames; other lengths are estimates.
            (Container::Mpeg(_), Some(n)) if track.delay.is_some() => Length::Exact(n),
            (Container::Mpeg(_), Some(n)) if mpeg::counted_frames(&head).is_some() => Length::Counted(n),
            _ => Length::Unknown,
        };
        let mp3_padding_end = matches!(container, Container::Mpeg(_)).then(|| match length {
            Length::Exact(n) => n.saturating_add(u64::from(track.padding.unwrap_or(0))),
            _ => 0,
        });
        // An MP3's length is that of its first part where several were joined.
        let is_exact = matches!((container, length), (Container::Wav | Container::Ogg, Length::Exact(_)));
        let num_samples = track.num_frames.filter(|_| !is_chained);
        let info = AudioInfo { sample_rate, channels, num_samples, is_exact: is_exact && !is_chained, codec };
        let track_id = track.id;
        let mut blocks = Self {
            info,
            format,
            decoder,
            track_id,
            length: if is_chained && !is_cut { Length::Unknown } else { length },
            mp3_padding_end,
            channels,
            first_block: None,
            is_chained,
        };
        if channels == 0 {
            blocks.learn_channels(origin)?;
        }
        Ok(blocks)
    }

    /// Takes the number of channels from the first frame: MP3 in MP4 has it nowhere else.
    fn learn_channels(&mut self, origin: &mut Origin) -> Result<(), AudioError> {
        let mut block = Vec::new();
        while block.is_empty() && self.next_block(origin, 0, &mut block)?.is_some() {}
        self.info.channels = self.channels;
        self.first_block = Some(block);
        Ok(())
    }

    pub(super) fn next_block(
        &mut self,
        origin: &mut Origin,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<Option<usize>, AudioError> {
        interleaved.clear();
        if let Some(block) = self.first_block.take() {
            *interleaved = block;
            return Ok(Some(self.channels));
        }
        let sample_rate = self.info.sample_rate;
        let next = guarded(|| self.format.next_packet());
        let mut packet = match next.map_err(|_| self.broken(origin, position_samples))? {
            Ok(Some(packet)) => packet,
            Ok(None) => return self.finish(origin, position_samples),
            Err(SymphoniaError::ResetRequired) if self.is_chained => {
                self.next_link(origin, position_samples)?;
                return Ok(Some(self.channels));
            }
            Err(SymphoniaError::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                origin.cut(position_samples, self.length.samples(), sample_rate)?;
                return Ok(None);
            }
            Err(e) => return Err(self.failed(origin, position_samples, e)),
        };
        if packet.track_id != self.track_id {
            return Ok(Some(self.channels));
        }
        // What comes after the padding is more audio (of files that were joined, or more than an estimate); the reader
        // would have it cut.
        if self.mp3_padding_end.is_some_and(|end| packet.pts.get() >= end as i64) {
            packet.trim_end = Duration::ZERO;
        }
        let decoded = guarded(|| self.decoder.decode(&packet));
        let Ok(decoded) = decoded else { return Err(self.broken(origin, position_samples)) };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(e) => {
                // Damage in the last packet is a missing end; before others it is a hole.
                let next = guarded(|| self.format.next_packet());
                if matches!(next, Ok(Ok(Some(_)) | Err(SymphoniaError::ResetRequired))) {
                    return Err(self.failed(origin, position_samples, e));
                }
                origin.cut(position_samples, self.length.samples(), sample_rate)?;
                return Ok(None);
            }
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if self.channels == 0 && decoded.frames() > 0 {
            self.channels = channels;
        }
        if decoded.frames() > 0 && (rate, channels) != (sample_rate, self.channels) {
            let detail = format!(
                "the stream changes from {} channels at {sample_rate} Hz to {channels} at {rate} Hz",
                self.channels
            );
            return Err(origin.corrupt(position_samples, sample_rate, detail));
        }
        decoded.copy_to_vec_interleaved(interleaved);
        Ok(Some(self.channels))
    }

    /// What was decoded against what the header says, at the end of the file.
    fn finish(&mut self, origin: &mut Origin, position_samples: u64) -> Result<Option<usize>, AudioError> {
        let sample_rate = self.info.sample_rate;
        let (least, most) = match self.length {
            Length::Exact(n) => (n, n),
            Length::Counted(n) => (n.saturating_sub(MP3_SLACK), n.saturating_add(MP3_SLACK)),
            Length::Missing => (u64::MAX, u64::MAX),
            Length::Unknown => (0, u64::MAX),
        };
        if position_samples < least {
            origin.cut(position_samples, self.length.samples(), sample_rate)?;
        } else if let Some(expected_samples) = self.length.samples().filter(|_| position_samples > most) {
            origin.warn(WarningKind::LongerThanHeader { position_samples, expected_samples, sample_rate });
        }
        Ok(None)
    }

    /// Goes on with the next recording of a chained Ogg file.
    fn next_link(&mut self, origin: &Origin, position_samples: u64) -> Result<(), AudioError> {
        let sample_rate = self.info.sample_rate;
        let corrupt = |detail: String| origin.corrupt(position_samples, sample_rate, detail);
        let track = self.format.default_track(TrackType::Audio);
        let (track, decoder) =
            track.and_then(|track| Some((track.id, make_decoder(track)?))).ok_or_else(|| {
                corrupt("the next of its recordings has no track that can be decoded".to_owned())
            })?;
        let rate = decoder.codec_params().sample_rate.unwrap_or(0);
        if rate != sample_rate {
            return Err(corrupt(format!(
                "it holds recordings at {sample_rate} Hz and at {rate} Hz; split it"
            )));
        }
        self.channels = decoder.codec_params().channels.as_ref().map_or(0, |c| c.count());
        (self.track_id, self.decoder) = (track, decoder);
        Ok(())
    }

    fn broken(&self, origin: &Origin, position_samples: u64) -> AudioError {
        origin.corrupt(position_samples, self.info.sample_rate, Panicked::DETAIL.to_owned())
    }

    fn failed(&self, origin: &Origin, position_samples: u64, error: SymphoniaError) -> AudioError {
        match error {
            SymphoniaError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => {
                origin.io("read")(source)
            }
            SymphoniaError::ResetRequired => {
                let detail = "the stream changes its format".to_owned();
                origin.corrupt(position_samples, self.info.sample_rate, detail)
            }
            other => origin.corrupt(position_samples, self.info.sample_rate, other.to_string()),
        }
    }
}

fn open_format(
    container: Container,
    input: Input,
    origin: &Origin,
) -> Result<Box<dyn FormatReader>, AudioError> {
    let mut stream = MediaSourceStream::new(Box::new(input), Default::default());
    let options = FormatOptions::default();
    let opened = guarded(|| -> Result<Box<dyn FormatReader>, SymphoniaError> {
        Ok(match container {
            Container::Wav | Container::Flac => Box::new(WavReader::try_new(stream, options)?),
            Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
            Container::Mp4 => {
                // This reader wants to begin where `ftyp` stands and goes back by itself.
                stream.read_exact(&mut [0; 4])?;
                Box::new(IsoMp4Reader::try_new(stream, options)?)
            }
            Container::Mpeg(_) => Box::new(MpaReader::try_new(stream, options)?),
            Container::Adts(_) => Box::new(AdtsReader::try_new(stream, options)?),
        })
    });
    let opened = opened.map_err(|_| origin.bad_header(Panicked::DETAIL))?;
    opened.map_err(|e| match e {
        SymphoniaError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => origin.truncated(None, 0),
        SymphoniaError::IoError(e) => origin.io("read")(e),
        SymphoniaError::Unsupported("isomp4: missing moov atom") => origin.bad_header(
            "its index (`moov`) is missing, without which nothing in it can be found: the recording was not finished, \
             or the end of the file is missing; fetch it again",
        ),
        SymphoniaError::Unsupported(detail) => origin.unsupported_codec(detail),
        e => origin.bad_header(e.to_string()),
    })
}

fn make_decoder(track: &Track) -> Option<Box<dyn AudioDecoder>> {
    let Some(CodecParameters::Audio(params)) = &track.codec_params else { return None };
    let options = AudioDecoderOptions::default();
    guarded(|| symphonia::default::get_codecs().make_audio_decoder(params, &options)).ok()?.ok()
}

/// Refuses what cannot be decoded, by name.
fn check_pages(input: &Input, origin: &Origin) -> Result<ogg::Pages, AudioError> {
    let pages = ogg::scan(input.clone()).map_err(origin.io("read"))?;
    if pages.num_links == 0 {
        return Err(origin.truncated(None, 0));
    }
    if !pages.codecs.iter().any(|codec| ogg::DECODABLE.contains(codec)) {
        return Err(origin.unsupported_codec(format!("{} in an Ogg file", pages.codecs.join(" and "))));
    }
    Ok(pages)
}
