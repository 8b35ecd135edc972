//! What exported weights say of themselves.

use crate::{CtcConfig, CtcModel};
use auricle_nn::Initializer;
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Metadata;
use auricle_rng::{Key, Purpose};
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
    /// What is missing, damaged or of another kind, in words.
    pub fn read(metadata: &Metadata, kinds: &[&str]) -> Result<Self, String> {
        let field = |name: &str| {
            metadata.get(name).ok_or_else(|| {
                format!("these weights carry no `{name}`: not a recogniser of auricle; give a run's folder or its model.safetensors")
            })
        };
        let kind = field("kind")?;
        if !kinds.contains(&kind.as_str()) {
            return Err(format!(
                "these weights are a `{kind}` model; a recogniser is of kind `{}`: fine-tune it first",
                kinds.join("` or `")
            ));
        }
        let config: CtcConfig = serde_json::from_str(field("config")?).map_err(|e| format!("config: {e}"))?;
        config.validate()?;
        let tokenizer = Tokenizer::from_json(field("tokenizer")?).map_err(|e| format!("tokenizer: {e}"))?;
        Ok(Self { config, tokenizer })
    }

    /// The network with its weights.
    ///
    /// # Errors
    /// Weights that do not fit the description.
    pub fn model(&self, tensors: &mut NamedTensors, device: &Device) -> Result<CtcModel, String> {
        let mut stream = Key::new(0).stream(Purpose::Init);
        let mut init = Initializer::new(&mut stream, device);
        let model = CtcModel::new(&self.config, self.tokenizer.vocab_size(), &mut init);
        params::load(model, "", tensors).map_err(|e| e.to_string())
    }
}
