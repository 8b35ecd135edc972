//! What this machine could do, and what each operation makes of it: measured peaks of arithmetic and memory, and per operation
//! GFLOP/s, GB/s and the share of the bound that they set. Prints Markdown.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p auricle-benches --bin roofline -- [filter] [bursts]`
//!
//! Rates are the best of several bursts, of peaks and operations alike: on a shared machine a median would measure the
//! neighbours. Peaks are timed by the wall, in bursts of milliseconds; operations by the processor time of one thread.
//! The bound of an operation is the larger of its floating-point operations over the peak of its precision and its
//! compulsory bytes (operands read once, results written once) over the triad's rate. bf16 has the peak of single precision
//! where its own instructions have a lower one. Exponentials and error functions count as many operations as their kernels
//! spend, and operations in double precision twice. Operands that fit the last-level cache can beat the triad: those rows
//! say "cache".

#![allow(unsafe_code)] // Register-only loops need instructions by name; each use says why it is sound.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::Result;
use auricle_benches::{noise, time};
use auricle_rng::{Key, Purpose};
use auricle_tensor::allocator::{Allocator, keep_pages};
use auricle_tensor::ops::{self, AdamWStep, AttentionOptions, Conv1dOptions, Products, with_products};
use burn::tensor::{Device, Tensor, TensorData};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Sums that are independent of each other: enough to hide the latency of an instruction.
const CHAINS: usize = 24;

/// Steps of a burst of arithmetic.
const STEPS: usize = 200_000;

/// Elements of an array of the triad: three of 32 MiB are more than the caches here, and pass within a slice of time.
const TRIAD: usize = 8 << 20;

/// Bytes that a last-level cache may keep from call to call, in millions.
const CACHED: f64 = 32.0;

/// Floating-point operations of a burst in single precision.
fn single() -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the machine has the instructions.
        unsafe { single_avx512() };
        return (STEPS * CHAINS * 16 * 2) as f64;
    }
    let mut sums = black_box([1f32; 16 * 8]);
    let factor = black_box(1.000_001f32);
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = sum.mul_add(factor, 1e-9));
    }
    black_box(sums);
    (STEPS * 16 * 8 * 2) as f64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn single_avx512() {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let factor = black_box(_mm512_set1_ps(1.000_001));
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(factor, factor, *sum));
    }
    black_box(sums);
}

/// Floating-point operations of a burst of bf16 products; none where the machine has none.
fn half() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bf16") {
        // SAFETY: the machine has the instructions.
        unsafe { half_avx512() };
        return Some((STEPS * CHAINS * 32 * 2) as f64);
    }
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn half_avx512() {
    use std::arch::x86_64::{__m256bh, __m512bh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_set1_ps};
    let narrow = _mm512_cvtneps_pbh(_mm512_set1_ps(1.0));
    // SAFETY: 32 numbers of 16 bits, twice the same 16.
    let factor: __m512bh =
        black_box(unsafe { std::mem::transmute::<[__m256bh; 2], __m512bh>([narrow, narrow]) });
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = _mm512_dpbf16_ps(*sum, factor, factor));
    }
    black_box(sums);
}

/// The best rate, in 10⁹ a second, of `work` on several threads at once; `work` says how much it did.
fn peak(threads: usize, bursts: usize, work: impl Fn() -> Option<f64> + Sync) -> Option<f64> {
    let mut best: Option<f64> = None;
    for _ in 0..bursts {
        let barrier = Barrier::new(threads);
        let burst = || {
            barrier.wait();
            let start = Instant::now();
            work().map(|done| (done, start.elapsed().as_secs_f64()))
        };
        let results: Vec<Option<(f64, f64)>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(burst)).collect();
            handles.into_iter().map(|handle| handle.join().ok().flatten()).collect()
        });
        let results = results.into_iter().collect::<Option<Vec<(f64, f64)>>>()?;
        let done: f64 = results.iter().map(|(done, _)| done).sum();
        let slowest = results.iter().map(|(_, secs)| *secs).fold(0.0, f64::max);
        let rate = done / slowest * 1e-9;
        best = Some(best.map_or(rate, |best| best.max(rate)));
    }
    best
}

