//! Frames in, features out: what filter banks and cepstra share.

use std::ops::Range;

use auricle_rng::Stream;

use super::frames::Framing;
use super::heads::Head;
use crate::dsp::{LANES, Lanes, SpectrumBlock};
use crate::error::{AudioError, check_finite};
use crate::features::{Features, features_from_values};

/// What both kinds of features share: frames in, features out.
pub(super) struct Analysis {
    pub(super) framing: Framing,
    pub(super) head: Head,
}

impl Analysis {
    pub(super) fn compute(
        &self,
        samples: &[f32],
        dither: Option<&mut Stream>,
    ) -> Result<Features, AudioError> {
        check_finite(samples, 0)?;
        let num_frames = self.framing.num_frames(samples.len());
        let mut data = Vec::with_capacity(num_frames * self.head.num_features());
        let mut scratch = self.scratch();
        scratch.append(self, samples, 0, 0..num_frames, samples.len(), dither, &mut data);
        features_from_values(data, self.head.num_features())
    }
}

/// Buffers of one running analysis.
pub(super) struct Scratch {
    block: SpectrumBlock,
    bands: Vec<Lanes>,
    features: Vec<Lanes>,
}

impl Analysis {
    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            block: self.framing.plan.scratch(),
            bands: vec![[0.0; LANES]; self.head.num_bands()],
            features: vec![[0.0; LANES]; self.head.num_features()],
        }
    }
}

impl Scratch {
    /// Appends the features of `frames`. See [`Framing::copy_frame`] for `signal`, `offset`, `num_samples`.
    #[expect(clippy::too_many_arguments, reason = "one private seam between offline and streaming")]
    pub(super) fn append(
        &mut self,
        analysis: &Analysis,
        signal: &[f32],
        offset: usize,
        frames: Range<usize>,
        num_samples: usize,
        mut dither: Option<&mut Stream>,
        out: &mut Vec<f32>,
    ) {
        let Analysis { framing, head } = analysis;
        let Self { block, bands, features } = self;
        let mut next = frames.start;
        while next < frames.end {
            let num_lanes = (frames.end - next).min(LANES);
            let mut energy = [0.0; LANES];
            for (lane, energy) in energy.iter_mut().take(num_lanes).enumerate() {
                block.set_lane(lane, framing.length_samples(), |x| {
                    framing.copy_frame(signal, offset, num_samples, next + lane, x);
                    *energy = framing.condition(x, head.energy(), dither.as_deref_mut());
                });
            }
            head.apply(block.power_mut(), &energy, bands, features);
            crate::dsp::append_frames(features, num_lanes, out);
            next += num_lanes;
        }
    }
}
