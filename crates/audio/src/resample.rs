//! Band-limited resampling with exact length and no delay.
//!
//! `n` samples at rate `from` become `round(n · to / from)` samples at rate `to`, and output sample
//! `k` stands for the time `k / to`: the delay of the filter is removed.
//! The method is a windowed-sinc low-pass applied in the frequency domain ([`rubato::Fft`]),
//! cut off just below the lower of the two Nyquist frequencies.
//!
//! The offline form is one [`StreamingResampler`] given everything at once, and the streaming form
//! works in fixed blocks of its own, so that both are equal bit for bit under any chunking.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

use crate::error::{AudioError, check_finite};
use crate::time::check_rate;

/// Input samples per block, rounded up to what the ratio needs.
const BLOCK_SAMPLES: usize = 1024;

/// Largest magnitude that is resampled; beyond, sums over a block could overflow.
const MAX_MAGNITUDE: f32 = 1e20;

/// `round(num_samples · to / from)`, half rounded up, in exact integer arithmetic.
/// A `from` of 0 is taken as 1.
pub fn resampled_len(num_samples: usize, from: u32, to: u32) -> usize {
    let from = u128::from(from.max(1));
    let twice = 2 * num_samples as u128 * u128::from(to) + from;
    usize::try_from(twice / (2 * from)).unwrap_or(usize::MAX)
}

/// Resamples a whole signal; the output has [`resampled_len`] samples.
///
/// # Errors
/// A rate outside [`crate::SAMPLE_RATES_HZ`]; NaN or infinite samples.
pub fn resample(x: &[f32], from: u32, to: u32) -> Result<Vec<f32>, AudioError> {
    check_finite(x, 0)?;
    let mut out = Vec::with_capacity(resampled_len(x.len(), from, to));
    let mut resampler = StreamingResampler::new(from, to)?;
    resampler.push(x, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

/// Resamples a signal that arrives in pieces.
///
/// Samples that are NaN, infinite or beyond ±10²⁰ make all output NaN that their block can reach.
pub struct StreamingResampler {
    from: u32,
    to: u32,
    /// `None` where the rates are equal.
    engine: Option<Engine>,
    num_pushed: usize,
    num_emitted: usize,
}

impl StreamingResampler {
    /// # Errors
    /// A rate outside [`crate::SAMPLE_RATES_HZ`].
    pub fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        for (field, rate) in [("from", from), ("to", to)] {
            check_rate(field, rate)?;
        }
        let engine = if from == to { None } else { Some(Engine::new(from, to)?) };
        Ok(Self { from, to, engine, num_pushed: 0, num_emitted: 0 })
    }

    /// Input samples that must follow before the output at a given time is complete, at most.
    pub fn lookahead_samples(&self) -> usize {
        self.engine.as_ref().map_or(0, |e| 2 * e.block_in)
    }

    /// How much of a signal need not be looked at by who wants the output from sample `wanted` on:
    /// samples of the input, and the samples of the output that they stand for, for [`Self::begin_at`].
    pub fn skippable(&self, wanted: usize) -> (usize, usize) {
        let Some(engine) = &self.engine else { return (wanted, wanted) };
        // A block's filter tail reaches into the next one; one more to be safe with the delay.
        let blocks = (wanted / engine.block_out.len()).saturating_sub(2);
        (blocks * engine.block_in, blocks * engine.block_out.len())
    }

    /// Before the first `push`: the signal begins in the middle, after what [`Self::skippable`] gave. The
    /// output begins there, too, and is from `wanted` on what it would be of the whole signal, bit for bit.
    pub fn begin_at(&mut self, (input, output): (usize, usize)) {
        (self.num_pushed, self.num_emitted) = (input, output);
    }

    /// Takes the next samples and appends what can be computed from all samples so far to `out`.
    pub fn push(&mut self, x: &[f32], out: &mut Vec<f32>) {
        self.num_pushed += x.len();
        let start = out.len();
        match &mut self.engine {
            None => out.extend_from_slice(x),
            Some(engine) => engine.push(x, out),
        }
        self.num_emitted += out.len() - start;
    }

    /// Ends the signal: appends the rest to `out` and makes the resampler ready for a new signal.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let target = resampled_len(self.num_pushed, self.from, self.to);
        if let Some(engine) = &mut self.engine {
            let mut missing = target.saturating_sub(self.num_emitted);
            while missing > 0 {
                let start = out.len();
                engine.flush_block(out);
                let produced = out.len() - start;
                out.truncate(start + produced.min(missing));
                missing -= produced.min(missing);
            }
            engine.reset();
        }
        (self.num_pushed, self.num_emitted) = (0, 0);
    }
}

/// rubato in blocks of its own size, with the delay cut off.
struct Engine {
    fft: Fft<f32>,
    block_in: usize,
    block_out: Vec<f32>,
    pending: Vec<f32>,
    delay_left: usize,
    /// The previous block, whose filter tail reaches into the next one, was not a number.
    was_poisoned: bool,
}

impl Engine {
    fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        // An even number of smallest blocks: the delay is half a block, and must be whole samples at
        // both rates. `Both`: the block is one transform, so both sides have fixed sizes.
        let smallest_block = (from / greatest_common_divisor(from, to)) as usize;
        let block = BLOCK_SAMPLES.div_ceil(smallest_block).next_multiple_of(2) * smallest_block;
        let fft = Fft::<f32>::new(from as usize, to as usize, block, 1, FixedSync::Both)
            .map_err(|e| AudioError::config("from, to", e, "a pair of rates that rubato accepts"))?;
        let block_in = fft.input_frames_next();
        let block_out = vec![0.0; fft.output_frames_next()];
        let delay_left = fft.output_delay();
        Ok(Self {
            fft,
            block_in,
            block_out,
            pending: Vec::with_capacity(block_in),
            delay_left,
            was_poisoned: false,
        })
    }

    fn push(&mut self, mut x: &[f32], out: &mut Vec<f32>) {
        while !x.is_empty() {
            let take = x.len().min(self.block_in - self.pending.len());
            let (head, tail) = x.split_at(take);
            self.pending.extend_from_slice(head);
            x = tail;
            if self.pending.len() == self.block_in {
                self.process(out);
            }
        }
    }

    /// One block of what is pending, followed by silence.
    fn flush_block(&mut self, out: &mut Vec<f32>) {
        self.pending.resize(self.block_in, 0.0);
        self.process(out);
    }

    fn process(&mut self, out: &mut Vec<f32>) {
        let num_out = self.block_out.len();
        // rubato panics on what is not a number.
        let is_poisoned = !self.pending.iter().all(|x| x.abs() <= MAX_MAGNITUDE);
        if is_poisoned {
            self.pending.fill(0.0);
        }
        let input = SequentialSlice::new(&self.pending, 1, self.block_in);
        let output = SequentialSlice::new_mut(&mut self.block_out, 1, num_out);
        // Both buffers have the sizes that rubato asked for, which is all that can go wrong.
        if let (Ok(input), Ok(mut output)) = (input, output) {
            let done = self.fft.process_into_buffer(&input, &mut output, None::<&Indexing>);
            debug_assert!(done.is_ok(), "{done:?}");
        }
        self.pending.clear();
        if is_poisoned || self.was_poisoned {
            self.block_out.fill(f32::NAN);
        }
        self.was_poisoned = is_poisoned;
        let skip = self.delay_left.min(num_out);
        self.delay_left -= skip;
        out.extend_from_slice(&self.block_out[skip..]);
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.pending.clear();
        self.was_poisoned = false;
        self.delay_left = self.fft.output_delay();
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
