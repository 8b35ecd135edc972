//! Losses: the tables that the host makes for the device.

use super::{first, rows, softmax};
use crate::cpu::ctc::is_possible;
use crate::npu::kernels::contrastive::Contrastive;
use crate::npu::kernels::ctc::{Ctc, LANES, LOG_ZERO};
use crate::npu::runtime::OpDesc;
use crate::npu::session::Session;

/// What [`contrastive`] gives.
pub struct ContrastiveResult {
    /// Mean loss.
    pub loss: f32,
    /// Positions whose positive scores highest.
    pub correct: usize,
    /// Gradient of the mean loss with respect to the predictions.
    pub grad: Vec<f32>,
}

/// The contrastive loss of `[N, D]` predictions with `negatives.len() / N` negatives each.
pub fn contrastive(
    s: &Session,
    pred: &[f32],
    target: &[f32],
    [positions, width]: [usize; 2],
    negatives: &[u32],
    temperature: f32,
) -> Option<ContrastiveResult> {
    if positions * width == 0 {
        return None;
    }
    // How often a position is a negative of each other; negatives that equal the positive do not count.
    let mut table = vec![0.0; positions * positions];
    let mut is_left_out = vec![false; positions];
    let row = |i: usize| &target[i * width..][..width];
    let count = negatives.len() / positions;
    for (i, table) in table.chunks_exact_mut(positions).enumerate() {
        for &j in &negatives[i * count..][..count] {
            let j = j as usize;
            if j == i || row(j) == row(i) {
                is_left_out[i] = true;
            } else {
                table[j] += 1.0;
            }
        }
    }
    let op = OpDesc::Contrastive(Contrastive { positions, width, temperature, elem: s.elem() });
    let outputs = s.run(&op, &[pred, target, &table])?;
    let [losses, own, highest, lowest, grad] = outputs.try_into().ok()?;
    let is_correct = |&i: &usize| highest[i] <= own[i] && (lowest[i] < own[i] || is_left_out[i]);
    let correct = (0..positions).filter(is_correct).count();
    let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / positions as f64;
    Some(ContrastiveResult { loss: loss as f32, correct, grad })
}

/// A batch of utterances for CTC.
pub struct Batch<'a> {
    /// `[B, T', V]`
    pub logits: &'a [f32],
    /// `T'`
    pub frames: usize,
    /// `V`
    pub vocabulary: usize,
    /// Tokens of each utterance.
    pub targets: &'a [Vec<u32>],
    /// Frames of each utterance.
    pub input_lens: &'a [usize],
    /// The blank.
    pub blank: u32,
}

impl Batch<'_> {
    fn len(&self, b: usize) -> usize {
        self.input_lens[b].min(self.frames)
    }

    /// Whether an utterance has frames, and its tokens fit into them.
    fn is_live(&self, b: usize) -> bool {
        self.len(b) > 0 && is_possible(&self.targets[b], self.len(b))
    }

    fn token(&self, b: usize, state: usize) -> usize {
        (if state % 2 == 1 { self.targets[b][state / 2] } else { self.blank }) as usize
    }

    fn states(&self, b: usize) -> usize {
        2 * self.targets[b].len() + 1
    }

    /// The recursion over the utterances that are `live`.
    fn recursion(&self, live: &[usize]) -> Ctc {
        let frames = live.iter().map(|&b| self.len(b)).max().unwrap_or(0);
        let states = live.iter().map(|&b| self.states(b)).max().unwrap_or(1);
        Ctc { groups: live.len().div_ceil(LANES), frames, states }
    }

    /// Frames that belong to an utterance; what others hold must not matter.
    fn clean(&self) -> Vec<f32> {
        let mut clean = self.logits.to_vec();
        let row = self.frames * self.vocabulary;
        for (b, logits) in clean.chunks_exact_mut(row).enumerate() {
            logits[self.len(b) * self.vocabulary..].fill(0.0);
        }
        clean
    }
}

