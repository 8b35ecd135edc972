//! A bank of real latents, cut into phones: what the fixed projections draw from.

use crate::LasynError;
use crate::align::{Gaussians, Paired, Segment};
use crate::units::{SILENCE, UNITS};
use auricle_nn::params::NamedTensors;
use auricle_nn::weights::{Metadata, Precision, from_bytes, to_bytes};
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

/// Longest silence that is remembered, in frames.
const LONGEST: usize = 64;
/// Largest number that a half-precision tensor holds exactly.
const EXACT: usize = 2048;

/// A phone (or silence) of real speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// Phone or silence.
    pub unit: u32,
    /// Number of the speaker.
    pub speaker: u32,
    /// First row of the bank's latents.
    pub start: usize,
    /// Row after the last.
    pub end: usize,
    /// Whether it begins an utterance: what stands before it in the bank was not said before it.
    pub first: bool,
}

/// What the latents belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankInfo {
    /// Transformer layers of the base model below the latents.
    pub split: usize,
    /// D.
    pub width: usize,
    /// Seconds per latent frame.
    pub frame_secs: f64,
    /// A hash of the base model's lower weights: latents of one model mean nothing to another.
    pub base: String,
    /// Probability of a pause between two words.
    pub pause: f64,
    /// Utterances that the statistics were made of, and their seconds.
    pub utterances: usize,
    /// See `utterances`.
    pub secs: f64,
}

/// Statistics and exemplars of real latents.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank {
    /// What they belong to.
    pub info: BankInfo,
    /// Mean and variance per unit.
    pub gaussians: Gaussians,
    /// How often a unit took so many frames, `[UNITS, LONGEST]`; entry 0 is one frame.
    pub durations: Vec<Vec<f64>>,
    /// Phones of real utterances, in the order they were said.
    pub exemplars: Vec<Exemplar>,
    /// Their latents, `[N, D]`.
    pub latents: Vec<f32>,
}

impl Bank {
    /// A bank of aligned utterances; exemplars are kept from whole utterances up to `max_secs`, speaker after
    /// speaker, so that none is missing.
    pub fn new(
        mut info: BankInfo,
        gaussians: Gaussians,
        utterances: &[Paired],
        paths: &[Vec<Segment>],
        max_secs: f64,
    ) -> Self {
        let mut durations = vec![vec![0.0; LONGEST]; UNITS];
        let (mut pauses, mut gaps) = (0usize, 0usize);
        for (utterance, path) in utterances.iter().zip(paths) {
            for segment in path {
                let frames = (segment.end - segment.start).clamp(1, LONGEST);
                durations[segment.unit as usize][frames - 1] += 1.0;
            }
            if !path.is_empty() {
                gaps += utterance.words.len().saturating_sub(1);
                let inner = path.len().saturating_sub(2);
                pauses += path.iter().skip(1).take(inner).filter(|s| s.unit == SILENCE).count();
            }
        }
        info.pause = pauses as f64 / gaps.max(1) as f64;
        let aligned = utterances.iter().zip(paths).filter(|(_, path)| !path.is_empty());
        info.utterances = aligned.clone().count();
        let rows = |u: &Paired| u.latents.len() / info.width;
        info.secs = aligned.map(|(u, _)| rows(u) as f64 * info.frame_secs).sum();

        let mut bank = Self { info, gaussians, durations, exemplars: Vec::new(), latents: Vec::new() };
        for i in round_robin(utterances) {
            let (utterance, path) = (&utterances[i], &paths[i]);
            let secs = (bank.latents.len() + utterance.latents.len()) as f64 / bank.info.width as f64
                * bank.info.frame_secs;
            if path.is_empty() || path.iter().any(|s| s.end - s.start >= EXACT) || secs > max_secs {
                continue;
            }
            let base = bank.latents.len() / bank.info.width;
            bank.latents.extend_from_slice(&utterance.latents);
            bank.exemplars.extend(path.iter().enumerate().map(|(i, segment)| Exemplar {
                unit: segment.unit,
                speaker: utterance.speaker % EXACT as u32,
                start: base + segment.start,
                end: base + segment.end,
                first: i == 0,
            }));
        }
        bank
    }