/// `a ← b + s·c`: bytes moved by one pass of one thread over arrays of its own.
fn triad(threads: usize, bursts: usize) -> f64 {
    let len = TRIAD / threads;
    let mut best = 0f64;
    let mut arrays: Vec<[Vec<f32>; 3]> =
        (0..threads).map(|_| [vec![0.0; len], vec![1.0; len], vec![2.0; len]]).collect();
    for _ in 0..bursts {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for [a, b, c] in &mut arrays {
                scope.spawn(|| {
                    let factor = black_box(3.0f32);
                    for ((a, b), c) in a.iter_mut().zip(b.iter()).zip(c.iter()) {
                        *a = b + factor * c;
                    }
                    black_box(a);
                });
            }
        });
        best = best.max((12 * len * threads) as f64 / start.elapsed().as_secs_f64() * 1e-9);
    }
    best
}

/// Peaks of one core: GFLOP/s in single precision and bf16, GB/s.
struct Peaks {
    single: f64,
    half: f64,
    memory: f64,
}

struct Table {
    peaks: Peaks,
    filter: String,
    bursts: usize,
}

impl Table {
    /// One line: an operation with its floating-point operations and its bytes, both in millions.
    fn line(&self, name: &str, products: Products, [mflop, mbyte]: [f64; 2], f: &mut dyn FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        with_products(products, || {
            f();
            let mut best = f64::INFINITY;
            for _ in 0..self.bursts {
                best = best.min(1e-3 * time(&mut *f).cpu_ms);
            }
            let peak = if products == Products::Bf16 { self.peaks.half } else { self.peaks.single };
            let (arithmetic, memory) = (mflop * 1e-3 / peak, mbyte * 1e-3 / self.peaks.memory);
            let side = match arithmetic > memory {
                true => "arithmetic",
                false if mbyte < CACHED => "cache",
                false => "memory",
            };
            println!(
                "| {name} | {:.3} | {:.1} | {:.1} | {side} | {:.0} % |",
                1e3 * best,
                mflop * 1e-3 / best,
                mbyte * 1e-3 / best,
                100.0 * arithmetic.max(memory) / best
            );
        });
    }
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(seed, shape.iter().product(), 1.0), shape), &Device::flex())
}

fn main() -> Result<()> {
    keep_pages();
    let mut arguments = std::env::args().skip(1);
    let filter = arguments.next().unwrap_or_default();
    let bursts: usize = arguments.next().map_or(Ok(30), |a| a.parse())?;
    println!("| peak | one core | two cores |\n|---|---|---|");
    let rate =
        |threads, work: &(dyn Fn() -> Option<f64> + Sync)| peak(threads, bursts, work).unwrap_or(f64::NAN);
    let [one, two] = [1, 2].map(|threads| rate(threads, &|| Some(single())));
    println!("| fused multiply-add, single precision | {one:.1} GFLOP/s | {two:.1} GFLOP/s |");
    let [half_one, half_two] = [1, 2].map(|threads| rate(threads, &half));
    println!("| bf16 products | {half_one:.1} GFLOP/s | {half_two:.1} GFLOP/s |");
    let [memory, memory_two] = [1, 2].map(|threads| triad(threads, 4 * bursts));
    println!("| triad | {memory:.1} GB/s | {memory_two:.1} GB/s |\n");
    let table = Table { peaks: Peaks { single: one, half: half_one.max(one), memory }, filter, bursts };
    println!("| operation | ms | GFLOP/s | GB/s | bound | share of the bound |\n|---|---|---|---|---|---|");
    products(&table);
    rows(&table);
    updates(&table);
    gradients(&table);
    Ok(())
}

const M: f64 = 1e-6;

