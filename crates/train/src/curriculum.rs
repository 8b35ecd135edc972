//! Curriculum: which utterances an epoch has.

use crate::{TrainError, within};
use auricle_data::Utterance;
use auricle_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The `[train.curriculum]` table: from basic to harder utterances.
///
/// After the progressive learning of YODA (arXiv 2401.15670), carried over to speech: bins of growing
/// difficulty take turns, with replay of the bins before, and a teacher may say what is difficult.
///
/// # Differences from the paper
/// There a teacher asks, answers and rephrases; here are recordings, so nothing is rephrased: the middle bins stand for its
/// generalised questions (other speakers and conditions come from `[augment]`, in all bins alike). The teacher's feedback
/// is one number an utterance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurriculumConfig {
    /// Number of bins of equal size, by difficulty. Default: 3 (basic, generalised, harder). After the last one all data is used.
    pub bins: usize,
    /// Share of an epoch that is drawn from earlier bins. Default: 0.2.
    pub replay: f64,
    /// The next bin starts when validations improve by less than this share, `patience` times in a row. Default: 0.01.
    pub improvement: f64,
    /// Validations in a row without such an improvement; the next epoch then begins with the next bin. Default: 2.
    pub patience: u64,
    /// Order of the bins. Default: easy ones first.
    pub order: BinOrder,
    /// A teacher's error map, JSON lines of `{"id", "error"}` (`auricle data difficulty` writes one). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<PathBuf>,
}

/// Order of the bins; all but the first are controls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinOrder {
    /// From easy to hard.
    #[default]
    EasyFirst,
    /// From hard to easy.
    HardFirst,
    /// By lot: the same turns without an order.
    Random,
}

impl Default for CurriculumConfig {
    fn default() -> Self {
        Self {
            bins: 3,
            replay: 0.2,
            improvement: 0.01,
            patience: 2,
            order: BinOrder::default(),
            errors: None,
        }
    }
}

impl CurriculumConfig {
    /// Whether there can be such a curriculum.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        within("train.curriculum.bins", self.bins, 1..=100)?;
        within("train.curriculum.replay", self.replay, 0.0..=0.99)?;
        within("train.curriculum.improvement", self.improvement, 0.0..=0.99)?;
        within("train.curriculum.patience", self.patience, 1..=1_000_000)
    }
}

/// Where a curriculum stands; a part of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// Number of the bin; the number of bins: everything.
    pub bin: usize,
    /// Best validation in this bin.
    pub best: Option<f64>,
    /// Validations since it improved.
    pub stale: u64,
    /// The next epoch begins with the next bin.
    pub done: bool,
}

/// The bins of a corpus.
#[derive(Debug, Clone)]
pub struct Curriculum {
    config: CurriculumConfig,
    /// Indices of utterances.
    bins: Vec<Vec<usize>>,
}

impl Curriculum {
    /// Sorts utterances into bins. The `texts` places for text that come after them have no sound that could be hard:
    /// they are dealt out to all bins.
    ///
    /// # Errors
    /// Settings out of their domain, an error map that cannot be read or lacks utterances.
    pub fn new(
        config: &CurriculumConfig,
        speech: &[Utterance],
        texts: usize,
        key: Key,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let errors = config.errors.as_deref().map(read_errors).transpose()?;
        let mut difficulty = difficulties(speech, errors.as_ref()).map_err(|id| {
            TrainError::Recipe(format!("train.curriculum.errors: utterance {id} is not in the file; make it again with `auricle data difficulty`"))
        })?;
        match config.order {
            BinOrder::EasyFirst => {}
            BinOrder::HardFirst => difficulty.iter_mut().for_each(|d| *d = -*d),
            BinOrder::Random => {
                for (d, utterance) in difficulty.iter_mut().zip(speech) {
                    *d = key.utterance(&utterance.id).stream(Purpose::Shuffle).uniform();
                }
            }
        }
        let mut order: Vec<usize> = (0..speech.len()).collect();
        order.sort_by(|&a, &b| {
            difficulty[a].total_cmp(&difficulty[b]).then_with(|| speech[a].id.cmp(&speech[b].id))
        });
        let count = config.bins.min(order.len().max(1));
        let mut bins: Vec<Vec<usize>> = (0..count)
            .map(|b| order[b * order.len() / count..(b + 1) * order.len() / count].to_vec())
            .collect();
        for place in 0..texts {
            bins[place % count].push(speech.len() + place);
        }
        Ok(Self { config: config.clone(), bins })
    }

