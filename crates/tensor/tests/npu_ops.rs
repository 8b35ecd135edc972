//! The operations of the models on a simulated NPU, through burn: results and gradients beside those of the CPU.

#![allow(clippy::unwrap_used)] // The helpers of tests may fail like tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auricle_rng::{Key, Purpose};
use auricle_tensor::device;
use auricle_tensor::npu::Basis;
use auricle_tensor::npu::runtime::op::agrees;
use auricle_tensor::npu::runtime::{Buffer, NpuRuntime, OpDesc, RuntimeError, RuntimeInfo};
use auricle_tensor::npu::session::{self, Mode, Session};
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::Elem;
use auricle_tensor::ops::{self, AdamWStep, AttentionOptions, Conv1dOptions, Dropout};
use burn::tensor::{Device, Tensor, TensorData};

/// The device is chosen for the whole process: one test at a time, and the CPU afterwards.
struct Turn {
    _guard: MutexGuard<'static, ()>,
}

fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    Turn { _guard: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
}

impl Drop for Turn {
    fn drop(&mut self) {
        session::choose(None);
    }
}

type Op = (&'static str, Vec<Vec<f32>>, Box<dyn Fn(&[Tensor<1>]) -> Tensor<1>>);

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..n).map(|_| stream.normal() as f32).collect()
}

/// The result, and the gradients of its weighted sum.
fn run(op: &Op, whole: bool) -> (Vec<f32>, Vec<Vec<f32>>) {
    let round = |x: f32| if whole { (2.0 * x).round().clamp(-4.0, 4.0) } else { x };
    let device = Device::flex().autodiff();
    let tensor = |values: &[f32]| {
        let values: Vec<f32> = values.iter().map(|&x| round(x)).collect();
        let n = values.len();
        Tensor::<1>::from_data(TensorData::new(values, [n]), &device)
    };
    let leaves: Vec<_> = op.1.iter().map(|x| tensor(x).require_grad()).collect();
    let out = op.2(&leaves);
    let grads = (out.clone() * tensor(&normal(out.dims()[0], 99))).sum().backward();
    let values = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().unwrap();
    let gradients = leaves.iter().map(|leaf| values(leaf.grad(&grads).unwrap())).collect();
    (values(out), gradients)
}

fn linear(m: usize, k: usize, n: usize) -> Op {
    let op = move |x: &[Tensor<1>]| {
        let (a, w) = (x[0].clone().reshape([m, 1, k]), x[1].clone().reshape([k, n]));
        ops::linear(a, w, x.get(2).cloned()).reshape([-1])
    };
    ("linear", vec![normal(m * k, 1), normal(k * n, 2), normal(n, 3)], Box::new(op))
}

fn conv(groups: usize, stride: usize) -> Op {
    let op = move |x: &[Tensor<1>]| {
        let options = Conv1dOptions { stride, pad_left: 2, pad_right: 1, groups };
        let (a, w) = (x[0].clone().reshape([2, 31, 12]), x[1].clone().reshape([5, 12 / groups, 18]));
        ops::conv1d(a, w, Some(x[2].clone()), options).reshape([-1])
    };
    ("conv1d", vec![normal(2 * 31 * 12, 1), normal(5 * 12 / groups * 18, 2), normal(18, 3)], Box::new(op))
}

fn attention(options: AttentionOptions) -> Op {
    let op = move |x: &[Tensor<1>]| {
        let x = |i: usize| x[i].clone().reshape([3, 31, 24]);
        ops::attention(x(0), x(1), x(2), options.clone()).reshape([-1])
    };
    ("attention", (1..4).map(|seed| normal(3 * 31 * 24, seed)).collect(), Box::new(op))
}

/// Loss and accuracy of 45 positions with 20 negatives, of which some equal the positive.
fn contrastive(pred: &Tensor<1>) -> (Tensor<1>, f64) {
    let mut stream = Key::new(5).stream(Purpose::Negatives);
    let negatives: Vec<u32> = (0..45 * 20).map(|_| stream.below(45) as u32).collect();
    let mut target = normal(45 * 32, 2);
    target.copy_within(..32, 32);
    let target = Tensor::<1>::from_data(TensorData::new(target, [45 * 32]), &Device::flex());
    let output =
        ops::contrastive_loss(pred.clone().reshape([45, 32]), target.reshape([45, 32]), &negatives, 0.3);
    (output.loss, output.accuracy)
}

