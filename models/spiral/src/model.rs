//! Student and teacher networks.

use crate::SpiralConfig;
use auricle_nn::{
    BatchNorm, BatchStats, Context, Conv1d, Conv1dConfig, ConvTransformerEncoder, Initializer, Linear,
};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// What student and teacher have in common: encoder and projector (SPIRAL §2–3).
#[derive(Module, Debug)]
pub struct Trunk {
    /// Convolution–Transformer encoder.
    pub encoder: ConvTransformerEncoder,
    /// One linear map to the width of the loss.
    pub projector: Linear,
}

impl Trunk {
    /// A trunk with initial values.
    pub fn new(config: &SpiralConfig, init: &mut Initializer<'_>) -> Self {
        Self {
            encoder: config.encoder.init(init),
            projector: Linear::uniform(config.encoder.output_width(), config.projection, init),
        }
    }

    /// # Shapes
    /// `[B, T, F]` and valid lengths → `[B, T', P]` and valid lengths
    pub fn forward(
        &self,
        mel: Tensor<3>,
        lengths: &[usize],
        context: &mut Context,
    ) -> (Tensor<3>, Vec<usize>) {
        let (x, lengths) = self.encoder.forward(mel, lengths, context);
        (self.projector.forward(x), lengths)
    }
}

/// Convolution k5 without bias → BatchNorm → ReLU.
#[derive(Module, Debug)]
pub struct PredictorConv {
    /// The convolution.
    pub conv: Conv1d,
    /// ε 1e-3, momentum 0.01, statistics over padding too.
    pub norm: BatchNorm,
}

/// Two convolution layers and a linear map (SPIRAL §3).
#[derive(Module, Debug)]
pub struct Predictor {
    /// Convolution layers.
    pub convs: Vec<PredictorConv>,
    /// Linear map.
    pub output: Linear,
}

impl Predictor {
    fn new(width: usize, init: &mut Initializer<'_>) -> Self {
        let conv = Conv1dConfig { input: width, output: width, kernel: 5, stride: 1, bias: false };
        let layer = |init: &mut Initializer<'_>| PredictorConv {
            conv: Conv1d::kaiming(&conv, init),
            norm: BatchNorm::new(width, 1e-3, 0.01, init),
        };
        Self { convs: vec![layer(init), layer(init)], output: Linear::uniform(width, width, init) }
    }

    /// Evaluation, by running statistics.
    ///
    /// # Shapes
    /// `[B, T', P]` → `[B, T', P]`
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
        let x =
            self.convs.iter().fold(x, |x, layer| relu(layer.norm.forward(layer.conv.forward(x, lengths))));
        self.output.forward(x)
    }

    /// Training; the statistics are for [`Self::update`].
    ///
    /// # Shapes
    /// `[B, T', P]` → `[B, T', P]`
    pub fn forward_train(&self, x: Tensor<3>, lengths: &[usize]) -> (Tensor<3>, Vec<BatchStats>) {
        let mut all = Vec::with_capacity(self.convs.len());
        let x = self.convs.iter().fold(x, |x, layer| {
            let (y, stats) = layer.norm.forward_train(layer.conv.forward(x, lengths));
            all.push(stats);
            relu(y)
        });
        (self.output.forward(x), all)
    }

    /// Folds the statistics of one training pass into the running ones.
    #[must_use]
    pub fn update(mut self, stats: Vec<BatchStats>) -> Self {
        let layers = self.convs.into_iter().zip(stats);
        self.convs =
            layers.map(|(layer, stats)| PredictorConv { norm: layer.norm.update(stats), ..layer }).collect();
        self
    }
}

/// The trained network: trunk and predictor.
#[derive(Module, Debug)]
pub struct Student {
    /// Encoder and projector; the teacher is a moving average of this part.
    pub trunk: Trunk,
    /// Predictor; the teacher has none.
    pub predictor: Predictor,
}

impl Student {
    /// A student with initial values.
    pub fn new(config: &SpiralConfig, init: &mut Initializer<'_>) -> Self {
        Self { trunk: Trunk::new(config, init), predictor: Predictor::new(config.projection, init) }
    }
}
