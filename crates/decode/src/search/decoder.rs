//! What a search for words needs besides the sound.

use super::SearchError;
use super::token::{LEAST_SCORE, NO_PHONE};
use super::tree::{LexiconTree, ROOT, WordEnd};
use crate::graph::{Outputs, Topology};
use auricle_text::lm::{NgramLm, State, UnitId};
use auricle_text::units::SILENCE;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Silence before, between and behind words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Silence {
    /// The acoustic model's unit.
    pub unit: u16,
    /// Its probability in each of the places, between 0 and 1.
    pub probability: f64,
}

impl Default for Silence {
    fn default() -> Self {
        Self { unit: SILENCE, probability: 0.2 }
    }
}

/// How to search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Weight λ of `ln P(word | words before)`, 0 or more. Default: 1.
    pub lm_weight: f32,
    /// Added for each word. Default: 0.
    pub word_bonus: f32,
    /// `ln P(word | words before)` of words that the language model does not have, whatever comes before, at most 0. Default: −14,
    /// which is one of a million.
    pub new_word_log: f32,
    /// Silence around words, which may always be left out; `None`: words fill the time (or CTC's blank does). Default: the unit
    /// [`SILENCE`] with probability 0.2.
    pub silence: Option<Silence>,
    /// Paths whose score is lower than the best of a frame by more than this are given up. Default: 14.
    pub beam: f32,
    /// The most paths that go on after a frame, but for equal scores. Default: 7000.
    pub max_active: usize,
    /// Ends of words worse than the best of a frame by more than this are given up. Default: 10.
    pub word_end_beam: f32,
    /// Makes a lattice of what is worse than the best path by at most this; `None`: no lattice, which is faster and takes no memory
    /// that grows with the utterance. Default: none; 6 to 8 are usual.
    pub lattice_beam: Option<f32>,
    /// Whether paths within words carry the best unigram probability of the words that they may become, until the word is known
    /// and scored exactly: narrower beams do then. It changes what is given up and no score. Default: true.
    pub look_ahead: bool,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            lm_weight: 1.0,
            word_bonus: 0.0,
            new_word_log: -14.0,
            silence: Some(Silence::default()),
            beam: 14.0,
            max_active: 7000,
            word_end_beam: 10.0,
            lattice_beam: None,
            look_ahead: true,
        }
    }
}

impl SearchConfig {
    /// Whether all settings are in range.
    ///
    /// # Errors
    /// One is not.
    pub fn validate(&self) -> Result<(), SearchError> {
        let range = |setting, value: f64, ok: bool, range| {
            if ok { Ok(()) } else { Err(SearchError::Config { setting, value, range }) }
        };
        let (weight, bonus) = (f64::from(self.lm_weight), f64::from(self.word_bonus));
        range("lm_weight", weight, (0.0..=1e3).contains(&weight), "0 to 1000")?;
        range("word_bonus", bonus, bonus.abs() <= 1e3, "-1000 to 1000")?;
        let new = f64::from(self.new_word_log);
        range("new_word_log", new, (-1e4..=0.0).contains(&new), "-10000 to 0")?;
        let beams = [
            ("beam", self.beam),
            ("word_end_beam", self.word_end_beam),
            ("lattice_beam", self.lattice_beam.unwrap_or(1.0)),
        ];
        for (setting, beam) in beams {
            range(setting, f64::from(beam), beam > 0.0, "above 0")?;
        }
        range("max_active", self.max_active as f64, self.max_active > 0, "1 or more")?;
        let probability = self.silence.map_or(0.5, |silence| silence.probability);
        let is_proper = probability > 0.0 && probability < 1.0;
        range("silence.probability", probability, is_proper, "between 0 and 1")
    }
}

impl SearchConfig {
    /// `ln P(word | words before)` and the state behind the word. What the language model does not have has a fixed probability; to
    /// the model it is its unknown word.
    pub(super) fn log_probability(&self, lm: &NgramLm, state: State, unit: UnitId) -> (f32, State) {
        let (log, next) = lm.score(state, unit);
        (if lm.is_unknown(unit) { self.new_word_log } else { log }, next)
    }
}

