//! Gradients by parameter name.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use std::collections::BTreeMap;

/// The gradients of one or several batches, flattened, by parameter name.
///
/// A parameter that took no part in the loss (a dropped layer) has no entry.
#[derive(Debug, Default)]
pub struct GradientSet {
    by_name: BTreeMap<String, Tensor<1>>,
}

impl GradientSet {
    /// Takes the gradients of a module's parameters out of the result of `backward`.
    pub fn collect<M: Module>(module: &M, gradients: &mut Gradients) -> Self {
        let mut collect = Collect { path: Vec::new(), gradients, set: Self::default() };
        module.visit(&mut collect);
        collect.set
    }

    /// Adds another set.
    pub fn add(&mut self, other: Self) {
        for (name, gradient) in other.by_name {
            let sum = match self.by_name.remove(&name) {
                Some(own) => own + gradient,
                None => gradient,
            };
            self.by_name.insert(name, sum);
        }
    }

    /// Multiplies everything.
    pub fn scale(&mut self, factor: f64) {
        let scaled =
            std::mem::take(&mut self.by_name).into_iter().map(|(name, g)| (name, g.mul_scalar(factor)));
        self.by_name = scaled.collect();
    }

    /// Global L2 norm over all parameters, summed in the order of their names.
    pub fn norm(&self) -> f64 {
        let squares =
            self.by_name.values().map(|g| f64::from((g.clone() * g.clone()).sum().into_scalar::<f32>()));
        squares.sum::<f64>().sqrt()
    }

    /// Scales down to a global norm of `limit` where it is exceeded (`norm` is the current one).
    pub fn clip(&mut self, norm: f64, limit: f64) {
        if norm > limit && norm.is_finite() {
            self.scale(limit / (norm + 1e-6));
        }
    }

    /// Names of parameters whose gradient holds a value that is not finite.
    pub fn non_finite(&self) -> Vec<String> {
        let bad = |g: &Tensor<1>| !g.clone().sum().into_scalar::<f32>().is_finite();
        self.by_name.iter().filter(|(_, g)| bad(g)).map(|(name, _)| name.clone()).collect()
    }

    /// Takes one gradient.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.by_name.remove(name)
    }

    /// One gradient.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.by_name.get(name)
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

struct Collect<'a> {
    path: Vec<String>,
    gradients: &'a mut Gradients,
    set: GradientSet,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.set.by_name.insert(self.path.join("."), gradient.flatten(0, D - 1));
        }
    }
}
