//! Normalisation, tokenizers, alignment and scores.
