//! Counting, and the choice of histories.

use super::{MAX_UNITS, PhoneArc, PhoneLm, PhoneLmConfig, PhoneLmError, PhoneState};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// Before the first phone and after the last; phone `p` is symbol `p + 1`.
const BOUNDARY: u16 = 0;

type Counts = BTreeMap<u16, u64>;

/// A history while histories are being chosen.
#[derive(Default)]
struct Node {
    history: Vec<u16>,
    counts: Counts,
    total: u64,
    /// The history without its oldest symbol, where that is long enough to be one.
    shorter: Option<usize>,
    /// Histories of which this is the `shorter`.
    longer: Vec<usize>,
    /// Counts its changes of cost.
    version: u64,
}

/// A history that may go, with what that costs in log-likelihood.
struct Candidate {
    loss: f64,
    node: usize,
    version: u64,
}

impl Ord for Candidate {
    /// The cheapest first, then in the order of histories.
    fn cmp(&self, other: &Self) -> Ordering {
        other.loss.total_cmp(&self.loss).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PhoneLm {
    /// Counts sentences of units below `units`, and gives up histories until few enough are left.
    ///
    /// Histories of `n − 1` phones are counted; the sentence's beginning is a phone of its own. Then, as long as there are
    /// more than (histories of `m − 1` phones) + `extra_states` of them, the history whose loss is the smallest gives its
    /// counts to the same history without its oldest phone:
    ///
    /// `loss = LL(c_h) + LL(c_h') − LL(c_h + c_h')` with `LL(c) = Σ c ln(c/Σc)`
    ///
    /// and 10⁻¹⁵ per count where `h'` has no counts yet. Histories below `m` phones stay, and so do those that a longer
    /// one is reached from or would be given to. Nothing depends on the order of the sentences.
    ///
    /// # Differences from Kaldi's `LanguageModelEstimator`
    /// After each step the loss of all histories that share `h'` is computed anew, where Kaldi does so for those that come up
    /// next, in four rounds: the choice is greedy in every step.
    ///
    /// # Errors
    /// Settings or units out of their domain, or no sentence.
    pub fn estimate<'a>(
        sentences: impl IntoIterator<Item = &'a [u16]>,
        units: usize,
        config: PhoneLmConfig,
    ) -> Result<Self, PhoneLmError> {
        config.validate()?;
        if units == 0 || units > MAX_UNITS {
            return Err(PhoneLmError::Config(format!("{units} units are not 1 to {MAX_UNITS}")));
        }
        let mut counts: BTreeMap<Vec<u16>, Counts> = BTreeMap::new();
        for sentence in sentences {
            count(sentence, units, config.order, &mut counts)?;
        }
        if counts.is_empty() {
            return Err(PhoneLmError::Empty);
        }
        let mut nodes = nodes(counts, config.no_prune_order);
        prune(&mut nodes, config);
        Ok(Self { units, states: automaton(&nodes, config.order) })
    }
}

fn count(
    sentence: &[u16],
    units: usize,
    order: usize,
    counts: &mut BTreeMap<Vec<u16>, Counts>,
) -> Result<(), PhoneLmError> {
    if let Some(&unit) = sentence.iter().find(|&&unit| usize::from(unit) >= units) {
        return Err(PhoneLmError::Unit { unit, units });
    }
    let mut history = vec![BOUNDARY];
    for symbol in sentence.iter().map(|unit| unit + 1).chain([BOUNDARY]) {
        // Most histories have been seen: no copy for those.
        match counts.get_mut(&history) {
            Some(next) => *next.entry(symbol).or_default() += 1,
            None => {
                counts.insert(history.clone(), Counts::from([(symbol, 1)]));
            }
        }
        history.push(symbol);
        if history.len() >= order {
            history.remove(0);
        }
    }
    Ok(())
}

/// The histories in order, with the shorter ones that they can be given to.
fn nodes(mut counts: BTreeMap<Vec<u16>, Counts>, no_prune_order: usize) -> Vec<Node> {
    let seen: Vec<Vec<u16>> = counts.keys().cloned().collect();
    for history in seen {
        for from in 1..(history.len() + 2).saturating_sub(no_prune_order) {
            counts.entry(history[from..].to_vec()).or_default();
        }
    }
    let index: BTreeMap<Vec<u16>, usize> =
        counts.keys().enumerate().map(|(i, history)| (history.clone(), i)).collect();
    let mut nodes: Vec<Node> = counts
        .into_iter()
        .map(|(history, counts)| {
            let shorter =
                (history.len() >= no_prune_order).then(|| index.get(&history[1..]).copied()).flatten();
            Node { total: counts.values().sum(), history, counts, shorter, ..Node::default() }
        })
        .collect();
    for i in 0..nodes.len() {
        if let Some(shorter) = nodes[i].shorter {
            nodes[shorter].longer.push(i);
        }
    }
    nodes
}

/// Σ c ln(c/Σc).
fn log_likelihood(counts: impl Iterator<Item = u64>) -> f64 {
    let (mut sum, mut total) = (0.0, 0u64);
    for count in counts.filter(|&count| count > 0) {
        sum += count as f64 * (count as f64).ln();
        total += count;
    }
    if total == 0 { 0.0 } else { sum - total as f64 * (total as f64).ln() }
}

/// What it costs to give a history's counts to the shorter one.
fn loss(node: &Node, shorter: &Node) -> f64 {
    if shorter.total == 0 {
        return 1e-15 * node.total as f64;
    }
    let mut both = shorter.counts.clone();
    for (symbol, count) in &node.counts {
        *both.entry(*symbol).or_default() += count;
    }
    log_likelihood(node.counts.values().copied()) + log_likelihood(shorter.counts.values().copied())
        - log_likelihood(both.values().copied())
}

fn prune(nodes: &mut [Node], config: PhoneLmConfig) {
    let index: BTreeMap<Vec<u16>, usize> =
        nodes.iter().enumerate().map(|(i, node)| (node.history.clone(), i)).collect();
    let basic = nodes.iter().filter(|node| node.history.len() + 1 == config.no_prune_order).count();
    let mut active = nodes.iter().filter(|node| node.total > 0).count();
    let target = basic.saturating_add(config.extra_states);
    let may_go = |nodes: &[Node], i: usize| {
        let node = &nodes[i];
        let reaches = |symbol: &u16| {
            let longer = [node.history.as_slice(), &[*symbol]].concat();
            index.get(&longer).is_some_and(|&j| nodes[j].total > 0)
        };
        node.shorter.is_some()
            && node.total > 0
            && node.longer.iter().all(|&j| nodes[j].total == 0)
            && !node.counts.keys().any(reaches)
    };
    let mut heap = BinaryHeap::new();
    let push = |nodes: &[Node], heap: &mut BinaryHeap<Candidate>, i: usize| {
        let node = &nodes[i];
        if let Some(shorter) = node.shorter.filter(|_| may_go(nodes, i)) {
            heap.push(Candidate { loss: loss(node, &nodes[shorter]), node: i, version: node.version });
        }
    };
    (0..nodes.len()).for_each(|i| push(nodes, &mut heap, i));
    while active > target {
        let Some(Candidate { node: i, version, .. }) = heap.pop() else { return };
        let Some(into) = nodes[i].shorter.filter(|_| nodes[i].version == version && may_go(nodes, i)) else {
            continue;
        };
        let (counts, total) = (std::mem::take(&mut nodes[i].counts), std::mem::take(&mut nodes[i].total));
        active -= usize::from(nodes[into].total > 0);
        nodes[into].total += total;
        for (symbol, count) in counts {
            *nodes[into].counts.entry(symbol).or_default() += count;
        }
        // Whose loss is another now: those that share the shorter history, that one itself, and what this one held back.
        let mut changed = nodes[into].longer.clone();
        changed.push(into);
        if let Some((_, before)) = nodes[i].history.split_last() {
            changed.extend(index.get(before).copied());
        }
        for j in changed {
            nodes[j].version += 1;
            push(nodes, &mut heap, j);
        }
    }
}

/// The states that can be reached, in the order in which they are from the beginning of a sentence.
fn automaton(nodes: &[Node], order: usize) -> Vec<PhoneState> {
    let index: BTreeMap<&[u16], usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.total > 0)
        .map(|(i, node)| (node.history.as_slice(), i))
        .collect();
    let Some(&start) = index.get([BOUNDARY].as_slice()) else { return Vec::new() };
    let mut numbers = BTreeMap::from([(start, 0u32)]);
    let mut found = vec![start];
    let mut states = Vec::new();
    while let Some(&i) = found.get(states.len()) {
        let node = &nodes[i];
        let mut arcs = Vec::new();
        for (&symbol, &count) in node.counts.iter().filter(|(symbol, _)| **symbol != BOUNDARY) {
            let whole = [node.history.as_slice(), &[symbol]].concat();
            let first = whole.len().saturating_sub(order - 1);
            // What is no history any more gave its counts to a shorter one, which therefore is.
            let to = (first..whole.len()).find_map(|from| index.get(&whole[from..]));
            let Some(&to) = to else { continue };
            let fresh = numbers.len() as u32;
            let to = *numbers.entry(to).or_insert_with(|| {
                found.push(to);
                fresh
            });
            arcs.push(PhoneArc { phone: symbol - 1, count, to });
        }
        let history = node.history.iter().map(|symbol| symbol.checked_sub(1)).collect();
        let ends = node.counts.get(&BOUNDARY).copied().unwrap_or(0);
        states.push(PhoneState { history, arcs, ends });
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    /// Sentences over 5 phones in which two neighbours are mostly related.
    fn sentences(seed: u64, count: usize) -> Vec<Vec<u16>> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        let mut one = |_| {
            let mut last = 0;
            (0..stream.below(12))
                .map(|_| {
                    last = if stream.chance(0.6) { (last + 2) % 5 } else { stream.below(5) as u16 };
                    last
                })
                .collect()
        };
        (0..count).map(&mut one).collect()
    }

