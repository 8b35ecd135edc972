//! Time of every operation against its composition from plain tensor operations.
//!
//! ```text
//! cargo run --release -p auricle-tensor --example op_speed [filter]
//! ```
//!
//! The two run in turn, A B A B; printed are medians in milliseconds. Shapes are those of the SPIRAL
//! Base encoder with a batch of four utterances. `RAYON_NUM_THREADS` sets the number of threads.

#![allow(clippy::unwrap_used)] // A benchmark may stop.

use std::time::Instant;

use auricle_rng::{Key, Purpose};
use auricle_tensor::ops::{self, AdamWStep, AttentionOptions, Conv1dOptions, Dropout};
use auricle_tensor::reference;
use burn::tensor::{Device, Tensor, TensorData};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let mut stream = Key::new(1).stream(Purpose::Test);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Milliseconds of one call, after which the result is dropped.
fn once(f: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64() * 1e3
}

/// Medians of two functions called in turn.
fn in_turn(a: &mut dyn FnMut(), b: &mut dyn FnMut()) -> (f64, f64) {
    let guess = once(a).max(once(b));
    let rounds = ((1500.0 / guess) as usize).clamp(5, 200);
    let (mut times_a, mut times_b): (Vec<f64>, Vec<f64>) = (0..rounds).map(|_| (once(a), once(b))).unzip();
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    (median(&mut times_a), median(&mut times_b))
}

/// One table row for a function of up to three tensors.
fn row<const D: usize, const E: usize>(
    name: &str,
    filter: &str,
    inputs: Inputs<D, E>,
    fused: &dyn Fn(Inputs<D, E>) -> Tensor<D>,
    composed: &dyn Fn(Inputs<D, E>) -> Tensor<D>,
) {
    if !name.contains(filter) {
        return;
    }
    let forward = |f: &dyn Fn(Inputs<D, E>) -> Tensor<D>| {
        drop(f(inputs.clone()));
    };
    let plain = in_turn(&mut || forward(fused), &mut || forward(composed));
    let backward = |f: &dyn Fn(Inputs<D, E>) -> Tensor<D>| {
        let leaves = inputs.clone().map(|x| x.autodiff().require_grad(), |w| w.autodiff().require_grad());
        let y = f(leaves);
        // The gradient of a sum is a constant; squaring makes it dense like that of a real loss.
        drop((y.clone() * y).sum().backward());
    };
    let both = in_turn(&mut || backward(fused), &mut || backward(composed));
    print(name, plain, Some(both));
}

fn print(name: &str, plain: (f64, f64), both: Option<(f64, f64)>) {
    let cell = |(a, b): (f64, f64)| format!("{a:9.3} {b:9.3} {:6.1}x", b / a);
    println!("| {name:34} | {} | {} |", cell(plain), both.map_or(format!("{:26}", "–"), cell));
}

#[derive(Clone)]
struct Inputs<const D: usize, const E: usize> {
    x: Vec<Tensor<D>>,
    w: Vec<Tensor<E>>,
}

impl<const D: usize, const E: usize> Inputs<D, E> {
    fn map(self, f: impl Fn(Tensor<D>) -> Tensor<D>, g: impl Fn(Tensor<E>) -> Tensor<E>) -> Self {
        Self { x: self.x.into_iter().map(f).collect(), w: self.w.into_iter().map(g).collect() }
    }
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let filter = filter.as_str();
    println!("{} threads; ms: fused, composed, ratio", rayon::current_num_threads());
    println!("| {:34} | {:26} | {:26} |", "operation", "forward", "forward + backward");
    let one = |x: Tensor<2>| Inputs::<2, 1> { x: vec![x], w: vec![] };
    let get = |i: &Inputs<2, 1>| i.x[0].clone();

