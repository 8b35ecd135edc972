//! From waveforms and sentences to a batch.

use crate::text_tasks::{wanted, with_gaps};
use crate::{LasynConfig, SplitRecogniser, Synthesizer, Target, TasksConfig, TextPool, TextTask};
use auricle_augment::Libraries;
use auricle_data::Utterance;
use auricle_rng::Purpose;
use auricle_text::{Tokenizer, normalise};
use auricle_train::{Acoustics, AugmentConfig, Draw, FeatureBatch, Prepare, TrainError, Wave};
use std::sync::Arc;

/// Real rows first, then pseudo-acoustic ones.
#[derive(Debug, Clone, PartialEq)]
pub struct LasynBatch {
    /// Utterance ids.
    pub ids: Vec<String>,
    /// Features of the real rows.
    pub features: FeatureBatch,
    /// Latents of the other rows, `[T, D]` each.
    pub pseudo: Vec<Vec<f32>>,
    /// Token ids per row.
    pub targets: Vec<Vec<u32>>,
    /// What rows are asked for where that is not the main task.
    pub tasks: Vec<Option<TextTask>>,
    /// What should be written, per row.
    pub texts: Vec<String>,
}

/// The loader side.
#[derive(Clone)]
pub struct LasynPrepare {
    acoustics: Acoustics,
    bins: usize,
    multiple: usize,
    tokenizer: Arc<Tokenizer>,
    target: Target,
    tasks: TasksConfig,
    synthesizer: Option<Arc<dyn Synthesizer>>,
    pool: Arc<TextPool>,
}

impl LasynPrepare {
    /// # Errors
    /// A setting out of its domain.
    pub fn new(
        base: &SplitRecogniser,
        config: &LasynConfig,
        tokenizer: Arc<Tokenizer>,
        augment: AugmentConfig,
        synthesizer: Option<Arc<dyn Synthesizer>>,
        pool: TextPool,
        libraries: Libraries,
    ) -> Result<Self, TrainError> {
        config.validate().map_err(|e| TrainError::Recipe(e.to_string()))?;
        let acoustics = Acoustics::new(base.config.front_end.clone(), augment, libraries)?;
        Ok(Self {
            acoustics,
            bins: base.config.encoder.bins,
            multiple: 16usize.max(base.config.encoder.downsampling()),
            tokenizer,
            target: config.target,
            tasks: config.tasks,
            synthesizer,
            pool: Arc::new(pool),
        })
    }

    fn encode(&self, id: &str, text: &str) -> Result<Vec<u32>, TrainError> {
        self.tokenizer.encode(text).map_err(|e| TrainError::Data(format!("utterance {id}: {e}")))
    }
}

/// What a model should write for an utterance.
fn target(utterance: &Utterance, target: Target) -> Result<String, &'static str> {
    match target {
        Target::Text => utterance.text.as_deref().map(normalise).ok_or("it has no transcript"),
        Target::Meaning => utterance.meaning.clone().ok_or("it has no meaning"),
    }
}

impl Prepare for LasynPrepare {
    type Batch = LasynBatch;

    fn sample_rate(&self) -> u32 {
        self.acoustics.sample_rate()
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        if utterance.is_text() {
            return Ok(());
        }
        let text = target(utterance, self.target)?;
        self.tokenizer.encode(&text).map_err(|e| e.to_string())?;
        self.acoustics.check_length(utterance.duration_secs)
    }

    fn prepare(&self, waves: &[Wave], padded_secs: f64, draw: Draw) -> Result<LasynBatch, TrainError> {
        let (texts_only, real): (Vec<&Wave>, Vec<&Wave>) =
            waves.iter().partition(|wave| wave.utterance.is_text());
        let real: Vec<Wave> = real.into_iter().cloned().collect();
        let features = if real.is_empty() {
            FeatureBatch { values: Vec::new(), lengths: Vec::new(), frames: 0 }
        } else {
            let zeros = vec![0.0; self.bins];
            self.acoustics.batch(&real, padded_secs, self.multiple, &zeros, draw)?
        };
        let (mut ids, mut targets, mut texts, mut pseudo) = (vec![], vec![], vec![], vec![]);
        let mut tasks = vec![None; real.len()];
        for wave in &real {
            let id = &wave.utterance.id;
            let text = target(&wave.utterance, self.target).map_err(|reason| {
                TrainError::Data(format!("utterance {id}: {reason}; drop it with `auricle data check --fix`"))
            })?;
            targets.push(self.encode(id, &text)?);
            ids.push(id.clone());
            texts.push(text);
        }
        for wave in texts_only {
            let id = &wave.utterance.id;
            let key = draw.utterance(id);
            let drawn = self.synthesizer.as_ref().zip(self.pool.draw(id, key));
            let (synthesizer, sentence) = drawn.ok_or_else(|| {
                TrainError::Data(format!("utterance {id} has no audio, and no text stands for it"))
            })?;
            let mut stream = key.stream(Purpose::TextTask);
            let drawn = self.tasks.draw(&mut stream);
            let other = drawn.and_then(|task| Some((task, wanted(task, &sentence.said, &sentence.target)?)));
            let (task, text) = match other {
                Some((task, text)) => (Some(task), text),
                None => (None, sentence.target.clone()),
            };
            let voice = &mut key.stream(Purpose::Synthesis);
            let made = match task {
                Some(TextTask::Reconstruction) => {
                    let words = with_gaps(&sentence.words, self.tasks.gaps, &mut stream);
                    synthesizer.synthesize_once(&words, voice)
                }
                _ => synthesizer.synthesize(&sentence.words, voice),
            };
            pseudo.push(made.map_err(|e| TrainError::Task(format!("`{}`: {e}", sentence.said)))?);
            targets.push(self.encode(id, &text)?);
            ids.push(id.clone());
            texts.push(text);
            tasks.push(task);
        }
        Ok(LasynBatch { ids, features, pseudo, targets, tasks, texts })
    }
}
