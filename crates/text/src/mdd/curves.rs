//! What a threshold trades, and whether probabilities mean what they say.

use super::{MddError, probability};
use serde::{Deserialize, Serialize};

/// A verdict on one canonical phone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Probability that the phone was said wrong, 0–1.
    pub probability: f64,
    /// Whether it was.
    pub wrong: bool,
}

/// What one threshold gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrPoint {
    /// Phones with a probability above it are rejected. It lies between two values that occur.
    pub threshold: f64,
    /// TR/(TR + FR).
    pub precision: f64,
    /// TR/(TR + FA).
    pub recall: f64,
    /// TR: wrong phones found.
    pub true_rejections: usize,
    /// FR: right phones rejected.
    pub false_rejections: usize,
}

impl PrPoint {
    /// 2PR/(P + R); 0 where nothing wrong is found.
    pub fn f1(&self) -> f64 {
        let sum = self.precision + self.recall;
        if sum > 0.0 { 2.0 * self.precision * self.recall / sum } else { 0.0 }
    }
}

/// Precision against recall over all thresholds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PrCurve {
    /// From the highest threshold that rejects anything down; empty if no phone is wrong.
    pub points: Vec<PrPoint>,
}

impl PrCurve {
    /// Area under the curve as average precision, Σ (Rₙ − Rₙ₋₁)·Pₙ; `None` if no phone is wrong.
    pub fn average_precision(&self) -> Option<f64> {
        let mut last = 0.0;
        let areas = self.points.iter().map(|point| {
            let area = (point.recall - last) * point.precision;
            last = point.recall;
            area
        });
        let sum = areas.sum();
        (!self.points.is_empty()).then_some(sum)
    }

    /// The point of the highest F1, of equal ones that of the highest threshold.
    pub fn best_f1(&self) -> Option<&PrPoint> {
        self.points.iter().rev().max_by(|a, b| a.f1().total_cmp(&b.f1()))
    }
}

fn check(detections: &[Detection]) -> Result<(), MddError> {
    detections
        .iter()
        .enumerate()
        .try_for_each(|(i, detection)| probability(i, detection.probability).map(drop))
}

/// The curve of a set of verdicts; equal probabilities are one point.
///
/// # Errors
/// A probability is not within 0–1.
pub fn precision_recall(detections: &[Detection]) -> Result<PrCurve, MddError> {
    check(detections)?;
    let positives = detections.iter().filter(|detection| detection.wrong).count();
    if positives == 0 {
        return Ok(PrCurve::default());
    }
    let mut sorted = detections.to_vec();
    sorted.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let (mut found, mut points) = (0, Vec::new());
    for (i, detection) in sorted.iter().enumerate() {
        found += usize::from(detection.wrong);
        let next = sorted.get(i + 1).map(|next| next.probability);
        if next == Some(detection.probability) {
            continue;
        }
        points.push(PrPoint {
            threshold: between(next, detection.probability),
            precision: found as f64 / (i + 1) as f64,
            recall: found as f64 / positives as f64,
            true_rejections: found,
            false_rejections: i + 1 - found,
        });
    }
    Ok(PrCurve { points })
}

/// A threshold that `upper` is above and `lower` is not.
fn between(lower: Option<f64>, upper: f64) -> f64 {
    let Some(lower) = lower else { return upper.next_down() };
    let middle = lower + (upper - lower) / 2.0;
    // Neighbouring numbers have nothing between them.
    if middle < upper { middle } else { lower }
}

/// Verdicts of similar probability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Number of verdicts.
    pub count: usize,
    /// Their mean probability; 0 without any.
    pub mean_probability: f64,
    /// The share of them that was wrong; 0 without any.
    pub share_wrong: f64,
}

/// Probability against frequency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Bins of equal width over 0–1, each without its upper end but for the last.
    pub bins: Vec<ReliabilityBin>,
    /// Expected calibration error, Σ n/N·|mean probability − share wrong|; `None` without verdicts.
    pub calibration_error: Option<f64>,
    /// Brier score, the mean of (probability − outcome)²; `None` without verdicts.
    pub brier: Option<f64>,
}

/// The reliability curve of a set of verdicts.
///
/// # Errors
/// There are no bins, or a probability is not within 0–1.
pub fn reliability(detections: &[Detection], bins: usize) -> Result<Reliability, MddError> {
    check(detections)?;
    if bins == 0 {
        return Err(MddError::NoBins);
    }
    let mut sums = vec![ReliabilityBin::default(); bins];
    let mut squares = 0.0;
    for detection in detections {
        let bin = &mut sums[((detection.probability * bins as f64) as usize).min(bins - 1)];
        let outcome = f64::from(u8::from(detection.wrong));
        bin.count += 1;
        bin.mean_probability += detection.probability;
        bin.share_wrong += outcome;
        squares += (detection.probability - outcome).powi(2);
    }
    let all = detections.len() as f64;
    let mut error = 0.0;
    for bin in sums.iter_mut().filter(|bin| bin.count > 0) {
        error += (bin.mean_probability - bin.share_wrong).abs() / all;
        bin.mean_probability /= bin.count as f64;
        bin.share_wrong /= bin.count as f64;
    }
    let any = |value: f64| (!detections.is_empty()).then_some(value);
    Ok(Reliability { bins: sums, calibration_error: any(error), brier: any(squares / all.max(1.0)) })
}
