//! A model that is replaced by functions of itself.

/// Holds a model that [`Held::map`] takes by value, so that updates happen in place.
///
/// It is away only while a function of it runs, which cannot see the holder: no caller meets the gap.
#[derive(Debug)]
pub struct Held<M>(Option<M>);

impl<M> Held<M> {
    /// Holds a model.
    pub fn new(model: M) -> Self {
        Self(Some(model))
    }

    /// The model.
    #[allow(clippy::expect_used)]
    pub fn get(&self) -> &M {
        self.0.as_ref().expect("a model is only away inside map")
    }

    /// Replaces the model by a function of itself.
    pub fn map(&mut self, update: impl FnOnce(M) -> M) {
        self.0 = self.0.take().map(update);
    }
}
