//! Perturbations of waveforms and spectrograms.
