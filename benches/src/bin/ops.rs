//! Every fused operation and burn's ReLU, forward and with its gradients: one JSON line each with the medians of both clocks.
//! The other half is `benches/vs_pytorch/ops.py`; shapes are those of the SPIRAL Base encoder with four utterances.
//!
//! `cargo run --release -p auricle-benches --bin ops -- [filter] [milliseconds per measurement]`

use anyhow::Result;
use auricle_benches::{Time, median, noise, time};
use auricle_rng::{Key, Purpose};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_tensor::ops::{self, AdamWStep, AttentionOptions, Conv1dOptions, Dropout, Products};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(seed, shape.iter().product(), 1.0), shape), &Device::flex())
}

/// Inputs of an operation: activations, and parameters of another rank.
#[derive(Clone)]
struct Inputs<const D: usize, const E: usize> {
    x: Vec<Tensor<D>>,
    w: Vec<Tensor<E>>,
}

/// Which operations are measured, and for how long.
struct Run {
    filter: String,
    budget_ms: f64,
}

impl Run {
    fn is_wanted(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Medians of `f`, called for about as long as asked.
    fn measure(&self, f: &mut dyn FnMut()) -> Time {
        let guess = time(&mut *f).wall_ms.max(time(&mut *f).wall_ms);
        let rounds = ((self.budget_ms / guess) as usize).clamp(5, 500);
        median(&(0..rounds).map(|_| time(&mut *f)).collect::<Vec<_>>())
    }

    fn print(&self, name: &str, kind: &str, time: Time) {
        let record = serde_json::json!({
            "system": "auricle",
            "op": name,
            "kind": kind,
            "threads": rayon::current_num_threads(),
            "ms": time.wall_ms,
            "cpu_ms": time.cpu_ms,
        });
        println!("{record}");
    }

    /// One operation on inputs that all are given a gradient; the loss is the sum of squares of its result.
    fn op<const D: usize, const E: usize>(
        &self,
        name: &str,
        x: Vec<Tensor<D>>,
        w: Vec<Tensor<E>>,
        f: impl Fn(&Inputs<D, E>) -> Tensor<D>,
    ) {
        if !self.is_wanted(name) {
            return;
        }
        let plain = Inputs { x, w };
        self.print(name, "forward", self.measure(&mut || drop(f(&plain))));
        let backward = &mut || {
            let tracked = Inputs {
                x: plain.x.iter().map(|x| x.clone().autodiff().require_grad()).collect(),
                w: plain.w.iter().map(|w| w.clone().autodiff().require_grad()).collect(),
            };
            let y = f(&tracked);
            drop((y.clone() * y).sum().backward());
        };
        self.print(name, "both", self.measure(backward));
    }
}

fn main() -> Result<()> {
    keep_pages();
    let mut arguments = std::env::args().skip(1);
    let filter = arguments.next().unwrap_or_default();
    let budget_ms = arguments.next().map_or(Ok(500.0), |a| a.parse())?;
    let run = Run { filter, budget_ms };
    rows(&run);
    half(&run);
    attention(&run);
    convolutions(&run);
    losses(&run);
    updates(&run);
    Ok(())
}

type Plain = Inputs<2, 1>;

fn rows(run: &Run) {
    let first = |i: &Plain| i.x[0].clone();
    // What the loss of every other row costs by itself.
    run.op("yardstick (y²).sum() 1000×3072", vec![random(1, [1000, 3072])], vec![], first);
    run.op("gelu 1000×3072", vec![random(1, [1000, 3072])], vec![], |i: &Plain| ops::gelu(first(i)));
    // Not one of ours: what the encoder's convolutions call.
    run.op("relu 2000×384", vec![random(1, [2000, 384])], vec![], |i: &Plain| relu(first(i)));
    run.op("dropout 1000×768", vec![random(1, [1000, 768])], vec![], |i: &Plain| {
        ops::dropout(first(i), 0.1, 3)
    });
    run.op("softmax 24000×500", vec![random(1, [24_000, 500])], vec![], |i: &Plain| {
        ops::softmax(first(i), 1)
    });
    // A padded batch: of every four rows three end early.
    let lengths: Vec<usize> = (0..24_000).map(|row| 500 - row % 4 * 50).collect();
    run.op("softmax 24000×500 masked", vec![random(1, [24_000, 500])], vec![], |i: &Plain| {
        ops::masked_softmax(first(i), &lengths)
    });
    run.op("log_softmax 1000×1024", vec![random(1, [1000, 1024])], vec![], |i: &Plain| {
        ops::log_softmax(first(i), 1)
    });
    let weights = || vec![random(2, [768]), random(3, [768])];
    run.op("layer_norm 1000×768", vec![random(1, [1000, 768])], weights(), |i| {
        ops::layer_norm(first(i), i.w[0].clone(), i.w[1].clone(), 1e-5)
    });
    let branch = vec![random(1, [1000, 768]), random(4, [1000, 768])];
    run.op("add_layer_norm 1000×768, dropout", branch, weights(), |i| {
        let mask = Some(Dropout { p: 0.1, seed: 3 });
        ops::add_layer_norm(first(i), i.x[1].clone(), i.w[0].clone(), i.w[1].clone(), 1e-5, mask)
    });
    run.op("rms_norm 1000×768", vec![random(1, [1000, 768])], vec![random(2, [768])], |i| {
        ops::rms_norm(first(i), i.w[0].clone(), 1e-5)
    });
}

/// Products of operands rounded to bf16 at the shapes of the Base encoder, beside those in single precision.
fn half(run: &Run) {
    for (name, [rows, inputs, outputs]) in [
        ("linear 500×768×768", [500, 768, 768]),
        ("linear 500×768×3072", [500, 768, 3072]),
        ("linear 500×3072×768", [500, 3072, 768]),
        ("linear 1000×512×2048", [1000, 512, 2048]),
    ] {
        let matrices = || vec![random(1, [rows, inputs]), random(2, [inputs, outputs])];
        for (kind, products) in [("f32", Products::Single), ("bf16", Products::Bf16)] {
            run.op(&format!("{name} {kind}"), matrices(), vec![random(3, [outputs])], |i| {
                let map = || ops::linear(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone()));
                ops::with_products(products, map)
            });
        }
    }
    let matrices = vec![random(1, [500, 768]), random(2, [768, 3072])];
    run.op("linear with gelu 500×768×3072", matrices, vec![random(3, [3072])], |i| {
        ops::linear_gelu(i.x[0].clone(), i.x[1].clone(), i.w[0].clone())
    });
    let x = (0..3).map(|seed| random(seed, [4, 500, 768])).collect();
    run.op("attention 4×500 h12 bf16", x, vec![], |i: &Inputs<3, 1>| {
        let attend =
            || ops::attention(i.x[0].clone(), i.x[1].clone(), i.x[2].clone(), AttentionOptions::new(12));
        ops::with_products(Products::Bf16, attend)
    });
    let strided = Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 };
    let x = vec![random(1, [4, 250, 512]), random(2, [5, 512, 1536])];
    run.op("conv 4×250 512→1536 k5 s2 bf16", x, vec![random(3, [1536])], |i: &Inputs<3, 1>| {
        let convolve = || ops::conv1d(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone()), strided);
        ops::with_products(Products::Bf16, convolve)
    });
}

