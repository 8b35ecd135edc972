//! What matrix products on the CPU are computed in.

use std::cell::Cell;

/// What the operands of matrix products on the CPU are rounded to; sums, and everything else, are single precision.
///
/// It concerns [`linear`](crate::ops::linear()), [`conv1d`](crate::ops::conv1d()) without groups, [`attention`](crate::ops::attention()), and their
/// gradients. Convolutions with groups, whose products have few columns, stay in single precision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Products {
    /// Operands as they are.
    #[default]
    Single,
    /// Operands rounded to bf16 (8 bits of significand) when they are packed.
    ///
    /// Where AVX512-BF16 is faster (AMD), it multiplies them at up to twice the rate of single precision; other machines
    /// compute the same numbers with ordinary instructions, somewhat slower than single precision.
    Bf16,
}

thread_local! {
    static CHOSEN: Cell<Products> = const { Cell::new(Products::Single) };
}

impl Products {
    /// What operations that this thread starts now compute in; their backward passes do too, whenever they run.
    pub(crate) fn current() -> Self {
        CHOSEN.get()
    }
}

/// Runs `f`; operations that it starts on this thread compute products in `products`.
pub fn with_products<T>(products: Products, f: impl FnOnce() -> T) -> T {
    /// Puts back what was chosen before, also where `f` panics.
    struct Restore(Products);
    impl Drop for Restore {
        fn drop(&mut self) {
            CHOSEN.set(self.0);
        }
    }
    let _restore = Restore(CHOSEN.replace(products));
    f()
}