    row("gelu 1000×3072", filter, one(random([1000, 3072])), &|i| ops::gelu(get(&i)), &|i| {
        reference::gelu(get(&i))
    });
    let mask = Dropout { p: 0.1, seed: 3 };
    row("dropout 1000×768", filter, one(random([1000, 768])), &|i| ops::dropout(get(&i), 0.1, 3), &|i| {
        reference::dropout(get(&i), mask)
    });
    row("softmax 24000×500", filter, one(random([24_000, 500])), &|i| ops::softmax(get(&i), 1), &|i| {
        reference::softmax(get(&i), 1)
    });
    row(
        "log_softmax 1000×1024",
        filter,
        one(random([1000, 1024])),
        &|i| ops::log_softmax(get(&i), 1),
        &|i| reference::log_softmax(get(&i), 1),
    );
    let norm = Inputs { x: vec![random([1000, 768])], w: vec![random([768]), random([768])] };
    row(
        "layer_norm 1000×768",
        filter,
        norm.clone(),
        &|i| ops::layer_norm(get(&i), i.w[0].clone(), i.w[1].clone(), 1e-5),
        &|i| reference::layer_norm(get(&i), i.w[0].clone(), i.w[1].clone(), 1e-5),
    );
    row("rms_norm 1000×768", filter, norm, &|i| ops::rms_norm(get(&i), i.w[0].clone(), 1e-5), &|i| {
        reference::rms_norm(get(&i), i.w[0].clone(), 1e-5)
    });
    let linear = Inputs { x: vec![random([500, 768]), random([768, 3072])], w: vec![random([3072])] };
    row(
        "linear 500×768×3072",
        filter,
        linear,
        &|i| ops::linear(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone())),
        &|i| reference::linear(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone())),
    );

    for (name, frames, options) in [
        ("attention 4×125 h12", 125, AttentionOptions::new(12)),
        ("attention 4×500 h12", 500, AttentionOptions::new(12)),
        (
            "attention 4×500 h12 dropout",
            500,
            AttentionOptions { dropout: Some(mask), ..AttentionOptions::new(12) },
        ),
        (
            "attention 4×500 h12 causal, left 64",
            500,
            AttentionOptions { causal: true, left_context: Some(64), ..AttentionOptions::new(12) },
        ),
    ] {
        let x = || random([4, frames, 768]);
        row(
            name,
            filter,
            Inputs::<3, 1> { x: vec![x(), x(), x()], w: vec![] },
            &|i| ops::attention(i.x[0].clone(), i.x[1].clone(), i.x[2].clone(), options.clone()),
            &|i| reference::attention(i.x[0].clone(), i.x[1].clone(), i.x[2].clone(), &options),
        );
    }

    for (name, [t, ci, k, co], options) in [
        (
            "conv 4×1000 128→384 k5 s2",
            [1000, 128, 5, 384],
            Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 },
        ),
        (
            "conv 4×500 384→512 k5 s2",
            [500, 384, 5, 512],
            Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 },
        ),
        (
            "conv 4×250 512→1536 k5 s2",
            [250, 512, 5, 1536],
            Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 },
        ),
        (
            "conv 4×125 768→768 k128 g16",
            [125, 768, 128, 768],
            Conv1dOptions { stride: 1, pad_left: 64, pad_right: 63, groups: 16 },
        ),
    ] {
        row(
            name,
            filter,
            Inputs {
                x: vec![random([4, t, ci]), random([k, ci / options.groups, co])],
                w: vec![random([co])],
            },
            &|i| ops::conv1d(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone()), options),
            &|i| reference::conv1d(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone()), options),
        );
    }

    let targets: Vec<Vec<u32>> = (0..8u32).map(|b| (0..60).map(|i| 1 + (i * 7 + b) % 28).collect()).collect();
    let lengths = [250; 8];
    row(
        "ctc_loss 8×250×29, 60 tokens",
        filter,
        Inputs::<3, 1> { x: vec![random([8, 250, 29])], w: vec![] },
        &|i| ops::ctc_loss(i.x[0].clone(), &targets, &lengths, 0).reshape([8, 1, 1]),
        &|i| reference::ctc_loss(i.x[0].clone(), &targets, &lengths, 0).reshape([8, 1, 1]),
    );
    let mut stream = Key::new(2).stream(Purpose::Negatives);
    let negatives: Vec<u32> = (0..500 * 100).map(|_| stream.below(500) as u32).collect();
    let target = random([500, 256]);
    row(
        "contrastive 500×256, 100 negatives",
        filter,
        one(random([500, 256]).slice_fill([0..1, 0..1], 2.0)),
        &|i| ops::contrastive_loss(get(&i), target.clone(), &negatives, 0.3).loss.reshape([1, 1]),
        &|i| reference::contrastive_loss(get(&i), target.clone(), &negatives, 0.3).loss.reshape([1, 1]),
    );

    // The updates are in place: the state goes round.
    let n = 16 << 20;
    let step = AdamWStep { lr: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 10 };
    if "adamw 16.8 M".contains(filter) {
        let gradient = random([n]);
        let fresh = || Some((random([n]), random([n]).abs(), random([n]).abs()));
        let (mut a, mut b) = (fresh(), fresh());
        let times = in_turn(
            &mut || a = a.take().map(|(p, m, v)| ops::adamw(p, gradient.clone(), m, v, step)),
            &mut || b = b.take().map(|(p, m, v)| reference::adamw(p, gradient.clone(), m, v, step)),
        );
        print("adamw 16.8 M", times, None);
    }
    if "ema 16.8 M".contains(filter) {
        let student = random([n]);
        let (mut a, mut b) = (Some(random([n])), Some(random([n])));
        let times = in_turn(&mut || a = a.take().map(|t| ops::ema(t, student.clone(), 0.995)), &mut || {
            b = b.take().map(|t| reference::ema(t, student.clone(), 0.995))
        });
        print("ema 16.8 M", times, None);
    }
}
