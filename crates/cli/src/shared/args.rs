//! Arguments of several commands.

use anyhow::{Result, bail};
use auricle::Pronunciations;
use auricle::latents::Source;
use auricle_cca_mdd::Assessor;
use auricle_decode::BeamConfig;
use auricle_lasyn::{Durations, Projection, SequenceRecogniser};
use auricle_text::Pronouncer;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where pronunciations come from.
#[derive(clap::Args)]
pub struct LexiconArgs {
    /// Lexicons in the format of the CMU dictionary, beside the built-in one of 560 common words; later ones go before
    /// earlier ones.
    #[arg(long)]
    lexicon: Vec<PathBuf>,
    /// Letter-to-sound model for words that no lexicon has. Default: the one that comes with the program.
    #[arg(long)]
    g2p: Option<PathBuf>,
}

impl LexiconArgs {
    /// The same for the library.
    pub fn pronunciations(&self) -> Pronunciations {
        Pronunciations { lexicons: self.lexicon.clone(), g2p: self.g2p.clone() }
    }

    /// What turns a text into phones.
    pub fn pronouncer(&self) -> Result<Pronouncer> {
        Ok(self.pronunciations().pronouncer()?)
    }
}

/// A recogniser, its bank and what makes latents.
#[derive(clap::Args)]
pub struct SourceArgs {
    /// Recogniser with a bank beside it (`auricle lasyn fit`).
    #[arg(long, default_value = "asr-en-small")]
    model: PathBuf,
    /// Bank of latents. Default: `bank.safetensors` beside the model.
    #[arg(long)]
    bank: Option<PathBuf>,
    /// Trained synthesizer, instead of a projection.
    #[arg(long)]
    synthesizer: Option<PathBuf>,
    /// What stands for a phone without a trained synthesizer. Default: exemplars.
    #[arg(long, value_enum)]
    projection: Option<Fixed>,
}

/// The fixed projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fixed {
    /// Real examples from the bank.
    Exemplars,
    /// Means and variances of the bank, lengths as often as in real speech.
    Statistics,
}

impl SourceArgs {
    /// The same for the library.
    pub fn source(&self) -> Source {
        let projection = self.projection.map(|projection| match projection {
            Fixed::Exemplars => Projection::Exemplars,
            Fixed::Statistics => Projection::Statistics { noise: 1.0, durations: Durations::Empirical },
        });
        Source {
            model: self.model.clone(),
            bank: self.bank.clone(),
            synthesizer: self.synthesizer.clone(),
            projection,
        }
    }
}

/// What a search goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// Frame-synchronous.
    Frames,
    /// Label-synchronous.
    Labels,
}

/// How attention decoders are searched.
#[derive(clap::Args)]
pub struct SearchArgs {
    /// Added per token of an attention decoder, which likes short outputs. Default: 0, frame-synchronous 0.5.
    #[arg(long, allow_hyphen_values = true)]
    length_bonus: Option<f64>,
    /// Order of the search for an attention decoder. Default: by frames for triggered decoders without --lm, else by labels.
    #[arg(long, value_enum)]
    search: Option<Order>,
    /// Weight of CTC beside an attention decoder, 0 to 1. Default: the one that the model was trained with, or 0.3.
    #[arg(long)]
    ctc_weight: Option<f64>,
}

impl SearchArgs {
    /// A model with that search.
    pub fn with(&self, model: SequenceRecogniser, beam: Option<usize>) -> Result<SequenceRecogniser> {
        let model = match self.search {
            Some(order) => model.with_frame_synchronous(order == Order::Frames)?,
            None => model,
        };
        let own = model.search().clone();
        Ok(model.with_search(BeamConfig {
            beam: beam.unwrap_or(own.beam).clamp(1, 256),
            ctc_weight: self.ctc_weight.unwrap_or(own.ctc_weight).clamp(0.0, 1.0),
            length_bonus: self.length_bonus.unwrap_or(own.length_bonus),
            ..own
        }))
    }
}

/// A model for mispronunciation detection on a device.
pub fn assessor(model: &Path, device: &str) -> Result<Arc<Assessor>> {
    Ok(Arc::new(auricle::models::assessor(model, &auricle_tensor::device(device)?)?))
}

/// The score below which a phone is mispronounced: as asked, or the model's.
pub fn threshold(asked: Option<f64>, assessor: &Assessor) -> Result<f64> {
    check_threshold(asked)?;
    Ok(asked.unwrap_or(100.0 * (1.0 - assessor.threshold())))
}

/// Refuses what is no score.
pub fn check_threshold(asked: Option<f64>) -> Result<()> {
    match asked {
        Some(score) if !(0.0..=100.0).contains(&score) => bail!("--threshold {score}: scores are 0 to 100"),
        _ => Ok(()),
    }
}
