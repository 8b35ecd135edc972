//! Exponential moving average of parameters.

use auricle_tensor::ops;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
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
