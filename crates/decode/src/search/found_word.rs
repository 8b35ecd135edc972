//! What a search finds.

/// A word that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundWord {
    /// As the language model spells it.
    pub word: String,
    /// Its first frame.
    pub start_frame: usize,
    /// The frame after its last.
    pub end_frame: usize,
    /// What the path's score grows by from the end of the word before to the end of this one, silence between them and language
    /// model included.
    pub score: f64,
    /// Share of language model, pronunciation, word bonus and hotwords in it.
    pub lm_score: f64,
}