    fn estimate(sentences: &[Vec<u16>], order: usize, no_prune: usize, extra: usize) -> PhoneLm {
        let config = PhoneLmConfig { order, no_prune_order: no_prune, extra_states: extra };
        PhoneLm::estimate(sentences.iter().map(Vec::as_slice), 5, config).unwrap()
    }

    /// Counts, arcs and weights by hand.
    #[test]
    fn a_bigram_is_what_was_counted() {
        let lm = estimate(&[vec![0, 1, 0], vec![0]], 2, 2, 0);
        assert_eq!(lm.states().len(), 3);
        let [start, zero, one] = lm.states() else { panic!() };
        assert_eq!((start.history.as_slice(), start.total(), start.ends), ([None].as_slice(), 2, 0));
        assert_eq!(start.arcs, [PhoneArc { phone: 0, count: 2, to: 1 }]);
        assert_eq!(
            (zero.arcs.as_slice(), zero.ends),
            ([PhoneArc { phone: 1, count: 1, to: 2 }].as_slice(), 2)
        );
        assert_eq!((one.arcs.as_slice(), one.ends), ([PhoneArc { phone: 0, count: 1, to: 1 }].as_slice(), 0));
        let expected = (2.0f64 / 2.0).ln() + (2.0f64 / 3.0).ln();
        assert!((lm.log_probability(&[0]).unwrap() - expected).abs() < 1e-12);
        assert_eq!(lm.log_probability(&[1]), None);
        assert_eq!(lm.log_probability(&[0, 1]), None, "never an end");
    }

