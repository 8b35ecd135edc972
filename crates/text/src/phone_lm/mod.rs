//! Language models of phones for the denominator of LF-MMI: n-grams without smoothing, cut to a number of states.
//!
//! A model that gives probability only to phone sequences like those of its text, and has few states, is what
//! sequence training compares a transcript with (Povey et al. 2016, "Purely sequence-trained neural networks for ASR
//! based on lattice-free MMI", §4.1). Nothing is smoothed and nothing is backed off to at run time: a state either has an
//! arc for a phone or the phone is impossible there.

mod estimate;
mod store;

use serde::{Deserialize, Serialize};

/// Why there is no phone language model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneLmError {
    /// Settings out of their domain.
    #[error("phone language model: {0}")]
    Config(String),
    /// There is no text.
    #[error("phone language model: there is no sentence to count; give transcripts")]
    Empty,
    /// A phone outside of the inventory.
    #[error("phone language model: unit {unit} of a sentence is not below {units}")]
    Unit {
        /// The number.
        unit: u16,
        /// How many units there are.
        units: usize,
    },
    /// Stored bytes that are no model.
    #[error("stored phone language model, line {line}: {reason}")]
    Stored {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Size of a [`PhoneLm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhoneLmConfig {
    /// Length n of the n-grams, 2 to 6. Default: 4.
    pub order: usize,
    /// Histories of n-grams of this order, m ≤ n, are all kept: m − 1 phones. Default: 3.
    pub no_prune_order: usize,
    /// Most states beyond the number of histories of m − 1 phones. Default: 2,000.
    pub extra_states: usize,
}

impl Default for PhoneLmConfig {
    fn default() -> Self {
        Self { order: 4, no_prune_order: 3, extra_states: 2000 }
    }
}

/// The longest n-gram.
pub const MAX_ORDER: usize = 6;
/// The most units.
pub const MAX_UNITS: usize = 4096;

impl PhoneLmConfig {
    /// # Errors
    /// What is out of its domain.
    pub fn validate(&self) -> Result<(), PhoneLmError> {
        let Self { order, no_prune_order, .. } = *self;
        if !(2..=MAX_ORDER).contains(&order) || !(2..=order).contains(&no_prune_order) {
            return Err(PhoneLmError::Config(format!(
                "order {order} is not 2 to {MAX_ORDER}, or no_prune_order {no_prune_order} is not 2 to {order}"
            )));
        }
        Ok(())
    }
}

/// An arc: a phone with the number of times it followed the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhoneArc {
    /// The phone.
    pub phone: u16,
    /// How often.
    pub count: u64,
    /// State after it.
    pub to: u32,
}

/// A history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneState {
    /// Phones that came before, oldest first; `None` is the beginning of the sentence.
    pub history: Vec<Option<u16>>,
    /// What can follow, by phone.
    pub arcs: Vec<PhoneArc>,
    /// How often the sentence ended here.
    pub ends: u64,
}

impl PhoneState {
    /// How often anything followed.
    pub fn total(&self) -> u64 {
        self.arcs.iter().map(|arc| arc.count).sum::<u64>() + self.ends
    }
}

/// An unsmoothed n-gram model of phones as a deterministic automaton.
///
/// `P(p | h) = c(h, p) / c(h)` and the end of a sentence `c(h, end) / c(h)`, with counts as whole numbers, so that
/// weights are exact. State 0 is the beginning of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneLm {
    units: usize,
    states: Vec<PhoneState>,
}

impl PhoneLm {
    /// Number of units, of which phones are drawn.
    pub fn units(&self) -> usize {
        self.units
    }

    /// States; the first is the beginning of a sentence.
    pub fn states(&self) -> &[PhoneState] {
        &self.states
    }

    /// Number of arcs.
    pub fn num_arcs(&self) -> usize {
        self.states.iter().map(|state| state.arcs.len()).sum()
    }

    /// `ln P` of a sentence with its end; none where it is impossible.
    pub fn log_probability(&self, sentence: &[u16]) -> Option<f64> {
        let mut state = self.states.first()?;
        let mut sum = 0.0;
        for phone in sentence {
            let arc = state.arcs.binary_search_by_key(phone, |arc| arc.phone).ok()?;
            let arc = state.arcs[arc];
            sum += (arc.count as f64 / state.total() as f64).ln();
            state = self.states.get(arc.to as usize)?;
        }
        (state.ends > 0).then(|| sum + (state.ends as f64 / state.total() as f64).ln())
    }

    /// Perplexity of sentences, ends counted as phones; infinite where one of them is impossible.
    pub fn perplexity<'a>(&self, sentences: impl IntoIterator<Item = &'a [u16]>) -> f64 {
        let (mut sum, mut phones) = (0.0, 0usize);
        for sentence in sentences {
            sum += self.log_probability(sentence).unwrap_or(f64::NEG_INFINITY);
            phones += sentence.len() + 1;
        }
        (-sum / phones.max(1) as f64).exp()
    }
}
