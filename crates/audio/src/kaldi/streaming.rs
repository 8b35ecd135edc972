//! The same features for a signal that arrives in pieces.

use std::sync::Arc;

use super::analysis::{Analysis, Scratch};
use crate::error::{AudioError, check_finite};

/// Streaming filter-bank features, made by [`super::Fbank::streaming`].
pub type StreamingFbank = StreamingKaldi;

/// Streaming features, made by [`super::Fbank::streaming`] or [`super::Mfcc::streaming`].
///
/// Equal bit for bit to the offline features without dither, for any chunking.
/// A frame is emitted as soon as its last sample has arrived.
pub struct StreamingKaldi {
    analysis: Arc<Analysis>,
    scratch: Scratch,
    /// Samples from position `offset` on.
    signal: Vec<f32>,
    offset: usize,
    num_frames: usize,
}

impl StreamingKaldi {
    pub(super) fn new(analysis: Arc<Analysis>) -> Self {
        let scratch = analysis.scratch();
        Self { analysis, scratch, signal: Vec::new(), offset: 0, num_frames: 0 }
    }

    /// Values per frame.
    pub fn num_features(&self) -> usize {
        self.analysis.head.num_features()
    }

    /// Takes the next samples and appends the frames that are complete to `out`; returns their number.
    ///
    /// # Errors
    /// NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<usize, AudioError> {
        check_finite(samples, self.num_samples() as u64)?;
        Ok(self.push_unchecked(samples, out))
    }

    fn push_unchecked(&mut self, samples: &[f32], out: &mut Vec<f32>) -> usize {
        self.signal.extend_from_slice(samples);
        let complete = self.analysis.framing.num_complete_frames(self.num_samples());
        let emitted = self.emit_until(complete, out);
        let needed = self.analysis.framing.first_needed_sample(self.num_frames).max(self.offset);
        let unused = (needed - self.offset).min(self.signal.len());
        self.signal.drain(..unused);
        self.offset += unused;
        emitted
    }

    /// Ends the signal: appends the remaining frames to `out`, returns their number, and is ready
    /// for a new signal.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> usize {
        let total = self.analysis.framing.num_frames(self.num_samples());
        let emitted = self.emit_until(total, out);
        self.signal.clear();
        (self.offset, self.num_frames) = (0, 0);
        emitted
    }

    fn num_samples(&self) -> usize {
        self.offset + self.signal.len()
    }

    fn emit_until(&mut self, end: usize, out: &mut Vec<f32>) -> usize {
        let frames = self.num_frames..end.max(self.num_frames);
        let num_samples = self.num_samples();
        let Self { analysis, scratch, signal, offset, .. } = self;
        scratch.append(analysis, signal, *offset, frames.clone(), num_samples, None, out);
        self.num_frames = frames.end;
        frames.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::kaldi::{Fbank, FbankConfig, FrameConfig, Mfcc, MfccConfig};
    use auricle_rng::{Key, Purpose};
    use proptest::prelude::*;

    fn signal(seed: u64, num_samples: usize) -> Vec<f32> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        (0..num_samples).map(|_| stream.normal() as f32 * 0.3).collect()
    }

    fn frame(snip_edges: bool, length_ms: f64) -> FrameConfig {
        FrameConfig { snip_edges, length_ms, ..FrameConfig::default() }
    }

    proptest! {
        #[test]
        fn equals_offline_bit_for_bit_under_any_chunking(
            seed: u64,
            num_samples in 1usize..6_000,
            chunks in proptest::collection::vec(0usize..700, 1..60),
            snip_edges: bool,
            // 401 samples: an odd window reflects one sample further.
            length_ms in prop_oneof![Just(25.0), Just(25.0625), Just(8.0)],
            is_mfcc: bool,
        ) {
            let x = signal(seed, num_samples);
            let frame = frame(snip_edges, length_ms);
            let (offline, mut streaming) = if is_mfcc {
                let mfcc = Mfcc::new(&MfccConfig { frame, ..MfccConfig::default() }).unwrap();
                (mfcc.compute(&x, None).unwrap(), mfcc.streaming())
            } else {
                let fbank = Fbank::new(&FbankConfig { frame, ..FbankConfig::default() }).unwrap();
                (fbank.compute(&x, None).unwrap(), fbank.streaming())
            };
            for _ in 0..2 {
                let mut out = Vec::new();
                let mut rest = x.as_slice();
                for &chunk in &chunks {
                    let (head, tail) = rest.split_at(chunk.min(rest.len()));
                    streaming.push(head, &mut out).unwrap();
                    rest = tail;
                }
                streaming.push(rest, &mut out).unwrap();
                streaming.finish(&mut out);
                prop_assert!(out[..] == *offline.as_slice().unwrap());
            }
        }

        #[test]
        fn sees_nothing_after_the_frame(seed: u64, known in 500usize..4_000, snip_edges: bool) {
            let x = signal(seed, 5_000);
            let config = FbankConfig { frame: frame(snip_edges, 25.0), ..FbankConfig::default() };
            let fbank = Fbank::new(&config).unwrap();
            let expected = fbank.compute(&x, None).unwrap();
            let first_end = if snip_edges { 400 } else { 280 };
            let determined = (known - first_end) / 160 + 1;

            let mut streaming = fbank.streaming();
            let mut out = Vec::new();
            prop_assert_eq!(streaming.push_unchecked(&x[..known], &mut out), determined);
            streaming.push_unchecked(&vec![f32::NAN; 1_000], &mut out);
            prop_assert!(out[..determined * 80] == expected.as_slice().unwrap()[..determined * 80]);
            // `max` hides NaN in the logarithm, but no true frame has only floors.
            prop_assert!(out[determined * 80..][..80] != expected.as_slice().unwrap()[determined * 80..][..80]);
        }
    }
}
