//! What exported weights say of themselves.

use crate::{CtcConfig, CtcModel};
use auricle_nn::params::NamedTensors;
use auricle_nn::stored::{self, StoredError};
use auricle_nn::weights::Metadata;
use auricle_text::Tokenizer;
use burn::tensor::Device;

/// Configuration and vocabulary in the metadata of a recogniser's weights.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Settings, checked.
    pub config: CtcConfig,
    /// Vocabulary.
    pub tokenizer: Tokenizer,
}

impl Stored {
    /// Reads the metadata of weights of one of the `kinds`.
    ///
    /// # Errors
    /// What is missing, damaged or of another kind.
    pub fn read(metadata: &Metadata, kinds: &[&str]) -> Result<Self, StoredError> {
        let advice = format!("a recogniser is of kind `{}`: fine-tune it first", kinds.join("` or `"));
        stored::check_kind(metadata, kinds, &advice)?;
        let config: CtcConfig = stored::json(metadata, "config")?;
        config.validate()?;
        let tokenizer = Tokenizer::from_json(stored::field(metadata, "tokenizer")?)
            .map_err(|error| StoredError::description("tokenizer", error))?;
        // Together with the vocabulary, which no recipe has the size of.
        auricle_nn::config::parameters("model", config.parameters(tokenizer.vocab_size()))?;
        Ok(Self { config, tokenizer })
    }

    /// The network with its weights.
    ///
    /// # Errors
    /// Weights that do not fit the description.
    pub fn model(&self, tensors: &mut NamedTensors, device: &Device) -> Result<CtcModel, StoredError> {
        let classes = self.tokenizer.vocab_size();
        let parameters = self.config.parameters(classes);
        Ok(stored::build(parameters, "", tensors, device, |init| CtcModel::new(&self.config, classes, init))?)
    }
}
