//! One frame of CTC prefix beam search (arXiv 1408.2873), which all searches over frames share.

use crate::ctc::log_add;
use std::collections::HashMap;

/// Probabilities of a prefix: of all alignments of the frames so far that read it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PrefixScore {
    /// ln p of those that end in a blank.
    pub blank: f64,
    /// ln p of those that end in the last token.
    pub token: f64,
}

impl PrefixScore {
    /// The empty prefix before the first frame.
    pub const START: Self = Self { blank: 0.0, token: f64::NEG_INFINITY };
    const NONE: Self = Self { blank: f64::NEG_INFINITY, token: f64::NEG_INFINITY };

    /// ln p of all.
    pub fn total(self) -> f64 {
        log_add(self.blank, self.token)
    }
}

/// A prefix in the beam, with what its search keeps of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry<H> {
    pub tokens: Vec<u32>,
    pub score: PrefixScore,
    pub hypothesis: H,
}

impl<H> Entry<H> {
    /// The empty prefix.
    pub fn start(hypothesis: H) -> Self {
        Self { tokens: Vec::new(), score: PrefixScore::START, hypothesis }
    }
}

/// All prefixes after a frame with log-probabilities `row` of the classes: those of `beam`, and those with one of the
/// tokens `open` more, as `grow` makes them of the entry and the token (`None`: not allowed). In no order.
///
/// A prefix that another grows into keeps its own hypothesis; the probabilities are added.
pub(crate) fn advance<H: Clone>(
    beam: &[Entry<H>],
    row: &[f32],
    blank: u32,
    open: &[u32],
    mut grow: impl FnMut(&Entry<H>, u32) -> Option<H>,
) -> Vec<Entry<H>> {
    let at = |id: u32| f64::from(row[id as usize]);
    let mut next: HashMap<Vec<u32>, (PrefixScore, H)> = HashMap::with_capacity(beam.len() * (open.len() + 1));
    for entry in beam {
        let token = entry.tokens.last().map_or(f64::NEG_INFINITY, |&last| entry.score.token + at(last));
        let score = PrefixScore { blank: entry.score.total() + at(blank), token };
        next.insert(entry.tokens.clone(), (score, entry.hypothesis.clone()));
    }
    for entry in beam {
        for &id in open {
            // A repeated token without a blank between is the same token.
            let is_repeated = entry.tokens.last() == Some(&id);
            let from = if is_repeated { entry.score.blank } else { entry.score.total() };
            if from == f64::NEG_INFINITY {
                continue;
            }
            let Some(hypothesis) = grow(entry, id) else { continue };
            let mut tokens = Vec::with_capacity(entry.tokens.len() + 1);
            tokens.extend_from_slice(&entry.tokens);
            tokens.push(id);
            let (score, _) = next.entry(tokens).or_insert((PrefixScore::NONE, hypothesis));
            score.token = log_add(score.token, from + at(id));
        }
    }
    next.into_iter().map(|(tokens, (score, hypothesis))| Entry { tokens, score, hypothesis }).collect()
}

/// Keeps the `beam` entries with the best scores, best first; of equal ones those with the smaller tokens. What has
/// no probability goes.
pub(crate) fn prune<H>(
    entries: Vec<Entry<H>>,
    beam: usize,
    score: impl Fn(&Entry<H>) -> f64,
) -> Vec<Entry<H>> {
    let scored = entries.into_iter().map(|entry| (score(&entry), entry));
    let mut kept: Vec<(f64, Entry<H>)> = scored.filter(|(score, _)| *score > f64::NEG_INFINITY).collect();
    kept.sort_by(|(a, of_a), (b, of_b)| b.total_cmp(a).then_with(|| of_a.tokens.cmp(&of_b.tokens)));
    kept.truncate(beam.max(1));
    kept.into_iter().map(|(_, entry)| entry).collect()
}

/// Tokens but for the blank that are more probable than `least` (ln).
pub(crate) fn open_tokens(row: &[f32], blank: u32, least: f32) -> Vec<u32> {
    (0..row.len() as u32).filter(|&id| id != blank && row[id as usize] > least).collect()
}
