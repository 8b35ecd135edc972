//! Which utterances a recogniser cannot be trained on.

use crate::CtcConfig;
use auricle_data::Utterance;
use auricle_data::doctor::{self, Finding, Set};
use auricle_text::Tokenizer;

/// Says which transcripts the tokenizer cannot spell, and which have more tokens than CTC has frames for.
#[derive(Debug, Clone)]
pub struct Aligner {
    config: CtcConfig,
    tokenizer: Tokenizer,
}

impl Aligner {
    /// The aligner of a configuration and its vocabulary.
    pub fn new(config: CtcConfig, tokenizer: Tokenizer) -> Self {
        Self { config, tokenizer }
    }

    /// Findings of kind `cannot-spell` and `cannot-align`.
    pub fn cannot_align(&self, set: &Set) -> Vec<Finding> {
        let frames = |secs| self.config.output_frames(secs);
        let tokens = |text: &str| self.tokenizer.encode(text).map_err(|e| e.to_string());
        doctor::cannot_align(set, &frames, &tokens)
    }

    /// The same in words, utterance by utterance.
    pub fn reasons(&self, utterances: &[Utterance]) -> Vec<String> {
        let set = Set { name: "train".into(), utterances: utterances.to_vec(), ..Set::default() };
        self.cannot_align(&set).iter().map(|f| format!("{}: {}", f.id, f.detail)).collect()
    }
}
