//! Recordings of any length: cut where nobody speaks, in bounded memory.

use auricle_audio::{AudioError, Segment, SegmentConfig, Segmenter, Vad};
use std::collections::VecDeque;

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Its first sample in the recording.
    pub start_sample: usize,
    /// Its samples.
    pub samples: Vec<f32>,
}

/// Cuts a stream of samples into chunks of speech.
///
/// Memory: the samples since the beginning of the speech that is going on, which
/// [`SegmentConfig::max_secs`] bounds.
pub struct Chunker<V> {
    segmenter: Segmenter<V>,
    kept: VecDeque<f32>,
    kept_from: usize,
    segments: Vec<Segment>,
}

impl<V: Vad> Chunker<V> {
    /// A chunker for a signal at the detector's sampling rate.
    ///
    /// # Errors
    /// A setting of `config` out of its domain.
    pub fn new(vad: V, config: &SegmentConfig) -> Result<Self, AudioError> {
        Ok(Self {
            segmenter: Segmenter::new(vad, config)?,
            kept: VecDeque::new(),
            kept_from: 0,
            segments: Vec::new(),
        })
    }

    /// Takes the next samples and appends the chunks that are complete.
    ///
    /// # Errors
    /// NaN or infinite samples.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<Chunk>) -> Result<(), AudioError> {
        self.segmenter.push(samples, &mut self.segments)?;
        self.kept.extend(samples);
        self.deliver(out);
        let needless =
            self.segmenter.earliest_future_sample().saturating_sub(self.kept_from).min(self.kept.len());
        self.kept.drain(..needless);
        self.kept_from += needless;
        Ok(())
    }

    /// Ends the signal.
    pub fn finish(&mut self, out: &mut Vec<Chunk>) {
        self.segmenter.finish(&mut self.segments);
        self.deliver(out);
        self.kept.clear();
        self.kept_from = 0;
    }

    fn deliver(&mut self, out: &mut Vec<Chunk>) {
        for Segment { start_sample, end_sample } in self.segments.drain(..) {
            let from = start_sample.saturating_sub(self.kept_from).min(self.kept.len());
            let to = end_sample.saturating_sub(self.kept_from).clamp(from, self.kept.len());
            out.push(Chunk { start_sample, samples: self.kept.range(from..to).copied().collect() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_audio::{EnergyVad, EnergyVadConfig, segments};
    use auricle_rng::{Key, Purpose};

    fn vad() -> EnergyVad {
        EnergyVad::new(EnergyVadConfig::default()).unwrap()
    }

    /// Bursts of noise of 0.5 to 9 s with pauses.
    fn signal() -> Vec<f32> {
        let mut stream = Key::new(3).stream(Purpose::Test);
        let mut samples = Vec::new();
        for burst in 0..8 {
            let loud = (8_000.0 + stream.uniform() * 136_000.0) as usize;
            samples.extend((0..loud).map(|_| 0.3 * stream.normal() as f32));
            samples.extend((0..12_000 + 1_000 * burst).map(|_| 1e-4 * stream.normal() as f32));
        }
        samples
    }

    #[test]
    fn chunks_are_the_offline_segments_and_memory_is_bounded() {
        let samples = signal();
        let config = SegmentConfig { max_secs: Some(4.0), ..SegmentConfig::default() };
        let expected = segments(&samples, &mut vad(), &config).unwrap();
        assert!(expected.len() > 8, "long bursts are cut");
        for block in [160, 4_001, 100_000] {
            let mut chunker = Chunker::new(vad(), &config).unwrap();
            let (mut chunks, mut most) = (Vec::new(), 0);
            for part in samples.chunks(block) {
                chunker.push(part, &mut chunks).unwrap();
                most = most.max(chunker.kept.len());
            }
            chunker.finish(&mut chunks);
            assert_eq!(chunks.len(), expected.len());
            for (chunk, segment) in chunks.iter().zip(&expected) {
                assert_eq!(chunk.start_sample, segment.start_sample);
                assert!(chunk.samples == samples[segment.start_sample..segment.end_sample]);
            }
            assert!(most <= 5 * 16_000 + block, "{most} samples kept");
        }
    }
}
