//! What is wrong with a configuration, and the limits that all of them have.
//!
//! Configurations come from recipes and from model files that strangers made. They are checked before anything is
//! allocated: the limits are far beyond any published size, and small enough that a mistaken or hostile number is an
//! answer and not an exhausted memory.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Most channels, mel bins and hidden units.
pub const MAX_WIDTH: usize = 1 << 15;
/// Most Transformer layers of an encoder; also most stages, and convolutions of a stage.
pub(crate) const MAX_LAYERS: usize = 512;
/// Most frames of a kernel.
pub(crate) const MAX_KERNEL: usize = 1 << 12;
/// Most frames that attention may be limited to: eleven minutes at 40 ms.
pub(crate) const MAX_CONTEXT: usize = 1 << 14;
/// Most values of a model: three times those of SPIRAL Large.
pub const MAX_PARAMETERS: usize = 1 << 30;
/// Most values that a stream keeps of the frames before.
pub(crate) const MAX_STATE: usize = 1 << 28;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Which setting, as a recipe writes it (`encoder.stages.0.convs.1`).
    pub field: String,
    /// What is wrong with it, and what it must be.
    pub reason: String,
}

impl ConfigError {
    /// A setting and what is wrong with it.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The same of a table inside another.
    #[must_use]
    pub fn within(self, table: &str) -> Self {
        Self { field: format!("{table}.{}", self.field), ..self }
    }
}

/// A value within limits; a number that is none is in no range.
///
/// # Errors
/// Setting, value and limits.
pub fn in_range<T: PartialOrd + Display>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (from, to) = range.into_inner();
    Err(ConfigError::new(field, format!("{value} is not between {from} and {to}")))
}

/// A drop probability: it leaves something.
///
/// # Errors
/// Setting and value.
pub fn probability(field: &str, p: f64) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&p) {
        return Ok(());
    }
    Err(ConfigError::new(field, format!("{p} is not a probability of at least 0 and below 1")))
}

/// Attention heads share a width evenly.
///
/// # Errors
/// A width that is not divisible.
pub fn divides(field: &str, parts: usize, what: &str, width: usize) -> Result<(), ConfigError> {
    if parts > 0 && width.is_multiple_of(parts) {
        return Ok(());
    }
    Err(ConfigError::new(field, format!("the width {width} is not divisible by {parts} {what}")))
}

/// A number of trained values that can be held.
///
/// # Errors
/// Too many.
pub fn parameters(field: &str, count: usize) -> Result<(), ConfigError> {
    if count <= MAX_PARAMETERS {
        return Ok(());
    }
    Err(ConfigError::new(
        field,
        format!("its sizes make more than {MAX_PARAMETERS} parameters; make it smaller"),
    ))
}

/// A product that cannot overflow.
pub fn product(factors: &[usize]) -> usize {
    factors.iter().fold(1, |all, &factor| all.saturating_mul(factor))
}

/// A sum that cannot overflow.
pub fn sum(parts: impl IntoIterator<Item = usize>) -> usize {
    parts.into_iter().fold(0, usize::saturating_add)
}

