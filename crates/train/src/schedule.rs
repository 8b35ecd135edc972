//! Learning-rate schedules (SPIRAL §8).

use crate::{TrainError, within};
use serde::{Deserialize, Serialize};

/// The learning rate at optimiser step s = 0, 1, 2 …, as a function of the peak rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The peak, always.
    Constant,
    /// Warm-up, then half a cosine to zero (pre-training):
    /// `peak·(s+1)/(W+1)` for s ≤ W, `½·peak·(1 + cos(π(s−W)/(S−W)))` up to S, 0 after.
    Cosine {
        /// W: the step at which the peak is reached.
        warmup_steps: u64,
        /// S: the step at which the schedule ends.
        total_steps: u64,
    },
    /// Warm-up, hold, linear decay (fine-tuning):
    /// `peak·(s+1)/(W+1)` for s ≤ W, `peak` up to H, linear to `final_scale·peak` at S, then that.
    ThreePhase {
        /// W: the step at which the peak is reached.
        warmup_steps: u64,
        /// H: the step until which the peak is held.
        hold_until: u64,
        /// S: the step at which the schedule ends.
        total_steps: u64,
        /// Share of the peak at the end.
        final_scale: f64,
    },
    /// Warm-up, then `peak·√(W/s)`.
    InverseSqrt {
        /// W: the step at which the peak is reached.
        warmup_steps: u64,
    },
}

/// Most steps of a schedule.
const MAX_STEPS: u64 = 1_000_000_000;

impl Schedule {
    /// Whether its steps are in their order and its numbers in their ranges.
    ///
    /// # Errors
    /// The first that is not, by its key.
    pub fn validate(&self) -> Result<(), TrainError> {
        let (warmup, end) = ("schedule.warmup_steps", "schedule.total_steps");
        match *self {
            Self::Constant => Ok(()),
            Self::Cosine { warmup_steps, total_steps } => {
                within(end, total_steps, 1..=MAX_STEPS)?;
                within(warmup, warmup_steps, 0..=total_steps)
            }
            Self::ThreePhase { warmup_steps, hold_until, total_steps, final_scale } => {
                within(end, total_steps, 1..=MAX_STEPS)?;
                within("schedule.hold_until", hold_until, 0..=total_steps)?;
                within(warmup, warmup_steps, 0..=total_steps)?;
                within("schedule.final_scale", final_scale, 0.0..=1e3)
            }
            Self::InverseSqrt { warmup_steps } => within(warmup, warmup_steps, 0..=MAX_STEPS),
        }
    }

    /// The step at which the rate reaches its peak, where it rises to it.
    pub fn warmup_steps(&self) -> Option<u64> {
        match *self {
            Self::Constant => None,
            Self::Cosine { warmup_steps, .. }
            | Self::ThreePhase { warmup_steps, .. }
            | Self::InverseSqrt { warmup_steps } => Some(warmup_steps),
        }
    }

    /// The step after which the rate is 0, where there is one.
    pub fn zero_after(&self) -> Option<u64> {
        match *self {
            Self::Cosine { total_steps, .. } => Some(total_steps),
            Self::ThreePhase { total_steps, final_scale: 0.0, .. } => Some(total_steps),
            _ => None,
        }
    }

    /// The same shape over another number of steps; a schedule without an end stays as it is.
    pub fn rescale(&mut self, steps: u64) {
        match self {
            Self::Constant | Self::InverseSqrt { .. } => {}
            Self::Cosine { warmup_steps, total_steps } => {
                *warmup_steps = scaled(*warmup_steps, *total_steps, steps);
                *total_steps = steps;
            }
            Self::ThreePhase { warmup_steps, hold_until, total_steps, .. } => {
                *warmup_steps = scaled(*warmup_steps, *total_steps, steps);
                *hold_until = scaled(*hold_until, *total_steps, steps);
                *total_steps = steps;
            }
        }
    }

    /// The learning rate of step `step`.
    pub fn lr_at(&self, step: u64, peak: f64) -> f64 {
        let s = step as f64;
        let warmup = |w: u64| (s + 1.0) / (w as f64 + 1.0);
        peak * match *self {
            Self::Constant => 1.0,
            Self::Cosine { warmup_steps: w, .. } if step <= w => warmup(w),
            Self::Cosine { total_steps, .. } if step > total_steps => 0.0,
            Self::Cosine { warmup_steps, total_steps } => {
                let (w, end) = (warmup_steps as f64, total_steps as f64);
                0.5 * (1.0 + (std::f64::consts::PI * (s - w) / (end - w)).cos())
            }
            Self::ThreePhase { warmup_steps: w, .. } if step <= w => warmup(w),
            Self::ThreePhase { hold_until, .. } if step <= hold_until => 1.0,
            Self::ThreePhase { total_steps, final_scale, .. } if step >= total_steps => final_scale,
            Self::ThreePhase { hold_until, total_steps, final_scale, .. } => {
                let (hold, end) = (hold_until as f64, total_steps as f64);
                1.0 - (1.0 - final_scale) * (s - hold) / (end - hold)
            }
            Self::InverseSqrt { warmup_steps: w } if step <= w => warmup(w),
            Self::InverseSqrt { warmup_steps } => (warmup_steps as f64 / s).sqrt(),
        }
    }
}

/// A step of a schedule over `old` steps, in one over `new`.
fn scaled(step: u64, old: u64, new: u64) -> u64 {
    (step as f64 * new as f64 / old.max(1) as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_published_program() {
        let base = Schedule::Cosine { warmup_steps: 32_000, total_steps: 200_000 };
        let large = Schedule::Cosine { warmup_steps: 32_000, total_steps: 500_000 };
        let tune = |total_steps| Schedule::ThreePhase {
            warmup_steps: total_steps / 10,
            hold_until: total_steps / 2,
            total_steps,
            final_scale: 0.05,
        };
        for (schedule, peak, expected) in [
            (
                base,
                3e-3,
                &[
                    (0, 9.374707040404987e-08),
                    (100, 9.468454110809037e-06),
                    (32_000, 0.003),
                    (32_001, 0.0029999999997377337),
                    (100_000, 0.0019421327616163564),
                    (199_999, 2.6226620875036134e-13),
                    (200_000, 0.0),
                    (200_001, 0.0),
                ][..],
            ),
            (
                large,
                3e-3,
                &[(100_000, 0.002846420591458521), (499_999, 3.379629909261439e-14), (500_001, 0.0)],
            ),
            (
                tune(80_000),
                3e-5,
                &[
                    (0, 3.749531308586427e-09),
                    (7999, 2.9996250468691417e-05),
                    (8001, 3e-05),
                    (40_001, 2.99992875e-05),
                    (60_000, 1.575e-05),
                    (79_999, 1.5007125000000016e-06),
                    (80_001, 1.5e-06),
                ],
            ),
            (tune(320_000), 3e-5, &[(0, 9.374707040404988e-10), (240_000, 1.575e-05), (320_001, 1.5e-06)]),
        ] {
            for &(step, rate) in expected {
                let found = schedule.lr_at(step, peak);
                assert!(
                    (found - rate).abs() <= 1e-9 * rate + 1e-19,
                    "step {step}: {found:e} instead of {rate:e}"
                );
            }
        }
    }
}
