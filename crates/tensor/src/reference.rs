//! Every operation of [`ops`](crate::ops) as a plain composition of tensor operations.
//!
//! These run on any backend and in any precision, with gradients by automatic differentiation. They are what GPU
//! devices and double precision use, and what the fused kernels are tested against; they favour
//! clarity over speed. Shapes and meanings are those of the function of the same name in [`ops`](crate::ops).

use burn::tensor::module::linear as burn_linear;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Bool, DType, Int, Tensor, TensorData, activation};

use crate::options::dropout::BLOCK;
use crate::options::{
    AdamWStep, AttentionOptions, BatchMoments, BatchNormOptions, Conv1dOptions, Dropout, alibi_slope,
};

/// Stands for ln 0 where −∞ would breed NaN in gradients.
const LOG_ZERO: f64 = -1e30;

/// See [`ops::gelu`](crate::ops::gelu).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let cdf = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    x * cdf
}

/// See [`ops::softmax`](crate::ops::softmax).
pub fn softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    // A row of −∞ would be −∞ − −∞.
    let top = x.clone().detach().max_dim(dim).clamp_min(f64::from(f32::MIN));
    let weights = (x - top).exp();
    let total = weights.clone().sum_dim(dim);
    let empty = total.clone().equal_scalar(0.0);
    weights / total.mask_fill(empty, 1.0)
}

/// See [`ops::masked_softmax`](crate::ops::masked_softmax).
pub fn masked_softmax<const D: usize>(x: Tensor<D>, lengths: &[usize]) -> Tensor<D> {
    let dims = x.dims();
    if dims.contains(&0) {
        return x;
    }
    let width = dims[D - 1];
    let mut shape = [1; D];
    (shape[0], shape[D - 1]) = (dims[0], width);
    let hidden = lengths.iter().flat_map(|&length| (0..width).map(move |i| i >= length)).collect();
    let hidden = bool_like(hidden, shape, &x).expand(dims);
    softmax(x.mask_fill(hidden, f64::NEG_INFINITY), D - 1)
}

/// See [`ops::log_softmax`](crate::ops::log_softmax).
pub fn log_softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if x.shape().num_elements() == 0 {
        return x;
    }
    // A row of −∞ would be −∞ − −∞: it is computed as one of zeros, and set afterwards.
    let empty = x.clone().detach().max_dim(dim).equal_scalar(f64::NEG_INFINITY).expand(x.dims());
    activation::log_softmax(x.mask_fill(empty.clone(), 0.0), dim).mask_fill(empty, f64::NEG_INFINITY)
}

/// See [`ops::layer_norm`](crate::ops::layer_norm).
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    if x.dims().contains(&0) {
        return x;
    }
    let mean = x.clone().mean_dim(D - 1);
    let centred = x - mean;
    let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

/// See [`ops::add_layer_norm`](crate::ops::add_layer_norm).
pub fn add_layer_norm<const D: usize>(
    x: Tensor<D>,
    branch: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    mask: Option<Dropout>,
) -> Tensor<D> {
    let branch = layer_norm(branch, gamma, beta, epsilon);
    x + match mask {
        Some(mask) => dropout(branch, mask),
        None => branch,
    }
}

/// See [`ops::rms_norm`](crate::ops::rms_norm).
pub fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if x.dims().contains(&0) {
        return x;
    }
    let mean_square = (x.clone() * x.clone()).mean_dim(D - 1);
    x / (mean_square + epsilon).sqrt() * gamma.unsqueeze()
}

/// See [`ops::batch_norm`](crate::ops::batch_norm).
pub fn batch_norm(
    x: Tensor<3>,
    residual: Option<(Tensor<3>, f64)>,
    lengths: &[usize],
    options: BatchNormOptions,
) -> (Tensor<3>, BatchMoments) {
    let valid = valid_frames(&x, lengths);
    let count = lengths.iter().sum::<usize>().max(1) as f64;
    // Padding may hold NaN, which no product with 0 removes.
    let x = x.clone().mask_fill(valid.clone().equal_elem(0.0).expand(x.dims()), 0.0);
    let x = if options.relu { activation::relu(x) } else { x };
    let mean = x.clone().sum_dim(1).sum_dim(0) / count;
    let centred = (x - mean.clone()) * valid.clone();
    let variance = (centred.clone() * centred.clone()).sum_dim(1).sum_dim(0) / count;
    let moments = BatchMoments {
        mean: host(mean.clone().flatten(0, 2)),
        variance: host(variance.clone().flatten(0, 2)),
    };
    let y = centred / (variance + options.epsilon).sqrt();
    let y = match residual {
        Some((residual, scale)) => {
            let dims = residual.dims();
            let beyond = valid.equal_elem(0.0).expand(dims);
            y + residual.mask_fill(beyond, 0.0) * scale
        }
        None => y,
    };
    (y, moments)
}

