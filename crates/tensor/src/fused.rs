//! How a CPU kernel becomes an operation of burn: dispatch, and registration of its backward pass.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use rayon::prelude::*;

use crate::cpu::elementwise;
use crate::npu::session::{self, Session};

/// An operation on `N` single-precision CPU tensors with its own backward pass.
pub trait Kernel<const N: usize>: Clone + std::fmt::Debug + Send + 'static {
    /// What the forward pass leaves for the backward pass.
    type Saved: Clone + std::fmt::Debug + Send + 'static;

    /// The result, and where `tracked`, what [`backward`](Self::backward) needs.
    ///
    /// Inputs that nobody else holds may be overwritten.
    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Option<Self::Saved>);

    /// Gradients of the inputs; those not `wanted` may be left out.
    fn backward(&self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];

    /// The forward pass on the NPU chosen for this process; none where it has no body for it.
    fn npu_forward(&self, _npu: &Session, _inputs: &[FlexTensor; N]) -> Option<(FlexTensor, Self::Saved)> {
        None
    }

    /// The backward pass on the NPU chosen for this process; none where it has no body for it.
    fn npu_backward(
        &self,
        _npu: &Session,
        _saved: &Self::Saved,
        _grad: &FlexTensor,
        _wanted: [bool; N],
    ) -> Option<[Option<FlexTensor>; N]> {
        None
    }
}

/// The forward pass, wherever this process computes.
fn forward<K: Kernel<N>, const N: usize>(
    kernel: &K,
    inputs: [FlexTensor; N],
    tracked: bool,
) -> (FlexTensor, Option<K::Saved>) {
    match session::current().and_then(|npu| kernel.npu_forward(&npu, &inputs)) {
        Some((output, saved)) => (output, tracked.then_some(saved)),
        None => kernel.forward(inputs, tracked),
    }
}

/// What an operation gives beside its output; every copy of the kernel sees the same.
#[derive(Debug)]
pub struct Aside<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Aside<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Aside<T> {
    /// Puts it there.
    pub fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Takes it.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The backends that can run a [`Kernel`], by its number of inputs.
#[backend_extension(Flex, Autodiff)]
pub trait FusedBackend: Backend {
    /// Runs `kernel` on one tensor.
    fn fused1<K: Kernel<1>>(a: FloatTensor<Self>, kernel: K) -> FloatTensor<Self>;

    /// Runs `kernel` on two tensors.
    fn fused2<K: Kernel<2>>(a: FloatTensor<Self>, b: FloatTensor<Self>, kernel: K) -> FloatTensor<Self>;

    /// Runs `kernel` on three tensors.
    fn fused3<K: Kernel<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        kernel: K,
    ) -> FloatTensor<Self>;

    /// Runs `kernel` on four tensors.
    fn fused4<K: Kernel<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        kernel: K,
    ) -> FloatTensor<Self>;
}

/// Runs `kernel` on a tensor that satisfies [`applies`], recording it where the tensor is tracked.
pub fn apply1<const D: usize>(kernel: impl Kernel<1>, a: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused1(a.into_dispatch(), kernel))
}

/// As [`apply1`], for two tensors; the result has the rank of the first.
pub fn apply2<const D: usize, const E: usize>(
    kernel: impl Kernel<2>,
    a: Tensor<D>,
    b: Tensor<E>,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused2(a.into_dispatch(), b.into_dispatch(), kernel))
}

/// As [`apply1`], for three tensors; the result has the rank of the first.
pub fn apply3<const D: usize, const E: usize, const F: usize>(
    kernel: impl Kernel<3>,
    a: Tensor<D>,
    b: Tensor<E>,
    c: Tensor<F>,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused3(a.into_dispatch(), b.into_dispatch(), c.into_dispatch(), kernel))
}

/// As [`apply1`], for four tensors; the result has the rank of the first two.
pub fn apply4<const D: usize, const E: usize, const F: usize>(
    kernel: impl Kernel<4>,
    [a, b]: [Tensor<D>; 2],
    c: Tensor<E>,
    d: Tensor<F>,
) -> Tensor<D> {
    let [a, b] = [a, b].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::fused4(a, b, c.into_dispatch(), d.into_dispatch(), kernel))
}

/// Whether a tensor can go through a [`Kernel`].
pub fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

impl FusedBackend for Flex {
    fn fused1<K: Kernel<1>>(a: FlexTensor, kernel: K) -> FlexTensor {
        forward(&kernel, [a], false).0
    }

    fn fused2<K: Kernel<2>>(a: FlexTensor, b: FlexTensor, kernel: K) -> FlexTensor {
        forward(&kernel, [a, b], false).0
    }

    fn fused3<K: Kernel<3>>(a: FlexTensor, b: FlexTensor, c: FlexTensor, kernel: K) -> FlexTensor {
        forward(&kernel, [a, b, c], false).0
    }

    fn fused4<K: Kernel<4>>(
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
        kernel: K,
    ) -> FlexTensor {
        forward(&kernel, [a, b, c, d], false).0
    }
}

