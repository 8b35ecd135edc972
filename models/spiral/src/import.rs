//! Names and layouts of the published program's checkpoints (SPIRAL §12).
//!
//! | published | here |
//! |---|---|
//! | linear weight `[out, in]` | `[in, out]` |
//! | convolution weight `[out, in, k]` | `[k, in, out]` |
//! | positional gain `[1, 1, k]`, direction `[out, in, k]` | `[k, 1, 1]`, `[k, in, out]` |

use auricle_nn::EncoderConfig;
use auricle_nn::params::NamedTensors;
use burn::tensor::TensorData;
use std::collections::BTreeMap;

/// What was found in a published state dictionary.
#[derive(Debug, Default)]
pub struct Imported {
    /// Parameters of [`crate::Student`]: `trunk.encoder.…`, `trunk.projector.…`, `predictor.…`.
    pub student: NamedTensors,
    /// Parameters of the teacher's [`crate::Trunk`].
    pub teacher: NamedTensors,
    /// A CTC head's tensors, named as published.
    pub head: NamedTensors,
    /// The mask vector.
    pub mask_vector: Option<TensorData>,
    /// Names that mean nothing here (constants of the front end, counters).
    pub ignored: Vec<String>,
}

/// Sorts a published state dictionary (pre-training or fine-tuned) into parts, renamed and
/// re-laid out for `config`'s encoder.
pub fn from_published(state: NamedTensors, config: &EncoderConfig) -> Imported {
    let modules = module_paths(config);
    let mut imported = Imported::default();
    for (name, data) in state {
        let short =
            name.strip_prefix("st2vec_encoder.").or_else(|| name.strip_prefix("encoder.")).unwrap_or(&name);
        if short == "mask_emb" {
            imported.mask_vector = Some(data);
            continue;
        }
        if short.starts_with("decoder.") {
            imported.head.insert(short.to_string(), data);
            continue;
        }
        let (teacher, short) = match short.strip_prefix("target_") {
            Some(rest) => (true, rest),
            None => (false, short),
        };
        match rename(short, &modules) {
            Some(path) if teacher => {
                imported.teacher.insert(path.trim_start_matches("trunk.").to_string(), layout(short, data));
            }
            Some(path) => {
                imported.student.insert(path, layout(short, data));
            }
            None => imported.ignored.push(name),
        }
    }
    imported
}

/// Paths of the encoder's modules here, by their published position.
fn module_paths(config: &EncoderConfig) -> Vec<String> {
    let mut paths = Vec::new();
    for (s, stage) in config.stages.iter().enumerate() {
        paths.extend((0..stage.convs.len()).map(|c| format!("stages.{s}.convs.{c}")));
        paths.push(format!("stages.{s}.transformer"));
    }
    paths
}