fn attention(run: &Run) {
    let plain = AttentionOptions::new(12);
    let lengths = Some(vec![500, 450, 400, 350]);
    for (name, frames, options) in [
        ("attention 4×125 h12", 125, plain.clone()),
        ("attention 4×500 h12", 500, plain.clone()),
        ("attention 4×500 h12 masked", 500, AttentionOptions { key_lengths: lengths, ..plain.clone() }),
        (
            "attention 4×500 h12 dropout",
            500,
            AttentionOptions { dropout: Some(Dropout { p: 0.1, seed: 3 }), ..plain.clone() },
        ),
        ("attention 4×500 h12 causal", 500, AttentionOptions { causal: true, ..plain.clone() }),
    ] {
        let x = (0..3).map(|seed| random(seed, [4, frames, 768])).collect();
        run.op(name, x, vec![], |i: &Inputs<3, 1>| {
            ops::attention(i.x[0].clone(), i.x[1].clone(), i.x[2].clone(), options.clone())
        });
    }
}

fn convolutions(run: &Run) {
    let strided = Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 };
    let positional = Conv1dOptions { stride: 1, pad_left: 64, pad_right: 63, groups: 16 };
    for (name, [frames, input, kernel, output], options) in [
        ("conv 4×1000 128→384 k5 s2", [1000, 128, 5, 384], strided),
        ("conv 4×500 384→512 k5 s2", [500, 384, 5, 512], strided),
        ("conv 4×250 512→1536 k5 s2", [250, 512, 5, 1536], strided),
        ("conv 4×125 768→768 k128 g16", [125, 768, 128, 768], positional),
        ("conv 4×250 512→512 k128 g16", [250, 512, 128, 512], positional),
    ] {
        let x = vec![random(1, [4, frames, input]), random(2, [kernel, input / options.groups, output])];
        run.op(name, x, vec![random(3, [output])], |i: &Inputs<3, 1>| {
            ops::conv1d(i.x[0].clone(), i.x[1].clone(), Some(i.w[0].clone()), options)
        });
    }
}