fn products(table: &Table) {
    for (kind, precision) in [("", Products::Single), (" bf16", Products::Bf16)] {
        for [rows, inputs, outputs] in
            [[500, 768, 768], [500, 768, 3072], [500, 3072, 768], [1000, 512, 2048]]
        {
            let (x, w, b) = (random(1, [rows, inputs]), random(2, [inputs, outputs]), random(3, [outputs]));
            let cost = [2 * rows * inputs * outputs, 4 * (rows * inputs + inputs * outputs + rows * outputs)];
            table.line(
                &format!("linear {rows}×{inputs}×{outputs}{kind}"),
                precision,
                cost.map(|n| n as f64 * M),
                &mut || {
                    drop(ops::linear(x.clone(), w.clone(), Some(b.clone())));
                },
            );
        }
        let x: Vec<Tensor<3>> = (0..3).map(|seed| random(seed, [4, 500, 768])).collect();
        let cost = [4.0 * 4.0 * 500.0 * 500.0 * 768.0 * M, 4.0 * 4.0 * 4.0 * 500.0 * 768.0 * M];
        table.line(&format!("attention 4×500 h12{kind}"), precision, cost, &mut || {
            drop(ops::attention(x[0].clone(), x[1].clone(), x[2].clone(), AttentionOptions::new(12)));
        });
        let options = Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 };
        let (x, w) = (random(1, [4, 250, 512]), random(2, [5, 512, 1536]));
        let cost = [2.0 * 500.0 * 2560.0 * 1536.0 * M, 4.0 * (512_000.0 + 3_932_160.0 + 768_000.0) * M];
        table.line(&format!("conv 4×250 512→1536 k5 s2{kind}"), precision, cost, &mut || {
            drop(ops::conv1d(x.clone(), w.clone(), None, options));
        });
    }
    let options = Conv1dOptions { stride: 1, pad_left: 64, pad_right: 63, groups: 16 };
    let (x, w) = (random(1, [4, 125, 768]), random(2, [128, 48, 768]));
    let cost = [2.0 * 500.0 * 6144.0 * 768.0 * M, 4.0 * (2.0 * 384_000.0 + 4_718_592.0) * M];
    table.line("conv 4×125 768→768 k128 g16", Products::Single, cost, &mut || {
        drop(ops::conv1d(x.clone(), w.clone(), None, options));
    });
}

fn rows(table: &Table) {
    let single = Products::Single;
    let cost = |n: usize, flops: f64| [n as f64 * flops * M, 8.0 * n as f64 * M];
    let x = random(1, [24_000, 500]);
    table
        .line("softmax 24000×500", single, cost(12_000_000, 24.0), &mut || drop(ops::softmax(x.clone(), 1)));
    let x = random(1, [1000, 3072]);
    table.line("gelu 1000×3072", single, cost(3_072_000, 35.0), &mut || drop(ops::gelu(x.clone())));
    let (x, w, b) = (random(1, [1000, 768]), random(2, [768]), random(3, [768]));
    table.line("layer_norm 1000×768", single, cost(768_000, 8.0), &mut || {
        drop(ops::layer_norm(x.clone(), w.clone(), b.clone(), 1e-5));
    });
    table.line("rms_norm 1000×768", single, cost(768_000, 4.0), &mut || {
        drop(ops::rms_norm(x.clone(), w.clone(), 1e-5))
    });
    // In place where nobody else holds the input, which this is not: a copy more.
    table
        .line("dropout 1000×768", single, cost(768_000, 1.0), &mut || drop(ops::dropout(x.clone(), 0.1, 3)));
    let mut stream = Key::new(2).stream(Purpose::Negatives);
    let negatives: Vec<u32> = (0..500 * 100).map(|_| stream.below(500) as u32).collect();
    let (pred, target) = (random(1, [500, 256]), random(2, [500, 256]));
    let cost = [2.0 * 500.0 * 103.0 * 256.0 * M, 4.0 * (2.0 * 128_000.0 + 50_000.0) * M];
    table.line("contrastive 500×256, 100 negatives", single, cost, &mut || {
        drop(ops::contrastive_loss(pred.clone(), target.clone(), &negatives, 0.3));
    });
}

fn updates(table: &Table) {
    let n = 16 << 20;
    let step = AdamWStep { lr: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 10 };
    let gradient = random(1, [n]);
    let mut state = Some((random(2, [n]), random(3, [n]).abs(), random(4, [n]).abs()));
    table.line("adamw 16.8 M", Products::Single, [n as f64 * 15.0 * M, n as f64 * 28.0 * M], &mut || {
        state = state.take().map(|(p, m, v)| ops::adamw(p, gradient.clone(), m, v, step));
    });
    let mut teacher = Some(random(2, [n]));
    table.line("ema 16.8 M", Products::Single, [n as f64 * 3.0 * M, n as f64 * 12.0 * M], &mut || {
        teacher = teacher.take().map(|t| ops::ema(t, gradient.clone(), 0.995));
    });
}

