//! FLAC: our own cutting into frames, symphonia's decoder.

mod frames;

use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::FlacDecoder;

use super::guard::{Panicked, guarded};
use super::info::AudioInfo;
use super::input::Input;
use super::origin::Origin;
use super::tags;
use super::warning::WarningKind;
use crate::error::AudioError;
use frames::{Frames, Step, end_by_last_frame};

pub(super) struct FlacBlocks {
    pub(super) info: AudioInfo,
    frames: Frames,
    decoder: FlacDecoder,
}

impl FlacBlocks {
    pub(super) fn open(input: Input, origin: &mut Origin) -> Result<Self, AudioError> {
        let input = tags::without_trailing(input).map_err(origin.io("read"))?;
        let opened = Frames::open(input.clone()).map_err(origin.io("read"))?;
        let Some((stream_info, frames)) = opened else {
            return Err(origin.truncated(None, 0));
        };
        if let Some(detail) = frames.contradiction(&stream_info) {
            return Err(origin.bad_header(detail));
        }
        let first_sample = frames.first_sample();
        if frames.skipped_bytes() > 0 && first_sample > 0 {
            let detail = format!("the first frame that can be read starts at sample {first_sample}");
            return Err(origin.corrupt(0, stream_info.sample_rate, detail));
        }
        if frames.skipped_bytes() > 0 {
            origin.warn(WarningKind::SkippedBeforeSound { bytes: frames.skipped_bytes() });
        }
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_FLAC).with_extra_data(stream_info.for_decoder);
        // FLAC carries an MD5 of its samples, so that silent damage can be noticed.
        let decoder = FlacDecoder::try_new(&params, &AudioDecoderOptions::default().verify(true))
            .map_err(|e| origin.bad_header(e.to_string()))?;
        let num_samples = stream_info.total_samples;
        let end = end_by_last_frame(&input, &frames).map_err(origin.io("read"))?;
        let info = AudioInfo {
            sample_rate: stream_info.sample_rate,
            channels: stream_info.channels,
            num_samples,
            is_exact: num_samples.is_some() && end == num_samples && first_sample == 0,
            codec: "flac",
        };
        Ok(Self { info, frames, decoder })
    }

    pub(super) fn next_block(
        &mut self,
        origin: &mut Origin,
        position_samples: u64,
        interleaved: &mut Vec<f32>,
    ) -> Result<Option<usize>, AudioError> {
        interleaved.clear();
        let sample_rate = self.info.sample_rate;
        match self.frames.step().map_err(origin.io("read"))? {
            Step::Gap { next_sample } => {
                let detail = format!("the next frame that can be read starts at sample {next_sample}");
                Err(origin.corrupt(position_samples, sample_rate, detail))
            }
            Step::End { rest_bytes, is_cut } => {
                self.finish(origin, position_samples, rest_bytes, is_cut)?;
                Ok(None)
            }
            Step::Frame => {
                let mut decoded = self.decode(interleaved);
                while decoded.is_err() && self.frames.lengthen() {
                    decoded = self.decode(interleaved);
                }
                match decoded {
                    Ok(()) => Ok(Some(self.info.channels)),
                    // Only the last frame can be one that lacks its end: all others were found by the next one.
                    Err(_) if self.frames.is_last() => {
                        self.finish(origin, position_samples, 0, true)?;
                        Ok(None)
                    }
                    Err(detail) => Err(origin.corrupt(position_samples, sample_rate, detail)),
                }
            }
        }
    }

    fn decode(&mut self, interleaved: &mut Vec<f32>) -> Result<(), String> {
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, self.frames.frame());
        let decoded = guarded(|| self.decoder.decode_ref(&packet)).map_err(|_| Panicked::DETAIL)?;
        let decoded = decoded.map_err(|e| e.to_string())?;
        decoded.copy_to_vec_interleaved(interleaved);
        Ok(())
    }

    /// What was decoded against what the header says, at the end of the stream.
    fn finish(
        &mut self,
        origin: &mut Origin,
        position_samples: u64,
        rest_bytes: u64,
        is_cut: bool,
    ) -> Result<(), AudioError> {
        let sample_rate = self.info.sample_rate;
        match self.info.num_samples {
            Some(expected) if position_samples < expected => {
                // A checksum that matches all the same proves the total wrong, and the sound whole.
                if self.decoder.finalize().verify_ok != Some(true) {
                    return origin.cut(position_samples, Some(expected), sample_rate);
                }
                origin.warn(WarningKind::ShorterThanHeader {
                    position_samples,
                    expected_samples: expected,
                    sample_rate,
                });
                return Ok(());
            }
            None if is_cut => return origin.cut(position_samples, None, sample_rate),
            Some(expected_samples) if position_samples > expected_samples => {
                origin.warn(WarningKind::LongerThanHeader {
                    position_samples,
                    expected_samples,
                    sample_rate,
                });
            }
            _ => {}
        }
        if rest_bytes > 0 {
            origin.warn(WarningKind::SkippedAfterSound { bytes: rest_bytes });
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            origin.warn(WarningKind::ChecksumMismatch);
        }
        Ok(())
    }
}
