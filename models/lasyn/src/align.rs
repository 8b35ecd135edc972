//! Where the phones of a transcript stand in the latents of its speech.
//!
//! A hidden Markov model with one state per phone and one for silence, one Gaussian with a diagonal
//! covariance per state, trained from a flat start: the latents of an utterance are first cut into equal
//! parts, then Gaussians and best paths take turns. Silence may stand at both ends and between words.
//! Nothing is trained by gradients, and nothing but the transcript is needed.

use crate::units::{SILENCE, UNITS};

/// Latents of an utterance with its words.
#[derive(Debug, Clone)]
pub struct Paired {
    /// Utterance id.
    pub id: String,
    /// Who speaks: the same number, the same voice.
    pub speaker: u32,
    /// `[T, D]`.
    pub latents: Vec<f32>,
    /// The words as phones.
    pub words: Vec<Vec<u32>>,
}

/// A stretch of frames that is one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Phone or silence.
    pub unit: u32,
    /// First frame.
    pub start: usize,
    /// Frame after the last.
    pub end: usize,
}

/// Gaussians of all units.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussians {
    /// D.
    pub width: usize,
    /// `[UNITS, D]`.
    pub mean: Vec<f32>,
    /// `[UNITS, D]`.
    pub variance: Vec<f32>,
    /// Frames that each is made of.
    pub count: Vec<f64>,
}

/// Least variance, as a share of the variance of all frames.
const FLOOR: f64 = 0.05;
/// Frames of the flat start that count as silence at both ends.
const ENDS: usize = 2;

impl Gaussians {
    /// Of all frames, with the unit of each.
    fn estimate(width: usize, utterances: &[Paired], paths: &[Vec<Segment>]) -> Self {
        let mut count = vec![0f64; UNITS];
        let (mut sum, mut square) = (vec![0f64; UNITS * width], vec![0f64; UNITS * width]);
        for (utterance, path) in utterances.iter().zip(paths) {
            for segment in path {
                let unit = segment.unit as usize;
                let frames = &utterance.latents[segment.start * width..segment.end * width];
                count[unit] += (segment.end - segment.start) as f64;
                for frame in frames.chunks_exact(width) {
                    for (i, &x) in frame.iter().enumerate() {
                        sum[unit * width + i] += f64::from(x);
                        square[unit * width + i] += f64::from(x) * f64::from(x);
                    }
                }
            }
        }
        let total = count.iter().sum::<f64>().max(1.0);
        let column = |values: &[f64], i: usize| values.iter().skip(i).step_by(width).sum::<f64>() / total;
        let overall: Vec<(f64, f64)> = (0..width)
            .map(|i| {
                let mean = column(&sum, i);
                (mean, (column(&square, i) - mean * mean).max(1e-8))
            })
            .collect();
        let (mut mean, mut variance) = (vec![0f32; UNITS * width], vec![0f32; UNITS * width]);
        for (unit, &frames) in count.iter().enumerate() {
            for (i, &(all_mean, all_variance)) in overall.iter().enumerate() {
                let at = unit * width + i;
                // A few frames of the average keep rare units from being anything at all.
                let n = frames + 5.0;
                let m = (sum[at] + 5.0 * all_mean) / n;
                let v = (square[at] + 5.0 * (all_variance + all_mean * all_mean)) / n - m * m;
                mean[at] = m as f32;
                variance[at] = v.max(FLOOR * all_variance) as f32;
            }
        }
        Self { width, mean, variance, count }
    }

    /// Log-densities of the frames, `[T, UNITS]`, up to a constant.
    fn scores(&self, latents: &[f32]) -> Vec<f32> {
        let width = self.width;
        let inverse: Vec<f32> = self.variance.iter().map(|v| 0.5 / v).collect();
        let offset: Vec<f32> = self
            .variance
            .chunks_exact(width)
            .map(|row| -0.5 * row.iter().map(|v| f64::from(*v).ln()).sum::<f64>() as f32)
            .collect();
        let mut scores = Vec::with_capacity(latents.len() / width * UNITS);
        for frame in latents.chunks_exact(width) {
            for (unit, offset) in offset.iter().enumerate() {
                let rows = unit * width..(unit + 1) * width;
                let distance: f32 = frame
                    .iter()
                    .zip(&self.mean[rows.clone()])
                    .zip(&inverse[rows])
                    .map(|((x, m), i)| (x - m) * (x - m) * i)
                    .sum();
                scores.push(offset - distance);
            }
        }
        scores
    }
}

/// States of an utterance in order; silence can be left out, phones can't.
fn states(words: &[Vec<u32>]) -> Vec<u32> {
    let mut states = vec![SILENCE];
    for word in words.iter().filter(|word| !word.is_empty()) {
        states.extend_from_slice(word);
        states.push(SILENCE);
    }
    states
}

/// The best path of the frames through the words; `None` where there are fewer frames than phones.
pub fn align(gaussians: &Gaussians, latents: &[f32], words: &[Vec<u32>]) -> Option<Vec<Segment>> {
    let states = states(words);
    let frames = latents.len() / gaussians.width;
    let phones = states.iter().filter(|&&state| state != SILENCE).count();
    if phones == 0 || frames < phones {
        return None;
    }
    let scores = gaussians.scores(latents);
    let count = states.len();
    let mut best = vec![f32::NEG_INFINITY; count];
    let mut from = vec![0u8; frames * count];
    for (t, row) in scores.chunks_exact(UNITS).enumerate() {
        for s in (0..count).rev() {
            let mut choice = (best[s], 0u8);
            if t == 0 {
                // The first frame is silence or the first phone.
                choice = (if s <= 1 { 0.0 } else { f32::NEG_INFINITY }, 0);
            } else {
                if s >= 1 && best[s - 1] > choice.0 {
                    choice = (best[s - 1], 1);
                }
                if s >= 2 && states[s - 1] == SILENCE && best[s - 2] > choice.0 {
                    choice = (best[s - 2], 2);
                }
            }
            from[t * count + s] = choice.1;
            best[s] = choice.0 + row[states[s] as usize];
        }
    }
    let mut s = if best[count - 1] >= best[count - 2] { count - 1 } else { count - 2 };
    if !best[s].is_finite() {
        return None;
    }
    let mut path = Vec::new();
    let mut end = frames;
    for t in (0..frames).rev() {
        let step = usize::from(from[t * count + s]);
        if step > 0 || t == 0 {
            path.push(Segment { unit: states[s], start: t, end });
            end = t;
        }
        s -= step;
    }
    path.reverse();
    Some(path)
}