    /// The choice that a slow program makes: every loss computed anew before every step.
    fn slow(sentences: &[Vec<u16>], config: PhoneLmConfig) -> Vec<(Vec<u16>, Counts)> {
        let mut counts = BTreeMap::new();
        for sentence in sentences {
            count(sentence, 5, config.order, &mut counts).unwrap();
        }
        let longest: Vec<Vec<u16>> = counts.keys().cloned().collect();
        for history in &longest {
            for from in 1..history.len() {
                if history.len() - from + 1 >= config.no_prune_order {
                    counts.entry(history[from..].to_vec()).or_default();
                }
            }
        }
        let basic = counts.keys().filter(|h| h.len() + 1 == config.no_prune_order).count();
        while counts.values().filter(|c| !c.is_empty()).count() > basic + config.extra_states {
            let alive = |h: &[u16]| counts.get(h).is_some_and(|c| !c.is_empty());
            let best = counts
                .iter()
                .filter(|(h, c)| {
                    h.len() >= config.no_prune_order
                        && !c.is_empty()
                        && !(0..=5).any(|s| alive(&[&[s], h.as_slice()].concat()))
                        && !c.keys().any(|&s| alive(&[h.as_slice(), &[s]].concat()))
                })
                .map(|(h, c)| {
                    let shorter = &counts[&h[1..]];
                    let mut both = shorter.clone();
                    c.iter().for_each(|(s, n)| *both.entry(*s).or_default() += n);
                    let ll = |c: &Counts| log_likelihood(c.values().copied());
                    let loss = match shorter.is_empty() {
                        true => 1e-15 * c.values().sum::<u64>() as f64,
                        false => ll(c) + ll(shorter) - ll(&both),
                    };
                    (loss, h.clone())
                })
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let Some((_, history)) = best else { break };
            let given = std::mem::take(counts.get_mut(&history).unwrap());
            let into = counts.get_mut(&history[1..]).unwrap();
            given.into_iter().for_each(|(s, n)| *into.entry(s).or_default() += n);
        }
        counts.into_iter().filter(|(_, c)| !c.is_empty()).collect()
    }

