//! Gradient accumulation.

use crate::{GradientSet, Metric};

/// What the batches of one optimiser step have added up so far.
#[derive(Default)]
pub(crate) struct Pending {
    pub batches: u64,
    loss: f64,
    /// Sums, and of how many batches: a task gives some numbers only of batches that have them.
    metrics: Vec<(Metric, u64)>,
    pub gradients: GradientSet,
}

impl Pending {
    pub fn add(&mut self, loss: f64, metrics: Vec<Metric>, gradients: GradientSet) {
        self.batches += 1;
        self.loss += loss;
        for metric in metrics {
            match self.metrics.iter_mut().find(|(own, _)| own.name == metric.name) {
                Some((own, count)) => {
                    own.value += metric.value;
                    *count += 1;
                }
                None => self.metrics.push((metric, 1)),
            }
        }
        self.gradients.add(gradients);
    }

    /// Mean over the batches.
    pub fn loss(&self) -> f64 {
        self.loss / self.batches.max(1) as f64
    }

    /// Means over the batches that had the number.
    pub fn metrics(&self) -> Vec<Metric> {
        let mean = |(sum, count): &(Metric, u64)| Metric { name: sum.name, value: sum.value / *count as f64 };
        self.metrics.iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_some_batches_lack_is_the_mean_of_the_others() {
        let metric = |name, value| Metric { name, value };
        let mut pending = Pending::default();
        pending.add(2.0, vec![metric("real", 1.0)], GradientSet::default());
        pending.add(4.0, vec![metric("real", 3.0), metric("pseudo", 5.0)], GradientSet::default());
        pending.add(6.0, vec![metric("real", 2.0)], GradientSet::default());
        assert_eq!(pending.loss(), 4.0);
        assert_eq!(pending.metrics(), [metric("real", 2.0), metric("pseudo", 5.0)]);
    }
}
