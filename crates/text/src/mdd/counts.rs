//! Counts of right and wrong verdicts, and the rates made of them.

use super::curves::Detection;
use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::AddAssign;

/// Verdicts on phones. A rate without any case is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MddCounts {
    /// TA: right, and taken as right.
    pub true_acceptances: usize,
    /// FR: right, but taken as wrong.
    pub false_rejections: usize,
    /// FA: wrong, but taken as right.
    pub false_acceptances: usize,
    /// CD: wrong, taken as wrong, and what was said instead is known.
    pub correct_diagnoses: usize,
    /// DE: wrong, taken as wrong, but something else was said.
    pub diagnosis_errors: usize,
    /// Wrong and taken as wrong, without a diagnosis that could be judged.
    pub undiagnosed: usize,
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl MddCounts {
    /// Counts of yes-or-no verdicts: rejected where the probability is above `threshold`.
    pub fn of_detections(detections: &[Detection], threshold: f64) -> Self {
        let mut counts = Self::default();
        for detection in detections {
            let cell = match (detection.wrong, detection.probability > threshold) {
                (false, false) => &mut counts.true_acceptances,
                (false, true) => &mut counts.false_rejections,
                (true, false) => &mut counts.false_acceptances,
                (true, true) => &mut counts.undiagnosed,
            };
            *cell += 1;
        }
        counts
    }

    /// TR: wrong, and taken as wrong.
    pub fn true_rejections(&self) -> usize {
        self.correct_diagnoses + self.diagnosis_errors + self.undiagnosed
    }

    /// TA + FR + FA + TR.
    pub fn total(&self) -> usize {
        self.true_acceptances + self.false_rejections + self.false_acceptances + self.true_rejections()
    }

    /// FRR = FR/(TA + FR).
    pub fn false_rejection_rate(&self) -> Option<f64> {
        ratio(self.false_rejections, self.true_acceptances + self.false_rejections)
    }

    /// FAR = FA/(FA + TR) = 1 − recall.
    pub fn false_acceptance_rate(&self) -> Option<f64> {
        ratio(self.false_acceptances, self.false_acceptances + self.true_rejections())
    }

    /// DER = DE/(CD + DE).
    pub fn diagnosis_error_rate(&self) -> Option<f64> {
        ratio(self.diagnosis_errors, self.correct_diagnoses + self.diagnosis_errors)
    }

    /// 1 − DER.
    pub fn correct_diagnosis_rate(&self) -> Option<f64> {
        ratio(self.correct_diagnoses, self.correct_diagnoses + self.diagnosis_errors)
    }

    /// TR/(TR + FR).
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_rejections(), self.true_rejections() + self.false_rejections)
    }

    /// TR/(TR + FA).
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_rejections(), self.true_rejections() + self.false_acceptances)
    }

    /// F1 = 2PR/(P + R) = 2TR/(2TR + FR + FA).
    pub fn f1(&self) -> Option<f64> {
        let twice = 2 * self.true_rejections();
        ratio(twice, twice + self.false_rejections + self.false_acceptances)
    }

    /// (TA + TR)/(TA + TR + FA + FR).
    pub fn detection_accuracy(&self) -> Option<f64> {
        ratio(self.true_acceptances + self.true_rejections(), self.total())
    }
}

impl AddAssign for MddCounts {
    fn add_assign(&mut self, other: Self) {
        self.true_acceptances += other.true_acceptances;
        self.false_rejections += other.false_rejections;
        self.false_acceptances += other.false_acceptances;
        self.correct_diagnoses += other.correct_diagnoses;
        self.diagnosis_errors += other.diagnosis_errors;
        self.undiagnosed += other.undiagnosed;
    }
}

impl<'a> Sum<&'a Self> for MddCounts {
    fn sum<I: Iterator<Item = &'a Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counts| {
            sum += *counts;
            sum
        })
    }
}