/// The name of a published parameter in [`crate::Student`], or `None` where it is not one.
fn rename(name: &str, modules: &[String]) -> Option<String> {
    if let Some(rest) = name.strip_prefix("projector.output_proj.") {
        return Some(format!("trunk.projector.{rest}"));
    }
    if let Some(rest) = name.strip_prefix("predictor.") {
        let rest = rest
            .replace("conv_layers.", "convs.")
            .replace(".conv.conv.", ".conv.")
            .replace("norm.weight", "norm.gamma")
            .replace("norm.bias", "norm.beta")
            .replace("output_proj.", "output.");
        return (!rest.ends_with("num_batches_tracked")).then(|| format!("predictor.{rest}"));
    }
    let (index, rest) = name.strip_prefix("feature_encoder.block_modules.")?.split_once('.')?;
    let path = modules.get(index.parse::<usize>().ok()?)?;
    let replacements: BTreeMap<&str, &str> = BTreeMap::from([
        ("conv.conv.weight", "conv.weight"),
        ("conv.conv.bias", "conv.bias"),
        ("norm.weight", "norm.gamma"),
        ("norm.bias", "norm.beta"),
        ("layer_norm.weight", "norm.gamma"),
        ("layer_norm.bias", "norm.beta"),
        ("pos_conv.0.weight_g", "positional.gain"),
        ("pos_conv.0.weight_v", "positional.direction"),
        ("pos_conv.0.bias", "positional.bias"),
    ]);
    if let Some(own) = replacements.get(rest) {
        return Some(format!("trunk.encoder.{path}.{own}"));
    }
    let (layer, rest) = rest.strip_prefix("layers.")?.split_once('.')?;
    let (module, field) = rest.rsplit_once('.')?;
    let module = match module {
        "self_attn.q_proj" => "query",
        "self_attn.k_proj" => "key",
        "self_attn.v_proj" => "value",
        "self_attn.out_proj" => "output",
        "self_attn_layer_norm" => "attention_norm",
        "final_layer_norm" => "feed_forward_norm",
        "fc1" => "expand",
        "fc2" => "contract",
        _ => return None,
    };
    let field = match (module.ends_with("_norm"), field) {
        (true, "weight") => "gamma",
        (true, "bias") => "beta",
        (_, field) => field,
    };
    Some(format!("trunk.encoder.{path}.layers.{layer}.{module}.{field}"))
}

/// The layout used here of a published parameter (or of its gradient).
fn layout(name: &str, data: TensorData) -> TensorData {
    let shape = data.shape().to_vec();
    match shape.as_slice() {
        // A linear map; the only other two-dimensional tensors are not parameters.
        [_, _] => permute(&data, &shape, &[1, 0]),
        [_, _, _] if !name.contains("fb") => permute(&data, &shape, &[2, 1, 0]),
        _ => data,
    }
}

/// `out[i…] = in[…]` with axes taken in the order of `axes`.
fn permute(data: &TensorData, shape: &[usize], axes: &[usize]) -> TensorData {
    let values: Vec<f32> = data.iter::<f32>().collect();
    let strides: Vec<usize> = (0..shape.len()).map(|a| shape[a + 1..].iter().product()).collect();
    let out_shape: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0usize; shape.len()];
    for _ in 0..values.len() {
        let from: usize = index.iter().zip(axes).map(|(i, &a)| i * strides[a]).sum();
        out.push(values[from]);
        for d in (0..index.len()).rev() {
            index[d] += 1;
            if index[d] < out_shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
    TensorData::new(out, out_shape)
}

/// The CTC head's parameters (named as in [`auricle_nn::CtcHead`]) from published ones.
pub fn head_from_published(head: &NamedTensors) -> NamedTensors {
    let mut named = NamedTensors::new();
    for (name, data) in head {
        let Some(rest) = name.strip_prefix("decoder.") else { continue };
        let own = rest
            .replace("proj_upsampling.proj.conv.conv.", "upsample.")
            .replace("proj_upsampling.norm.weight", "upsample_norm.gamma")
            .replace("proj_upsampling.norm.bias", "upsample_norm.beta")
            .replace("conv_layers.", "convs.")
            .replace(".conv.conv.", ".conv.")
            .replace("norm.weight", "norm.gamma")
            .replace("norm.bias", "norm.beta")
            .replace("decoder_layers.0.", "output.");
        named.insert(own, layout(rest, data.clone()));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_of_three_axes() {
        let data = TensorData::new((0..24).map(|v| v as f32).collect::<Vec<_>>(), [2, 3, 4]);
        let out = permute(&data, &[2, 3, 4], &[2, 1, 0]);
        assert_eq!(out.shape().to_vec(), [4, 3, 2]);
        let values = out.try_to_vec::<f32>().unwrap();
        for k in 0..4 {
            for i in 0..3 {
                for o in 0..2 {
                    assert_eq!(values[k * 6 + i * 2 + o], (o * 12 + i * 4 + k) as f32);
                }
            }
        }
    }
}
