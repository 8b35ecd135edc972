//! Matrices as strided views, and how many threads write one.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A matrix to read: element `(i, j)` is `data[i·row_stride + j·col_stride]`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// Rows of `cols` neighbouring elements, `row_stride` apart; they may overlap.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(last(rows, cols, row_stride, 1) <= data.len(), "the view ends beyond its data");
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The elements from the first of row `i` on, where those of a row are neighbours.
    pub(super) fn row(&self, i: usize) -> Option<&'a [f32]> {
        (self.col_stride == 1).then(|| &self.data[i * self.row_stride..])
    }

    /// The elements from the first of column `j` on, which are neighbours where those of a row are not.
    pub(super) fn column(&self, j: usize) -> &'a [f32] {
        &self.data[j * self.col_stride..]
    }

    /// Whether the elements of a row are neighbours.
    pub(super) fn has_terms_in_row(&self) -> bool {
        self.col_stride == 1
    }

    /// Element `(i, j)`.
    pub(super) fn at(&self, i: usize, j: usize) -> f32 {
        self.data[i * self.row_stride + j * self.col_stride]
    }

    /// All elements, where the rows lie one behind the other.
    pub(super) fn together(&self) -> Option<&'a [f32]> {
        (self.col_stride == 1 && self.row_stride == self.cols).then(|| &self.data[..self.rows * self.cols])
    }

    /// Some of the columns.
    pub(super) fn terms(self, columns: &Range<usize>) -> Self {
        let data = &self.data[(columns.start * self.col_stride).min(self.data.len())..];
        Self { data, cols: columns.len(), ..self }
    }

    /// The first column twice.
    pub(super) fn repeated(self) -> Self {
        Self { cols: 2, col_stride: 0, ..self }
    }

    /// The memory, and the distances of rows and of columns.
    pub(super) fn strided(self) -> (&'a [f32], [usize; 2]) {
        (self.data, [self.row_stride, self.col_stride])
    }
}

/// Elements up to and including the last of a strided matrix.
fn last(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

/// Memory that several threads write disjoint parts of.
#[derive(Clone, Copy)]
pub struct Shared {
    start: *mut f32,
    len: usize,
}

// SAFETY: every access goes through `Shared::rows`, whose caller answers for disjointness.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Shares `data`, which must outlive every view made from the result.
    pub fn new(data: &mut [f32]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len() }
    }

    /// Rows of `cols` neighbouring elements, `row_stride` apart, the first at `offset`.
    ///
    /// # Safety
    /// The memory must still be there, and nobody else may use these elements as long as the view is in use.
    pub unsafe fn rows<'a>(self, offset: usize, rows: usize, cols: usize, row_stride: usize) -> ViewMut<'a> {
        assert!(
            cols <= row_stride && (rows * cols == 0 || offset + last(rows, cols, row_stride, 1) <= self.len),
            "the view ends beyond its data"
        );
        // SAFETY: the offset is inside of (or, for an empty view, wrapped and never used).
        ViewMut { start: self.start.wrapping_add(offset), rows, cols, row_stride, life: PhantomData }
    }
}

/// A matrix to write: rows of `cols` neighbouring elements, `row_stride` apart.
pub struct ViewMut<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    life: PhantomData<&'a mut f32>,
}

impl<'a> ViewMut<'a> {
    /// Rows of `cols` neighbouring elements, `row_stride` apart.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        // SAFETY: the view borrows the data mutably for its whole life.
        unsafe { Shared::new(data).rows(0, rows, cols, row_stride) }
    }

    /// Rows of `cols` neighbouring elements that nobody has written; who gets the view writes before it reads.
    pub(super) fn unwritten(data: &'a mut [MaybeUninit<f32>], rows: usize, cols: usize) -> Self {
        assert!(rows * cols <= data.len(), "the view ends beyond its data");
        Self { start: data.as_mut_ptr().cast(), rows, cols, row_stride: cols, life: PhantomData }
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The same view for a shorter time.
    pub fn again(&mut self) -> ViewMut<'_> {
        ViewMut { life: PhantomData, ..*self }
    }

    /// The part of `size` rows and columns from `first`, for one of several threads.
    ///
    /// # Safety
    /// As [`Shared::rows`].
    pub(super) unsafe fn part<'b>(
        shared: (Shared, usize),
        first: [usize; 2],
        size: [usize; 2],
    ) -> ViewMut<'b> {
        let (memory, row_stride) = shared;
        // SAFETY: the caller's.
        unsafe { memory.rows(first[0] * row_stride + first[1], size[0], size[1], row_stride) }
    }

    /// The first element of a view that a product writes, and the distance of rows.
    pub(super) fn strided(&mut self) -> (*mut f32, usize) {
        (self.start, self.row_stride)
    }

    /// The memory of all rows, and their distance.
    pub(super) fn share(&mut self) -> (Shared, usize) {
        let len = last(self.rows, self.cols, self.row_stride, 1);
        (Shared { start: self.start, len }, self.row_stride)
    }

    /// Overwrites elements of row `i` from `first` with `factor·values`; what they held before is not read.
    pub(super) fn set(&mut self, i: usize, first: usize, values: &[f32], factor: f32) {
        assert!(i < self.rows && first + values.len() <= self.cols, "row {i} of {}", self.rows);
        // SAFETY: the elements lie inside the memory of the view, which `self` borrows mutably.
        let start = unsafe { self.start.add(i * self.row_stride + first) };
        for (j, value) in values.iter().enumerate() {
            // SAFETY: as above.
            unsafe { start.add(j).write(factor * value) };
        }
    }

    /// One row.
    pub fn row(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: rows lie inside the memory of the view (checked when it was made), which `self` borrows mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.row_stride), self.cols) }
    }
}

/// How a product is spread over threads; its bits are the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only.
    One,
    /// All threads of the pool.
    All,
}