/// Losses of utterances that are plain, with repeats, too long, empty, without frames, neither, longer than the tensor, and
/// of a single frame.
fn ctc(logits: &Tensor<1>) -> Tensor<1> {
    let targets =
        [vec![3, 1, 4, 1, 5], vec![2, 2, 2], vec![1; 8], vec![], vec![1], vec![], vec![6, 1], vec![7]];
    ops::ctc_loss(logits.clone().reshape([8, 13, 9]), &targets, &[13, 9, 13, 11, 0, 0, 40, 1], 0)
}

fn all() -> Vec<Op> {
    let rows = |x: &Tensor<1>| x.clone().reshape([17, 33]);
    let data = || vec![normal(17 * 33, 1)];
    let lengths = Some(vec![31, 7, 0]);
    let dropout = Some(Dropout { p: 0.2, seed: 5 });
    let base = AttentionOptions::new(4);
    vec![
        linear(33, 40, 17),
        linear(1, 1, 1),
        conv(1, 1),
        conv(1, 2),
        conv(3, 1),
        conv(2, 3),
        attention(base.clone()),
        attention(AttentionOptions { key_lengths: lengths.clone(), ..base.clone() }),
        attention(AttentionOptions {
            causal: true,
            left_context: Some(9),
            dropout,
            key_lengths: lengths,
            ..base.clone()
        }),
        attention(AttentionOptions { alibi: true, causal: true, ..base.clone() }),
        attention(AttentionOptions {
            query_limits: Some((0..3 * 31).map(|i| i * 11 % 34).collect()),
            ..base.clone()
        }),
        ("gelu", data(), Box::new(move |x| ops::gelu(rows(&x[0])).reshape([-1]))),
        (
            "linear gelu",
            vec![normal(17 * 33, 1), normal(33 * 20, 2), normal(20, 3)],
            Box::new(move |x| {
                ops::linear_gelu(rows(&x[0]), x[1].clone().reshape([33, 20]), x[2].clone()).reshape([-1])
            }),
        ),
        ("softmax", data(), Box::new(move |x| ops::softmax(rows(&x[0]), 1).reshape([-1]))),
        (
            "masked softmax",
            data(),
            Box::new(move |x| {
                let lengths: Vec<usize> = (1..=17).map(|row| 2 * row).collect();
                ops::masked_softmax(rows(&x[0]), &lengths).reshape([-1])
            }),
        ),
        (
            "add layer norm",
            vec![normal(17 * 33, 1), normal(17 * 33, 4), normal(33, 2), normal(33, 3)],
            Box::new(move |x| {
                let mask = Some(Dropout { p: 0.3, seed: 7 });
                let (own, branch) = (rows(&x[0]), rows(&x[1]));
                ops::add_layer_norm(own, branch, x[2].clone(), x[3].clone(), 1e-5, mask).reshape([-1])
            }),
        ),
        ("log softmax", data(), Box::new(move |x| ops::log_softmax(rows(&x[0]), 1).reshape([-1]))),
        (
            "layer norm",
            vec![normal(17 * 33, 1), normal(33, 2), normal(33, 3)],
            Box::new(move |x| ops::layer_norm(rows(&x[0]), x[1].clone(), x[2].clone(), 1e-5).reshape([-1])),
        ),
        (
            "rms norm",
            vec![normal(17 * 33, 1), normal(33, 2)],
            Box::new(move |x| ops::rms_norm(rows(&x[0]), x[1].clone(), 1e-5).reshape([-1])),
        ),
        ("dropout", vec![normal(9001, 1)], Box::new(move |x| ops::dropout(x[0].clone(), 0.3, 7))),
        ("contrastive", vec![normal(45 * 32, 1)], Box::new(move |x| contrastive(&x[0]).0)),
        ("ctc", vec![normal(8 * 13 * 9, 1)], Box::new(move |x| ctc(&x[0]))),
    ]
}

fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    let scale = want.iter().fold(1e-4f32, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{what}[{i}]: {g}, expected {w} (scale {scale})");
    }
    assert_eq!(got.len(), want.len());
}

#[test]
fn operations_and_gradients_are_those_of_the_cpu() {
    let _turn = turn();
    for (name, tolerance) in [("npu:sim:910b3:fp16", 1e-3), ("npu:sim:910b3", 1e-2), ("npu:sim:910a", 1e-3)] {
        for op in all() {
            device("cpu").unwrap();
            let (want, want_grads) = run(&op, false);
            device(name).unwrap();
            let npu = session::current().unwrap();
            let (got, grads) = run(&op, false);
            let what = format!("{name}, {}", op.0);
            assert_close(&what, &got, &want, tolerance);
            // Of a gradient the operands and what comes in are rounded on their way to the device: twice the tolerance.
            for (i, (got, want)) in grads.iter().zip(&want_grads).enumerate() {
                assert_close(&format!("{what}, gradient {i}"), got, want, 2.0 * tolerance);
            }
            let records = npu.take_records();
            assert!(records.len() >= 2, "{what}: the device ran {records:?}");
            assert!(records.iter().all(|record| record.refused.is_none()), "{what}: {records:?}");
        }
    }
}

#[test]
fn whole_numbers_are_multiplied_exactly() {
    let _turn = turn();
    for op in [linear(33, 40, 17), linear(257, 31, 15), conv(1, 2), conv(3, 1)] {
        device("cpu").unwrap();
        let want = run(&op, true);
        for name in ["npu:sim:910b3", "npu:sim:910b3:fp16"] {
            device(name).unwrap();
            assert!(run(&op, true) == want, "{name}, {}", op.0);
        }
    }
}

#[test]
fn hidden_keys_have_no_influence_whatever_they_hold() {
    let _turn = turn();
    device("npu:sim:910b3").unwrap();
    let out = |padding: f32| {
        let mut k = normal(2 * 20 * 16, 2);
        k[12 * 16..20 * 16].fill(padding);
        let tensor = |x: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(x.to_vec(), [x.len()]), &Device::flex())
                .reshape([2, 20, 16])
        };
        let options = AttentionOptions { key_lengths: Some(vec![12, 20]), ..AttentionOptions::new(2) };
        let y: Tensor<3> = ops::attention(tensor(&normal(2 * 20 * 16, 1)), tensor(&k), tensor(&k), options);
        y.into_data().try_into_vec::<f32>().unwrap()
    };
    let clean = out(0.0);
    assert!(clean.iter().all(|x| x.is_finite()));
    assert!(out(f32::NAN) == clean && out(1e9) == clean);
}

#[test]
fn rows_of_minus_infinity_are_those_of_the_cpu() {
    let _turn = turn();
    for logarithm in [false, true] {
        let mut x = normal(3 * 5, 1);
        x[5..10].fill(f32::NEG_INFINITY);
        let op: Op = (
            "softmax",
            vec![x],
            Box::new(move |x| {
                let x = x[0].clone().reshape([3, 5]);
                let y = if logarithm { ops::log_softmax(x, 1) } else { ops::softmax(x, 1) };
                y.reshape([-1])
            }),
        );
        device("cpu").unwrap();
        let (want, want_gradients) = run(&op, false);
        device("npu:sim:910b3").unwrap();
        let (got, gradients) = run(&op, false);
        assert_eq!(got[5..10], want[5..10], "logarithm: {logarithm}");
        assert_eq!(gradients[0][5..10], [0.0; 5], "logarithm: {logarithm}");
        for row in [0..5, 10..15] {
            assert_close("softmax", &got[row.clone()], &want[row.clone()], 1e-5);
            assert_close("its gradient", &gradients[0][row.clone()], &want_gradients[0][row], 1e-5);
        }
    }
}

