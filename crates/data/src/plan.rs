//! Which utterances share a batch.

use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

/// Padded lengths are multiples of this: 16 frames of 10 ms, which every down-sampling divides.
const GRID_SECS: f64 = 0.16;

/// How batches are formed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Seconds of audio in a batch, padding included. A longer utterance gets a batch of its own.
    /// Default: 100.
    pub batch_secs: f64,
    /// Number of padded lengths: more waste less, fewer need fewer shapes. Default: 8.
    pub buckets: usize,
    /// Most utterances in a batch. Default: 256.
    pub max_utterances: usize,
    /// Draw the order anew in every epoch; else longest first. Default: true.
    pub shuffle: bool,
}

/// Why batches cannot be formed so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchConfigError {
    /// `batch_secs` is out of its range.
    #[error(
        "batch.batch_secs is {0}; it must be above 0 and at most {MAX_BATCH_SECS} (ten hours in a batch)"
    )]
    BatchSecs(f64),
    /// `buckets` is out of its range.
    #[error("batch.buckets is {0}; it must be between 1 and {MAX_BUCKETS}")]
    Buckets(usize),
    /// `max_utterances` is out of its range.
    #[error("batch.max_utterances is {0}; it must be between 1 and {MAX_UTTERANCES}")]
    MaxUtterances(usize),
}

const MAX_BATCH_SECS: f64 = 36_000.0;
const MAX_BUCKETS: usize = 1024;
const MAX_UTTERANCES: usize = 65_536;

impl BatchConfig {
    /// Whether batches can be formed so.
    ///
    /// # Errors
    /// A number out of its range, with the range: `batch_secs` in (0, 36000], `buckets` in [1, 1024], `max_utterances`
    /// in [1, 65536].
    pub fn validate(&self) -> Result<(), BatchConfigError> {
        // What is no number is in no range.
        if !(self.batch_secs > 0.0 && self.batch_secs <= MAX_BATCH_SECS) {
            return Err(BatchConfigError::BatchSecs(self.batch_secs));
        }
        if !(1..=MAX_BUCKETS).contains(&self.buckets) {
            return Err(BatchConfigError::Buckets(self.buckets));
        }
        if !(1..=MAX_UTTERANCES).contains(&self.max_utterances) {
            return Err(BatchConfigError::MaxUtterances(self.max_utterances));
        }
        Ok(())
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { batch_secs: 100.0, buckets: 8, max_utterances: 256, shuffle: true }
    }
}

/// Utterances of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Positions in the list of durations.
    pub indices: Vec<usize>,
    /// Every row is padded to this.
    pub padded_secs: f64,
}

/// The batches of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPlan {
    /// In the order of training.
    pub batches: Vec<Batch>,
    /// Share of padding in all rows, in [0, 1).
    pub padding_waste: f64,
}

impl BatchPlan {
    /// The batch with the most padded audio: the one that needs the most memory.
    pub fn longest(&self) -> Option<&Batch> {
        let size = |batch: &Batch| batch.padded_secs * batch.indices.len() as f64;
        self.batches.iter().max_by(|a, b| size(a).total_cmp(&size(b)))
    }
}

/// Plans an epoch: a pure function of durations, configuration and key.
///
/// The padded lengths minimise the padding of the whole list (exactly, by dynamic programming over
/// a grid of 0.16 s). Within a length, utterances are shuffled into batches of equal size, so every
/// shape of tensor comes again and again; each utterance is in exactly one batch.
pub fn plan(durations_secs: &[f64], config: &BatchConfig, key: Key) -> BatchPlan {
    let lengths = bucket_lengths(durations_secs, config.buckets.max(1));
    let mut buckets = vec![Vec::new(); lengths.len()];
    for (index, &secs) in durations_secs.iter().enumerate() {
        let units = units_from_secs(secs);
        let bucket = lengths.partition_point(|&length| length < units);
        if let Some(bucket) = buckets.get_mut(bucket) {
            bucket.push(index);
        }
    }
    let mut stream = key.stream(Purpose::Shuffle);
    let mut batches = Vec::new();
    for (&units, mut bucket) in lengths.iter().zip(buckets) {
        let padded_secs = units as f64 * GRID_SECS;
        let fit = (config.batch_secs / padded_secs + 1e-9) as usize;
        if config.shuffle {
            stream.shuffle(&mut bucket);
        } else {
            bucket.sort_by(|&a, &b| durations_secs[b].total_cmp(&durations_secs[a]).then(a.cmp(&b)));
        }
        let size = fit.clamp(1, config.max_utterances.max(1));
        batches.extend(bucket.chunks(size).map(|indices| Batch { indices: indices.to_vec(), padded_secs }));
    }
    if config.shuffle {
        stream.shuffle(&mut batches);
    } else {
        batches.reverse();
    }
    let padded: f64 = batches.iter().map(|b| b.padded_secs * b.indices.len() as f64).sum();
    let used: f64 = durations_secs.iter().sum();
    let padding_waste = if padded > 0.0 { (1.0 - used / padded).max(0.0) } else { 0.0 };
    BatchPlan { batches, padding_waste }
}

/// A duration in units of the grid, rounded up.
fn units_from_secs(secs: f64) -> usize {
    ((secs / GRID_SECS - 1e-6).ceil() as usize).max(1)
}

