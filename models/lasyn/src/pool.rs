//! The texts of a run, and which of them are used in an epoch.

use crate::{LasynError, Synthesizer};
use auricle_rng::{Key, Purpose};

/// A text that becomes latents.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// What is said, numbers in words.
    pub said: String,
    /// What a model should write.
    pub target: String,
    /// Its words as phones.
    pub words: Vec<Vec<u32>>,
}

/// Sentences by length, and the places of an epoch that draw from them.
///
/// A place draws from sentences of about its length, another one in every epoch, so the plan of an epoch
/// knows how long its batches are before anything is drawn.
#[derive(Debug, Clone, Default)]
pub struct TextPool {
    sentences: Vec<Sentence>,
    secs: Vec<f64>,
    places: usize,
}

impl TextPool {
    /// As many places as fill `share` of an epoch with `real_secs` of real speech; one per sentence where
    /// there is no real speech.
    ///
    /// # Errors
    /// No sentences.
    pub fn new(
        sentences: Vec<Sentence>,
        synthesizer: &dyn Synthesizer,
        share: f64,
        real_secs: f64,
    ) -> Result<Self, LasynError> {
        if sentences.is_empty() {
            return Err(LasynError::Text("there is no sentence in model.text".into()));
        }
        let mut timed: Vec<(f64, Sentence)> =
            sentences.into_iter().map(|s| (synthesizer.expected_secs(&s.words), s)).collect();
        timed.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.target.cmp(&b.1.target)));
        let (secs, sentences): (Vec<f64>, Vec<Sentence>) = timed.into_iter().unzip();
        let mean = secs.iter().sum::<f64>() / secs.len() as f64;
        let places = if real_secs > 0.0 {
            (real_secs * share / (1.0 - share) / mean.max(0.1)).round().max(1.0) as usize
        } else {
            secs.len()
        };
        Ok(Self { sentences, secs, places })
    }

    /// Seconds that the longest sentence of every place is expected to take.
    pub fn place_secs(&self) -> Vec<f64> {
        let longest = |place| self.range(place).map(|i| self.secs[i]).fold(0.0, f64::max);
        (0..self.places).map(longest).collect()
    }

    /// The sentence that a place draws; `None` of a place that there is not.
    pub fn draw(&self, place: usize, key: Key) -> Option<&Sentence> {
        if place >= self.places {
            return None;
        }
        let range = self.range(place);
        self.sentences.get(range.start + key.stream(Purpose::Subset).below(range.len()))
    }

    /// The sentences of a place; at least one.
    fn range(&self, place: usize) -> std::ops::Range<usize> {
        let at = |place: usize| place * self.sentences.len() / self.places;
        let start = at(place).min(self.sentences.len() - 1);
        start..at(place + 1).max(start + 1)
    }

    /// Number of sentences.
    pub fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;
    use crate::{FixedProjection, Projection, bank::tests::bank};
    use auricle_train::Draw;
    use std::collections::BTreeSet;

    fn sentences(count: usize) -> Vec<Sentence> {
        let sentence = |i: usize| Sentence {
            said: format!("s{i}"),
            target: format!("s{i}"),
            words: vec![vec![1, 2, 3]; 1 + i % 7],
        };
        (0..count).map(sentence).collect()
    }

    #[test]
    fn places_draw_every_sentence_of_their_length_in_the_end() {
        let synthesizer = FixedProjection::new(bank(), Projection::Exemplars);
        let pool = TextPool::new(sentences(500), &synthesizer, 0.5, 30.0).unwrap();
        let places = pool.place_secs();
        let secs: f64 = places.iter().sum();
        assert!((20.0..45.0).contains(&secs), "{secs}");
        let mut seen = BTreeSet::new();
        for epoch in 0..400 {
            for (place, secs) in places.iter().enumerate() {
                let key = Draw::Train { epoch: Key::new(1).epoch(epoch), batch: 0 }.text(place);
                let sentence = pool.draw(place, key).unwrap();
                assert!(synthesizer.expected_secs(&sentence.words) <= *secs);
                seen.insert(sentence.target.clone());
            }
        }
        assert!(seen.len() > 490, "{}", seen.len());
        assert_eq!(pool.draw(places.len(), Key::new(1)), None);
    }

    #[test]
    fn few_sentences_are_repeated_and_none_is_an_error() {
        let synthesizer = FixedProjection::new(bank(), Projection::Exemplars);
        let pool = TextPool::new(sentences(2), &synthesizer, 0.5, 600.0).unwrap();
        let places = 0..pool.place_secs().len();
        let draws: BTreeSet<&str> =
            places.map(|place| pool.draw(place, Key::new(0)).unwrap().target.as_str()).collect();
        assert_eq!(draws.into_iter().collect::<Vec<_>>(), ["s0", "s1"]);
        assert!(TextPool::new(Vec::new(), &synthesizer, 0.5, 1.0).is_err());
        assert_eq!(TextPool::new(sentences(9), &synthesizer, 0.5, 0.0).unwrap().place_secs().len(), 9);
    }
}
