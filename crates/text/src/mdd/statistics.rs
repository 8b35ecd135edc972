//! Phone scores and the uncertainty of any score.

use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

/// speechocean762's phone score, 0–2, of a probability of error: 2(1 − p).
pub fn score_from_error_probability(probability: f64) -> f64 {
    2.0 * (1.0 - probability)
}

/// Pearson's correlation of pairs; `None` for fewer than two or where one side does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let mean = |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mean_x, y - mean_y);
        (xx, yy, xy) = (xx + x * x, yy + y * y, xy + x * y);
    }
    // The mean of equal numbers may be off by a rounding.
    let varies = |squares: f64, mean: f64| squares > count * (mean * 1e-12).powi(2);
    let usable = pairs.len() > 1 && varies(xx, mean_x) && varies(yy, mean_y);
    usable.then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)).filter(|r| r.is_finite())
}

/// Mean of (x − y)²; `None` without pairs.
pub fn mean_squared_error(pairs: &[(f64, f64)]) -> Option<f64> {
    let sum: f64 = pairs.iter().map(|(x, y)| (x - y).powi(2)).sum();
    (!pairs.is_empty()).then(|| sum / pairs.len() as f64)
}

/// Where 95 % of the resampled values lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

/// 95 % interval of any statistic: percentile bootstrap over groups (speakers: phones of one speaker
/// are not independent).
///
/// Samples without a value are left out. `None` for fewer than two groups, which say nothing about
/// others, and where half of the samples or more have no value.
pub fn bootstrap<G>(
    groups: &[G],
    samples: usize,
    key: Key,
    statistic: impl Fn(&[&G]) -> Option<f64>,
) -> Option<Interval> {
    if groups.len() < 2 {
        return None;
    }
    let mut stream = key.stream(Purpose::Bootstrap);
    let mut values = Vec::with_capacity(samples);
    let mut drawn: Vec<&G> = Vec::with_capacity(groups.len());
    for _ in 0..samples {
        drawn.clear();
        drawn.extend((0..groups.len()).map(|_| &groups[stream.below(groups.len())]));
        values.extend(statistic(&drawn));
    }
    if values.is_empty() || 2 * values.len() <= samples {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Some(Interval { low: at(0.025), high: at(0.975) })
}
