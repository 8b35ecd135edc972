//! Parameter updates, one pass over memory.

use super::simd;
use crate::options::AdamWScalars;

simd! {
    /// One AdamW update of a piece.
    pub fn adamw(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], s: AdamWScalars) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *m = *m * s.beta1 + g * s.rest1;
            *v = *v * s.beta2 + g * g * s.rest2;
            *p = *p * s.decay - s.rate * (*m / (v.sqrt() * s.root_scale + s.eps));
        }
    }

    /// One AdamW update of a piece, and `t ← momentum·t + rest·p` of the updated parameters.
    pub fn adamw_ema(
        p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], t: &mut [f32], s: AdamWScalars, momentum: f32, rest: f32,
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