#[test]
fn dropout_and_updates_are_those_of_the_cpu_bit_for_bit() {
    let _turn = turn();
    let tensor = |n: usize, seed| {
        Tensor::<1>::from_data(TensorData::new(normal(n, seed), [n]), &Device::flex().without_autodiff())
    };
    let values = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().unwrap();
    let step = AdamWStep { lr: 3e-4, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 3 };
    for n in [1, 1024, 1025, 4095, 70_001] {
        let all = || {
            let x = |seed| tensor(n, seed);
            let (p, m, v) = ops::adamw(x(1), x(2), x(3), x(4) * x(4), step);
            let dropped = [0.1, 1.0].map(|p| ops::dropout(x(1), p, 77));
            let (q, [n, w], average) = ops::adamw_ema(x(1), x(2), [x(3), x(4) * x(4)], x(5), step, 0.995);
            let all = [p, m, v, ops::ema(x(1), x(2), 0.995), q, n, w, average];
            all.into_iter().chain(dropped).map(values).collect::<Vec<_>>()
        };
        device("cpu").unwrap();
        let want = all();
        device("npu:sim:910b3").unwrap();
        let npu = session::current().unwrap();
        assert!(all() == want, "{n}");
        let names: Vec<&str> = npu.take_records().iter().map(|record| record.op.name()).collect();
        assert!(["adamw", "ema", "dropout"].iter().all(|name| names.contains(name)), "{names:?}");
    }
}

#[test]
fn accuracy_and_losses_of_corner_cases_are_those_of_the_cpu() {
    let _turn = turn();
    let tensor = |x: &[f32], rows: usize| {
        Tensor::<1>::from_data(TensorData::new(x.to_vec(), [x.len()]), &Device::flex())
            .reshape([rows as i32, -1])
    };
    let target = normal(20 * 8, 1);
    let negatives: Vec<u32> = (0..20 * 4).map(|i| (i / 4 + 1 + i % 4) % 20).collect();
    let all = || {
        let random = Tensor::<1>::from_data(TensorData::new(normal(45 * 32, 1), [45 * 32]), &Device::flex());
        let output = |pred: &[f32], target: &[f32], negatives: &[u32]| {
            let output = ops::contrastive_loss(tensor(pred, 20), tensor(target, 20), negatives, 0.1);
            (output.accuracy, output.loss.into_scalar::<f32>())
        };
        let padded = {
            let mut logits = normal(2 * 10 * 5, 1);
            logits[50 + 30..].fill(f32::NAN);
            let logits = tensor(&logits, 2).reshape([2, 10, 5]);
            ops::ctc_loss(logits, &[vec![1, 2], vec![3]], &[10, 6], 0)
                .into_data()
                .try_into_vec::<f32>()
                .unwrap()
        };
        let impossible = {
            let logits = [0.0, f32::NEG_INFINITY, 0.0, 0.0, f32::NEG_INFINITY, 0.0];
            ops::ctc_loss(tensor(&logits, 2).reshape([1, 2, 3]), &[vec![1]], &[2], 0).into_scalar::<f32>()
        };
        let positions = vec![
            (contrastive(&random).1, 0.0),
            output(&target, &target, &negatives),
            output(&target, &[1.0; 160], &negatives),
            output(&target, &target, &[]),
        ];
        (positions, padded, impossible)
    };
    device("cpu").unwrap();
    let want = all();
    device("npu:sim:910b3:fp16").unwrap();
    let got = all();
    for (got, want) in got.0.iter().zip(&want.0) {
        assert!(got.0 == want.0 && (got.1 - want.1).abs() < 2e-3, "{got:?}, expected {want:?}");
    }
    assert_close("padded", &got.1, &want.1, 1e-5);
    assert!(got.2 == 0.0 && want.2 == 0.0);
}

#[test]
fn the_last_choice_holds() {
    let _turn = turn();
    device("npu:sim:910b3").unwrap();
    assert_eq!(session::current().unwrap().runtime().info().name, "sim:910b3");
    assert_eq!(session::current().unwrap().runtime().info().basis, Basis::Modelled);
    assert!(
        device("npu:sim:910z").is_err() && session::current().is_some(),
        "a name that fails changes nothing"
    );
    device("cpu").unwrap();
    assert!(session::current().is_none());
    if std::env::var_os("ASCEND_HOME_PATH").is_none() {
        let message = device("npu:ascend:0").unwrap_err().to_string();
        assert!(message.contains("npu:ascend:0") && message.contains("looked in"), "{message}");
    }
}