/// The tensors of [`Ctc`], and where the elements of an utterance lie in them.
struct Tables {
    op: Ctc,
    emitted: Vec<f32>,
    skip: Vec<f32>,
    entry: Vec<f32>,
    finish: Vec<f32>,
}

impl Tables {
    fn new(op: Ctc, batch: &Batch<'_>, live: &[usize], log_probs: &[f32]) -> Self {
        let Ctc { frames, states, .. } = op;
        let mut tables = Self {
            op,
            emitted: vec![0.0; op.emitted_len()],
            skip: vec![LOG_ZERO; op.table_len()],
            entry: vec![LOG_ZERO; op.entry_len()],
            finish: vec![LOG_ZERO; op.table_len()],
        };
        for (lane, &b) in live.iter().enumerate() {
            let first = frames - batch.len(b);
            let own = batch.states(b);
            for t in first..frames {
                let row = &log_probs[(b * batch.frames + t - first) * batch.vocabulary..][..batch.vocabulary];
                for state in 0..states {
                    let at = tables.at(lane, t, state);
                    tables.emitted[at] =
                        if state < own { row[batch.token(b, state)].clamp(LOG_ZERO, 0.0) } else { LOG_ZERO };
                }
            }
            let may_skip = |s: usize| s % 2 == 1 && (s == 1 || batch.token(b, s) != batch.token(b, s - 2));
            for state in (0..own).filter(|&state| may_skip(state)) {
                let at = tables.in_table(lane, state);
                tables.skip[at] = 0.0;
            }
            for state in own.saturating_sub(2)..own {
                let at = tables.in_table(lane, state);
                tables.finish[at] = 0.0;
            }
            tables.entry[(lane / LANES * frames + first) * LANES + lane % LANES] = 0.0;
        }
        tables
    }

    fn at(&self, lane: usize, frame: usize, state: usize) -> usize {
        ((lane / LANES * self.op.frames + frame) * self.op.states + state) * LANES + lane % LANES
    }

    fn in_table(&self, lane: usize, state: usize) -> usize {
        (lane / LANES * self.op.states + state) * LANES + lane % LANES
    }
}

/// CTC losses `[B]`, and the gradient of their sum, `[B, T', V]`.
pub fn ctc(s: &Session, batch: &Batch<'_>) -> Option<[Vec<f32>; 2]> {
    let (count, vocabulary) = (batch.targets.len(), batch.vocabulary);
    let live: Vec<usize> = (0..count).filter(|&b| batch.is_live(b)).collect();
    if live.is_empty() {
        return None;
    }
    let recursion = batch.recursion(&live);
    let difference = OpDesc::SoftmaxMinus(rows(count * batch.frames, vocabulary));
    let Some(log_probs) = softmax(s, &batch.clean(), vocabulary, true) else {
        s.expect(&[OpDesc::Ctc(recursion), difference]);
        return None;
    };
    let tables = Tables::new(recursion, batch, &live, &log_probs);
    let inputs = [&tables.emitted[..], &tables.skip, &tables.entry, &tables.finish];
    let [scores, occupied] = s.run(&OpDesc::Ctc(tables.op), &inputs)?.try_into().ok()?;

    let mut losses = vec![0.0; count];
    let mut occupancy = vec![0.0; batch.logits.len()];
    let mut scales = vec![0.0; count * batch.frames];
    for (lane, &b) in live.iter().enumerate() {
        // A chain of zero probabilities is as impossible as one that is too long.
        if scores[lane] < LOG_ZERO / 1e5 {
            continue;
        }
        losses[b] = -scores[lane];
        for t in 0..batch.len(b) {
            let row = b * batch.frames + t;
            scales[row] = 1.0;
            let frame = tables.op.frames - batch.len(b) + t;
            for state in 0..batch.states(b) {
                occupancy[row * vocabulary + batch.token(b, state)] +=
                    occupied[tables.at(lane, frame, state)];
            }
        }
    }
    let grad = first(s.run(&difference, &[&log_probs, &occupancy, &scales]))?;
    Some([losses, grad])
}