    /// The utterances of an epoch, in the corpus's order.
    pub fn choose(&self, stage: &Stage, key: Key) -> Vec<usize> {
        let Some(bin) = self.bins.get(stage.bin) else {
            let mut all: Vec<usize> = self.bins.iter().flatten().copied().collect();
            all.sort_unstable();
            return all;
        };
        let before: Vec<usize> = self.bins[..stage.bin].iter().flatten().copied().collect();
        let wanted = bin.len() as f64 * self.config.replay / (1.0 - self.config.replay);
        let replayed = (wanted.round() as usize).min(before.len());
        let mut chosen = bin.clone();
        let drawn = key.stream(Purpose::Subset).distinct(before.len(), replayed);
        chosen.extend(drawn.into_iter().map(|i| before[i]));
        chosen.sort_unstable();
        chosen
    }

    /// Takes the score of a validation, lower is better.
    pub fn validated(&self, stage: &mut Stage, score: f64) {
        if stage.bin >= self.bins.len() {
            return;
        }
        if stage.best.is_none_or(|best| score < best * (1.0 - self.config.improvement)) {
            (stage.best, stage.stale) = (Some(score), 0);
        } else {
            stage.stale += 1;
        }
        stage.done |= stage.stale >= self.config.patience;
    }

    /// The stage of the next epoch.
    pub fn next_epoch(&self, stage: &mut Stage) {
        if stage.done {
            *stage = Stage { bin: stage.bin + 1, ..Stage::default() };
        }
    }
}

/// Mean of z-scores of what is known of every utterance: logarithm of the duration, letters per second (both
/// ways: very fast and very slow), minus the signal-to-noise ratio (`snr_db`), minus the mean phone score
/// (`phone_scores`), and twice the teacher's error; `Err` names an utterance that the map lacks.
fn difficulties(utterances: &[Utterance], errors: Option<&HashMap<String, f64>>) -> Result<Vec<f64>, String> {
    let mut features: Vec<(f64, Vec<f64>)> =
        vec![(1.0, utterances.iter().map(|u| u.duration_secs.max(0.01).ln()).collect())];
    let rate =
        |u: &Utterance| u.text.as_deref().map(|text| text.chars().count() as f64 / u.duration_secs.max(0.01));
    if let Some(rates) = utterances.iter().map(rate).collect::<Option<Vec<f64>>>() {
        let deviation = z_scores(&rates).into_iter().map(f64::abs).collect();
        features.push((1.0, deviation));
    }
    let number = |u: &Utterance, name: &str| u.extra.get(name).and_then(serde_json::Value::as_f64);
    if let Some(snrs) = utterances.iter().map(|u| number(u, "snr_db")).collect::<Option<Vec<f64>>>() {
        features.push((1.0, snrs.into_iter().map(|snr| -snr).collect()));
    }
    let proficiency = |u: &Utterance| {
        let scores = u.extra.get("phone_scores")?.as_array()?;
        let scores: Vec<f64> = scores.iter().filter_map(serde_json::Value::as_f64).collect();
        (!scores.is_empty()).then(|| -scores.iter().sum::<f64>() / scores.len() as f64)
    };
    if let Some(scores) = utterances.iter().map(proficiency).collect::<Option<Vec<f64>>>() {
        features.push((1.0, scores));
    }
    if let Some(errors) = errors {
        let error = |u: &Utterance| errors.get(&u.id).copied().ok_or_else(|| u.id.clone());
        features.push((2.0, utterances.iter().map(error).collect::<Result<_, _>>()?));
    }
    let total: f64 = features.iter().map(|(weight, _)| weight).sum();
    let mut mixed = vec![0.0; utterances.len()];
    for (weight, values) in features {
        for (sum, z) in mixed.iter_mut().zip(z_scores(&values)) {
            *sum += weight * z / total;
        }
    }
    Ok(mixed)
}

fn z_scores(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-9);
    values.iter().map(|x| (x - mean) / std).collect()
}

/// A line of an error map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownError {
    /// Utterance id.
    pub id: String,
    /// The teacher's error, higher is harder.
    pub error: f64,
}