#[test]
fn recording_computes_on_the_cpu() {
    let _turn = turn();
    let op = linear(33, 40, 17);
    let want = run(&op, false);
    let npu = Session::open("sim:910b3", Mode::Record).unwrap();
    session::choose(Some(npu.clone()));
    assert!(run(&op, false) == want);
    let records = npu.take_records();
    assert_eq!(
        records.iter().map(|r| (r.op.name(), r.count)).collect::<Vec<_>>(),
        [("matmul", 1), ("matmul", 1), ("matmul", 1), ("column sums", 1)]
    );
    assert!(records.iter().all(|r| npu.runtime().timeline(&r.op).unwrap().unwrap().cycles > 0.0));
}

/// What a session was asked for, and how often.
fn asked(npu: &Session) -> Vec<(String, usize)> {
    npu.take_records().iter().map(|record| (format!("{:?}", record.op), record.count)).collect()
}

#[test]
fn what_is_recorded_is_what_would_run() {
    let _turn = turn();
    // Whole rows and a rest, in every element-wise operation.
    let n = 2500;
    let tensor = |seed| {
        Tensor::<1>::from_data(TensorData::new(normal(n, seed), [n]), &Device::flex().without_autodiff())
    };
    let step = AdamWStep { lr: 3e-4, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 1 };
    let mut all = all();
    all.push(("gelu of many", vec![normal(n, 1)], Box::new(|x| ops::gelu(x[0].clone()))));
    all.push(("dropout of many", vec![normal(n, 1)], Box::new(|x| ops::dropout(x[0].clone(), 0.3, 7))));
    let asked_in = |mode| {
        let npu = Session::open("sim:910b3", mode).unwrap();
        session::choose(Some(npu.clone()));
        let mut lists: Vec<_> = all
            .iter()
            .map(|op| {
                run(op, false);
                (op.0, asked(&npu))
            })
            .collect();
        ops::adamw(tensor(1), tensor(2), tensor(3), tensor(4) * tensor(4), step);
        lists.push(("adamw", asked(&npu)));
        ops::ema(tensor(1), tensor(2), 0.995);
        lists.push(("ema", asked(&npu)));
        lists
    };
    for (executed, recorded) in asked_in(Mode::Execute).into_iter().zip(asked_in(Mode::Record)) {
        assert!(!executed.1.is_empty(), "{}", executed.0);
        assert_eq!(executed, recorded);
    }
}

/// A device that is gone.
struct Gone;

impl NpuRuntime for Gone {
    fn info(&self) -> RuntimeInfo {
        RuntimeInfo { name: "gone".into(), title: "a device that is gone".into(), basis: Basis::Measured }
    }
    fn alloc(&self, _: usize) -> Result<Buffer, RuntimeError> {
        Err(RuntimeError::Missing("no device".into()))
    }
    fn free(&self, _: Buffer) {}
    fn h2d(&self, _: Buffer, _: &[u16]) -> Result<(), RuntimeError> {
        Ok(())
    }
    fn d2h(&self, _: Buffer, _: &mut [u16]) -> Result<(), RuntimeError> {
        Ok(())
    }
    fn launch(&self, _: &OpDesc, _: &[Buffer]) -> Result<(), RuntimeError> {
        Ok(())
    }
    fn sync(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
}

#[test]
fn a_device_that_fails_is_left_for_the_cpu() {
    let _turn = turn();
    let op = linear(33, 40, 17);
    let want = run(&op, false);
    session::choose(Some(Session::new(Arc::new(Gone), Elem::F32, Mode::Execute)));
    assert!(run(&op, false) == want);
}

#[test]
fn programs_have_the_tensors_of_their_operation() {
    let _turn = turn();
    let spec = DeviceSpec::named("910b3").unwrap();
    let npu = Session::open("sim:910b3:fp16", Mode::Record).unwrap();
    session::choose(Some(npu.clone()));
    for op in all() {
        run(&op, false);
    }
    let records = npu.take_records();
    assert!(records.len() > 30);
    for record in records {
        assert!(agrees(&record.op.program(&spec).unwrap(), &record.op.signature()), "{:?}", record.op);
    }
}
