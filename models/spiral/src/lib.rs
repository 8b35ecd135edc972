//! SPIRAL: perturbation-invariant self-supervised speech pre-training.
