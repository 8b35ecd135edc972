//! Operations on views: what a tensor holds counts, not how it lies in memory.

use auricle_tensor::ops::{self, AdamWStep, AttentionOptions, Conv1dOptions};
use burn::backend::Flex;
use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Tensor};

use crate::common::{assert_close, constant, leaf, normal, on, values};

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    /// In row-major order.
    Dense,
    /// The last two axes exchanged.
    Transposed,
    /// The middle of a larger tensor, of which the rest is NaN.
    Narrowed,
}

/// Elements around a [`Layout::Narrowed`] tensor, on either side of every axis.
const MARGIN: usize = 1;

/// A view of `flat` (stored in this layout) of the given shape.
fn view<const D: usize>(flat: Tensor<1>, layout: Layout, shape: [usize; D]) -> Tensor<D> {
    match layout {
        Layout::Dense => flat.reshape(shape),
        Layout::Transposed => {
            let mut stored = shape;
            stored.swap(D - 2, D - 1);
            flat.reshape(stored).swap_dims(D - 2, D - 1)
        }
        Layout::Narrowed => {
            let stored = shape.map(|n| n + 2 * MARGIN);
            (0..D).fold(flat.reshape(stored), |x, axis| x.narrow(axis, MARGIN, shape[axis]))
        }
    }
}

/// `values` of the given shape in the order in which [`view`] expects them.
fn stored<const D: usize>(values: &[f64], layout: Layout, shape: [usize; D]) -> Vec<f64> {
    let x: Tensor<D> = constant(values, DType::F64, &on(DType::F64)).reshape(shape);
    crate::common::values(match layout {
        Layout::Dense => x,
        Layout::Transposed => x.swap_dims(D - 2, D - 1),
        Layout::Narrowed => x.pad([(MARGIN, MARGIN); D], PadMode::Constant(f32::NAN)),
    })
}

/// Takes a view of a flat tensor; its elements in row-major order.
type View = Box<dyn Fn(Tensor<1>) -> Tensor<1>>;

/// One run of an operation: its inputs and what came out.
struct Run {
    layout: Layout,
    /// Leaves of the graph, each with the view that was taken of it.
    leaves: Vec<(Tensor<1>, View)>,
    results: Vec<Vec<f64>>,
}

impl Run {
    /// Tensors of one axis have no transposed layout.
    fn layout_of<const D: usize>(&self) -> Layout {
        if D == 1 && self.layout == Layout::Transposed { Layout::Narrowed } else { self.layout }
    }

    /// A random input.
    fn input<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let random = normal(shape.iter().product(), self.leaves.len() as u64);
        self.place(shape, &random)
    }

    /// An input of squares.
    fn squares<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let random = normal(shape.iter().product(), self.leaves.len() as u64);
        self.place(shape, &random.iter().map(|x| x * x).collect::<Vec<_>>())
    }

    fn place<const D: usize>(&mut self, shape: [usize; D], values: &[f64]) -> Tensor<D> {
        let layout = self.layout_of::<D>();
        let leaf = leaf(&stored(values, layout, shape), DType::F32);
        let x = view(leaf.clone(), layout, shape);
        if let Ok(x) = x.clone().inner().try_into_primitive::<Flex>() {
            assert_eq!(
                x.is_contiguous() && x.layout().start_offset() == 0,
                layout == Layout::Dense,
                "{layout:?}"
            );
        }
        self.leaves.push((leaf, Box::new(move |flat| view(flat, layout, shape).reshape([-1]))));
        x
    }

    /// Takes a result without a backward pass.
    fn keep<const D: usize>(&mut self, y: Tensor<D>) {
        self.results.push(values(y));
    }

    /// Takes a result, and the gradients of all inputs for a random gradient that comes in this layout.
    fn differentiate<const D: usize>(&mut self, y: Tensor<D>) {
        self.keep(y.clone());
        let weights = normal(y.shape().num_elements(), 99);
        let weights: Tensor<D> = constant(&weights, DType::F32, &y.device()).reshape(y.dims());
        let dense = |x: Tensor<D>| Tensor::from_data(x.into_data(), &y.device());
        let product = match self.layout_of::<D>() {
            Layout::Dense => y.clone() * weights,
            // The gradient of an exchange of axes is one.
            Layout::Transposed => y.clone().swap_dims(D - 2, D - 1) * dense(weights.swap_dims(D - 2, D - 1)),
            // The gradient of one of several joined tensors is a piece of theirs.
            Layout::Narrowed => {
                let joined = |rest: Tensor<D>, x: Tensor<D>| Tensor::cat(vec![rest.clone(), x, rest], 0);
                joined(weights.clone(), y.clone()) * joined(weights.zeros_like(), weights)
            }
        };
        let gradients = product.sum().backward();
        for (leaf, view) in &self.leaves {
            if let Some(gradient) = leaf.grad(&gradients) {
                self.results.push(values(view(gradient)));
            }
        }
    }
}

