use auricle_tensor::{ops, reference};
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, check, check_gradients, constant, normal, on, run, tests_cpu, values};

/// Sums the probabilities of all alignments, one by one.
fn brute_force(logits: &[f64], vocabulary: usize, target: &[u32], blank: u32) -> f64 {
    let frames = logits.len() / vocabulary;
    let mut total = 0.0;
    for code in 0..vocabulary.pow(frames as u32) {
        let path: Vec<u32> =
            (0..frames).map(|t| (code / vocabulary.pow(t as u32) % vocabulary) as u32).collect();
        let mut merged = path.clone();
        merged.dedup();
        merged.retain(|&token| token != blank);
        if merged == target {
            total += (0..frames)
                .map(|t| {
                    let row = &logits[t * vocabulary..][..vocabulary];
                    row[path[t] as usize].exp() / row.iter().map(|x| x.exp()).sum::<f64>()
                })
                .product::<f64>();
        }
    }
    -total.ln()
}

/// Of single precision: the composition adds some hundred log-probabilities to sums of some thousand, whose last
/// binary digit is worth 1e-4 to 1e-3; the kernel keeps them in double precision.
fn tolerance() -> f64 {
    if tests_cpu() { 2e-6 } else { 5e-4 }
}

#[test]
fn equal_to_the_sum_over_all_alignments() {
    for (target, blank) in [(vec![], 0), (vec![1], 0), (vec![0, 1], 2), (vec![1, 1], 0), (vec![0, 1, 0], 2)] {
        for frames in target.len().max(1)..=6 {
            let logits = normal(frames * 3, 1 + frames as u64);
            let want = brute_force(&logits, 3, &target, blank);
            let want = if want.is_finite() { want } else { 0.0 };
            for dtype in [DType::F32, DType::F64] {
                let x = constant(&logits, dtype, &on(dtype)).reshape([1, frames, 3]);
                let got = values(ops::ctc_loss(x, std::slice::from_ref(&target), &[frames], blank))[0];
                assert!(
                    (got - want).abs() < 1e-6 * want.max(1.0),
                    "{target:?} in {frames} frames: {got}, expected {want}"
                );
            }
        }
    }
}

#[test]
fn a_batch_of_everything() {
    // Plain; repeats; too long; empty target; no frames; neither; longer than the tensor; a single frame.
    let targets =
        [vec![3, 1, 4, 1, 5], vec![2, 2, 2], vec![1; 8], vec![], vec![1], vec![], vec![6, 1], vec![7]];
    let lengths = [13, 9, 13, 11, 0, 0, 40, 1];
    let shape = |x: &[Tensor<1>]| x[0].clone().reshape([8, 13, 9]);
    let fused = |x: &[Tensor<1>]| ops::ctc_loss(shape(x), &targets, &lengths, 0);
    let composed = |x: &[Tensor<1>]| reference::ctc_loss(shape(x), &targets, &lengths, 0);
    let data = [normal(8 * 13 * 9, 1)];
    check("ctc", &fused, &composed, &data, tolerance());
    check_gradients("ctc", &composed, &data);
    let (losses, grads) = run(&fused, &data, DType::F32);
    assert_eq!([losses[2], losses[4], losses[5]], [0.0; 3]);
    let row = 13 * 9;
    for silent in [2, 4, 5] {
        assert!(grads[0][silent * row..][..row].iter().all(|g| *g == 0.0));
    }
    assert!(grads[0][row + 9 * 9..2 * row].iter().all(|g| *g == 0.0), "padded frames have no gradient");
}

#[test]
fn sizes_around_the_widths_of_vectors() {
    let sizes = [1, 15, 16, 17, 31, 257];
    for (i, frames) in sizes.into_iter().enumerate() {
        // Every size as a number of frames and as a vocabulary, in pairs that differ and in pairs that do not.
        for vocabulary in [sizes[(i + 2) % 6].max(2), frames.max(2)] {
            let token = |i: usize| 1 + (i * 7 % (vocabulary - 1)) as u32;
            // A blank between equal neighbours takes a frame too.
            let targets = [(0..frames.min(30) / 2).map(token).collect(), vec![1], vec![]];
            let lengths = [frames, frames - frames / 3, frames];
            let shape = |x: &[Tensor<1>]| x[0].clone().reshape([3, frames, vocabulary]);
            let fused = |x: &[Tensor<1>]| ops::ctc_loss(shape(x), &targets, &lengths, 0);
            let composed = |x: &[Tensor<1>]| reference::ctc_loss(shape(x), &targets, &lengths, 0);
            let name = format!("{frames} frames, vocabulary {vocabulary}");
            check(&name, &fused, &composed, &[normal(3 * frames * vocabulary, 1)], tolerance());
        }
    }
}