/// At most `count` lengths (in units of the grid, increasing) that pad the durations least.
fn bucket_lengths(durations_secs: &[f64], count: usize) -> Vec<usize> {
    let mut histogram = std::collections::BTreeMap::<usize, usize>::new();
    for &secs in durations_secs {
        *histogram.entry(units_from_secs(secs)).or_default() += 1;
    }
    let (units, counts): (Vec<usize>, Vec<usize>) = histogram.into_iter().unzip();
    let n = units.len();
    let count = count.min(n);
    let mut before = vec![0usize; n + 1];
    for (i, &c) in counts.iter().enumerate() {
        before[i + 1] = before[i] + c;
    }
    // cost[b][i]: least padded sum of the i shortest lengths in b buckets; the last ends at i.
    let mut cost = vec![vec![usize::MAX; n + 1]; count + 1];
    let mut split = vec![vec![0usize; n + 1]; count + 1];
    cost[0][0] = 0;
    for b in 1..=count {
        for end in b..=n {
            for start in (b - 1)..end {
                let padded = units[end - 1].saturating_mul(before[end] - before[start]);
                let total = cost[b - 1][start].saturating_add(padded);
                if total < cost[b][end] {
                    (cost[b][end], split[b][end]) = (total, start);
                }
            }
        }
    }
    let (mut lengths, mut end) = (Vec::with_capacity(count), n);
    for b in (1..=count).rev() {
        lengths.push(units[end - 1]);
        end = split[b][end];
    }
    lengths.reverse();
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        assert_eq!(BatchConfig::default().validate(), Ok(()));
        let with = |change: fn(&mut BatchConfig)| {
            let mut config = BatchConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        for bad in [
            with(|c| c.batch_secs = 0.0),
            with(|c| c.batch_secs = f64::NAN),
            with(|c| c.batch_secs = f64::INFINITY),
            with(|c| c.batch_secs = -1.0),
        ] {
            assert!(bad.contains("batch.batch_secs"), "{bad}");
        }
        assert!(with(|c| c.buckets = 0).contains("batch.buckets is 0"));
        assert!(with(|c| c.buckets = usize::MAX).contains("between 1 and 1024"));
        assert!(with(|c| c.max_utterances = 0).contains("batch.max_utterances"));
    }

    proptest! {
        #[test]
        fn every_utterance_once_within_the_budget(
            durations in prop::collection::vec(0.05f64..35.0, 0..200),
            batch_secs in 1.0f64..120.0, buckets in 1usize..12, shuffle: bool, seed: u64,
        ) {
            let config = BatchConfig { batch_secs, buckets, shuffle, ..BatchConfig::default() };
            let plan = super::plan(&durations, &config, Key::new(seed));
            let mut seen: Vec<usize> = plan.batches.iter().flat_map(|b| b.indices.clone()).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..durations.len()));
            let mut lengths: Vec<u64> = plan.batches.iter().map(|b| b.padded_secs.to_bits()).collect();
            lengths.sort_unstable();
            lengths.dedup();
            prop_assert!(lengths.len() <= buckets);
            for batch in &plan.batches {
                prop_assert!(batch.indices.len() == 1 || batch.padded_secs * batch.indices.len() as f64 <= batch_secs + 1e-6);
                prop_assert!(batch.indices.iter().all(|&i| durations[i] <= batch.padded_secs + 1e-6));
            }
            prop_assert!((0.0..1.0).contains(&plan.padding_waste));
        }
    }

    #[test]
    fn lengths_are_the_best_of_all_choices() {
        let durations: Vec<f64> =
            [1, 1, 2, 5, 5, 6, 9, 9, 9].iter().map(|&u| f64::from(u) * GRID_SECS).collect();
        let waste = |lengths: &[usize]| -> Option<usize> {
            durations
                .iter()
                .map(|&d| {
                    let units = units_from_secs(d);
                    lengths.iter().find(|&&l| l >= units).map(|l| l - units)
                })
                .sum()
        };
        let best = (1..=9)
            .flat_map(|a| (a..=9).flat_map(move |b| (b..=9).map(move |c| [a, b, c])))
            .filter_map(|lengths| waste(&lengths))
            .min();
        assert_eq!(waste(&bucket_lengths(&durations, 3)), best);
        assert_eq!(bucket_lengths(&durations, 100), [1, 2, 5, 6, 9]);
    }

    #[test]
    fn epochs_differ_and_repeat_by_key() {
        let durations: Vec<f64> = (0..50).map(|i| 1.0 + f64::from(i % 9)).collect();
        let at = |epoch| {
            plan(
                &durations,
                &BatchConfig { batch_secs: 20.0, ..BatchConfig::default() },
                Key::new(1).epoch(epoch),
            )
        };
        assert_eq!(at(3), at(3));
        assert_ne!(at(3), at(4));
        let fixed = plan(
            &durations,
            &BatchConfig { shuffle: false, batch_secs: 20.0, ..BatchConfig::default() },
            Key::new(9),
        );
        assert!(
            fixed.batches.windows(2).all(|pair| pair[0].padded_secs >= pair[1].padded_secs),
            "longest first"
        );
    }
}
