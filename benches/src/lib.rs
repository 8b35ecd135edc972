//! What the benchmarks share: the model sizes that are compared.

use auricle_spiral::SpiralConfig;

/// The `small` encoder of `recipes/mini_librispeech` and the published `base`.
pub const MODELS: [(&str, &str); 2] = [("small", SMALL), ("base", BASE)];

const SMALL: &str = r#"
projection = 128
[[encoder.stages]]
convs = [
  { channels = 96, kernel = 5, stride = 2, activation = true },
  { channels = 128, kernel = 5, stride = 2, activation = true },
  { channels = 128 },
]
transformer = { layers = 2, heads = 4, feed_forward = 512 }
[[encoder.stages]]
convs = [{ channels = 256, kernel = 5, stride = 2, activation = true }, { channels = 192 }]
transformer = { layers = 6, heads = 6, feed_forward = 768 }
"#;

const BASE: &str = r#"
projection = 256
[[encoder.stages]]
convs = [
  { channels = 384, kernel = 5, stride = 2, activation = true },
  { channels = 512, kernel = 5, stride = 2, activation = true },
  { channels = 512 },
]
transformer = { layers = 2, heads = 8, feed_forward = 2048 }
[[encoder.stages]]
convs = [{ channels = 1536, kernel = 5, stride = 2, activation = true }, { channels = 768 }]
transformer = { layers = 10, heads = 12, feed_forward = 3072, layer_drop = 0.05 }
"#;

/// The configuration of a named size.
pub fn config(name: &str) -> Option<SpiralConfig> {
    let (_, text) = MODELS.iter().find(|(own, _)| *own == name)?;
    toml::from_str(text).ok()
}