#[test]
fn long_and_confident() {
    // Probabilities far below the range of a plain product.
    let (frames, vocabulary) = (400, 29);
    let target: Vec<u32> = (0..60).map(|i| i * 7 % 28).collect();
    let logits: Vec<f64> =
        normal(2 * frames * vocabulary, 3).iter().map(|x| f64::from((x * 20.0) as f32)).collect();
    let (targets, lengths) = ([target, vec![]], [400, 399]);
    let shape = |x: &[Tensor<1>]| x[0].clone().reshape([2, frames, vocabulary]);
    let fused = |x: &[Tensor<1>]| ops::ctc_loss(shape(x), &targets, &lengths, 28);
    let composed = |x: &[Tensor<1>]| reference::ctc_loss(shape(x), &targets, &lengths, 28);
    check("ctc", &fused, &composed, &[logits], tolerance());
}

#[test]
fn padding_may_hold_anything() {
    let mut logits = normal(2 * 10 * 5, 1);
    let (targets, lengths) = ([vec![1, 2], vec![3]], [10, 6]);
    let fused = |x: &[Tensor<1>]| ops::ctc_loss(x[0].clone().reshape([2, 10, 5]), &targets, &lengths, 0);
    let clean = run(&fused, &[logits.clone()], DType::F32);
    logits[50 + 30..].fill(f64::NAN);
    assert_eq!(run(&fused, &[logits], DType::F32), clean);
}

#[test]
fn nothing_and_the_impossible() {
    let empty = Tensor::<3>::zeros([2, 0, 4], (&on(DType::F32).autodiff(), DType::F32)).require_grad();
    assert_eq!(values(ops::ctc_loss(empty, &[vec![], vec![1]], &[0, 0], 0)), [0.0, 0.0]);
    let none = Tensor::<3>::zeros([0, 3, 4], (&on(DType::F32), DType::F32));
    assert_eq!(ops::ctc_loss(none, &[], &[], 0).dims(), [0]);
    // A token of probability zero.
    let logits = [0.0, f64::NEG_INFINITY, 0.0, 0.0, f64::NEG_INFINITY, 0.0];
    let (loss, grad) = run(
        &|x| ops::ctc_loss(x[0].clone().reshape([1, 2, 3]), &[vec![1]], &[2], 0),
        &[logits.to_vec()],
        DType::F32,
    );
    assert_eq!((loss, &grad[0]), (vec![0.0], &vec![0.0; 6]));
}

#[test]
#[should_panic(expected = "target 1 holds token 5")]
fn a_token_outside_of_the_vocabulary_is_named() {
    let x = Tensor::<3>::zeros([2, 3, 4], (&on(DType::F32), DType::F32));
    ops::ctc_loss(x, &[vec![1], vec![2, 5]], &[3, 3], 0);
}

#[test]
fn the_gradient_scales_with_that_of_each_loss() {
    let data = [normal(2 * 7 * 4, 1)];
    let loss = |scales: [f64; 2]| {
        move |x: &[Tensor<1>]| {
            let loss = ops::ctc_loss(x[0].clone().reshape([2, 7, 4]), &[vec![1, 2], vec![3]], &[7, 5], 0);
            let scales = constant(&scales, loss.dtype(), &loss.device());
            loss * scales
        }
    };
    let plain = run(&loss([1.0, 1.0]), &data, DType::F32).1.remove(0);
    let scaled = run(&loss([2.0, -0.5]), &data, DType::F32).1.remove(0);
    let want: Vec<f64> = plain.iter().enumerate().map(|(i, g)| g * if i < 28 { 2.0 } else { -0.5 }).collect();
    assert_close("scaled", &scaled, &want, 1e-6);
}