    /// The rows of an exemplar.
    pub fn rows(&self, exemplar: &Exemplar) -> &[f32] {
        &self.latents[exemplar.start * self.info.width..exemplar.end * self.info.width]
    }

    /// The bank as a safetensors file in half precision.
    ///
    /// # Errors
    /// Numbers that cannot be written.
    pub fn to_bytes(&self, metadata: &Metadata) -> Result<Vec<u8>, LasynError> {
        let width = self.info.width;
        let matrix = |values: Vec<f32>, columns: usize| {
            let rows = values.len() / columns;
            TensorData::new(values, [rows, columns])
        };
        let std: Vec<f32> = self.gaussians.variance.iter().map(|v| v.sqrt()).collect();
        let share = |row: &Vec<f64>| {
            let total = row.iter().sum::<f64>().max(1e-9);
            row.iter().map(move |n| (n / total) as f32).collect::<Vec<_>>()
        };
        let list = |exemplar: &Exemplar| {
            let Exemplar { unit, speaker, start, end, first } = *exemplar;
            [unit as f32, speaker as f32, (end - start) as f32, f32::from(u8::from(first))]
        };
        let tensors = NamedTensors::from([
            ("mean".to_string(), matrix(self.gaussians.mean.clone(), width)),
            ("std".to_string(), matrix(std, width)),
            ("durations".to_string(), matrix(self.durations.iter().flat_map(share).collect(), LONGEST)),
            ("exemplars".to_string(), matrix(self.exemplars.iter().flat_map(list).collect(), 4)),
            ("latents".to_string(), matrix(self.latents.clone(), width)),
        ]);
        let mut metadata = metadata.clone();
        metadata.insert("format".into(), "auricle-model-1".into());
        metadata.insert("kind".into(), "lasyn_bank".into());
        let info = serde_json::to_string(&self.info).map_err(|e| LasynError::Bank(e.to_string()))?;
        metadata.insert("config".into(), info);
        to_bytes(&tensors, &metadata, Precision::F16).map_err(|e| LasynError::Bank(e.to_string()))
    }

    /// Reads what [`Bank::to_bytes`] wrote.
    ///
    /// # Errors
    /// A file that is no bank, or a damaged one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LasynError> {
        let bad = |what: &str| LasynError::Bank(what.to_string());
        let (mut tensors, metadata) = from_bytes(bytes).map_err(|e| LasynError::Bank(e.to_string()))?;
        if metadata.get("kind").map(String::as_str) != Some("lasyn_bank") {
            return Err(bad("it is not a bank of latents; make one with `auricle lasyn fit`"));
        }
        let info: BankInfo = metadata
            .get("config")
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| bad("its description is damaged"))?;
        let timed = info.frame_secs > 0.0 && info.frame_secs < 10.0;
        if !timed || !(1..=1 << 15).contains(&info.width) {
            return Err(bad("its width or frame length is out of range"));
        }
        let mut take = |name: &str, columns: usize| -> Result<Vec<f32>, LasynError> {
            let data = tensors.remove(name).ok_or_else(|| bad(&format!("it has no tensor `{name}`")))?;
            let values = data.try_to_vec::<f32>().map_err(|_| bad(&format!("tensor `{name}` is no f32")))?;
            let fits = values.len().is_multiple_of(columns) && values.iter().all(|x| x.is_finite());
            fits.then_some(values).ok_or_else(|| bad(&format!("tensor `{name}` has a wrong shape or value")))
        };
        let mean = take("mean", info.width)?;
        let variance: Vec<f32> =
            take("std", info.width)?.into_iter().map(|std| (std * std).max(1e-8)).collect();
        let durations: Vec<Vec<f64>> = take("durations", LONGEST)?
            .chunks_exact(LONGEST)
            .map(|row| row.iter().map(|&x| f64::from(x.max(0.0))).collect())
            .collect();
        if mean.len() != UNITS * info.width || variance.len() != mean.len() || durations.len() != UNITS {
            return Err(bad("it was made for other phones"));
        }
        let latents = take("latents", info.width)?;
        let mut exemplars = Vec::new();
        let mut start = 0usize;
        for row in take("exemplars", 4)?.chunks_exact(4) {
            let [unit, speaker, frames] = [row[0], row[1], row[2]].map(|x| x as usize);
            if unit >= UNITS || !(1..EXACT).contains(&frames) {
                return Err(bad("an exemplar is none of the phones, or of no possible length"));
            }
            let end = start + frames;
            let (unit, speaker) = (unit as u32, speaker as u32);
            exemplars.push(Exemplar { unit, speaker, start, end, first: row[3] > 0.5 });
            start = end;
        }
        if start * info.width != latents.len() {
            return Err(bad("its exemplars do not fill its latents"));
        }
        let gaussians = Gaussians { width: info.width, mean, variance, count: vec![0.0; UNITS] };
        Ok(Self { info, gaussians, durations, exemplars, latents })
    }
}

