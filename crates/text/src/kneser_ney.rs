//! Estimation of n-gram models: Kneser–Ney with three discounts, interpolated (Chen & Goodman 1999), for
//! letter to sound and for language models.

use std::collections::HashMap;

/// Begin of a sequence, as a symbol.
pub(crate) const BEGIN: u32 = u32::MAX;
/// End of a sequence, as a symbol.
pub(crate) const END: u32 = u32::MAX - 1;

/// An n-gram while counting; node 0 is the empty context.
pub(crate) struct Node {
    pub parent: u32,
    pub symbol: u32,
    /// The n-gram without its first symbol.
    pub link: u32,
    pub depth: u8,
    /// How often it occurs.
    pub occurrences: u32,
    /// Its count for smoothing: occurrences of the longest and those that begin a word, else the number of
    /// different symbols before it.
    pub count: u32,
    pub probability: f64,
}

struct Counts {
    nodes: Vec<Node>,
    index: HashMap<(u32, u32), u32>,
}

impl Counts {
    fn child(&mut self, parent: u32, symbol: u32, link: u32) -> u32 {
        *self.index.entry((parent, symbol)).or_insert_with(|| {
            let depth = self.nodes[parent as usize].depth + 1;
            self.nodes.push(Node { parent, symbol, link, depth, occurrences: 0, count: 0, probability: 0.0 });
            (self.nodes.len() - 1) as u32
        })
    }

    /// All n-grams up to `order` of the sequences between [`BEGIN`] and [`END`].
    fn of(sequences: &[Vec<u32>], order: usize) -> Self {
        let root =
            Node { parent: 0, symbol: 0, link: 0, depth: 0, occurrences: 0, count: 0, probability: 1.0 };
        let mut counts = Self { nodes: vec![root], index: HashMap::new() };
        let begin = counts.child(0, BEGIN, 0);
        for sequence in sequences {
            // The n-grams that end at the symbol before, from the shortest (the empty one).
            let mut contexts = vec![0, begin];
            contexts.truncate(order);
            for symbol in sequence.iter().copied().chain([END]) {
                let mut ends = vec![0];
                for (length, context) in contexts.iter().enumerate() {
                    let node = counts.child(*context, symbol, ends[length]);
                    counts.nodes[node as usize].occurrences += 1;
                    ends.push(node);
                }
                ends.truncate(order);
                contexts = ends;
            }
        }
        counts.count_for_smoothing(order);
        counts
    }

    fn count_for_smoothing(&mut self, order: usize) {
        let mut begins = vec![false; self.nodes.len()];
        for i in 1..self.nodes.len() {
            let node = &self.nodes[i];
            begins[i] = if node.depth == 1 { node.symbol == BEGIN } else { begins[node.parent as usize] };
            if begins[i] || usize::from(node.depth) == order {
                self.nodes[i].count = self.nodes[i].occurrences;
            }
        }
        for i in 1..self.nodes.len() {
            let link = self.nodes[i].link as usize;
            // A link never begins a word, and is never of the highest order.
            self.nodes[link].count += u32::from(self.nodes[i].occurrences > 0);
        }
    }
}

fn discounts(counts: impl Iterator<Item = u32>) -> [f64; 3] {
    let mut of = [0; 5];
    for count in counts.filter(|count| (1..=4).contains(count)) {
        of[count as usize] += 1;
    }
    discounts_of(of)
}

/// Discounts for counts of 1, 2, and 3 or more, from how many n-grams have a count of 0 (not used), 1, … 4.
pub(crate) fn discounts_of(counts_of_counts: [u64; 5]) -> [f64; 3] {
    let of = counts_of_counts.map(|count| count as f64);
    // Small lexicons leave the formula without data.
    if of[1..].contains(&0.0) {
        return [0.5, 0.75, 0.9];
    }
    let y = of[1] / (of[1] + 2.0 * of[2]);
    let discount = |k: usize| k as f64 - (k + 1) as f64 * y * of[k + 1] / of[k];
    [discount(1).clamp(0.05, 0.95), discount(2).clamp(0.05, 1.9), discount(3).clamp(0.05, 2.9)]
}

/// An estimated model: every n-gram with its probability, interpolated with those of shorter ones.
pub(crate) struct Estimate {
    /// Node 0 is the empty context.
    pub nodes: Vec<Node>,
    /// Nodes by the length of the n-gram.
    pub by_depth: Vec<Vec<usize>>,
    totals: Vec<f64>,
    discounted: Vec<f64>,
}

/// p(w|h) = (c(hw) − D(c(hw)))/c(h) + γ(h)·p(w|h') with γ(h) = Σ_w D(c(hw))/c(h) for all n-grams up to
/// `order`; below the shortest is the uniform distribution over `symbols` symbols and [`END`].
pub(crate) fn estimate(sequences: &[Vec<u32>], symbols: usize, order: usize) -> Estimate {
    let mut nodes = Counts::of(sequences, order).nodes;
    let mut by_depth: Vec<Vec<usize>> = vec![vec![]; order + 1];
    for (i, node) in nodes.iter().enumerate() {
        by_depth[usize::from(node.depth)].push(i);
    }
    // From the shortest.
    let (mut totals, mut discounted) = (vec![0.0f64; nodes.len()], vec![0.0f64; nodes.len()]);
    for (depth, level) in by_depth.iter().enumerate().skip(1) {
        let discounts = discounts(level.iter().map(|i| nodes[*i].count));
        let discount = |count: u32| if count == 0 { 0.0 } else { discounts[count.min(3) as usize - 1] };
        for i in level {
            let node = &nodes[*i];
            totals[node.parent as usize] += f64::from(node.count);
            discounted[node.parent as usize] += discount(node.count);
        }
        for i in level {
            let (count, parent) = (nodes[*i].count, nodes[*i].parent as usize);
            let lower = if depth == 1 {
                1.0 / (symbols + 1) as f64
            } else {
                nodes[nodes[*i].link as usize].probability
            };
            let total = totals[parent].max(1e-9);
            nodes[*i].probability =
                (f64::from(count) - discount(count)).max(0.0) / total + discounted[parent] / total * lower;
        }
    }
    Estimate { nodes, by_depth, totals, discounted }
}

impl Estimate {
    /// γ of a context: what a longer n-gram's probability takes of the shorter one's.
    pub fn backoff(&self, context: usize) -> f64 {
        if self.totals[context] > 0.0 { self.discounted[context] / self.totals[context] } else { 1.0 }
    }

    /// Which nodes stay: those whose loss costs at least `nats` of the training data's log-likelihood, and
    /// all they stand on.
    pub fn kept(&self, nats: f64) -> Vec<bool> {
        let nodes = &self.nodes;
        let mut kept = vec![false; nodes.len()];
        for i in self.by_depth.iter().skip(1).rev().flatten() {
            let node = &nodes[*i];
            let parent = node.parent as usize;
            let without = self.discounted[parent] / self.totals[parent].max(1e-9)
                * nodes[node.link as usize].probability;
            let cost = f64::from(node.occurrences) * (node.probability / without.max(1e-30)).ln();
            if node.depth == 1 || kept[*i] || cost >= nats {
                kept[*i] = true;
                kept[parent] = true;
                kept[node.link as usize] = true;
            }
        }
        kept[0] = true;
        kept
    }
}
