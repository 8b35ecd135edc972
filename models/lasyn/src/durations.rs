//! Lengths of phones, predicted from their neighbours.

use crate::LasynError;
use crate::frames::Frame;
use crate::units::UNITS;
use auricle_nn::{Context, ConvModule, ConvModuleConfig, Initializer, Linear};
use auricle_rng::Stream;
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

/// Width of the convolutions.
const WIDTH: usize = 128;
/// Bounds of ln σ: a length is never certain, nor anything at all.
const LN_SIGMA: [f32; 2] = [-3.0, 1.0];
/// Longest unit, in frames.
const LONGEST: f64 = 64.0;

/// Log-normal lengths: two convolutions over units, three wide, give μ and ln σ of the logarithm of a unit's
/// frames. (FastSpeech, arXiv 1905.09263, predicts the mean alone; lengths without spread would tell text from speech.)
#[derive(Module, Debug)]
pub struct DurationPredictor {
    /// Embedding of units.
    pub units: Param<Tensor<2>>,
    /// First convolution.
    pub first: ConvModule,
    /// Second convolution.
    pub second: ConvModule,
    /// To μ and ln σ.
    pub output: Linear,
}

impl DurationPredictor {
    /// Initial values.
    pub fn new(dropout: f64, init: &mut Initializer<'_>) -> Self {
        let conv = ConvModuleConfig { channels: WIDTH, kernel: 3, stride: 1, activation: true };
        Self {
            units: init.normal([UNITS, WIDTH], 1.0),
            first: ConvModule::new(WIDTH, &conv, dropout, init),
            second: ConvModule::new(WIDTH, &conv, dropout, init),
            output: Linear::uniform(WIDTH, 2, init),
        }
    }

    /// # Shapes
    /// units per row → μ and ln σ, `[B, U]` each, padded
    fn forward(&self, rows: &[Vec<u32>], context: &mut Context) -> [Tensor<2>; 2] {
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let padded =
            |row: &Vec<u32>| (0..longest).map(|i| row.get(i).map_or(0, |&u| u as i32)).collect::<Vec<_>>();
        let ids: Vec<i32> = rows.iter().flat_map(padded).collect();
        let device = self.units.val().device();
        let ids: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, [rows.len() * longest]), &device);
        let x = self.units.val().select(0, ids).reshape([rows.len(), longest, WIDTH]);
        let (x, _) = self.first.forward(x, &lengths, context);
        let (x, _) = self.second.forward(x, &lengths, context);
        let both = self.output.forward(x);
        let [mean, ln_sigma] = [0, 1].map(|i| both.clone().narrow(2, i, 1).reshape([rows.len(), longest]));
        [mean, ln_sigma.clamp(LN_SIGMA[0], LN_SIGMA[1])]
    }

    /// The mean over units of `½((ln d − μ)/σ)² + ln σ`, d their frames; zero where there is no unit.
    pub fn loss(&self, rows: &[Vec<Frame>], context: &mut Context) -> Tensor<1> {
        let segments: Vec<Vec<Frame>> =
            rows.iter().map(|row| row.iter().filter(|frame| frame.place == 0).copied().collect()).collect();
        let units: Vec<Vec<u32>> =
            segments.iter().map(|row| row.iter().map(|frame| frame.unit).collect()).collect();
        let [mean, ln_sigma] = self.forward(&units, context);
        let [batch, longest] = mean.dims();
        let (mut logs, mut valid) = (vec![0f32; batch * longest], vec![0f32; batch * longest]);
        for (i, row) in segments.iter().enumerate() {
            for (j, frame) in row.iter().enumerate() {
                logs[i * longest + j] = (frame.length as f32).ln();
                valid[i * longest + j] = 1.0;
            }
        }
        let count = valid.iter().sum::<f32>().max(1.0);
        let device = mean.device();
        let tensor = |values| Tensor::<2>::from_data(TensorData::new(values, [batch, longest]), &device);
        let distance = (tensor(logs) - mean) / ln_sigma.clone().exp();
        ((distance.powf_scalar(2.0) * 0.5 + ln_sigma) * tensor(valid)).sum() / count
    }

    /// A length for each unit of a sentence.
    ///
    /// # Errors
    /// A device that fails.
    pub fn draw(&self, units: &[u32], stream: &mut Stream) -> Result<Vec<usize>, LasynError> {
        let read =
            |x: Tensor<2>| x.into_data().try_to_vec::<f32>().map_err(|e| LasynError::Model(format!("{e:?}")));
        let [mean, ln_sigma] = self.forward(&[units.to_vec()], &mut Context::eval());
        let lengths = read(mean)?.into_iter().zip(read(ln_sigma)?).take(units.len());
        Ok(lengths
            .map(|(mean, ln_sigma)| {
                let drawn = f64::from(mean) + f64::from(ln_sigma).exp() * stream.normal();
                drawn.exp().round().clamp(1.0, LONGEST) as usize
            })
            .collect())
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;
    use crate::frames::frames;
    use auricle_rng::{Key, Purpose};
    use auricle_train::{AdamW, AdamWConfig, GradientSet, Group};

    /// Unit 1 takes six frames before unit 2 and two elsewhere: only who sees the neighbour can know.
    #[test]
    fn lengths_depend_on_neighbours() {
        let device = auricle_tensor::device("cpu").unwrap().autodiff();
        let mut init = Key::new(1).stream(Purpose::Init);
        let mut model = DurationPredictor::new(0.0, &mut Initializer::new(&mut init, &device));
        let mut optimizer = AdamW::new(AdamWConfig::default());
        let mut stream = Key::new(2).stream(Purpose::Test);
        let sentence = |stream: &mut Stream| -> Vec<u32> { (0..9).map(|_| stream.below(4) as u32).collect() };
        let truth = |units: &[u32]| -> Vec<(u32, usize)> {
            let long = |i: usize| units[i] == 1 && units.get(i + 1) == Some(&2);
            (0..units.len()).map(|i| (units[i], if long(i) { 6 } else { 2 })).collect()
        };
        let group = |_: &str| Group { lr_scale: 1.0, weight_decay: 0.0, frozen: false };
        let mut losses = Vec::new();
        for _ in 0..150 {
            let rows: Vec<Vec<Frame>> = (0..16).map(|_| frames(truth(&sentence(&mut stream)))).collect();
            let loss = model.loss(&rows, &mut Context::eval());
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = GradientSet::collect(&model, &mut loss.backward());
            model = optimizer.step(model, gradients, 3e-3, &group);
        }
        assert!(losses[149] < losses[0] - 1.0, "{} {}", losses[0], losses[149]);
        let (mut right, mut all) = (0, 0);
        for seed in 0..40 {
            let units = sentence(&mut stream);
            let drawn = model.valid().draw(&units, &mut Key::new(seed).stream(Purpose::Test)).unwrap();
            for ((_, truth), drawn) in truth(&units).into_iter().zip(drawn) {
                all += 1;
                right += usize::from(truth.abs_diff(drawn) <= 1);
            }
        }
        assert!(right * 10 >= all * 9, "{right} of {all}");
        assert_eq!(model.loss(&[Vec::new()], &mut Context::eval()).into_scalar::<f32>(), 0.0);
    }
}
