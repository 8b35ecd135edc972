//! Ranges of a recipe's numbers: whatever a recipe says, a training starts, or says what is wrong with it.

use crate::{AdamWConfig, Recipe, TrainError, within};
use auricle_data::MAX_WORKERS;

/// Seconds in eleven days: no recording and no batch is longer.
const MAX_SECS: f64 = 1e6;
/// Steps, and batches in one: their product is far from the end of 64 bits.
const MAX_STEPS: u64 = 1_000_000_000;

impl Recipe {
    /// Whether its numbers are in their ranges. The tables of the task are checked by the task.
    ///
    /// # Errors
    /// The first that is not, by its key.
    pub fn validate(&self) -> Result<(), TrainError> {
        let data = &self.data;
        within("data.min_secs", data.min_secs, 0.0..=MAX_SECS)?;
        within("data.max_secs", data.max_secs, data.min_secs.max(f64::MIN_POSITIVE)..=MAX_SECS)?;
        if let Some(minutes) = data.subset_minutes {
            within("data.subset_minutes", minutes, 1e-3..=1e9)?;
        }
        within("data.cache_mib", data.cache_mib, 0..=1 << 30)?;
        within("data.workers", data.workers, 0..=MAX_WORKERS)?;
        self.batch.validate().map_err(|error| TrainError::Recipe(error.to_string()))?;
        optimizer(&self.optimizer)?;
        self.schedule.validate()?;
        let train = &self.train;
        for (key, value) in [
            ("train.steps", train.steps),
            ("train.log_every", train.log_every),
            ("train.validate_every", train.validate_every),
            ("train.checkpoint_every", train.checkpoint_every),
            ("train.patience", train.patience.unwrap_or(1)),
        ] {
            within(key, value, 1..=MAX_STEPS)?;
        }
        within("train.accumulate", train.accumulate, 1..=MAX_STEPS)?;
        within("train.keep_best", train.keep_best, 1..=1_000)?;
        if let Some(limit) = train.clip_norm {
            within("train.clip_norm", limit, 1e-12..=1e12)?;
        }
        if let Some(momentum) = train.ema.filter(|momentum| !(*momentum > 0.0 && *momentum < 1.0)) {
            return Err(TrainError::Recipe(format!("train.ema: {momentum} is not above 0 and below 1")));
        }
        if let Some(config) = &train.self_training {
            config.validate().map_err(TrainError::Recipe)?;
        }
        train.curriculum.as_ref().map_or(Ok(()), |curriculum| curriculum.validate())
    }

    /// What is allowed, and most likely not meant: settings that others make useless.
    pub fn warnings(&self) -> Vec<String> {
        let steps = self.train.steps;
        let mut warnings = Vec::new();
        if let Some(warmup) = self.schedule.warmup_steps().filter(|&warmup| warmup > steps) {
            warnings.push(format!(
                "schedule.warmup_steps = {warmup} is above train.steps = {steps}: the learning rate never reaches \
                 optimizer.lr"
            ));
        }
        if let Some(end) = self.schedule.zero_after().filter(|&end| end < steps) {
            warnings.push(format!(
                "schedule.total_steps = {end} is below train.steps = {steps}: the learning rate is 0 in the last {} \
                 steps",
                steps - end
            ));
        }
        if self.train.validate_every > steps
            && !self.data.validation.is_empty()
            && self.train.patience.is_some()
        {
            warnings.push(format!(
                "train.patience is of no effect: train.validate_every = {} is above train.steps = {steps}",
                self.train.validate_every
            ));
        }
        if self.data.validation.is_empty() && self.train.patience.is_some() {
            warnings.push("train.patience is of no effect without data.validation".into());
        }
        warnings
    }
}

