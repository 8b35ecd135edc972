//! Verdicts on the phones of a prompt: while it is said, and once it is over.

use super::align::{needleman_wunsch, needleman_wunsch_prefix};
use super::{MddError, probability};
use crate::align::{Alignment, Edit};
use serde::{Deserialize, Serialize};

/// What was said in the place of a canonical phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said<T> {
    /// A phone.
    Phone(T),
    /// Nothing.
    Nothing,
}

/// The verdict on one canonical phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict<T> {
    /// Said right.
    Correct,
    /// Another was said.
    Substituted(T),
    /// It was left out.
    Deleted,
    /// `serr`: wrong according to the state classifier alone, with the phone predictor's guess if it is
    /// not the canonical phone.
    Error(Option<Said<T>>),
}

/// A phone that was said beside the canonical ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insertion<T> {
    /// Position of the canonical phone that follows; their number behind the last one.
    pub before: usize,
    /// What was said.
    pub phone: T,
}

/// Verdicts on a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts<T> {
    /// One for each canonical phone; fewer while it is still being said.
    pub phones: Vec<Verdict<T>>,
    /// Phones in between, in order.
    pub insertions: Vec<Insertion<T>>,
}

impl<T: PartialEq + Clone> Verdicts<T> {
    /// What CTC says about the whole utterance: the Needleman–Wunsch alignment of canonical phones and
    /// hypothesis.
    pub fn from_hypothesis(canonical: &[T], hypothesis: &[T]) -> Self {
        Self::read(&needleman_wunsch(canonical, hypothesis), canonical.len(), hypothesis)
    }

    /// What CTC says so far: only on the phones that have been reached. The last verdict may change with
    /// the next phone.
    pub fn from_partial_hypothesis(canonical: &[T], hypothesis: &[T]) -> Self {
        let (alignment, reached) = needleman_wunsch_prefix(canonical, hypothesis);
        Self::read(&alignment, reached, hypothesis)
    }

    fn read(alignment: &Alignment, phones: usize, hypothesis: &[T]) -> Self {
        let mut verdicts = Self { phones: Vec::with_capacity(phones), insertions: vec![] };
        for edit in &alignment.edits {
            match *edit {
                Edit::Correct(..) => verdicts.phones.push(Verdict::Correct),
                Edit::Substitution(_, h) => verdicts.phones.push(Verdict::Substituted(hypothesis[h].clone())),
                Edit::Deletion(_) => verdicts.phones.push(Verdict::Deleted),
                Edit::Insertion(h) => verdicts
                    .insertions
                    .push(Insertion { before: verdicts.phones.len(), phone: hypothesis[h].clone() }),
            }
        }
        verdicts
    }

    /// The final verdicts at the end of the utterance (arXiv 2111.08191, fusion): where the state
    /// classifier's probability of error is above `threshold` and CTC heard nothing wrong, the verdict is
    /// [`Verdict::Error`]. The state classifier never clears what CTC rejected; insertions stay.
    ///
    /// `predicted` has the phone predictor's choice for each canonical phone, if it is to be asked.
    ///
    /// # Differences from the paper
    /// The paper leaves these errors without diagnosis; its threshold is 0.5.
    ///
    /// # Errors
    /// There is not one value a canonical phone, or a probability is not within 0–1.
    pub fn fuse(
        mut self,
        canonical: &[T],
        error_probabilities: &[f32],
        predicted: Option<&[Said<T>]>,
        threshold: f64,
    ) -> Result<Self, MddError> {
        let phones = canonical.len();
        let length = |what, found| {
            if found == phones { Ok(()) } else { Err(MddError::Length { what, found, phones }) }
        };
        length("verdicts", self.phones.len())?;
        length("error probabilities", error_probabilities.len())?;
        length("predicted phones", predicted.map_or(phones, <[_]>::len))?;
        for (i, verdict) in self.phones.iter_mut().enumerate() {
            let wrong = probability(i, f64::from(error_probabilities[i]))? > threshold;
            if wrong && *verdict == Verdict::Correct {
                let guess = predicted.map(|predicted| predicted[i].clone());
                *verdict = Verdict::Error(guess.filter(|said| *said != Said::Phone(canonical[i].clone())));
            }
        }
        Ok(self)
    }

    /// Whether canonical phone `i` is taken as wrong.
    pub fn rejects(&self, i: usize) -> bool {
        self.phones.get(i).is_some_and(|verdict| *verdict != Verdict::Correct)
    }

    /// The verdicts as a hypothesis for the scorers, with `error` for errors without diagnosis: a symbol
    /// that is no phone, so that it equals neither the canonical phone nor what was heard.
    pub fn to_hypothesis(&self, canonical: &[T], error: &T) -> Vec<T> {
        let mut hypothesis = Vec::with_capacity(canonical.len() + self.insertions.len());
        let mut insertions = self.insertions.iter().peekable();
        for (i, verdict) in self.phones.iter().enumerate() {
            while let Some(insertion) = insertions.next_if(|insertion| insertion.before <= i) {
                hypothesis.push(insertion.phone.clone());
            }
            match verdict {
                Verdict::Correct => hypothesis.extend(canonical.get(i).cloned()),
                Verdict::Substituted(phone) | Verdict::Error(Some(Said::Phone(phone))) => {
                    hypothesis.push(phone.clone());
                }
                Verdict::Error(None) => hypothesis.push(error.clone()),
                Verdict::Deleted | Verdict::Error(Some(Said::Nothing)) => {}
            }
        }
        hypothesis.extend(insertions.map(|insertion| insertion.phone.clone()));
        hypothesis
    }
}
