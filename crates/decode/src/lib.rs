//! From frame-wise scores to words with times.
//!
//! Scores of frames are `ArrayView2<f32>` with the axes `[frames, classes]`; [`by_frame`] views a slice so.
//!
//! | Module | What |
//! |---|---|
//! | [`greedy`] | the best path of CTC, with frames and confidences |
//! | [`forced_alignment`] | the frames of the tokens of a known transcript |
//! | [`beam_search`] | the best sequences of an attention decoder, with CTC prefix scores |
//! | [`FrameSearch`] | the same frame by frame, for decoders that write while somebody speaks |
//! | [`TokenLm`] | shallow fusion of a language model of tokens in that search |
//! | [`WordLm`] | CTC with a word language model |
//! | [`graph`] | phones over the outputs of an acoustic model: denominators, numerators, best paths |
//! | [`search`] | words of a lexicon after a language model, over the outputs of a model of phones |
//! | [`words()`] | tokens to words with times |
//! | [`write`](mod@write) | plain text, JSON, CTM and SRT |
//! | [`Chunker`] | hours of audio in bounded memory, cut where nobody speaks |

mod attention;
mod ctc;
mod forced;
mod frame_search;
pub mod graph;
mod long_form;
mod prefix;
pub mod search;
mod spelling;
mod token_lm;
mod word_lm;
mod words;
pub mod write;

pub use attention::{BeamConfig, Hypothesis, beam_search};
pub use ctc::{TimedToken, by_frame, greedy, log_softmax};
pub use forced::forced_alignment;
pub use frame_search::{FrameSearch, Prefix, PrefixScorer};
pub use long_form::{Chunk, Chunker};
pub use spelling::{Spelling, WordLmError};
pub use token_lm::{TokenLm, TokenLmError};
pub use word_lm::{WordLm, WordLmConfig};
pub use words::{Word, words};
