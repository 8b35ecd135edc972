//! What long work tells while it goes on.

/// Listens to long work. Nothing needs to be done: every method has an empty body.
pub trait Events {
    /// `count` pieces of work begin.
    fn begin(&self, what: &str, count: usize) {
        let _ = (what, count);
    }

    /// One of them is done.
    fn advance(&self) {}

    /// All are done, or given up.
    fn end(&self) {}

    /// A result worth a line.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// Something that the user should know before the result is believed.
    fn warning(&self, text: &str) {
        let _ = text;
    }

    /// One item failed; the others go on.
    fn failure(&self, text: &str) {
        let _ = text;
    }

    /// Whether a trainer may show its progress on the terminal.
    fn shows_training(&self) -> bool {
        false
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {}
