//! Beam search for the best pronunciations.

use super::graphone::Graphone;
use super::ngram::END;
use super::{Candidate, G2p, LETTERS};
use crate::phones::Phone;
use std::collections::BTreeMap;

/// Unfinished readings kept at each letter, more if many pronunciations are asked for.
const BEAM: usize = 48;
/// Readings this many nats below the best at their letter are dropped.
const BEAM_NATS: f32 = 12.0;
/// The most pronunciations that are given.
const MAX_CANDIDATES: usize = 64;

/// Graphones by their letters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    single: Vec<Vec<u16>>,
    pair: Vec<Vec<u16>>,
}

impl Index {
    pub fn new(graphones: &[Graphone]) -> Self {
        let mut index = Self { single: vec![vec![]; LETTERS], pair: vec![vec![]; LETTERS * LETTERS] };
        for (i, graphone) in graphones.iter().enumerate() {
            match graphone.letters.as_slice() {
                [l] => index.single[usize::from(*l)].push(i as u16),
                [l, m, ..] => index.pair[usize::from(*l) * LETTERS + usize::from(*m)].push(i as u16),
                [] => {}
            }
        }
        index
    }
}

/// A reading of the first letters of a word.
#[derive(Clone, Copy)]
struct Reading {
    log: f32,
    context: usize,
    /// Its last graphone, in the list of steps.
    step: u32,
}

/// The first entry of the list of steps: none.
const NO_STEP: (u32, u16) = (0, 0);

impl G2p {
    pub(super) fn search(&self, letters: &[u8], n: usize) -> Vec<Candidate> {
        let n = n.min(MAX_CANDIDATES);
        let beam = BEAM.max(4 * n);
        let mut steps = vec![NO_STEP];
        let mut readings: Vec<Vec<Reading>> = vec![vec![]; letters.len() + 1];
        readings[0].push(Reading { log: 0.0, context: self.ngrams.begin(), step: 0 });
        for at in 0..letters.len() {
            let here = best(std::mem::take(&mut readings[at]), beam);
            let first = usize::from(letters[at]);
            let pair = letters.get(at + 1).map(|next| &self.index.pair[first * LETTERS + usize::from(*next)]);
            for reading in here {
                for symbol in self.index.single[first].iter().chain(pair.into_iter().flatten()) {
                    let (log, context) = self.ngrams.next(reading.context, *symbol);
                    let to = at + self.graphones[usize::from(*symbol)].letters.len();
                    steps.push((reading.step, *symbol));
                    let step = (steps.len() - 1) as u32;
                    readings[to].push(Reading { log: reading.log + log, context, step });
                }
            }
        }
        // Several cuts may say the same: their probabilities add up.
        let mut sums = BTreeMap::<Vec<u8>, f32>::new();
        for reading in best(std::mem::take(&mut readings[letters.len()]), beam) {
            let log = reading.log + self.ngrams.next(reading.context, END).0;
            let phones = self.phones_of(&steps, reading.step);
            // Nothing is no pronunciation.
            if !phones.is_empty() {
                let sum = sums.entry(phones).or_insert(f32::NEG_INFINITY);
                let (high, low) = (sum.max(log), sum.min(log));
                *sum = high + (low - high).exp().ln_1p();
            }
        }
        let mut found: Vec<(Vec<u8>, f32)> = sums.into_iter().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(n);
        let candidates = found.into_iter().map(|(phones, log_probability)| Candidate {
            phones: phones.iter().filter_map(|phone| Phone::from_index(usize::from(*phone))).collect(),
            log_probability,
        });
        candidates.collect()
    }

    fn phones_of(&self, steps: &[(u32, u16)], mut step: u32) -> Vec<u8> {
        let mut pieces = Vec::new();
        while step != 0 {
            let (before, symbol) = steps[step as usize];
            pieces.push(symbol);
            step = before;
        }
        let phones = pieces.iter().rev().flat_map(|symbol| &self.graphones[usize::from(*symbol)].phones);
        phones.copied().collect()
    }
}

/// The readings within the beam, the best first.
fn best(mut readings: Vec<Reading>, beam: usize) -> Vec<Reading> {
    readings.sort_by(|a, b| b.log.total_cmp(&a.log).then(a.step.cmp(&b.step)));
    readings.truncate(beam);
    let floor = readings.first().map_or(0.0, |first| first.log - BEAM_NATS);
    readings.retain(|reading| reading.log >= floor);
    readings
}