/// Lexicon, language model and outputs of an acoustic model, as any number of searches use them.
#[derive(Debug)]
pub struct WordDecoder {
    pub(super) tree: LexiconTree,
    pub(super) lm: NgramLm,
    pub(super) outputs: Outputs,
    pub(super) config: SearchConfig,
    /// Of each node, the look-ahead; nothing but zeros without it.
    pub(super) look_ahead: Arc<Vec<f32>>,
    /// Outputs of each node but the root's children, which may depend on the word before.
    inner_outputs: Vec<[u32; 2]>,
    /// ln of the transitions' probabilities.
    pub(super) stay: f32,
    pub(super) leave: f32,
    /// The unit of silence, and ln of the probabilities of silence and of none.
    pub(super) silence: Option<u16>,
    pub(super) with_silence: f32,
    pub(super) without_silence: f32,
}

impl WordDecoder {
    /// A decoder. The tree must have been made with the same language model.
    ///
    /// # Errors
    /// A setting is out of range; a word has a phone that the acoustic model has not, or silence in it.
    pub fn new(
        tree: LexiconTree,
        lm: NgramLm,
        outputs: Outputs,
        config: SearchConfig,
    ) -> Result<Self, SearchError> {
        config.validate()?;
        let units = outputs.units();
        let silence = config.silence.map(|silence| silence.unit);
        if let Some(phone) = silence.filter(|&unit| usize::from(unit) >= units) {
            return Err(SearchError::Phone { phone, units });
        }
        let nodes = 0..tree.num_nodes() as u32;
        let is_wrong = |phone: &u16| usize::from(*phone) >= units || Some(*phone) == silence;
        if let Some(phone) = nodes.clone().skip(1).map(|node| tree.phone(node)).find(is_wrong) {
            return Err(SearchError::Phone { phone, units });
        }
        let mut inner_outputs = vec![[0; 2]; tree.num_nodes()];
        for node in nodes {
            for child in tree.children(node) {
                let before = (node != ROOT).then(|| tree.phone(node));
                inner_outputs[child as usize] = outputs.of(before, tree.phone(child));
            }
        }
        let step = if outputs.topology() == Topology::Ctc { 0.0 } else { 0.5f32.ln() };
        let probability = config.silence.map_or(0.0, |silence| silence.probability);
        let mut decoder = Self {
            look_ahead: Arc::new(Vec::new()),
            inner_outputs,
            stay: step,
            leave: step,
            silence,
            with_silence: probability.ln() as f32,
            without_silence: (-probability).ln_1p() as f32,
            tree,
            lm,
            outputs,
            config,
        };
        decoder.look_ahead = Arc::new(decoder.look_ahead_with(|_| 0.0));
        Ok(decoder)
    }

    /// The look-ahead, with what each word gains besides.
    pub(super) fn look_ahead_with(&self, gain: impl Fn(u32) -> f32) -> Vec<f32> {
        if !self.config.look_ahead {
            return vec![0.0; self.tree.num_nodes()];
        }
        self.tree.best_below(|end: &WordEnd| {
            let (log, _) = self.config.log_probability(&self.lm, self.lm.middle(), self.tree.unit(end.word));
            self.weigh(log, end.log_weight) + gain(end.word)
        })
    }

    /// How it searches.
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The lexicon.
    pub fn tree(&self) -> &LexiconTree {
        &self.tree
    }

    /// What a word adds to the score of a path, by the logarithms of its probability and of its pronunciation's. Models of other
    /// toolkits have probabilities of 0, which must not make sums NaN.
    pub(super) fn weigh(&self, log: f32, log_weight: f32) -> f32 {
        self.config.lm_weight * log.max(LEAST_SCORE) + log_weight + self.config.word_bonus
    }

    /// What the end of the sentence adds.
    pub(super) fn end_score(&self, state: State) -> f32 {
        self.config.lm_weight * self.lm.end(state).max(LEAST_SCORE)
    }

    /// Outputs of a node after a phone, which matters only where the tree does not tell it.
    pub(super) fn outputs_of(&self, node: u32, before: u16) -> [u32; 2] {
        if before == NO_PHONE {
            return self.inner_outputs[node as usize];
        }
        self.outputs.of(Some(before), self.tree.phone(node))
    }

    /// A phone before, or nothing where outputs do not depend on it.
    pub(super) fn context(&self, before: u16) -> u16 {
        if self.outputs.has_context() { before } else { NO_PHONE }
    }

    /// A phone before as far as it matters between words: silence does not follow silence, and equal phones of CTC are parted.
    pub(super) fn context_between(&self, before: u16) -> u16 {
        let matters = self.outputs.blank().is_some() || Some(before) == self.silence;
        if matters { before } else { self.context(before) }
    }
}
