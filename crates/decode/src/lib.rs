//! CTC decoding, timestamps, long-form chunking.
