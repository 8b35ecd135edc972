//! Small recognisers that are cut in two.

use auricle_asr::{CtcConfig, CtcModel};
use auricle_lasyn::SplitRecogniser;
use auricle_nn::weights::Metadata;
use auricle_nn::{Initializer, params};
use auricle_rng::{Key, Purpose};
use auricle_text::Tokenizer;
use burn::tensor::Device;

/// Two stages of two layers, with positional convolutions; 32 mel bins.
pub const TWO_STAGES: &str = r#"
head = { kind = "character", width = 16 }
[encoder]
bins = 32
stages = [
  { convs = [{ channels = 16, kernel = 5, stride = 2, activation = true }, { channels = 16 }], transformer = { layers = 2, heads = 2, feed_forward = 32, positional = { kernel = 5, groups = 2 } } },
  { convs = [{ channels = 24, kernel = 5, stride = 2, activation = true }], transformer = { layers = 2, heads = 2, feed_forward = 32, positional = { kernel = 5, groups = 2 } } },
]
[front_end]
num_bins = 32
"#;

/// A recogniser of random weights, whole and cut above `split` layers.
///
/// # Panics
/// Settings that are no recogniser's.
#[allow(clippy::unwrap_used)] // helpers of tests may fail like tests
pub fn recogniser(model: &str, split: Option<usize>, device: &Device) -> (CtcModel, SplitRecogniser) {
    let config: CtcConfig = toml::from_str(model).unwrap();
    let mut stream = Key::new(3).stream(Purpose::Init);
    let model = CtcModel::new(&config, 29, &mut Initializer::new(&mut stream, device));
    let metadata = Metadata::from([
        ("kind".to_string(), "ctc".to_string()),
        ("config".to_string(), serde_json::to_string(&config).unwrap()),
        ("tokenizer".to_string(), Tokenizer::characters().to_json()),
    ]);
    let tensors = params::collect(&model);
    let split = SplitRecogniser::from_weights(tensors, &metadata, split, device).unwrap();
    (model, split)
}
