//! From waveforms and sentences to a batch.

use crate::text_tasks::{wanted, with_gaps};
use crate::{LasynConfig, SplitRecogniser, Synthesizer, Target, TasksConfig, TextPool, TextTask};
use auricle_asr::CtcConfig;
use auricle_augment::Libraries;
use auricle_data::{Utterance, doctor};
use auricle_rng::Purpose;
use auricle_text::{Tokenizer, normalise};
use auricle_train::{Acoustics, AugmentConfig, Draw, FeatureBatch, Item, Prepare, TrainError, check_masks};
use std::sync::Arc;

/// Real rows first, then pseudo-acoustic ones.
#[derive(Debug, Clone, PartialEq)]
pub struct LasynBatch {
    /// Utterance ids, and names of the places for text.
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
    recogniser: CtcConfig,
    /// Whether CTC alone learns of a row: one that it cannot align teaches nothing.
    ctc_alone: bool,
    tokenizer: Arc<Tokenizer>,
    target: Target,
    tasks: TasksConfig,
    synthesizer: Option<Arc<dyn Synthesizer>>,
    pool: Arc<TextPool>,
    text_secs: Arc<[f64]>,
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
        check_masks("model.masks", &config.masks)?;
        let acoustics = Acoustics::new(base.config.front_end.clone(), augment, libraries)?;
        Ok(Self {
            acoustics,
            recogniser: base.config.clone(),
            ctc_alone: config.decoder.is_none(),
            tokenizer,
            target: config.target,
            tasks: config.tasks,
            text_secs: if synthesizer.is_some() { pool.place_secs().into() } else { Arc::new([]) },
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

    fn text_secs(&self) -> &[f64] {
        &self.text_secs
    }

    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        // A meaning may be longer than what was said, and a decoder writes it all the same.
        if self.target == Target::Meaning && !self.ctc_alone {
            return None;
        }
        let tokens = self.tokenizer.encode(&target(utterance, self.target).ok()?).ok()?;
        doctor::alignment_fault(&tokens, self.recogniser.output_frames(utterance.duration_secs))
    }

    fn check(&self, utterance: &Utterance) -> Result<(), String> {
        let text = target(utterance, self.target)?;
        self.tokenizer.encode(&text).map_err(|e| e.to_string())?;
        self.acoustics.check_length(utterance.duration_secs)
    }

    fn prepare(&self, items: &[Item], padded_secs: f64, draw: Draw) -> Result<LasynBatch, TrainError> {
        let real = Item::speech(items);
        let features = if real.is_empty() {
            FeatureBatch { values: Vec::new(), lengths: Vec::new(), frames: 0 }
        } else {
            let encoder = &self.recogniser.encoder;
            let zeros = vec![0.0; encoder.bins];
            self.acoustics.batch(&real, padded_secs, 16usize.max(encoder.downsampling()), &zeros, draw)?
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
        for place in Item::texts(items) {
            let key = draw.text(place);
            let drawn = self.synthesizer.as_ref().zip(self.pool.draw(place, key));
            let (synthesizer, sentence) =
                drawn.ok_or_else(|| TrainError::Data(format!("there is no text for place {place}")))?;
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
            let id = format!("text {place}");
            targets.push(self.encode(&id, &text)?);
            ids.push(id);
            texts.push(text);
            tasks.push(task);
        }
        Ok(LasynBatch { ids, features, pseudo, targets, tasks, texts })
    }
}
