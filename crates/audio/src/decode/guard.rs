//! Panics of the decoders are errors here. Symphonia's parsers of Vorbis have some that hostile files reach (a division
//! by zero in the floor, an assertion about codebooks), and a recording must not end the program that looks at it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// The decoder has panicked; it must not be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

impl Panicked {
    /// As errors name it.
    pub(super) const DETAIL: &str = "its content breaks the decoder";
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a part of a decoder. A panic in it is not printed: the error says what there is to say.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                before(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(false);
    result.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_one_outside_is_a_panic() {
        assert_eq!(guarded(|| 5), Ok(5));
        assert_eq!(
            guarded(|| if HOOK.is_completed() {
                panic!("not seen")
            }),
            Err(Panicked)
        );
        assert!(!IS_GUARDED.get());
    }
}