fn read_errors(path: &Path) -> Result<HashMap<String, f64>, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let mut errors = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let KnownError { id, error } = serde_json::from_str(line)
            .map_err(|e| TrainError::Recipe(format!("{}:{}: {e}", path.display(), number + 1)))?;
        if !error.is_finite() {
            return Err(TrainError::Recipe(format!("{}:{}: no finite error", path.display(), number + 1)));
        }
        errors.insert(id, error);
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<Utterance> {
        (0..30)
            .map(|i| {
                let mut utterance = Utterance::new(format!("u{i:02}"), "a.wav", 1.0 + f64::from(i % 10));
                utterance.text = Some("x".repeat(10 * (1 + i as usize % 10)));
                utterance
            })
            .collect()
    }

    fn curriculum(config: &CurriculumConfig) -> Curriculum {
        Curriculum::new(config, &corpus(), 0, Key::new(1)).unwrap()
    }

    #[test]
    fn short_ones_come_first_and_some_come_again() {
        let corpus = corpus();
        let made = curriculum(&CurriculumConfig::default());
        let mean = |indices: &[usize]| {
            indices.iter().map(|&i| corpus[i].duration_secs).sum::<f64>() / indices.len() as f64
        };
        let bin = |bin: usize| Stage { bin, ..Stage::default() };
        let epochs: Vec<Vec<usize>> =
            (0..=3).map(|b| made.choose(&bin(b), Key::new(1).epoch(b as u64))).collect();
        assert_eq!(epochs[0].len(), 10);
        // 10 of the bin and a fifth of the epoch from before.
        assert_eq!((epochs[1].len(), epochs[2].len(), epochs[3].len()), (13, 13, 30));
        assert!(mean(&epochs[0]) < mean(&epochs[1]) && mean(&epochs[1]) < mean(&epochs[2]));
        assert!(epochs.iter().all(|epoch| epoch.windows(2).all(|pair| pair[0] < pair[1])), "each once");
        // Another epoch draws others, the same epoch the same.
        let again = |epoch| made.choose(&bin(2), Key::new(1).epoch(epoch));
        assert_eq!(again(7), again(7));
        assert_ne!(again(7), again(8));

        let hard = curriculum(&CurriculumConfig { order: BinOrder::HardFirst, ..Default::default() });
        assert!(mean(&hard.choose(&bin(0), Key::new(1))) > mean(&epochs[2]));
        let random = curriculum(&CurriculumConfig { order: BinOrder::Random, ..Default::default() });
        assert_ne!(random.choose(&bin(0), Key::new(1)), epochs[0]);
    }

    #[test]
    fn a_teacher_says_what_is_hard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errors.jsonl");
        let lines: String = (0..30)
            .map(|i| format!("{{\"id\":\"u{i:02}\",\"error\":{}}}\n", if i == 0 { 50.0 } else { 0.0 }))
            .collect();
        std::fs::write(&path, &lines).unwrap();
        let config = CurriculumConfig { errors: Some(path.clone()), ..Default::default() };
        let made = curriculum(&config);
        assert!(made.bins[2].contains(&0), "the shortest utterance, but the teacher fails on it");
        std::fs::write(&path, lines.replace("u07", "v07")).unwrap();
        let error = Curriculum::new(&config, &corpus(), 0, Key::new(1)).unwrap_err().to_string();
        assert!(error.contains("u07") && error.contains("auricle data difficulty"), "{error}");
    }

    /// Places for text are in every bin, and need no teacher.
    #[test]
    fn text_is_dealt_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errors.jsonl");
        let lines: String = (0..30).map(|i| format!("{{\"id\":\"u{i:02}\",\"error\":0.5}}\n")).collect();
        std::fs::write(&path, &lines).unwrap();
        for errors in [None, Some(path)] {
            let config = CurriculumConfig { errors, ..Default::default() };
            let made = Curriculum::new(&config, &corpus(), 9, Key::new(1)).unwrap();
            let alone = curriculum(&config);
            for (bin, speech) in made.bins.iter().zip(&alone.bins) {
                assert_eq!(bin.iter().filter(|&&i| i >= corpus().len()).count(), 3);
                assert_eq!(&bin[..speech.len()], speech, "speech is sorted as without text");
            }
        }
    }

    #[test]
    fn the_next_bin_comes_when_nothing_improves() {
        let made = curriculum(&CurriculumConfig::default());
        let mut stage = Stage::default();
        for (score, done) in
            [(1.0, false), (0.9, false), (0.895, false), (0.5, false), (0.5, false), (0.499, true)]
        {
            made.validated(&mut stage, score);
            assert_eq!(stage.done, done, "{score} {stage:?}");
        }
        made.next_epoch(&mut stage);
        assert_eq!(stage, Stage { bin: 1, ..Stage::default() });
        made.next_epoch(&mut stage);
        assert_eq!(stage.bin, 1);
        let mut last = Stage { bin: 3, ..Stage::default() };
        for _ in 0..9 {
            made.validated(&mut last, 1.0);
        }
        assert!(!last.done);
    }
}
