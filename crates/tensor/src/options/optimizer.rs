//! Options of the optimiser's update.

/// The scalars of one AdamW update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this update, from 1.
    pub step: u64,
}

impl AdamWStep {
    /// `1 − beta1^step` and `1 − beta2^step`.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let step = self.step as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }

    /// What the loop over the parameters needs.
    pub(crate) fn scalars(&self) -> AdamWScalars {
        let (correction1, correction2) = self.bias_corrections();
        AdamWScalars {
            beta1: self.beta1 as f32,
            rest1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            rest2: (1.0 - self.beta2) as f32,
            decay: (1.0 - self.lr * self.weight_decay) as f32,
            rate: (self.lr / correction1) as f32,
            root_scale: (1.0 / correction2.sqrt()) as f32,
            eps: self.eps as f32,
        }
    }
}

/// The scalars of an AdamW update in the form the loop needs.
#[derive(Debug, Clone, Copy)]
pub struct AdamWScalars {
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
