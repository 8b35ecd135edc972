//! Parameter updates, one pass over memory.

use super::simd;

/// The scalars of an AdamW update in the form the loop needs.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// First-moment decay.
    pub beta1: f32,
    /// `1 − beta1`, rounded from double precision.
    pub rest1: f32,
    /// Second-moment decay.
    pub beta2: f32,
    /// `1 − beta2`, rounded from double precision.
    pub rest2: f32,
    /// `1 − lr·weight_decay`.
    pub decay: f32,
    /// `lr / (1 − beta1ᵗ)`.
    pub rate: f32,
    /// `1 / √(1 − beta2ᵗ)`.
    pub root_scale: f32,
    /// Added to the root.
    pub eps: f32,
}

simd! {
    /// One AdamW update of a piece.
    pub fn adamw(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], s: AdamW) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *m = *m * s.beta1 + g * s.rest1;
            *v = *v * s.beta2 + g * g * s.rest2;
            *p = *p * s.decay - s.rate * (*m / (v.sqrt() * s.root_scale + s.eps));
        }
    }

    /// One AdamW update of a piece, and `t ← momentum·t + rest·p` of the updated parameters.
    pub fn adamw_ema(
        p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], t: &mut [f32], s: AdamW, momentum: f32, rest: f32,
    ) {
        for ((((p, &g), m), v), t) in p.iter_mut().zip(g).zip(m).zip(v).zip(t) {
            *m = *m * s.beta1 + g * s.rest1;
            *v = *v * s.beta2 + g * g * s.rest2;
            *p = *p * s.decay - s.rate * (*m / (v.sqrt() * s.root_scale + s.eps));
            *t = *t * momentum + *p * rest;
        }
    }

    /// `t ← momentum·t + rest·s`.
    pub fn ema(t: &mut [f32], s: &[f32], momentum: f32, rest: f32) {
        for (t, &s) in t.iter_mut().zip(s) {
            *t = *t * momentum + s * rest;
        }
    }
}
