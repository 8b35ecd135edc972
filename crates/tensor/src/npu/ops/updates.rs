//! Element-wise operations: dropout, and what an optimiser does.

use std::ops::Range;

use super::{Outputs, first, rows};
use crate::npu::kernels::dropout::{keys, lanes};
use crate::npu::kernels::rows::Rows;
use crate::npu::runtime::OpDesc;
use crate::npu::session::Session;
use crate::npu::tile::Elem;
use crate::options::AdamWScalars;
use crate::options::dropout::{BLOCK, Dropout, block_key};

/// Elements of a row of an element-wise operation; a block of a dropout mask is a whole number of rows.
const ROW: usize = 1024;

/// The elements of an element-wise operation as whole rows, and what is left as one row.
pub(super) fn parts(len: usize) -> impl Iterator<Item = (Range<usize>, Rows)> {
    let whole = len / ROW * ROW;
    let parts = [(0..whole, rows(whole / ROW, ROW)), (whole..len, rows(1, len - whole))];
    parts.into_iter().filter(|(range, _)| !range.is_empty())
}

/// The outputs of an operation on all [`parts`], joined.
///
/// Every part is asked for, also where the CPU is to compute: a session that only writes down must see them all.
fn joined(len: usize, run: impl Fn(Range<usize>, Rows) -> Outputs) -> Outputs {
    let asked: Vec<Outputs> = parts(len).map(|(range, rows)| run(range, rows)).collect();
    let mut parts = asked.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    let mut all = parts.next()?;
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, part)| all.extend(part));
    }
    Some(all)
}

/// Zero where [`Dropout`] drops an element, else the element times its scale: the bits of the CPU.
pub fn dropout(s: &Session, x: &[f32], mask: Dropout) -> Option<Vec<f32>> {
    first(joined(x.len(), |range, rows| {
        let key = |row: usize| {
            let at = range.start + row * rows.cols;
            (block_key(mask.seed, (at / BLOCK) as u64), (at % BLOCK) as u32)
        };
        let [start, low, high] = keys((0..rows.rows).map(key));
        let op = OpDesc::Dropout { rows, threshold: mask.threshold(), scale: mask.scale() as f32 };
        s.run(&op, &[&x[range], &lanes(rows.cols), &start, &low, &high])
    }))
}

/// 1 where [`Dropout`] keeps an attention weight, of `count` rows of `keys`.
pub fn dropout_mask(s: &Session, mask: Dropout, [count, width]: [usize; 2]) -> Option<Vec<f32>> {
    let rows = Rows { elem: s.elem(), ..rows(count, width) };
    let [start, low, high] = keys((0..count).map(|row| (block_key(mask.seed, row as u64), 0)));
    let op = OpDesc::DropoutMask { rows, threshold: mask.threshold() };
    first(s.run(&op, &[&lanes(width), &start, &low, &high]))
}

/// Every row of `x` times a number of its own.
pub fn scale_rows(s: &Session, x: &[f32], scales: &[f32]) -> Option<Vec<f32>> {
    if x.is_empty() {
        return None;
    }
    first(s.run(&OpDesc::Scale(rows(scales.len(), x.len() / scales.len())), &[x, scales]))
}

/// One AdamW update of `[p, g, m, v]`; gives the new `[p, m, v]`, the bits of the CPU.
pub fn adamw(s: &Session, state: [&[f32]; 4], scalars: &AdamWScalars) -> Option<[Vec<f32>; 3]> {
    let AdamWScalars { beta1, rest1, beta2, rest2, decay, rate, root_scale, eps } = *scalars;
    let scalars = [beta1, rest1, beta2, rest2, decay, rate, root_scale, eps];
    let updated = joined(state[0].len(), |range, rows| {
        let [p, g, m, v] = state.map(|x| &x[range.clone()]);
        s.run(&OpDesc::AdamW(rows), &[p, g, m, v, &scalars])
    });
    updated?.try_into().ok()
}

/// `teacher·momentum + student·(1 − momentum)`, the bits of the CPU.
pub fn ema(s: &Session, teacher: &[f32], student: &[f32], scalars: [f32; 2]) -> Option<Vec<f32>> {
    first(joined(teacher.len(), |range, rows| {
        s.run(&OpDesc::Ema(rows), &[&teacher[range.clone()], &student[range], &scalars])
    }))
}

/// Runs an element-wise operation on inputs of equal length.
pub(super) fn elementwise(s: &Session, op: impl Fn(Rows) -> OpDesc, inputs: &[&[f32]]) -> Option<Vec<f32>> {
    first(joined(inputs.first()?.len(), |range, rows| {
        debug_assert!(rows.elem == Elem::F32);
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[range.clone()]).collect();
        s.run(&op(rows), &inputs)
    }))
}