/// Forward and backward passes together, of the sum of the results.
fn gradients(table: &Table) {
    let single = Products::Single;
    let tracked = |seed: u64, shape: [usize; 2]| random(seed, shape).autodiff().require_grad();
    let map = 500.0 * 768.0 * 3072.0 * M;
    // x, weight, result; gradient, x, weight; their gradients.
    let bytes = 4.0 * M * (3.0 * 500.0 * 768.0 + 3.0 * 768.0 * 3072.0 + 2.0 * 500.0 * 3072.0);
    let (x, w) = (tracked(1, [500, 768]), tracked(2, [768, 3072]));
    let b = random(3, [3072]).autodiff().require_grad();
    table.line("linear 500×768×3072, gradients", single, [6.0 * map, bytes], &mut || {
        drop(ops::linear(x.clone(), w.clone(), Some(b.clone())).sum().backward());
    });
    // What goes into GELU is written and read once more.
    let cost = [6.0 * map + 500.0 * 3072.0 * 80.0 * M, bytes + 8.0 * M * 500.0 * 3072.0];
    table.line("linear with gelu 500×768×3072, gradients", single, cost, &mut || {
        drop(ops::linear_gelu(x.clone(), w.clone(), b.clone()).sum().backward());
    });
    // Two products forward; backward the scores once more, and four.
    let [q, k, v] = [0, 1, 2].map(|seed| random::<3>(seed, [4, 500, 768]).autodiff().require_grad());
    let cost = [7.0 * 2.0 * 4.0 * 500.0 * 500.0 * 768.0 * M, 11.0 * 4.0 * 4.0 * 500.0 * 768.0 * M];
    table.line("attention 4×500 h12, gradients", single, cost, &mut || {
        let y = ops::attention(q.clone(), k.clone(), v.clone(), AttentionOptions::new(12));
        drop(y.sum().backward());
    });
    for (name, [frames, inputs, taps, outputs], options) in [
        (
            "conv 4×250 512→1536 k5 s2, gradients",
            [250, 512, 5, 1536],
            Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 1 },
        ),
        (
            "conv 4×125 768→768 k128 g16, gradients",
            [125, 768, 128, 768],
            Conv1dOptions { stride: 1, pad_left: 64, pad_right: 63, groups: 16 },
        ),
    ] {
        let x = random::<3>(1, [4, frames, inputs]).autodiff().require_grad();
        let per_output = taps * inputs / options.groups;
        let w = random::<3>(2, [taps, inputs / options.groups, outputs]).autodiff().require_grad();
        let results = (4 * frames / options.stride * outputs) as f64;
        let cost = [
            6.0 * results * per_output as f64 * M,
            4.0 * M * (3.0 * (4 * frames * inputs + per_output * outputs) as f64 + 2.0 * results),
        ];
        table.line(name, single, cost, &mut || {
            drop(ops::conv1d(x.clone(), w.clone(), None, options).sum().backward());
        });
    }
    // Input, result; gradient, input or result, gradient of the input.
    let rows = |n: f64, flops: f64| [n * flops * M, 20.0 * n * M];
    let x = tracked(1, [24_000, 500]);
    table.line("softmax 24000×500, gradients", single, rows(12e6, 29.0), &mut || {
        drop(ops::softmax(x.clone(), 1).sum().backward());
    });
    let x = tracked(1, [1000, 3072]);
    table.line("gelu 1000×3072, gradients", single, rows(3.072e6, 80.0), &mut || {
        drop(ops::gelu(x.clone()).sum().backward());
    });
    let x = tracked(1, [1000, 768]);
    let [w, b] = [2, 3].map(|seed| random::<1>(seed, [768]).autodiff().require_grad());
    table.line("layer_norm 1000×768, gradients", single, rows(0.768e6, 27.0), &mut || {
        drop(ops::layer_norm(x.clone(), w.clone(), b.clone(), 1e-5).sum().backward());
    });
    // 121 states: a logarithm of three exponentials in double precision for each of two recursions, and an exponential.
    let x = random::<3>(1, [8, 250, 29]).autodiff().require_grad();
    let targets: Vec<Vec<u32>> =
        (0..8).map(|row| (0..60).map(|i| 1 + (7 * i + row) % 28).collect()).collect();
    let states = 8.0 * 250.0 * 121.0;
    let cost = [2.0 * states * (2.0 * 75.0 + 25.0) * M, 4.0 * 4.0 * 8.0 * 250.0 * 29.0 * M];
    table.line("ctc_loss 8×250×29, 60 tokens, gradients", single, cost, &mut || {
        drop(ops::ctc_loss(x.clone(), &targets, &[250; 8], 0).sum().backward());
    });
}
