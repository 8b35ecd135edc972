//! From sentences to a model.

use super::trie::{Level, Trie};
use super::{BEGIN, END, LmConfig, LmError, MAX_ORDER, NgramLm, SPECIAL, UNKNOWN};
use crate::kneser_ney::{self, Estimate};
use std::collections::{BTreeMap, HashMap};

/// Log10 of the begin of a sentence, which is never asked for; other toolkits have the same.
pub(super) const NEVER: f32 = -99.0;

/// Refuses a longest n-gram that is out of range.
pub(super) fn check_order(order: usize) -> Result<(), LmError> {
    match (1..=MAX_ORDER).contains(&order) {
        true => Ok(()),
        false => Err(LmError::Config { setting: "order", value: order as f64, range: "1 to 10" }),
    }
}

/// Refuses what cannot be a unit of a text.
pub(super) fn check_unit(unit: &str) -> Result<(), LmError> {
    if unit.is_empty() || unit.contains(|c: char| c.is_ascii_whitespace()) {
        return Err(LmError::Unit(unit.to_owned()));
    }
    if [BEGIN, END].iter().any(|mark| SPECIAL[*mark as usize] == unit) {
        return Err(LmError::Mark(unit.to_owned()));
    }
    Ok(())
}

pub(super) fn train<S: AsRef<str>>(
    sentences: impl IntoIterator<Item = Vec<S>>,
    config: &LmConfig,
) -> Result<NgramLm, LmError> {
    let range = |setting, value: f64, ok: bool, range| {
        if ok { Ok(()) } else { Err(LmError::Config { setting, value, range }) }
    };
    check_order(config.order)?;
    range("min_count", config.min_count as f64, config.min_count > 0, "1 or more")?;
    let nats = config.prune_nats;
    range("prune_nats", nats, nats.is_finite() && nats >= 0.0, "0 or more")?;

    // Numbers in the order of first appearance; those of the model are in the order of the units.
    let mut numbers: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    let mut sequences: Vec<Vec<u32>> = Vec::new();
    for sentence in sentences {
        let mut sequence = Vec::with_capacity(sentence.len());
        for unit in &sentence {
            let unit = unit.as_ref();
            check_unit(unit)?;
            let next = numbers.len() as u32;
            let entry = match numbers.get_mut(unit) {
                Some(entry) => entry,
                None => numbers.entry(unit.to_owned()).or_insert((next, 0)),
            };
            entry.1 += 1;
            sequence.push(entry.0);
        }
        if !sequence.is_empty() {
            sequences.push(sequence);
        }
    }
    if sequences.is_empty() {
        return Err(LmError::NoText);
    }
    let mut units: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
    let mut ids = vec![UNKNOWN; numbers.len()];
    for (unit, (number, count)) in numbers {
        if count >= config.min_count && !SPECIAL.contains(&unit.as_str()) {
            ids[number as usize] = units.len() as u32;
            units.push(unit);
        }
    }
    for unit in sequences.iter_mut().flatten() {
        *unit = ids[*unit as usize];
    }
    // All but begin and end can come next, and the end.
    let estimate = kneser_ney::estimate(&sequences, units.len() - 2, config.order);
    let levels = levels(&estimate, units.len() - 1, nats);
    // Every n-gram of an estimate has its context, and none comes twice.
    let trie = Trie::new(&levels).map_err(|_| LmError::NoText)?;
    let index: HashMap<String, u32> =
        units.iter().enumerate().map(|(id, unit)| (unit.clone(), id as u32)).collect();
    Ok(NgramLm { order: config.order, units, index, trie })
}

/// N-grams by length, of the model with `outcomes` different units and end.
fn levels(estimate: &Estimate, outcomes: usize, nats: f64) -> Vec<Level> {
    let nodes = &estimate.nodes;
    let kept = (nats > 0.0).then(|| estimate.kept(nats));
    let is_kept = |node: usize| kept.as_ref().is_none_or(|kept| kept[node]);
    // Of each context, the sums of its kept n-grams and of their shorter ones.
    let (mut seen, mut lower, mut whole) =
        (vec![0.0f64; nodes.len()], vec![0.0f64; nodes.len()], vec![true; nodes.len()]);
    let mut continued = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate().skip(1) {
        let parent = node.parent as usize;
        if is_kept(i) && node.symbol != kneser_ney::BEGIN {
            continued[parent] = true;
            seen[parent] += node.probability;
            lower[parent] += nodes[node.link as usize].probability;
        } else if !is_kept(i) {
            whole[parent] = false;
        }
    }
    let backoff = |i: usize| match (continued[i], whole[i]) {
        (false, _) => 1.0,
        (true, true) => estimate.backoff(i),
        (true, false) => ((1.0 - seen[i]).max(1e-9) / (1.0 - lower[i]).max(1e-9)).max(1e-9),
    };
    let unit = |symbol: u32| match symbol {
        kneser_ney::BEGIN => BEGIN,
        kneser_ney::END => END,
        unit => unit,
    };
    let mut levels = Vec::new();
    for (length, of_length) in estimate.by_depth.iter().enumerate().skip(1) {
        let mut level = Level::default();
        for &i in of_length.iter().filter(|i| is_kept(**i)) {
            let mut units = Vec::with_capacity(length);
            let mut at = i;
            while at != 0 {
                units.push(unit(nodes[at].symbol));
                at = nodes[at].parent as usize;
            }
            level.units.extend(units.iter().rev());
            let begins = length == 1 && nodes[i].symbol == kneser_ney::BEGIN;
            level.logs.push(if begins { NEVER } else { nodes[i].probability.max(1e-38).log10() as f32 });
            level.backoffs.push(backoff(i).log10() as f32);
        }
        // Nobody said it, so it has no node of its own.
        if length == 1 && !level.units.contains(&UNKNOWN) {
            level.units.push(UNKNOWN);
            level.logs.push((estimate.backoff(0) / outcomes as f64).max(1e-38).log10() as f32);
            level.backoffs.push(0.0);
        }
        levels.push(level);
    }
    levels
}
