//! Checkpoints of the published SPIRAL program: what is in them, by its description (SPIRAL §2–3), and files like them.
//!
//! A helper that cannot do its work panics: then the test has failed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use auricle_nn::params::NamedTensors;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// A module of the encoder, in the order of the published table.
#[derive(Debug, Clone, Copy)]
pub enum Module {
    /// A convolution: channels in and out, kernel.
    Conv(usize, usize, usize),
    /// A Transformer block: layers, width, width of the feed-forward part.
    Transformer(usize, usize, usize),
}

/// Names and shapes of a pre-training checkpoint's tensors, those that are no weights included.
pub fn shapes(bins: usize, modules: &[Module], projection: usize) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    let mut put = |name: String, shape: &[usize]| {
        shapes.insert(format!("st2vec_encoder.{name}"), shape.to_vec());
    };
    put("mask_emb".into(), &[bins]);
    put("wav2spec.featurizer.window".into(), &[320]);
    put("wav2spec.featurizer.fb".into(), &[1, bins, 257]);
    for side in ["", "target_"] {
        let mut width = bins;
        for (index, &module) in modules.iter().enumerate() {
            let at = format!("{side}feature_encoder.block_modules.{index}");
            match module {
                Module::Conv(from, to, kernel) => {
                    put(format!("{at}.conv.conv.weight"), &[to, from, kernel]);
                    for name in ["conv.conv.bias", "norm.weight", "norm.bias"] {
                        put(format!("{at}.{name}"), &[to]);
                    }
                    width = to;
                }
                Module::Transformer(layers, width, hidden) => {
                    put(format!("{at}.pos_conv.0.weight_g"), &[1, 1, 128]);
                    put(format!("{at}.pos_conv.0.weight_v"), &[width, width / 16, 128]);
                    for name in ["pos_conv.0.bias", "layer_norm.weight", "layer_norm.bias"] {
                        put(format!("{at}.{name}"), &[width]);
                    }
                    for layer in (0..layers).map(|layer| format!("{at}.layers.{layer}")) {
                        for (name, to, from) in [
                            ("self_attn.q_proj", width, width),
                            ("self_attn.k_proj", width, width),
                            ("self_attn.v_proj", width, width),
                            ("self_attn.out_proj", width, width),
                            ("fc1", hidden, width),
                            ("fc2", width, hidden),
                        ] {
                            put(format!("{layer}.{name}.weight"), &[to, from]);
                            put(format!("{layer}.{name}.bias"), &[to]);
                        }
                        for name in ["self_attn_layer_norm", "final_layer_norm"] {
                            put(format!("{layer}.{name}.weight"), &[width]);
                            put(format!("{layer}.{name}.bias"), &[width]);
                        }
                    }
                }
            }
        }
        put(format!("{side}projector.output_proj.weight"), &[projection, width]);
        put(format!("{side}projector.output_proj.bias"), &[projection]);
    }
    for conv in ["predictor.conv_layers.0", "predictor.conv_layers.1"] {
        put(format!("{conv}.conv.conv.weight"), &[projection, projection, 5]);
        for name in ["weight", "bias", "running_mean", "running_var"] {
            put(format!("{conv}.norm.{name}"), &[projection]);
        }
        put(format!("{conv}.norm.num_batches_tracked"), &[]);
    }
    put("predictor.output_proj.weight".into(), &[projection, projection]);
    put("predictor.output_proj.bias".into(), &[projection]);
    shapes
}

/// Parts of names here and there.
const PARTS: [(&str, &str); 17] = [
    (".conv.", ".conv.conv."),
    (".gamma", ".weight"),
    (".beta", ".bias"),
    ("positional.gain", "pos_conv.0.weight_g"),
    ("positional.direction", "pos_conv.0.weight_v"),
    ("positional.bias", "pos_conv.0.bias"),
    (".query.", ".self_attn.q_proj."),
    (".key.", ".self_attn.k_proj."),
    (".value.", ".self_attn.v_proj."),
    ("predictor.output.", "predictor.output_proj."),
    (".output.", ".self_attn.out_proj."),
    (".attention_norm.", ".self_attn_layer_norm."),
    (".feed_forward_norm.", ".final_layer_norm."),
    (".expand.", ".fc1."),
    (".contract.", ".fc2."),
    ("transformer.norm.", "transformer.layer_norm."),
    ("projector.", "projector.output_proj."),
];

