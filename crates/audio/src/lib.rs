//! Decode, resample, front ends, voice activity.