/// An operation with its inputs, and the number of tensors that it gives with their gradients.
type Case = (&'static str, usize, fn(&mut Run));

const STEP: AdamWStep =
    AdamWStep { lr: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, step: 3 };

/// More elements than one task works on, in no round number of rows.
const MATRIX: [usize; 2] = [131, 257];

const CASES: [Case; 17] = [
    ("softmax", 2, |run| {
        let x = run.input(MATRIX);
        run.differentiate(ops::softmax(x, 1));
    }),
    ("masked_softmax", 2, |run| {
        let x = run.input(MATRIX);
        let lengths: Vec<usize> = (0..MATRIX[0]).map(|row| row * 2).collect();
        run.differentiate(ops::masked_softmax(x, &lengths));
    }),
    ("log_softmax", 2, |run| {
        let x = run.input(MATRIX);
        run.differentiate(ops::log_softmax(x, 1));
    }),
    ("layer_norm", 4, |run| {
        let (x, gamma, beta) = (run.input(MATRIX), run.input([257]), run.input([257]));
        run.differentiate(ops::layer_norm(x, gamma, beta, 1e-5));
    }),
    ("add_layer_norm", 5, |run| {
        let (x, branch) = (run.input(MATRIX), run.input(MATRIX));
        let (gamma, beta) = (run.input([257]), run.input([257]));
        let mask = Some(ops::Dropout { p: 0.3, seed: 7 });
        run.differentiate(ops::add_layer_norm(x, branch, gamma, beta, 1e-5, mask));
    }),
    ("rms_norm", 3, |run| {
        let (x, gamma) = (run.input(MATRIX), run.input([257]));
        run.differentiate(ops::rms_norm(x, gamma, 1e-5));
    }),
    ("dropout", 2, |run| {
        let x = run.input(MATRIX);
        run.differentiate(ops::dropout(x, 0.3, 7));
    }),
    ("ctc_loss", 2, |run| {
        let x = run.input([3, 17, 9]);
        run.differentiate(ops::ctc_loss(x, &[vec![3, 1, 1, 5], vec![], vec![2]], &[17, 4, 11], 0));
    }),
    ("contrastive_loss", 2, |run| {
        let (pred, target) = (run.input([33, 31]), run.input([33, 31]));
        let negatives: Vec<u32> = (0..33 * 5).map(|i| i * 7 % 33).collect();
        run.differentiate(ops::contrastive_loss(pred, target.detach(), &negatives, 0.3).loss);
    }),
    ("gelu", 2, |run| {
        let x = run.input(MATRIX);
        run.differentiate(ops::gelu(x));
    }),
    ("linear", 4, |run| {
        let (x, weight, bias) = (run.input([3, 37, 31]), run.input([31, 45]), run.input([45]));
        run.differentiate(ops::linear(x, weight, Some(bias)));
    }),
    ("linear_gelu", 4, |run| {
        let (x, weight, bias) = (run.input([3, 37, 31]), run.input([31, 45]), run.input([45]));
        run.differentiate(ops::linear_gelu(x, weight, bias));
    }),
    ("conv1d", 4, |run| {
        let (x, weight, bias) = (run.input([2, 33, 12]), run.input([5, 6, 16]), run.input([16]));
        let options = Conv1dOptions { stride: 2, pad_left: 1, pad_right: 2, groups: 2 };
        run.differentiate(ops::conv1d(x, weight, Some(bias), options));
    }),
    ("attention", 4, |run| {
        let (q, k, v) = (run.input([2, 35, 24]), run.input([2, 37, 24]), run.input([2, 37, 24]));
        let options = AttentionOptions { key_lengths: Some(vec![37, 20]), ..AttentionOptions::new(3) };
        run.differentiate(ops::attention(q, k, v, options));
    }),
    ("adamw", 3, |run| {
        let (param, gradient, m, v) =
            (run.input(MATRIX), run.input(MATRIX), run.input(MATRIX), run.squares(MATRIX));
        let (param, m, v) = ops::adamw(param, gradient, m, v, STEP);
        run.keep(param);
        run.keep(m);
        run.keep(v);
    }),
    ("adamw_ema", 4, |run| {
        let (param, gradient, m, v) =
            (run.input(MATRIX), run.input(MATRIX), run.input(MATRIX), run.squares(MATRIX));
        let average = run.input(MATRIX);
        let (param, [m, v], average) = ops::adamw_ema(param, gradient, [m, v], average, STEP, 0.995);
        [param, m, v, average].into_iter().for_each(|x| run.keep(x));
    }),
    ("ema", 1, |run| {
        let (teacher, student) = (run.input(MATRIX), run.input(MATRIX));
        run.keep(ops::ema(teacher, student, 0.995));
    }),
];

#[test]
fn views_give_what_dense_tensors_give() {
    for (name, results, case) in CASES {
        let run = |layout| {
            let mut run = Run { layout, leaves: Vec::new(), results: Vec::new() };
            case(&mut run);
            run.results
        };
        let want = run(Layout::Dense);
        assert_eq!(want.len(), results, "{name}");
        assert!(
            want.iter().all(|x| x.iter().all(|x| x.is_finite()) && x.iter().any(|&x| x != 0.0)),
            "{name}"
        );
        for layout in [Layout::Transposed, Layout::Narrowed] {
            let got = run(layout);
            assert_eq!(got.len(), results, "{name}");
            for (got, want) in got.iter().zip(&want) {
                // On the CPU no difference at all.
                assert_close(&format!("{name}, {layout:?}"), got, want, 0.0);
            }
        }
    }
}
