//! Whole-program and cross-crate tests.
