//! Exponential moving averages (EMA) of parameters, and how their momentum changes over a training.
//!
//! | Schedule | Momentum of step s | Used by |
//! |---|---|---|
//! | [`MomentumSchedule`] | a cosine from `start` to `end` | SPIRAL's teacher |
//! | [`warm_momentum`] | `min(m, (1 + s)/(10 + s))` | the average of the weights, `train.ema` |

use auricle_tensor::ops;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::VecDeque;

/// `θ_T ← m·θ_T + (1 − m)·θ_S` for every floating-point parameter, in one pass.
///
/// `teacher` and `student` must be modules of the same structure; the teacher lives outside the
/// gradient graph. Weight-norm gains and directions are averaged separately (SPIRAL §4).
pub fn ema_update<M: Module>(teacher: M, student: &M, momentum: f64) -> M {
    let mut collect = Collect { tensors: VecDeque::new() };
    student.visit(&mut collect);
    teacher.map(&mut Blend { student: collect.tensors, momentum })
}

/// Momentum of a teacher at step s:
/// `m(s) = end + ½·(start − end)·(1 + cos(π·s/steps))`, `end` after `steps` (SPIRAL §4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentumSchedule {
    /// Momentum at step 0.
    pub start: f64,
    /// Momentum from `steps` on.
    pub end: f64,
    /// Steps of the cosine.
    pub steps: u64,
}

impl Default for MomentumSchedule {
    /// The values of SPIRAL Base.
    fn default() -> Self {
        Self { start: 0.995, end: 1.0, steps: 200_000 }
    }
}

impl MomentumSchedule {
    /// m(s).
    pub fn at(&self, step: u64) -> f64 {
        if step > self.steps {
            return self.end;
        }
        let phase = std::f64::consts::PI * step as f64 / self.steps.max(1) as f64;
        self.end + 0.5 * (self.start - self.end) * (1.0 + phase.cos())
    }
}

/// Momentum of an average of weights at step s: `min(momentum, (1 + s)/(10 + s))`, which grows from 0.1, so that the
/// average of a short run is not its random start.
pub fn warm_momentum(momentum: f64, step: u64) -> f64 {
    let s = step as f64;
    momentum.min((1.0 + s) / (10.0 + s))
}

struct Collect {
    tensors: VecDeque<Box<dyn Any>>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let value = if value.is_autodiff() { value.inner() } else { value };
        self.tensors.push_back(Box::new(value));
    }
}

struct Blend {
    student: VecDeque<Box<dyn Any>>,
    momentum: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(student) = self.student.pop_front().and_then(|any| any.downcast::<Tensor<D>>().ok()) else {
            return param;
        };
        let (id, teacher, mapper) = param.consume();
        Param::from_mapped_value(id, ops::ema(teacher, *student, self.momentum), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_follows_the_published_program() {
        let base = MomentumSchedule::default();
        let large = MomentumSchedule { start: 0.99, end: 0.999, steps: 500_000 };
        // Values of the published program.
        for (schedule, step, expected) in [
            (base, 0, 0.995),
            (base, 1, 0.9950000000003084),
            (base, 50_000, 0.9957322330470336),
            (base, 150_000, 0.9992677669529664),
            (base, 200_001, 1.0),
            (large, 1, 0.9900000000000888),
            (large, 250_000, 0.9944999999999999),
            (large, 600_000, 0.999),
        ] {
            assert!((schedule.at(step) - expected).abs() < 1e-12, "step {step}: {}", schedule.at(step));
        }
    }

    #[test]
    fn an_average_forgets_its_start_soon_and_then_keeps_its_momentum() {
        assert_eq!(warm_momentum(0.99, 0), 0.1);
        assert_eq!(warm_momentum(0.99, 8), 0.5);
        assert_eq!(warm_momentum(0.99, u64::MAX), 0.99);
    }
}