impl<C: CheckpointStrategy> FusedBackend for Autodiff<Flex, C> {
    fn fused1<K: Kernel<1>>(a: FloatTensor<Self>, kernel: K) -> FloatTensor<Self> {
        let (a, node) = a.into_parts();
        record::<C, K, 1>(kernel, [a], [node])
    }

    fn fused2<K: Kernel<2>>(a: FloatTensor<Self>, b: FloatTensor<Self>, kernel: K) -> FloatTensor<Self> {
        let ((a, node_a), (b, node_b)) = (a.into_parts(), b.into_parts());
        record::<C, K, 2>(kernel, [a, b], [node_a, node_b])
    }

    fn fused3<K: Kernel<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        kernel: K,
    ) -> FloatTensor<Self> {
        let ((a, node_a), (b, node_b), (c, node_c)) = (a.into_parts(), b.into_parts(), c.into_parts());
        record::<C, K, 3>(kernel, [a, b, c], [node_a, node_b, node_c])
    }

    fn fused4<K: Kernel<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        kernel: K,
    ) -> FloatTensor<Self> {
        let ((a, node_a), (b, node_b)) = (a.into_parts(), b.into_parts());
        let ((c, node_c), (d, node_d)) = (c.into_parts(), d.into_parts());
        record::<C, K, 4>(kernel, [a, b, c, d], [node_a, node_b, node_c, node_d])
    }
}

fn record<C: CheckpointStrategy, K: Kernel<N>, const N: usize>(
    kernel: K,
    inputs: [FlexTensor; N],
    nodes: [NodeGuard; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    match Step(kernel.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => match forward(&kernel, inputs, true) {
            (output, Some(saved)) => prep.finish(saved, output),
            (_, None) => unreachable!("{kernel:?} kept nothing for its backward pass"),
        },
        OpsKind::UnTracked(prep) => prep.finish(forward(&kernel, inputs, false).0),
    }
}

/// A kernel in the graph.
#[derive(Debug)]
struct Step<K>(K);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for Step<K> {
    type State = K::Saved;

    fn backward(self, ops: Ops<K::Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let npu = session::current();
        let grads_of_inputs = npu
            .and_then(|npu| self.0.npu_backward(&npu, &ops.state, &grad, wanted))
            .unwrap_or_else(|| self.0.backward(ops.state, grad, wanted));
        for (parent, grad) in ops.parents.into_iter().zip(grads_of_inputs) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}

/// What `one` gives for every wanted gradient; none where it gives none for any of them.
pub fn all_wanted<const N: usize>(
    wanted: [bool; N],
    one: impl Fn(usize) -> Option<FlexTensor>,
) -> Option<[Option<FlexTensor>; N]> {
    let gradients = std::array::from_fn(|i| if wanted[i] { one(i) } else { None });
    (0..N).all(|i| !wanted[i] || gradients[i].is_some()).then_some(gradients)
}

/// The tensor with its elements in row-major order from the start of its storage, copied only where needed.
pub fn dense(x: FlexTensor) -> FlexTensor {
    // `to_contiguous` hands the same storage back where it already is dense, and `x` is gone then.
    if x.layout().num_elements() == x.storage::<f32>().len() && x.is_contiguous() {
        x
    } else {
        x.to_contiguous()
    }
}

/// The elements of a [`dense`] tensor.
pub fn elements(x: &FlexTensor) -> &[f32] {
    x.storage()
}

/// A tensor of zeros.
pub fn zeros(shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::zeros(shape.into(), DType::F32)
}

/// A [`dense`] tensor that nobody else holds: `x` itself where possible.
pub fn owned(x: FlexTensor) -> FlexTensor {
    let mut x = dense(x);
    // Copies where the storage is shared.
    let _: &mut [f32] = x.storage_mut();
    x
}

/// A tensor of the given elements in row-major order.
pub fn tensor(elements: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(elements, shape.into()))
}

/// The last dimension, and how many rows of it there are.
pub fn rows_of(x: &FlexTensor) -> (usize, usize) {
    let shape = x.layout().shape();
    let width = shape.iter().last().copied().unwrap_or(1);
    (x.layout().num_elements().checked_div(width).unwrap_or(0), width)
}

/// Runs `f` over pieces of whole rows of `width`, with the number of their first element; gives the sums over the pieces, in their
/// order, of what `f` adds to its last argument.
pub fn sum_pieces<const N: usize>(
    grad: &mut FlexTensor,
    x: &FlexTensor,
    [width, piece]: [usize; 2],
    f: impl Fn(usize, &mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) -> [FlexTensor; N] {
    let partials: Vec<[Vec<f32>; N]> = grad
        .storage_mut::<f32>()
        .par_chunks_mut(piece)
        .zip(elements(x).par_chunks(piece))
        .enumerate()
        .map(|(i, (g, x))| {
            let mut sums = std::array::from_fn(|_| vec![0.0; width]);
            f(i * piece, g, x, sums.each_mut().map(|sum| sum.as_mut_slice()));
            sums
        })
        .collect();
    let mut totals = std::array::from_fn(|_| zeros([width]));
    for partial in &partials {
        for (total, partial) in totals.iter_mut().zip(partial) {
            elementwise::add(total.storage_mut(), partial);
        }
    }
    totals
}