/// Indices of utterances, one of each speaker in turn.
fn round_robin(utterances: &[Paired]) -> Vec<usize> {
    let mut turn: std::collections::HashMap<u32, usize> = std::collections::HashMap::new();
    let mut order: Vec<(usize, u32, usize)> = Vec::with_capacity(utterances.len());
    for (i, utterance) in utterances.iter().enumerate() {
        let turn = turn.entry(utterance.speaker).or_default();
        order.push((*turn, utterance.speaker, i));
        *turn += 1;
    }
    order.sort_unstable();
    order.into_iter().map(|(_, _, i)| i).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::align::train;
    use auricle_rng::{Key, Purpose};

    /// A bank of two speakers over the first ten phones; the latent of a phone is near its number.
    pub(crate) fn bank() -> Bank {
        let width = 4;
        let mut stream = Key::new(1).stream(Purpose::Test);
        let mut utterances = Vec::new();
        for i in 0..40u32 {
            let words: Vec<Vec<u32>> =
                (0..3).map(|_| (0..3).map(|_| stream.below(10) as u32).collect()).collect();
            let mut latents = Vec::new();
            let mut put = |value: f64, frames: usize, stream: &mut auricle_rng::Stream| {
                for _ in 0..frames * width {
                    latents.push((value + 0.1 * stream.normal()) as f32);
                }
            };
            put(-5.0, 2, &mut stream);
            for word in &words {
                for &phone in word {
                    let frames = 1 + stream.below(3);
                    put(f64::from(phone), frames, &mut stream);
                }
            }
            put(-5.0, 2, &mut stream);
            utterances.push(Paired { id: i.to_string(), speaker: i % 2, latents, words });
        }
        let (gaussians, paths) = train(width, &utterances, 8);
        let info = BankInfo {
            split: 2,
            width,
            frame_secs: 0.04,
            base: "0".into(),
            pause: 0.0,
            utterances: 0,
            secs: 0.0,
        };
        Bank::new(info, gaussians, &utterances, &paths, 1e9)
    }

    #[test]
    fn a_bank_comes_back_from_its_file() {
        let bank = bank();
        let again = Bank::from_bytes(&bank.to_bytes(&Metadata::new()).unwrap()).unwrap();
        assert_eq!((again.info.clone(), &again.exemplars), (bank.info.clone(), &bank.exemplars));
        for (a, b) in again.latents.iter().zip(&bank.latents) {
            assert!((a - b).abs() <= 1e-3 * b.abs().max(1.0), "{a} {b}");
        }
        assert_eq!(bank.info.utterances, 40);
        assert!(bank.exemplars.iter().any(|e| e.speaker == 1));
        // Unfinished or foreign bytes are said to be so.
        let bytes = bank.to_bytes(&Metadata::new()).unwrap();
        assert!(Bank::from_bytes(&bytes[..bytes.len() / 2]).is_err());
        let other = to_bytes(&NamedTensors::new(), &Metadata::new(), Precision::F32).unwrap();
        assert!(Bank::from_bytes(&other).unwrap_err().to_string().contains("auricle lasyn fit"));
    }
}