    #[test]
    fn histories_are_given_up_in_the_order_of_their_loss() {
        for (order, no_prune, extra) in
            [(4, 3, 20), (4, 3, 0), (3, 2, 5), (5, 3, 30), (4, 4, 0), (3, 3, 1000)]
        {
            let text = sentences(order as u64, 60);
            let config = PhoneLmConfig { order, no_prune_order: no_prune, extra_states: extra };
            let lm = PhoneLm::estimate(text.iter().map(Vec::as_slice), 5, config).unwrap();
            let mut ours: Vec<(Vec<u16>, Counts)> = lm
                .states()
                .iter()
                .map(|state| {
                    let history = state.history.iter().map(|p| p.map_or(0, |p| p + 1)).collect();
                    let mut counts: Counts = state.arcs.iter().map(|a| (a.phone + 1, a.count)).collect();
                    if state.ends > 0 {
                        counts.insert(BOUNDARY, state.ends);
                    }
                    (history, counts)
                })
                .collect();
            ours.sort();
            assert_eq!(ours, slow(&text, config), "{config:?}");
        }
    }

    #[test]
    fn every_sentence_of_the_text_is_possible_and_more_states_fit_it_better() {
        let text = sentences(3, 80);
        let mut last = f64::INFINITY;
        for extra in [0, 10, 30, 1000] {
            let lm = estimate(&text, 4, 3, extra);
            let perplexity = lm.perplexity(text.iter().map(Vec::as_slice));
            assert!(perplexity < last, "{extra}: {perplexity}");
            last = perplexity;
        }
    }

    #[test]
    fn the_order_of_sentences_does_not_matter() {
        let text = sentences(4, 50);
        let mut other = text.clone();
        other.reverse();
        assert_eq!(estimate(&text, 4, 3, 10), estimate(&other, 4, 3, 10));
        assert_ne!(estimate(&text, 4, 3, 10), estimate(&text[1..], 4, 3, 10));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let none: [&[u16]; 0] = [];
        let fail = |sentences: &[&[u16]], order| {
            let config = PhoneLmConfig { order, ..PhoneLmConfig::default() };
            PhoneLm::estimate(sentences.iter().copied(), 5, config).unwrap_err().to_string()
        };
        assert!(fail(&none, 4).contains("no sentence"));
        assert!(fail(&[&[5]], 4).contains("unit 5 of a sentence is not below 5"));
        assert!(fail(&[&[1]], 1).contains("order 1") && fail(&[&[1]], 7).contains("order 7"));
    }
}