fn optimizer(config: &AdamWConfig) -> Result<(), TrainError> {
    within("optimizer.lr", config.lr, 0.0..=1e38)?;
    for (key, beta) in [("optimizer.beta1", config.beta1), ("optimizer.beta2", config.beta2)] {
        if !(0.0..1.0).contains(&beta) {
            return Err(TrainError::Recipe(format!("{key}: {beta} is not at least 0 and below 1")));
        }
    }
    within("optimizer.epsilon", config.epsilon, 1e-30..=1.0)?;
    within("optimizer.weight_decay", config.weight_decay, 0.0..=1e3)?;
    within("optimizer.encoder_weight_decay", config.encoder_weight_decay.unwrap_or(0.0), 0.0..=1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

    const RECIPE: &str = "task = 'ctc'\ndata = { train = ['a.jsonl'], validation = ['b.jsonl'] }\n\
        schedule = { kind = 'three_phase', warmup_steps = 5, hold_until = 6, total_steps = 10, final_scale = 0.1 }\n\
        train = { steps = 10 }\n";

    fn with(set: &str) -> Result<Recipe, TrainError> {
        let mut table: toml::Table = toml::from_str(RECIPE).unwrap();
        recipe::set(&mut table, set).unwrap();
        let recipe: Recipe = recipe::parse(&table, "test")?;
        recipe.validate().map(|()| recipe)
    }

    /// Every number that a recipe has, at its worst: an answer that names the key.
    #[test]
    fn numbers_out_of_range_are_named() {
        let keys = [
            ("data.min_secs", "float"),
            ("data.max_secs", "float"),
            ("data.subset_minutes", "float"),
            ("data.workers", "whole"),
            ("batch.batch_secs", "float"),
            ("batch.buckets", "count"),
            ("batch.max_utterances", "count"),
            ("optimizer.lr", "float"),
            ("optimizer.beta1", "float"),
            ("optimizer.beta2", "float"),
            ("optimizer.epsilon", "float"),
            ("optimizer.weight_decay", "float"),
            ("optimizer.encoder_weight_decay", "float"),
            ("schedule.final_scale", "float"),
            ("schedule.warmup_steps", "whole"),
            ("schedule.hold_until", "whole"),
            ("schedule.total_steps", "count"),
            ("train.steps", "count"),
            ("train.accumulate", "count"),
            ("train.clip_norm", "float"),
            ("train.log_every", "count"),
            ("train.validate_every", "count"),
            ("train.checkpoint_every", "count"),
            ("train.keep_best", "count"),
            ("train.ema", "float"),
            ("train.patience", "count"),
            ("train.curriculum.bins", "count"),
            ("train.curriculum.replay", "float"),
            ("train.curriculum.improvement", "float"),
            ("train.curriculum.patience", "count"),
        ];
        let largest = i64::MAX.to_string();
        for (key, kind) in keys {
            let bad: &[&str] = match kind {
                "float" => &["nan", "-1.0", "inf", "-inf", "1e300"],
                "count" => &["0", &largest, "-1"],
                _ => &[&largest, "-1"],
            };
            for value in bad {
                let error = with(&format!("{key}={value}")).err();
                let error = error.unwrap_or_else(|| panic!("{key}={value} is taken")).to_string();
                // A number of another sign or kind is refused by its table.
                let (table, name) = key.rsplit_once('.').unwrap();
                assert!(error.contains(name) || error.contains(table), "{key}={value}: {error}");
            }
        }
        assert!(with("data.workers=0").is_ok());
        assert!(with("train.ema=1.0").is_err() && with("train.ema=0.5").is_ok());
    }

    #[test]
    fn what_has_no_effect_is_warned_of() {
        assert!(with("train.steps=10").unwrap().warnings().is_empty());
        for (set, name) in [
            ("train.steps=4", "schedule.warmup_steps = 5 is above train.steps = 4"),
            ("train.patience=3", "train.patience"),
        ] {
            let warnings = with(set).unwrap().warnings().join("\n");
            assert!(warnings.contains(name), "{set}: {warnings}");
        }
        let cosine = with("schedule={ kind = 'cosine', warmup_steps = 1, total_steps = 8 }").unwrap();
        assert!(cosine.warnings()[0].contains("in the last 2 steps"));
        assert!(with("schedule.warmup_steps=11").unwrap_err().to_string().contains("schedule.warmup_steps"));
    }
}