/// The published name of an imported model's tensor; `convs` counts the convolutions of each stage.
pub fn published_name(own: &str, convs: &[usize]) -> String {
    if own == "mask_vector" {
        return "st2vec_encoder.mask_emb".into();
    }
    let (side, own) = own.strip_prefix("teacher.").map_or(("", own), |rest| ("target_", rest));
    let mut name = PARTS.iter().fold(own.to_string(), |name, (here, there)| name.replace(here, there));
    let mut index = 0;
    for (stage, count) in convs.iter().enumerate() {
        for place in (0..*count).map(|c| format!("convs.{c}")).chain(["transformer".into()]) {
            let here = format!("encoder.stages.{stage}.{place}.");
            name = name.replace(&here, &format!("feature_encoder.block_modules.{index}."));
            index += 1;
        }
    }
    format!("st2vec_encoder.{side}{}", name.replace("predictor.convs.", "predictor.conv_layers."))
}

/// Writes tensors as the published program's trainer does: PyTorch Lightning's dictionary in PyTorch's zip archive.
///
/// Beside the weights stand settings of classes that are not known here, an optimiser's state and, as an attack would do
/// it, a call of the system that makes the file `witness`.
pub fn write_checkpoint(path: &Path, tensors: &NamedTensors, witness: &Path) {
    let mut pickle = b"\x80\x02}(".to_vec();
    text(&mut pickle, "epoch");
    integer(&mut pickle, 3);
    text(&mut pickle, "hyper_parameters");
    pickle.extend(b"comegaconf.dictconfig\nDictConfig\n)\x81}");
    text(&mut pickle, "_content");
    pickle.extend(b"cnemo.collections.asr.models.wav2vec.wav2vec_config\nWav2VecMaskType\n");
    text(&mut pickle, "static");
    pickle.extend(b"\x85Rsb");
    text(&mut pickle, "callbacks");
    pickle.extend(b"cposix\nsystem\n");
    text(&mut pickle, &format!("touch {}", witness.display()));
    pickle.extend(b"\x85R");
    text(&mut pickle, "optimizer_states");
    pickle.extend(b"](}");
    text(&mut pickle, "exp_avg");
    tensor(&mut pickle, "0", &[1]);
    pickle.extend(b"se");
    text(&mut pickle, "state_dict");
    pickle.extend(b"ccollections\nOrderedDict\n)R(");
    for (number, (name, data)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        tensor(&mut pickle, &number.to_string(), data.shape().as_slice());
    }
    // The dictionary's own attributes, as modules write them.
    pickle.extend(b"u}");
    text(&mut pickle, "_metadata");
    pickle.extend(b"}sbu.");

    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    let mut member = |name: &str, bytes: &[u8]| {
        archive.start_file(format!("archive/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    };
    member("data.pkl", &pickle);
    for (number, data) in tensors.values().enumerate() {
        member(&format!("data/{number}"), data.as_bytes());
    }
    member("version", b"3\n");
    archive.finish().unwrap();
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as i32).to_le_bytes());
}

fn integers(pickle: &mut Vec<u8>, numbers: impl Iterator<Item = usize>) {
    pickle.push(b'(');
    numbers.for_each(|number| integer(pickle, number));
    pickle.push(b't');
}

/// A tensor over the whole of a storage of single precision.
fn tensor(pickle: &mut Vec<u8>, storage: &str, shape: &[usize]) {
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(pickle, "storage");
    pickle.extend(b"ctorch\nFloatStorage\n");
    text(pickle, storage);
    text(pickle, "cuda:0");
    integer(pickle, shape.iter().product());
    pickle.extend(b"tQ");
    integer(pickle, 0);
    integers(pickle, shape.iter().copied());
    integers(pickle, (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()));
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
}