/// Equal parts for all phones, silence at the ends.
fn flat(frames: usize, words: &[Vec<u32>]) -> Option<Vec<Segment>> {
    let phones: Vec<u32> = words.iter().flatten().copied().collect();
    if phones.is_empty() || frames < phones.len() {
        return None;
    }
    let ends = if frames >= phones.len() + 2 * ENDS { ENDS } else { 0 };
    let (start, spoken) = (ends, frames - 2 * ends);
    let mut path = Vec::with_capacity(phones.len() + 2);
    if ends > 0 {
        path.push(Segment { unit: SILENCE, start: 0, end: ends });
    }
    for (i, &unit) in phones.iter().enumerate() {
        let at = |i: usize| start + i * spoken / phones.len();
        path.push(Segment { unit, start: at(i), end: at(i + 1) });
    }
    if ends > 0 {
        path.push(Segment { unit: SILENCE, start: frames - ends, end: frames });
    }
    Some(path)
}

/// Gaussians and paths of a corpus, from a flat start; utterances with fewer frames than phones have no path.
pub fn train(width: usize, utterances: &[Paired], rounds: usize) -> (Gaussians, Vec<Vec<Segment>>) {
    let mut paths: Vec<Vec<Segment>> =
        utterances.iter().map(|u| flat(u.latents.len() / width, &u.words).unwrap_or_default()).collect();
    let mut gaussians = Gaussians::estimate(width, utterances, &paths);
    for _ in 0..rounds {
        paths =
            utterances.iter().map(|u| align(&gaussians, &u.latents, &u.words).unwrap_or_default()).collect();
        gaussians = Gaussians::estimate(width, utterances, &paths);
    }
    (gaussians, paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    const WIDTH: usize = 6;

    /// Latents whose units are known: a mean per unit with noise.
    fn made(seed: u64, words: &[Vec<u32>], pause_after: Option<usize>) -> (Vec<f32>, Vec<Segment>) {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        let mut latents = Vec::new();
        let mut truth: Vec<Segment> = Vec::new();
        let mut put = |unit: u32, frames: usize| {
            let start = latents.len() / WIDTH;
            for _ in 0..frames {
                for i in 0..WIDTH {
                    let mean = Key::new(u64::from(unit) * 97 + i as u64).stream(Purpose::Test).normal();
                    latents.push((3.0 * mean + 0.5 * stream.normal()) as f32);
                }
            }
            truth.push(Segment { unit, start, end: start + frames });
        };
        let mut lengths = Key::new(seed + 1).stream(Purpose::Test);
        put(SILENCE, 3);
        for (i, word) in words.iter().enumerate() {
            for &phone in word {
                put(phone, 1 + lengths.below(4));
            }
            if pause_after == Some(i) {
                put(SILENCE, 4);
            }
        }
        put(SILENCE, 2);
        (latents, truth)
    }

    #[test]
    fn a_flat_start_finds_the_phones() {
        let mut draws = Key::new(5).stream(Purpose::Test);
        let mut utterances = Vec::new();
        let mut truths = Vec::new();
        for seed in 0..120 {
            let words: Vec<Vec<u32>> = (0..3)
                .map(|_| (0..2 + draws.below(3)).map(|_| draws.below(12) as u32 * 3).collect())
                .collect();
            let (latents, truth) = made(seed, &words, draws.chance(0.5).then(|| draws.below(2)));
            utterances.push(Paired { id: seed.to_string(), speaker: 0, latents, words });
            truths.push(truth);
        }
        let (gaussians, paths) = train(WIDTH, &utterances, 12);
        let (mut right, mut all) = (0, 0);
        for (path, truth) in paths.iter().zip(&truths) {
            // A path is whole: every frame once, every phone in order.
            assert_eq!(path.first().map(|s| s.start), Some(0));
            assert!(path.windows(2).all(|pair| pair[0].end == pair[1].start));
            let unit_at = |path: &[Segment], t: usize| {
                path.iter().find(|s| (s.start..s.end).contains(&t)).map(|s| s.unit)
            };
            let frames = truth.last().unwrap().end;
            right += (0..frames).filter(|&t| unit_at(path, t) == unit_at(truth, t)).count();
            all += frames;
        }
        let share = f64::from(right as u32) / all as f64;
        assert!(share > 0.9, "{share}");
        assert!(gaussians.count[SILENCE as usize] > 400.0);
    }

    #[test]
    fn too_few_frames_have_no_path() {
        let words = vec![vec![1, 2, 3]];
        let (gaussians, _) = train(WIDTH, &[], 1);
        assert_eq!(align(&gaussians, &[0.0; 2 * WIDTH], &words), None);
        assert_eq!(align(&gaussians, &[0.0; 9 * WIDTH], &[]), None);
        let path = align(&gaussians, &[0.0; 3 * WIDTH], &words).unwrap();
        assert_eq!(path.iter().map(|s| s.unit).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