/// The moments of a tensor of one value per channel on the host.
pub(crate) fn host(values: Tensor<1>) -> Vec<f32> {
    let plain = if values.is_autodiff() { values.inner() } else { values };
    plain.cast(DType::F32).into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// 1 for valid frames, `[B, T, 1]`, like `x`.
pub(crate) fn valid_frames(x: &Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, frames, _] = x.dims();
    let values: Vec<f32> = lengths
        .iter()
        .flat_map(|&length| (0..frames).map(move |t| f32::from(u8::from(t < length))))
        .collect();
    Tensor::from_data(TensorData::new(values, [batch, frames, 1]), (&x.device(), x.dtype()))
}

/// See [`ops::linear`](crate::ops::linear).
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    burn_linear(x, weight, bias)
}

/// See [`ops::dropout`](crate::ops::dropout).
pub fn dropout<const D: usize>(x: Tensor<D>, mask: Dropout) -> Tensor<D> {
    let dims = x.dims();
    let block = BLOCK;
    let dropped =
        (0..dims.iter().product()).map(|i: usize| !mask.keeps((i / block) as u64, (i % block) as u32));
    let dropped = bool_like(dropped.collect(), dims, &x);
    x.mask_fill(dropped, 0.0) * mask.scale()
}

/// See [`ops::conv1d`](crate::ops::conv1d).
pub fn conv1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: Conv1dOptions) -> Tensor<3> {
    let ([batch, frames, inputs], [kernel, _, outputs]) = (x.dims(), weight.dims());
    let shape = [batch, options.output_frames(frames, kernel), outputs];
    let is_empty = shape.contains(&0);
    if is_empty || [frames, kernel, inputs].contains(&0) {
        // All that a window can see is padding.
        let y = Tensor::zeros(shape, (&x.device(), x.dtype()));
        return match bias.filter(|_| !is_empty) {
            Some(bias) => y + bias.unsqueeze(),
            None => y,
        };
    }
    if options.groups > 1 && options.stride > 1 {
        // burn 0.22.1 gives wrong weight gradients here where the stride leaves frames over.
        let one = Conv1dOptions { groups: 1, ..options };
        let (inputs, filters) = (x.chunk(options.groups, 2), weight.chunk(options.groups, 2));
        let groups =
            inputs.into_iter().zip(filters).map(|(x, weight)| conv1d(x, weight, None, one)).collect();
        let y = Tensor::cat(groups, 2);
        return match bias {
            Some(bias) => y + bias.unsqueeze(),
            None => y,
        };
    }
    let x = x.pad([(0, 0), (options.pad_left, options.pad_right), (0, 0)], PadMode::Constant(0.0));
    let plain = ConvOptions::new([options.stride], [0], [1], options.groups);
    burn::tensor::module::conv1d(x.swap_dims(1, 2), weight.permute([2, 1, 0]), bias, plain).swap_dims(1, 2)
}

/// See [`ops::attention`](crate::ops::attention).
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, options: &AttentionOptions) -> Tensor<3> {
    let ([batch, queries, width], [_, keys, _]) = (q.dims(), k.dims());
    let heads = options.heads;
    if batch == 0 || queries == 0 || keys == 0 || width == 0 {
        return Tensor::zeros([batch, queries, width], (&q.device(), q.dtype()));
    }
    let hidden: Vec<bool> = (0..batch * queries)
        .flat_map(|row| {
            let visible = options.visible(row / queries, row % queries, queries, keys);
            (0..keys).map(move |key| !visible.contains(&key))
        })
        .collect();
    let hidden: Tensor<4, Bool> = bool_like(hidden, [batch, 1, queries, keys], &q);
    // What padded keys hold must not matter, not even NaN.
    let padded = (0..batch * keys)
        .map(|row| options.key_lengths.as_ref().is_some_and(|lengths| row % keys >= lengths[row / keys]));
    let padded: Tensor<3, Bool> =
        bool_like(padded.collect(), [batch, keys, 1], &q).expand([batch, keys, width]);
    let (k, v) = (k.mask_fill(padded.clone(), 0.0), v.mask_fill(padded, 0.0));

    let like = q.clone();
    let split = |x: Tensor<3>, frames| x.reshape([batch, frames, heads, width / heads]).swap_dims(1, 2);
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let scores = (split(q, queries) * scale).matmul(split(k, keys).swap_dims(2, 3));
    let scores = match options.alibi {
        true => scores + position_bias(options, queries, keys, &like),
        false => scores,
    };
    let hidden = hidden.expand([batch, heads, queries, keys]);
    let weights = softmax(scores.mask_fill(hidden.clone(), LOG_ZERO), 3).mask_fill(hidden, 0.0);
    let weights = match options.dropout {
        Some(mask) => {
            let dropped = (0..batch * heads * queries)
                .flat_map(|row| (0..keys).map(move |key| !mask.keeps(row as u64, key as u32)));
            let dropped = bool_like(dropped.collect(), [batch, heads, queries, keys], &weights);
            weights.mask_fill(dropped, 0.0) * mask.scale()
        }
        None => weights,
    };
    weights.matmul(split(v, keys)).swap_dims(1, 2).reshape([batch, queries, width])
}

