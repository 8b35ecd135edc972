//! Preparation of public corpora, one file a corpus.
