//! What batches are dealt from: recorded speech, and places for text.

use crate::{AudioStore, TrainError, Wave};
use auricle_data::{Batch, Utterance};
use std::sync::Arc;

/// One row of a batch, as the batch plan deals it.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a batch has few rows, and most of them are speech
pub enum Item {
    /// Recorded speech.
    Speech(Wave),
    /// A place that the task fills with one of its sentences: the number of the place, see
    /// [`Prepare::text_secs`](crate::Prepare::text_secs).
    Text(usize),
}

impl Item {
    /// The rows with speech.
    pub fn speech(items: &[Self]) -> Vec<&Wave> {
        items
            .iter()
            .filter_map(|item| match item {
                Self::Speech(wave) => Some(wave),
                Self::Text(_) => None,
            })
            .collect()
    }

    /// The places for text.
    pub fn texts(items: &[Self]) -> Vec<usize> {
        items
            .iter()
            .filter_map(|item| match item {
                Self::Speech(_) => None,
                Self::Text(place) => Some(*place),
            })
            .collect()
    }
}

/// Everything that an epoch can deal: utterances first, then the places for text.
#[derive(Debug, Clone)]
pub(crate) struct Items {
    speech: Arc<[Utterance]>,
    /// Seconds that the sentences of each place are expected to take.
    text_secs: Arc<[f64]>,
    crop_secs: Option<f64>,
}

impl Items {
    /// Speech is cropped to `crop_secs`, where that is given.
    pub fn new(speech: Vec<Utterance>, text_secs: &[f64], crop_secs: Option<f64>) -> Self {
        Self { speech: speech.into(), text_secs: text_secs.into(), crop_secs }
    }

    /// The utterances.
    pub fn speech(&self) -> &[Utterance] {
        &self.speech
    }

    /// Number of places for text.
    pub fn texts(&self) -> usize {
        self.text_secs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.speech.is_empty() && self.text_secs.is_empty()
    }

    /// Seconds that every item takes in a batch.
    pub fn secs(&self) -> Vec<f64> {
        let crop = self.crop_secs.unwrap_or(f64::INFINITY);
        let speech = self.speech.iter().map(|utterance| utterance.duration_secs.min(crop));
        speech.chain(self.text_secs.iter().copied()).collect()
    }

    /// The rows of a batch, with their samples.
    ///
    /// # Errors
    /// Audio that cannot be read; a number that no item has, which is a mistake of whoever made the plan.
    pub fn load(&self, batch: &Batch, store: &AudioStore) -> Result<Vec<Item>, TrainError> {
        let item = |&index: &usize| match self.speech.get(index) {
            Some(utterance) => store.wave(utterance).map(Item::Speech),
            None => self.place(index).map(Item::Text),
        };
        batch.indices.iter().map(item).collect()
    }

    /// The utterances and the places for text of a batch.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn names(&self, batch: &Batch) -> Result<(Vec<Utterance>, Vec<usize>), TrainError> {
        let (mut utterances, mut texts) = (Vec::new(), Vec::new());
        for &index in &batch.indices {
            match self.speech.get(index) {
                Some(utterance) => utterances.push(utterance.clone()),
                None => texts.push(self.place(index)?),
            }
        }
        Ok((utterances, texts))
    }

    fn place(&self, index: usize) -> Result<usize, TrainError> {
        let place = index.checked_sub(self.speech.len()).filter(|&place| place < self.text_secs.len());
        place.ok_or_else(|| {
            let count = self.speech.len() + self.text_secs.len();
            TrainError::Data(format!("the batch plan names item {index} of {count}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_comes_first_and_a_number_too_high_is_an_error() {
        let speech = vec![Utterance::new("a", "none.wav", 9.0), Utterance::new("b", "none.wav", 2.0)];
        let items = Items::new(speech, &[0.5, 0.7], Some(4.0));
        assert_eq!(items.secs(), [4.0, 2.0, 0.5, 0.7]);
        let batch = |indices: &[usize]| Batch { indices: indices.to_vec(), padded_secs: 4.0 };
        let (utterances, texts) = items.names(&batch(&[3, 1, 2])).unwrap();
        assert_eq!((utterances[0].id.as_str(), texts), ("b", vec![1, 0]));
        assert!(items.names(&batch(&[4])).unwrap_err().to_string().contains("item 4 of 4"));
        let store = AudioStore::new(16_000, 0);
        let loaded = items.load(&batch(&[3, 2]), &store).unwrap();
        assert_eq!(Item::texts(&loaded), [1, 0]);
        assert!(items.load(&batch(&[2, 4]), &store).is_err());
    }
}
