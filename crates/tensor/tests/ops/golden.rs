//! Numbers of the reference implementation of SPIRAL.
//!
//! The folder comes from `AURICLE_GOLDEN`, by default the committed `tests/golden`.

use std::path::PathBuf;

use auricle_tensor::ops;
use burn::tensor::DType;
use safetensors::{Dtype, SafeTensors};

use crate::common::{assert_close, constant, leaf, on, values};

fn files(prefix: &str) -> Vec<PathBuf> {
    let folder = std::env::var_os("AURICLE_GOLDEN")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".safetensors")
    });
    files.sort();
    assert!(!files.is_empty(), "no {prefix}*.safetensors in {}", folder.display());
    files
}

fn read(file: &SafeTensors<'_>, name: &str) -> (Vec<f64>, Vec<usize>) {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let values = match tensor.dtype() {
        Dtype::F32 => tensor.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F64 => tensor.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::I64 => tensor.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        other => panic!("{name}: {other:?}"),
    };
    (values, tensor.shape().to_vec())
}

#[test]
fn contrastive_loss() {
    for path in files("contrastive_loss") {
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let ((pred, shape), (target, _)) = (read(&file, "pred"), read(&file, "target"));
        let negatives: Vec<u32> = read(&file, "neg_index").0.iter().map(|&i| i as u32).collect();
        let (rows, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        for dtype in [DType::F32, DType::F64] {
            let pred = leaf(&pred, dtype);
            let target = constant(&target, dtype, &on(dtype)).reshape([rows, width]);
            let output = ops::contrastive_loss(pred.clone().reshape([rows, width]), target, &negatives, 0.3);
            let grad = pred.grad(&output.loss.backward()).unwrap();
            assert_close("loss", &values(output.loss), &read(&file, "loss").0, 1e-5);
            assert_close("gradient", &values(grad), &read(&file, "grad_pred").0, 1e-5);
        }
    }
}

/// The golden loss is the mean over the batch. PyTorch's "gradient with respect to the log-probabilities" has the softmax
/// of the logits in it already, so it is that of the logits; each of its frames sums to zero, which its single
/// precision misses by up to 7e-5.
#[test]
fn ctc_heads() {
    for path in files("ctc_head_") {
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (logits, shape) = read(&file, "logits");
        let (grad_log_probs, _) = read(&file, "grad_log_probs");
        let want = read(&file, "ctc_loss").0[0];
        let integers = |name: &str| read(&file, name).0.iter().map(|&i| i as usize).collect::<Vec<_>>();
        let (lengths, target_lengths) = (integers("out_len"), integers("target_len"));
        let (tokens, token_shape) = read(&file, "targets");
        let targets: Vec<Vec<u32>> = target_lengths
            .iter()
            .enumerate()
            .map(|(b, &len)| tokens[b * token_shape[1]..][..len].iter().map(|&t| t as u32).collect())
            .collect();
        let vocabulary = shape[2];
        // Subword vocabularies lend their first piece to the blank, characters have it after the last.
        let is_subword = path.to_string_lossy().contains("subword");
        let blank = if is_subword { 0 } else { (vocabulary - 1) as u32 };
        for dtype in [DType::F32, DType::F64] {
            let x = leaf(&logits, dtype);
            let losses =
                ops::ctc_loss(x.clone().reshape([shape[0], shape[1], vocabulary]), &targets, &lengths, blank);
            let each = values(losses.clone());
            let batch = each.len() as f64;
            assert_close("loss", &[each.iter().sum::<f64>() / batch], &[want], 1e-5);
            let got = values(x.grad(&losses.mean().backward()).unwrap());
            assert_close(&format!("{}, gradient", path.display()), &got, &grad_log_probs, 2e-4);
        }
    }
}
