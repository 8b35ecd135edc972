//! Latents that are made once and kept.

use crate::{LasynError, Synthesizer};
use auricle_rng::{Key, Purpose, Stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept at most, in bytes of latents.
const ROOM: usize = 1 << 30;

/// A sentence as phones, and which of its takes.
type Take = (Vec<Vec<u32>>, usize);

/// Another synthesizer, of which every sentence has a fixed number of takes.
///
/// A take depends on the seed, the sentence and its number alone, not on what was asked for before: a run that goes
/// on after a stop draws the same latents with an empty cache, and what finds no room any more is made anew, the same.
pub struct CachedSynthesizer {
    inner: Arc<dyn Synthesizer>,
    takes: usize,
    seed: u64,
    room: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    latents: HashMap<Take, Arc<[f32]>>,
    bytes: usize,
}

impl CachedSynthesizer {
    /// `takes` (at least one) of every sentence of `inner`.
    pub fn new(inner: Arc<dyn Synthesizer>, takes: usize, seed: u64) -> Self {
        Self { inner, takes: takes.max(1), seed, room: ROOM, kept: Mutex::default() }
    }

    fn make(&self, take: &Take) -> Result<Vec<f32>, LasynError> {
        let (words, number) = take;
        let key = Key::new(self.seed).epoch(*number as u64).utterance(&format!("{words:?}"));
        self.inner.synthesize(words, &mut key.stream(Purpose::Synthesis))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A map that a panicking thread left is whole: entries are put in at once.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Synthesizer for CachedSynthesizer {
    fn width(&self) -> usize {
        self.inner.width()
    }

    fn frame_secs(&self) -> f64 {
        self.inner.frame_secs()
    }

    fn synthesize(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        let take = (words.to_vec(), stream.below(self.takes));
        let found = self.kept().latents.get(&take).cloned();
        if let Some(latents) = found {
            return Ok(latents.to_vec());
        }
        // Made without the lock: two threads may make the same, and it is the same.
        let latents = self.make(&take)?;
        let bytes = std::mem::size_of_val(latents.as_slice());
        let mut kept = self.kept();
        if kept.bytes + bytes <= self.room && kept.latents.insert(take, latents.as_slice().into()).is_none() {
            kept.bytes += bytes;
        }
        Ok(latents)
    }

    fn synthesize_once(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
        self.inner.synthesize_once(words, stream)
    }

    fn expected_secs(&self, words: &[Vec<u32>]) -> f64 {
        self.inner.expected_secs(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FixedProjection, Projection, bank::tests::bank};
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often something is made.
    struct Counting {
        inner: FixedProjection,
        made: AtomicUsize,
    }

    impl Synthesizer for Counting {
        fn width(&self) -> usize {
            self.inner.width()
        }
        fn frame_secs(&self) -> f64 {
            self.inner.frame_secs()
        }
        fn synthesize(&self, words: &[Vec<u32>], stream: &mut Stream) -> Result<Vec<f32>, LasynError> {
            self.made.fetch_add(1, Ordering::Relaxed);
            self.inner.synthesize(words, stream)
        }
        fn expected_secs(&self, words: &[Vec<u32>]) -> f64 {
            self.inner.expected_secs(words)
        }
    }

    fn counting() -> Arc<Counting> {
        let projection = Projection::Statistics { noise: 1.0, durations: crate::Durations::Empirical };
        let inner = FixedProjection::new(bank(), projection);
        Arc::new(Counting { inner, made: AtomicUsize::new(0) })
    }

    /// Latents of the sentence as a training draws them, place by place.
    fn draw(synthesizer: &CachedSynthesizer, places: std::ops::Range<usize>) -> Vec<Vec<f32>> {
        let words = [vec![1, 2, 3], vec![2, 1]];
        let key = |place: usize| Key::new(7).epoch(place as u64);
        places
            .map(|place| synthesizer.synthesize(&words, &mut key(place).stream(Purpose::Synthesis)).unwrap())
            .collect()
    }

    #[test]
    fn every_take_is_made_once() {
        let inner = counting();
        let cached = CachedSynthesizer::new(inner.clone(), 3, 1);
        let drawn = draw(&cached, 0..60);
        assert_eq!(inner.made.load(Ordering::Relaxed), 3);
        let distinct: BTreeSet<Vec<u32>> =
            drawn.iter().map(|z| z.iter().map(|x| x.to_bits()).collect()).collect();
        assert_eq!(distinct.len(), 3);
        // Another seed has other takes.
        assert_ne!(draw(&CachedSynthesizer::new(inner, 3, 2), 0..60), drawn);
    }

    #[test]
    fn what_was_asked_for_before_and_what_finds_no_room_changes_nothing() {
        let want = draw(&CachedSynthesizer::new(counting(), 3, 1), 0..60);
        let resumed = CachedSynthesizer::new(counting(), 3, 1);
        assert_eq!(draw(&resumed, 40..60), want[40..]);
        let inner = counting();
        let full = CachedSynthesizer { room: 0, ..CachedSynthesizer::new(inner.clone(), 3, 1) };
        assert_eq!(draw(&full, 0..60), want);
        assert_eq!(inner.made.load(Ordering::Relaxed), 60);
    }
}