/// Values of an affine map.
pub fn of_linear(input: usize, output: usize) -> usize {
    product(&[input, output]).saturating_add(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{self, NamedTensors};
    use crate::streaming::StreamingEncoder;
    use crate::{
        AttentionDecoder, Context, ConvModuleConfig, CtcHeadConfig, DecoderConfig, EncoderConfig, Init,
        Initializer, NormScheme, PositionalConvConfig, StageConfig, TransformerConfig,
    };
    use auricle_rng::{Key, Purpose, Stream};
    use burn::tensor::{Device, Tensor, TensorData};

    #[test]
    fn setting_value_and_limits_are_named() {
        let error = in_range("heads", 0, 1..=8).unwrap_err().within("model.coca");
        assert_eq!(error.to_string(), "model.coca.heads: 0 is not between 1 and 8");
        assert!(in_range("temperature", f64::NAN, 0.0..=1.0).is_err());
        assert!(probability("dropout", 1.0).is_err() && probability("dropout", 0.0).is_ok());
        assert!(divides("heads", 0, "heads", 8).is_err());
        assert!(parameters("encoder", product(&[usize::MAX, 3])).is_err());
    }

    /// One of the values that people and files give: small ones, and the ends of the range.
    fn any(draws: &mut Stream, usual: &[usize]) -> usize {
        let strange = [0, 1 << 15, 50_000_000, usize::MAX / 2, usize::MAX - 1, usize::MAX];
        let all = if draws.chance(0.02) { &strange[..] } else { usual };
        all[draws.below(all.len())]
    }

    fn any_share(draws: &mut Stream) -> f64 {
        let all = [0.0, 0.1, 0.9, 1.0, -1.0, f64::NAN, f64::INFINITY];
        all[if draws.chance(0.02) { draws.below(7) } else { draws.below(3) }]
    }

    fn transformer(draws: &mut Stream) -> TransformerConfig {
        let norms = [
            NormScheme::PreLn,
            NormScheme::Sandwich,
            NormScheme::DepthScaledSandwich { attention: any_share(draws), feed_forward: 0.4 },
        ];
        let alibi = draws.chance(0.5);
        TransformerConfig {
            layers: any(draws, &[0, 1, 2]),
            heads: any(draws, &[1, 2, 4]),
            feed_forward: any(draws, &[1, 8, 17]),
            layer_drop: any_share(draws),
            dropout: any_share(draws),
            attention_dropout: any_share(draws),
            activation_dropout: any_share(draws),
            positional: PositionalConvConfig {
                kernel: any(draws, &[1, 2, 9]),
                groups: any(draws, &[1, 2, 4]),
            },
            alibi,
            causal: alibi && draws.chance(0.5),
            left_context: draws.chance(0.5).then(|| any(draws, &[0, 1, 8])),
            norm: norms[draws.below(3)],
            init: Init::default(),
        }
    }

    fn transformer_of_any_width() -> TransformerConfig {
        serde_json::from_str(r#"{ "layers": 1, "heads": 1, "feed_forward": 8, "alibi": true }"#).unwrap()
    }

    fn encoder(draws: &mut Stream) -> EncoderConfig {
        let mut stage = || {
            let convs = (0..1 + draws.below(3)).map(|_| ConvModuleConfig {
                channels: any(draws, &[4, 8, 16]),
                kernel: any(draws, &[1, 3, 5]),
                stride: any(draws, &[1, 2]),
                activation: true,
            });
            StageConfig { convs: convs.collect(), transformer: transformer(draws) }
        };
        let stages = vec![stage(), stage()];
        EncoderConfig { bins: any(draws, &[1, 5, 16]), conv_dropout: any_share(draws), stages }
    }

    /// What is found good can be made, has as many values as was said, and computes; the rest is an error and costs
    /// nothing.
    #[test]
    fn good_configurations_can_be_built_and_others_are_refused() {
        let device = Device::flex();
        let mut draws = Key::new(3).stream(Purpose::Test);
        let (mut good, mut refused, mut streamed) = (0, 0, 0);
        for _ in 0..1_500 {
            let (config, head) = (encoder(&mut draws), head(&mut draws));
            let classes = 1 + draws.below(9);
            if let Err(error) = config.validate().and_then(|()| head.validate()) {
                assert!(!error.field.is_empty() && !error.reason.is_empty());
                refused += 1;
                continue;
            }
            let width = config.output_width();
            let expected = sum([config.parameters(), head.parameters(width, classes)]);
            if expected > 100_000 {
                continue;
            }
            good += 1;
            let mut init = Initializer::new(&mut draws, &device);
            let (encoder, head) = (config.init(&mut init), head.init(width, classes, &mut init));
            let values = |named: NamedTensors| named.values().map(TensorData::num_elements).sum::<usize>();
            assert_eq!(
                values(params::collect(&encoder)) + values(params::collect(&head)),
                expected,
                "{config:?}"
            );
            let frames = 2 * config.downsampling();
            let mel = Tensor::<3>::zeros([1, frames, config.bins], &device);
            let (x, lengths) = encoder.forward(mel, &[frames], &mut Context::eval());
            let (x, _) = head.forward(x, &lengths, &mut Context::eval());
            assert_eq!(x.dims()[2], classes);
            if let Ok(mut stream) = StreamingEncoder::new(&encoder) {
                let mut out = Vec::new();
                // One frame at a time.
                (0..frames).for_each(|_| stream.push(&vec![0.0; config.bins], &mut out));
                stream.finish(&mut out);
                assert_eq!(out.len(), lengths[0] * width);
                streamed += 1;
            }
        }
        assert!(good > 100 && refused > 100 && streamed > 10, "{good} {refused} {streamed}");
    }

    fn head(draws: &mut Stream) -> CtcHeadConfig {
        let (width, dropout) = (any(draws, &[1, 4, 8]), any_share(draws));
        match draws.chance(0.5) {
            true => CtcHeadConfig::Subword { width, dropout },
            false => CtcHeadConfig::Character {
                width,
                upsampling: any(draws, &[1, 2, 4]),
                conv_norm: draws.chance(0.5),
                dropout,
            },
        }
    }

    #[test]
    fn decoders_are_as_large_as_they_say() {
        let device = Device::flex();
        let mut draws = Key::new(4).stream(Purpose::Test);
        let mut good = 0;
        for _ in 0..200 {
            let config = DecoderConfig {
                layers: any(&mut draws, &[1, 2]),
                heads: any(&mut draws, &[1, 2]),
                feed_forward: any(&mut draws, &[1, 8]),
                dropout: any_share(&mut draws),
                triggered: true,
                look_ahead: draws.chance(0.5).then(|| any(&mut draws, &[0, 1, 8])),
            };
            if config.validate(8).is_err() || config.parameters(8, 5) > 100_000 {
                continue;
            }
            good += 1;
            let decoder = AttentionDecoder::new(8, 5, &config, &mut Initializer::new(&mut draws, &device));
            let found: usize = params::collect(&decoder).values().map(TensorData::num_elements).sum();
            assert_eq!(found, config.parameters(8, 5), "{config:?}");
        }
        assert!(good > 50);
    }

    /// The numbers of the fault campaign.
    #[test]
    fn numbers_that_nobody_can_mean_are_refused() {
        let mut draws = Key::new(5).stream(Purpose::Test);
        let good = std::iter::repeat_with(|| encoder(&mut draws)).find(|config| config.validate().is_ok());
        let good = good.unwrap();
        let refused = |change: &dyn Fn(&mut EncoderConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        for left in [usize::MAX, 50_000_000] {
            let error = refused(&|config| config.stages[0].transformer.left_context = Some(left));
            assert!(error.starts_with("encoder.stages.0.transformer.left_context"), "{error}");
        }
        let halving = ConvModuleConfig { channels: 8, kernel: 3, stride: 2, activation: true };
        for count in [11, 64, 100, 5_000] {
            let error = refused(&|config| config.stages[0].convs = vec![halving.clone(); count]);
            assert!(error.starts_with("encoder.stages"), "{error}");
        }
        let wide = |config: &mut EncoderConfig| {
            config.stages[1].convs =
                vec![ConvModuleConfig { channels: 1 << 15, stride: 1, ..halving.clone() }; 9];
            config.stages[1].transformer = transformer_of_any_width();
        };
        assert!(refused(&wide).contains("parameters"));
    }
}
