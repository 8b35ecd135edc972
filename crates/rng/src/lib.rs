//! Counter-based random numbers keyed by (seed, epoch, item, purpose).
//!
//! Every random decision of a training run is a pure function of a [`Key`] and a [`Purpose`]:
//! nothing is drawn from a shared generator, so the result does not depend on how many loader
//! threads ran, in which order they finished, or whether the run was interrupted.
//! Resuming costs O(1): no draw is ever replayed.
//!
//! The generator is ChaCha with 8 rounds, a keyed counter-based cipher with portable output.
//!
//! ```
//! use auricle_rng::{Key, Purpose};
//! let key = Key::new(7).epoch(3).utterance("1089-134686-0001");
//! let mut a = key.stream(Purpose::Snr);
//! let mut b = key.stream(Purpose::Snr);
//! assert_eq!(a.uniform(), b.uniform());
//! ```

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// What a random number is for. Two purposes of one key never share a stream.
///
/// The discriminants are part of the reproducibility contract: never renumber, only append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// Initial values of the parameters.
    Init = 0,
    /// Order of the utterances or batches of an epoch.
    Shuffle = 1,
    /// Offset of a crop.
    Crop = 2,
    /// Whether, and with which noise files and offsets, an utterance is made noisy.
    Noise = 3,
    /// Signal-to-noise ratio.
    Snr = 4,
    /// Time spans of SpecAugment.
    TimeMask = 5,
    /// Frequency bands of SpecAugment.
    FrequencyMask = 6,
    /// Position randomisation of the SPIRAL teacher.
    Shift = 7,
    /// Dither of the waveform.
    Dither = 8,
    /// Dropout inside the network.
    Dropout = 9,
    /// Which layers are skipped.
    LayerDrop = 10,
    /// Negatives of the contrastive loss.
    Negatives = 11,
    /// Speed perturbation.
    Speed = 12,
    /// Volume perturbation.
    Volume = 13,
    /// Choice of a room impulse response.
    Reverb = 14,
    /// Low-pass perturbation.
    LowPass = 15,
    /// Bootstrap resampling of scores.
    Bootstrap = 16,
    /// Sub-sampling of a corpus (for example "ten minutes of labels").
    Subset = 17,
    /// Made-up test data.
    Test = 18,
    /// Dropout inside the teacher network, independent of the student's.
    TeacherDropout = 19,
    /// Layer drop inside the teacher network.
    TeacherLayerDrop = 20,
    /// Synthesis of pseudo-acoustic latents.
    Synthesis = 21,
    /// Corruption of prompts.
    PromptCorruption = 22,
    /// Silence around an utterance.
    Silence = 23,
    /// Which task a text has.
    TextTask = 24,
    /// Which pronunciation of a word is taken, and where silence is, in texts of phones.
    Pronunciation = 25,
}

/// Names one random decision site: who draws, not what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    seed: u64,
    epoch: u64,
    item: u64,
}

impl Key {
    /// The key of a run, before any epoch or utterance.
    pub fn new(seed: u64) -> Self {
        Self { seed, epoch: 0, item: 0 }
    }

    /// The same key in another epoch.
    #[must_use]
    pub fn epoch(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// The same key for one utterance, named by its id.
    #[must_use]
    pub fn utterance(self, id: &str) -> Self {
        let hash = blake3::hash(id.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        Self { item: u64::from_le_bytes([a, b, c, d, e, f, g, h]), ..self }
    }

    /// The same key for one optimiser step (or any other numbered thing).
    #[must_use]
    pub fn step(self, step: u64) -> Self {
        Self { item: step, ..self }
    }

    /// The stream of random numbers of this key for one purpose, from its beginning.
    pub fn stream(self, purpose: Purpose) -> Stream {
        let mut seed = [0u8; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        seed[16..24].copy_from_slice(&self.item.to_le_bytes());
        seed[24..28].copy_from_slice(&(purpose as u32).to_le_bytes());
        Stream { rng: ChaCha8Rng::from_seed(seed), spare_normal: None }
    }
}

/// A sequence of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    rng: ChaCha8Rng,
    spare_normal: Option<f64>,
}

impl Stream {
    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        self.rng.next_u32()
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform on [0, 1), 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform on [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Uniform integer on 0..n without modulo bias; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        // Lemire's multiply-shift with rejection of the incomplete part.
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Standard normal (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Shuffles a slice (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// `k` distinct integers of 0..n, uniformly without replacement, in random order
    /// (all of them where `k > n`).
    pub fn distinct(&mut self, n: usize, k: usize) -> Vec<usize> {
        let k = k.min(n);
        let mut pool: Vec<usize> = (0..n).collect();
        for i in 0..k {
            let j = i + self.below(n - i);
            pool.swap(i, j);
        }
        pool.truncate(k);
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned_forever() {
        // A changed value here means that every saved run resumes differently.
        let mut s = Key::new(42).epoch(1).utterance("utt").stream(Purpose::Crop);
        assert_eq!((s.next_u64(), s.next_u32()), (5929039303864397168, 404929736));
    }

    #[test]
    fn any_part_of_the_key_changes_the_stream() {
        let base = Key::new(1).epoch(2).utterance("a");
        let first = |k: Key, p| k.stream(p).next_u64();
        let reference = first(base, Purpose::Crop);
        for other in [Key::new(2).epoch(2).utterance("a"), base.epoch(3), base.utterance("b"), base.step(2)] {
            assert_ne!(reference, first(other, Purpose::Crop));
        }
        assert_ne!(reference, first(base, Purpose::Snr));
    }

    #[test]
    fn moments_and_bounds() {
        let mut s = Key::new(3).stream(Purpose::Test);
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = s.normal();
            sum += x;
            squares += x * x;
        }
        assert!((sum / n as f64).abs() < 0.01);
        assert!((squares / n as f64 - 1.0).abs() < 0.02);
        let mut counts = [0usize; 7];
        for _ in 0..70_000 {
            counts[s.below(7)] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        assert_eq!(s.below(0), 0);
    }

    #[test]
    fn distinct_draws_are_distinct_and_complete() {
        let mut s = Key::new(4).stream(Purpose::Test);
        for n in 0..20 {
            let mut all = s.distinct(n, n + 3);
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
    }
}
