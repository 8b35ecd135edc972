//! Gradient accumulation.

use crate::{GradientSet, Metric};

/// What the batches of one optimiser step have added up so far.
#[derive(Default)]
pub(crate) struct Pending {
    pub batches: u64,
    loss: f64,
    metrics: Vec<Metric>,
    pub gradients: GradientSet,
}

impl Pending {
    pub fn add(&mut self, loss: f64, metrics: Vec<Metric>, gradients: GradientSet) {
        self.batches += 1;
        self.loss += loss;
        for metric in metrics {
            match self.metrics.iter_mut().find(|own| own.name == metric.name) {
                Some(own) => own.value += metric.value,
                None => self.metrics.push(metric),
            }
        }
        self.gradients.add(gradients);
    }

    pub fn loss(&self) -> f64 {
        self.loss / self.batches.max(1) as f64
    }

    pub fn metrics(&self) -> Vec<Metric> {
        let count = self.batches.max(1) as f64;
        self.metrics.iter().map(|m| Metric { name: m.name, value: m.value / count }).collect()
    }
}
