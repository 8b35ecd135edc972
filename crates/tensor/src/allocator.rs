//! The memory allocator for programs that train.
//!
//! Tensors of a training step are large and short-lived. An allocator that hands their pages back to
//! the system pays for each again with a fault and a page of zeros: a fifth of a training step.
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: auricle_tensor::allocator::Allocator = auricle_tensor::allocator::Allocator;
//!
//! fn main() {
//!     auricle_tensor::allocator::keep_pages();
//! }
//! ```

pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay`, the same number in every release of mimalloc 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// How long a freed page waits for its next use, in milliseconds: longer than a training step of a large model,
/// so that no step pays for the pages of the one before, nor for its own (at 500 ms a third of a step of 5 s went
/// into clearing pages), and short enough that a phase's pages go back when it is over.
const DELAY_MS: std::ffi::c_long = 10_000;

/// Keeps freed pages for a while; `MIMALLOC_PURGE_DELAY`, where it is set, decides instead.
pub fn keep_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        #[allow(unsafe_code)]
        // SAFETY: sets one entry of the allocator's table of options, by an index within it.
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, DELAY_MS);
        }
    }
}