fn losses(run: &Run) {
    let targets: Vec<Vec<u32>> = (0..8u32).map(|b| (0..60).map(|i| 1 + (i * 7 + b) % 28).collect()).collect();
    run.op("ctc_loss 8×250×29, 60 tokens", vec![random(1, [8, 250, 29])], vec![], |i: &Inputs<3, 1>| {
        ops::ctc_loss(i.x[0].clone(), &targets, &[250; 8], 0).reshape([8, 1, 1])
    });
    let mut stream = Key::new(2).stream(Purpose::Negatives);
    let negatives: Vec<u32> = (0..500 * 100).map(|_| stream.below(500) as u32).collect();
    let target = random(2, [500, 256]);
    run.op("contrastive 500×256, 100 negatives", vec![random(1, [500, 256])], vec![], |i: &Plain| {
        ops::contrastive_loss(i.x[0].clone(), target.clone(), &negatives, 0.3).loss.reshape([1, 1])
    });
}

/// The updates are in place: the state goes round.
fn updates(run: &Run) {
    let n = 16 << 20;
    let step = AdamWStep { lr: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 10 };
    if run.is_wanted("adamw 16.8 M") {
        let gradient = random(1, [n]);
        let mut state = Some((random(2, [n]), random(3, [n]).abs(), random(4, [n]).abs()));
        let update =
            &mut || state = state.take().map(|(p, m, v)| ops::adamw(p, gradient.clone(), m, v, step));
        run.print("adamw 16.8 M", "forward", run.measure(update));
    }
    if run.is_wanted("adamw with ema 16.8 M") {
        let gradient = random(1, [n]);
        let moments = [random(3, [n]).abs(), random(4, [n]).abs()];
        let mut state = Some((random(2, [n]), moments, random(5, [n])));
        let update = &mut || {
            state = state
                .take()
                .map(|(p, moments, own)| ops::adamw_ema(p, gradient.clone(), moments, own, step, 0.995));
        };
        run.print("adamw with ema 16.8 M", "forward", run.measure(update));
    }
    if run.is_wanted("ema 16.8 M") {
        let student = random(1, [n]);
        let mut teacher = Some(random(2, [n]));
        let update = &mut || teacher = teacher.take().map(|t| ops::ema(t, student.clone(), 0.995));
        run.print("ema 16.8 M", "forward", run.measure(update));
    }
}
