//! Parameter updates.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Float, Tensor};
use rayon::prelude::*;

use crate::cpu::{self, optimizer as kernel};
use crate::fused::{self, dense, elements, owned};
use crate::npu;
use crate::npu::session::{self, Session};
use crate::options::{AdamWScalars, AdamWStep};
use crate::reference;

/// One AdamW update (Loshchilov & Hutter 2019, PyTorch's order of operations); gives the new `(param, m, v)`.
///
/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `θ ← θ(1 − lr·decay) − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)`.
///
/// Tensors are updated in place where nobody else holds them. The result is outside of any graph ([`Tensor::inner`]).
///
/// # Panics
/// Where the four shapes differ.
pub fn adamw<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: AdamWStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    assert!(
        param.dims() == grad.dims() && param.dims() == m.dims() && param.dims() == v.dims(),
        "adamw: param {:?}, grad {:?}, m {:?}, v {:?}",
        param.dims(),
        grad.dims(),
        m.dims(),
        v.dims()
    );
    let (param, grad, m, v) = (param.inner(), grad.inner(), m.inner(), v.inner());
    if ![&param, &grad, &m, &v].into_iter().all(fused::applies) {
        return reference::adamw(param, grad, m, v, step);
    }
    let scalars = step.scalars();
    if let Some(npu) = session::current()
        && let Some(updated) = adamw_on(&npu, [&param, &grad, &m, &v], &scalars)
    {
        return updated;
    }
    let (mut param, mut m, mut v) = (owned(primitive(param)), owned(primitive(m)), owned(primitive(v)));
    let grad = dense(primitive(grad));
    let pieces =
        param.storage_mut::<f32>().par_chunks_mut(cpu::PIECE).zip(elements(&grad).par_chunks(cpu::PIECE));
    let moments = m
        .storage_mut::<f32>()
        .par_chunks_mut(cpu::PIECE)
        .zip(v.storage_mut::<f32>().par_chunks_mut(cpu::PIECE));
    pieces.zip(moments).for_each(|((p, g), (m, v))| kernel::adamw(p, g, m, v, scalars));
    (tensor(param), tensor(m), tensor(v))
}

/// [`adamw`], and [`ema`] of `average` with the updated parameters, in one pass over memory; gives the new
/// `(param, m, v, average)`, to the bit what the two give one after the other.
///
/// # Panics
/// Where the five shapes differ.
pub fn adamw_ema<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    [m, v]: [Tensor<D>; 2],
    average: Tensor<D>,
    step: AdamWStep,
    momentum: f64,
) -> (Tensor<D>, [Tensor<D>; 2], Tensor<D>) {
    let all = [param, grad, m, v, average].map(Tensor::inner);
    if !all.iter().all(fused::applies) || session::current().is_some() {
        let [param, grad, m, v, average] = all;
        let (param, m, v) = adamw(param, grad, m, v, step);
        let average = ema(average, param.clone(), momentum);
        return (param, [m, v], average);
    }
    let [param, grad, m, v, average] = all;
    assert!(
        [&grad, &m, &v, &average].iter().all(|other| other.dims() == param.dims()),
        "adamw_ema: param {:?}, grad {:?}, m {:?}, v {:?}, average {:?}",
        param.dims(),
        grad.dims(),
        m.dims(),
        v.dims(),
        average.dims()
    );
    let [mut param, mut m, mut v, mut average] = [param, m, v, average].map(|x| owned(primitive(x)));
    let (grad, scalars) = (dense(primitive(grad)), step.scalars());
    let (momentum, rest) = (momentum as f32, (1.0 - momentum) as f32);
    let piece = cpu::PIECE;
    let pieces = param.storage_mut::<f32>().par_chunks_mut(piece).zip(elements(&grad).par_chunks(piece));
    let moments =
        m.storage_mut::<f32>().par_chunks_mut(piece).zip(v.storage_mut::<f32>().par_chunks_mut(piece));
    let averages = average.storage_mut::<f32>().par_chunks_mut(piece);
    pieces.zip(moments).zip(averages).for_each(|(((p, g), (m, v)), t)| {
        kernel::adamw_ema(p, g, m, v, t, scalars, momentum, rest);
    });
    (tensor(param), [tensor(m), tensor(v)], tensor(average))
}

/// The update on the NPU chosen for this process; none where it has no body for it.
fn adamw_on<const D: usize>(
    npu: &Session,
    state: [&Tensor<D>; 4],
    scalars: &AdamWScalars,
) -> Option<(Tensor<D>, Tensor<D>, Tensor<D>)> {
    let shape = state[0].dims();
    let state = state.map(|x| dense(primitive(x.clone())));
    let updated = npu::ops::adamw(npu, state.each_ref().map(elements), scalars)?;
    let [p, m, v] = updated.map(|x| tensor(fused::tensor(x, shape)));
    Some((p, m, v))
}

fn primitive<const D: usize>(x: Tensor<D>) -> FlexTensor {
    match x.try_into_primitive::<Flex>() {
        Ok(x) => x,
        Err(error) => unreachable!("checked to be a CPU tensor: {error:?}"),
    }
}

fn tensor<const D: usize>(x: FlexTensor) -> Tensor<D> {
    Tensor::<D, Float>::from_primitive::<Flex>(x)
}

/// Exponential moving average: `teacher ← momentum·teacher + (1 − momentum)·student`.
///
/// In place where nobody else holds the teacher. The result is outside of any graph ([`Tensor::inner`]).
///
/// # Panics
/// Where the two shapes differ.
pub fn ema<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    assert!(
        teacher.dims() == student.dims(),
        "ema: teacher {:?}, student {:?}",
        teacher.dims(),
        student.dims()
    );
    let (teacher, student) = (teacher.inner(), student.inner());
    if !fused::applies(&teacher) || !fused::applies(&student) {
        return reference::ema(teacher, student, momentum);
    }
    let (momentum, rest) = (momentum as f32, (1.0 - momentum) as f32);
    let (teacher, student) = (primitive(teacher), dense(primitive(student)));
    if let Some(npu) = session::current() {
        let dense = dense(teacher.clone());
        if let Some(updated) = npu::ops::ema(&npu, elements(&dense), elements(&student), [momentum, rest]) {
            return tensor(fused::tensor(updated, dense.layout().shape().clone()));
        }
    }
    let mut teacher = owned(teacher);
    cpu::map_pieces(teacher.storage_mut(), elements(&student), cpu::PIECE, |_, t, s| {
        kernel::ema(t, s, momentum, rest)
    });
    tensor(teacher)
}
