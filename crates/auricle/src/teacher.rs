//! Models of any kind that label speech: for self-training, and for the map of what is hard.

use crate::error::Doing as _;
use crate::{Error, Result, models};
use auricle_asr::Recogniser;
use auricle_cca_mdd::{Assessor, Labels, Session, inventory};
use auricle_data::Utterance;
use auricle_decode::{WordLm, WordLmConfig};
use auricle_lasyn::{SequenceRecogniser, Target};
use auricle_text::lm::NgramLm;
use auricle_text::slu::{Frame, Kind, Tree};
use auricle_text::{cer, normalise, wer};
use auricle_train::TaskKind;
use std::path::Path;
use std::sync::Arc;

/// What gives labels.
pub enum Teacher {
    /// Transcripts, from CTC.
    Ctc(Box<Recogniser>),
    /// Transcripts or meanings, from a model of task `lasyn`.
    Sequence(Box<SequenceRecogniser>),
    /// Perceived phones.
    Mdd(Arc<Assessor>),
}

impl Teacher {
    /// The model of a run or a name, of a task or of the kind that it says it is; `lm` is a language model of words for
    /// CTC models.
    ///
    /// # Errors
    /// A model that cannot be read or gives no labels.
    pub fn load(model: &Path, task: Option<TaskKind>, lm: Option<&Path>) -> Result<Self> {
        let device = auricle_tensor::device("cpu")?.without_autodiff();
        let (tensors, metadata) = models::load(model)?;
        let named = || metadata.get("kind").map(String::as_str).unwrap_or_default().parse::<TaskKind>();
        let kind = task.map_or_else(named, Ok).doing_with(|| format!("model {}", model.display()))?;
        let lm = Self::check(kind, lm)?;
        Ok(match kind {
            TaskKind::Ctc => {
                let model = Recogniser::from_weights(tensors, &metadata, &device)?;
                Self::Ctc(Box::new(match lm {
                    Some(lm) => {
                        let lm = WordLm::new(lm, model.tokenizer(), WordLmConfig::default())?;
                        model.with_lm(lm)
                    }
                    None => model,
                }))
            }
            TaskKind::Lasyn => {
                Self::Sequence(Box::new(SequenceRecogniser::from_weights(tensors, &metadata, &device)?))
            }
            TaskKind::CcaMdd => Self::Mdd(Arc::new(Assessor::from_weights(tensors, &metadata, &device)?)),
            kind => return Err(gives_none(kind)),
        })
    }

    /// Whether models of a kind give labels, and the language model, which only CTC models take: before anything is
    /// trained for hours.
    ///
    /// # Errors
    /// Another kind of model, a language model that cannot be read or is not used.
    pub fn check(kind: TaskKind, lm: Option<&Path>) -> Result<Option<NgramLm>> {
        if !matches!(kind, TaskKind::Ctc | TaskKind::Lasyn | TaskKind::CcaMdd) {
            return Err(gives_none(kind));
        }
        if lm.is_some() && kind != TaskKind::Ctc {
            return Error::refused(format!(
                "lm: a language model of words is for models of kind `ctc`, not `{kind}`"
            ));
        }
        Ok(lm.map(NgramLm::load).transpose()?)
    }

    /// Samples per second of what it hears.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Ctc(model) => model.sample_rate(),
            Self::Sequence(model) => model.sample_rate(),
            Self::Mdd(model) => model.sample_rate(),
        }
    }

    /// Transcript, meaning, or perceived phones.
    ///
    /// # Errors
    /// Labels or samples that the model refuses.
    pub fn label(&self, utterance: &Utterance, samples: &[f32]) -> Result<String> {
        Ok(match self {
            Self::Ctc(model) => {
                model.recognise(&[samples])?.into_iter().next().map(|r| r.text).unwrap_or_default()
            }
            Self::Sequence(model) => model.read(samples)?,
            Self::Mdd(assessor) => {
                let labels = Labels::of(utterance).map_err(|error| Error::Refused(error.to_string()))?;
                let mut session = Session::new(assessor.clone(), labels.canonical())?;
                session.push(samples)?;
                session.finish()?;
                let heard = session.heard().iter().map(|heard| inventory::name(heard.phone));
                heard.collect::<Vec<_>>().join(" ")
            }
        })
    }

    /// Whether a label can be trained on: something, and where it is a meaning, one without faults.
    pub fn is_usable(&self, label: &str) -> bool {
        match self {
            Self::Sequence(model) if model.target() == Target::Meaning => match Kind::of(label) {
                Kind::Stop => Tree::parse(label).is_ok(),
                _ => Frame::parse(label).is_ok(),
            },
            _ => !label.is_empty(),
        }
    }

    /// What an utterance says a label should be: of phones those that the CTC decoder is trained on.
    pub fn truth(&self, utterance: &Utterance) -> Option<String> {
        match self {
            Self::Mdd(_) => {
                let phones = Labels::of(utterance).ok()?.perceived;
                Some(phones.into_iter().map(inventory::name).collect::<Vec<_>>().join(" "))
            }
            Self::Sequence(model) if model.target() == Target::Meaning => utterance.meaning.clone(),
            _ => utterance.text.as_deref().map(normalise),
        }
    }

    /// Gives an utterance a label.
    pub fn put(&self, utterance: &mut Utterance, label: String) {
        match self {
            Self::Mdd(_) => {
                utterance.extra.remove("phone_scores");
                utterance.perceived_phones = Some(label.split(' ').map(str::to_uppercase).collect());
            }
            Self::Sequence(model) if model.target() == Target::Meaning => utterance.meaning = Some(label),
            _ => utterance.text = Some(label),
        }
    }

    /// Error rate of a label beside another: of phones, else of characters.
    pub fn error(&self, reference: &str, label: &str) -> f64 {
        match self {
            Self::Mdd(_) => wer(reference, label).rate(),
            _ => cer(reference, label).rate(),
        }
    }
}

fn gives_none(kind: TaskKind) -> Error {
    Error::Refused(format!("models of kind `{kind}` give no labels"))
}
