//! Network and heads.

use crate::MmiConfig;
use auricle_nn::{Initializer, Moments, Tdnnf, TdnnfHead};
use auricle_tensor::ops::BatchMoments;
use burn::module::Module;
use burn::tensor::Tensor;

/// An acoustic model of phones: mel features to scores of outputs.
#[derive(Module, Debug)]
pub struct MmiModel {
    /// The network.
    pub net: Tdnnf,
    /// Scores for LF-MMI and for decoding.
    pub head: TdnnfHead,
    /// Logits of the cross-entropy branch, for training only.
    pub branch: TdnnfHead,
}

impl MmiModel {
    /// A model with initial values.
    pub fn new(config: &MmiConfig, outputs: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            net: Tdnnf::new(&config.net, init),
            head: TdnnfHead::new(&config.net, outputs, init),
            branch: TdnnfHead::new(&config.net, outputs, init),
        }
    }

    /// Evaluation.
    ///
    /// # Shapes
    /// `[B, T, F]` with T a multiple of 3, and valid lengths → scores `[B, T/3, N]` and valid lengths
    pub fn forward(&self, mel: Tensor<3>, lengths: &[usize]) -> (Tensor<3>, Vec<usize>) {
        let (x, lengths) = self.net.forward(mel, lengths, &mut Moments::Running);
        (self.head.forward(x, &lengths, &mut Moments::Running), lengths)
    }

    /// Training: scores, logits of the branch and valid lengths; the moments of the batch for [`Self::absorb`].
    pub fn forward_train(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
    ) -> (Tensor<3>, Tensor<3>, Vec<usize>, Vec<BatchMoments>) {
        let mut all = Vec::new();
        let moments = &mut Moments::Batch(&mut all);
        let (x, lengths) = self.net.forward(mel, lengths, moments);
        let scores = self.head.forward(x.clone(), &lengths, moments);
        let branch = self.branch.forward(x, &lengths, moments);
        (scores, branch, lengths, all)
    }

    /// Takes the moments of a batch into the running averages.
    #[must_use]
    pub fn absorb(self, moments: Vec<BatchMoments>, share: f64) -> Self {
        let mut moments = moments.into_iter();
        Self {
            net: self.net.absorb(&mut moments, share),
            head: self.head.absorb(&mut moments, share),
            branch: self.branch.absorb(&mut moments, share),
        }
    }

    /// One step of the narrowing maps towards semi-orthogonality.
    #[must_use]
    pub fn towards_orthogonal(self) -> Self {
        Self {
            net: self.net.towards_orthogonal(),
            head: self.head.towards_orthogonal(),
            branch: self.branch.towards_orthogonal(),
        }
    }
}