/// The position bias of every head, `[1, H, T_q, T_k]`.
fn position_bias(options: &AttentionOptions, queries: usize, keys: usize, like: &Tensor<3>) -> Tensor<4> {
    let values = (0..options.heads * queries * keys).map(|at| {
        let (head, query, key) = (at / (queries * keys), at / keys % queries, at % keys);
        -alibi_slope(head, options.heads) * (query as f32 + keys as f32 - queries as f32 - key as f32).abs()
    });
    let data = TensorData::new(values.collect::<Vec<f32>>(), [1, options.heads, queries, keys]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// See [`ops::ctc_loss`](crate::ops::ctc_loss).
pub fn ctc_loss(logits: Tensor<3>, targets: &[Vec<u32>], input_lens: &[usize], blank: u32) -> Tensor<1> {
    let [batch, frames, vocabulary] = logits.dims();
    if batch == 0 || frames == 0 {
        return Tensor::zeros([batch], (&logits.device(), logits.dtype()));
    }
    let states = 2 * targets.iter().map(Vec::len).max().unwrap_or(0) + 1;
    // The target with blanks around every token, padded with blanks.
    let token = |b: usize, s: usize| match targets[b].get(s / 2) {
        Some(&token) if s % 2 == 1 => token,
        _ => blank,
    };
    let device = logits.device();
    let like = logits.clone();
    let per_state = |f: &dyn Fn(usize, usize) -> bool| {
        let values = (0..batch * states).map(|i| f(i / states, i % states)).collect();
        bool_like(values, [batch, states], &like)
    };
    let tokens: Vec<i64> = (0..batch * states).map(|i| i64::from(token(i / states, i % states))).collect();
    let tokens = Tensor::<1, Int>::from_data(TensorData::new(tokens, [batch * states]), &device);
    let tokens = tokens.reshape([batch, 1, states]).expand([batch, frames, states]);
    let padded = (0..batch * frames).map(|i| i % frames >= input_lens[i / frames]).collect();
    let padded = bool_like(padded, [batch, frames, 1], &logits).expand([batch, frames, vocabulary]);
    let emitted = log_softmax(logits.mask_fill(padded, 0.0), 2).gather(2, tokens);

    let no_skip = per_state(&|b, s| s < 2 || s % 2 == 0 || token(b, s) == token(b, s - 2));
    let later = per_state(&|b, s| s > usize::from(!targets[b].is_empty()));
    let mut alpha = emitted.clone().narrow(1, 0, 1).reshape([batch, states]).mask_fill(later, LOG_ZERO);
    for t in 1..frames {
        let from = |steps: usize| {
            let padding = Tensor::full([batch, steps.min(states)], LOG_ZERO, (&device, alpha.dtype()));
            if steps >= states {
                return padding;
            }
            Tensor::cat(vec![padding, alpha.clone().narrow(1, 0, states - steps)], 1)
        };
        let arriving = log_add(log_add(alpha.clone(), from(1)), from(2).mask_fill(no_skip.clone(), LOG_ZERO));
        let next = arriving + emitted.clone().narrow(1, t, 1).reshape([batch, states]);
        alpha = next.mask_where(per_state(&|b, _| t >= input_lens[b]), alpha);
    }
    let not_final = per_state(&|b, s| {
        let last = 2 * targets[b].len();
        s != last && s + 1 != last
    });
    let alpha = alpha.mask_fill(not_final, LOG_ZERO);
    let top = alpha.clone().detach().max_dim(1);
    let loss = -((alpha - top.clone()).exp().sum_dim(1).log() + top).reshape([batch]);
    let impossible = (0..batch).map(|b| {
        let repeats = targets[b].windows(2).filter(|pair| pair[0] == pair[1]).count();
        input_lens[b] == 0 || targets[b].len() + repeats > input_lens[b].min(frames)
    });
    let impossible = bool_like(impossible.collect(), [batch], &like);
    // A path through a token of probability zero is as impossible as one that is too short.
    let lost = loss.clone().greater_elem(-LOG_ZERO / 2.0);
    loss.mask_fill(impossible, 0.0).mask_fill(lost, 0.0)
}

/// `ln(eᵃ + eᵇ)`.
fn log_add(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let top = a.clone().detach().max_pair(b.clone().detach());
    ((a - top.clone()).exp() + (b - top.clone()).exp()).log() + top
}

/// What [`contrastive_loss()`] gives.
#[derive(Debug, Clone)]
pub struct ContrastiveOutput {
    /// Mean cross-entropy in nats, `[1]`.
    pub loss: Tensor<1>,
    /// Share of positions whose positive scores highest. A position where all scores are equal is not correct.
    pub accuracy: f64,
}

/// See [`ops::contrastive_loss`](crate::ops::contrastive_loss).
pub fn contrastive_loss(
    pred: Tensor<2>,
    target: Tensor<2>,
    negatives: &[u32],
    temperature: f64,
) -> ContrastiveOutput {
    let [positions, width] = pred.dims();
    if positions == 0 {
        return ContrastiveOutput { loss: Tensor::zeros([1], (&pred.device(), pred.dtype())), accuracy: 0.0 };
    }
    let count = negatives.len() / positions;
    let unit = |x: Tensor<2>| {
        let norm = (x.clone() * x.clone()).sum_dim(1).sqrt().clamp_min(1e-8);
        x / norm
    };
    let target = target.detach();
    let (pred, unit_target) = (unit(pred), unit(target.clone()));
    let mut scores = (pred.clone() * unit_target.clone()).sum_dim(1);
    if count > 0 {
        let indices: Vec<i64> = negatives.iter().map(|&i| i64::from(i)).collect();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(indices, [negatives.len()]), &pred.device());
        let pick = |x: Tensor<2>| x.select(0, indices.clone()).reshape([positions, count, width]);
        let same = pick(target.clone())
            .equal(target.reshape([positions, 1, width]).expand([positions, count, width]));
        let same = same.all_dim(2).reshape([positions, count]);
        let others =
            (pick(unit_target) * pred.reshape([positions, 1, width])).sum_dim(2).reshape([positions, count]);
        scores = Tensor::cat(vec![scores, others.mask_fill(same, f64::NEG_INFINITY)], 1);
    }
    let scores = scores / temperature;
    let table = scores.clone().detach().into_data().convert::<f64>();
    let correct = table.as_slice::<f64>().map_or(0, |table| {
        let is_correct =
            |row: &&[f64]| row[1..].iter().all(|s| *s <= row[0]) && row[1..].iter().any(|s| *s < row[0]);
        table.chunks_exact(count + 1).filter(is_correct).count()
    });
    let loss = -log_softmax(scores, 1).narrow(1, 0, 1).mean();
    ContrastiveOutput { loss, accuracy: correct as f64 / positions as f64 }
}

/// See [`ops::adamw`](crate::ops::adamw).
pub fn adamw<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: AdamWStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let (param, grad, m, v) = (param.detach(), grad.detach(), m.detach(), v.detach());
    let (correction1, correction2) = step.bias_corrections();
    let m = m * step.beta1 + grad.clone() * (1.0 - step.beta1);
    let v = v * step.beta2 + grad.clone() * grad * (1.0 - step.beta2);
    let root = (v.clone() / correction2).sqrt() + step.eps;
    let param = param * (1.0 - step.lr * step.weight_decay) - m.clone() / root * (step.lr / correction1);
    (param, m, v)
}

/// See [`ops::ema`](crate::ops::ema).
pub fn ema<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    teacher.detach() * momentum + student.detach() * (1.0 - momentum)
}

/// A boolean tensor on the device of `like`.
fn bool_like<const D: usize, const E: usize>(
    values: Vec<bool>,
    dims: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D, Bool> {
    Tensor::from_data(TensorData::new(values, dims), &like.device())
}
