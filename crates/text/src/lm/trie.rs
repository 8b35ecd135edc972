//! N-grams as a trie in breadth-first order.

/// Log10 of what no unigram has; other toolkits have the same.
pub(super) const UNSEEN: f32 = -100.0;

/// N-grams of one length: units in a row, log10 of the probability and of the back-off weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Level {
    pub units: Vec<u32>,
    pub logs: Vec<f32>,
    pub backoffs: Vec<f32>,
}

/// Why levels are no model: an n-gram by its position in its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It comes twice.
    Twice { length: usize, entry: usize },
    /// There is none of its units without the last.
    NoContext { length: usize, entry: usize },
}

/// Nodes in breadth-first order, the children of each in a row and sorted; node 0 is the empty context.
///
/// A node is an n-gram: its unit after its parent. As a context it has a back-off weight and a link to the
/// longest known one without its first units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trie {
    pub units: Vec<u32>,
    pub logs: Vec<f32>,
    pub backoffs: Vec<f32>,
    /// First child of each node, and the number of nodes at the end.
    pub children: Vec<u32>,
    pub links: Vec<u32>,
}

impl Trie {
    /// A trie of n-grams of 1, 2, … units.
    pub fn new(levels: &[Level]) -> Result<Self, Misfit> {
        let mut trie =
            Self { units: vec![0], logs: vec![0.0], backoffs: vec![0.0], children: vec![], links: vec![] };
        // Units of the nodes of the level above, in the order of the nodes.
        let mut above: Vec<&[u32]> = vec![&[]];
        for (i, level) in levels.iter().enumerate() {
            let length = i + 1;
            let key = |entry: usize| &level.units[entry * length..(entry + 1) * length];
            let mut order: Vec<usize> = (0..level.logs.len()).collect();
            order.sort_by(|a, b| key(*a).cmp(key(*b)));
            if let Some(pair) = order.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
                return Err(Misfit::Twice { length, entry: pair[1] });
            }
            let mut entries = order.iter().copied().peekable();
            let mut keys = Vec::with_capacity(order.len());
            for context in above {
                trie.children.push(trie.units.len() as u32);
                while let Some(entry) = entries.next_if(|entry| &key(*entry)[..i] == context) {
                    keys.push(key(entry));
                    trie.units.push(key(entry)[i]);
                    trie.logs.push(level.logs[entry]);
                    trie.backoffs.push(level.backoffs[entry]);
                }
            }
            if let Some(entry) = entries.next() {
                return Err(Misfit::NoContext { length, entry });
            }
            above = keys;
        }
        trie.children.resize(trie.units.len() + 1, trie.units.len() as u32);
        trie.link();
        Ok(trie)
    }

    fn link(&mut self) {
        self.links = vec![0; self.units.len()];
        for parent in 1..self.units.len() {
            for child in self.children_of(parent as u32) {
                let unit = self.units[child as usize];
                let mut context = parent as u32;
                // Pruned models do not have every suffix.
                while context != 0 {
                    context = self.links[context as usize];
                    if let Some(node) = self.find(context, unit) {
                        self.links[child as usize] = node;
                        break;
                    }
                }
            }
        }
    }

    /// Number of n-grams.
    pub fn len(&self) -> usize {
        self.units.len() - 1
    }

    pub fn children_of(&self, node: u32) -> std::ops::Range<u32> {
        self.children[node as usize]..self.children[node as usize + 1]
    }

    /// The last unit of an n-gram.
    pub fn unit(&self, node: u32) -> u32 {
        self.units[node as usize]
    }

    /// log10 p(last unit | units before it).
    pub fn log(&self, node: u32) -> f32 {
        self.logs[node as usize]
    }

    /// log10 of the back-off weight.
    pub fn backoff(&self, node: u32) -> f32 {
        self.backoffs[node as usize]
    }

    /// The longest known n-gram without the first units.
    pub fn link_of(&self, node: u32) -> u32 {
        self.links[node as usize]
    }

    /// The n-gram of a context and a unit.
    pub fn find(&self, context: u32, unit: u32) -> Option<u32> {
        let range = self.children_of(context);
        let units = &self.units[range.start as usize..range.end as usize];
        units.binary_search(&unit).ok().map(|at| range.start + at as u32)
    }

    /// log10 p(unit | context), and the context after it: the longest that matters.
    pub fn next(&self, mut context: u32, unit: u32) -> (f32, u32) {
        let mut log = 0.0;
        loop {
            if let Some(node) = self.find(context, unit) {
                let mut next = node;
                // What nothing is known to follow, and costs nothing, is no context.
                while next != 0 && self.children_of(next).is_empty() && self.backoffs[next as usize] == 0.0 {
                    next = self.links[next as usize];
                }
                return (log + self.logs[node as usize], next);
            }
            if context == 0 {
                return (log + UNSEEN, 0);
            }
            log += self.backoffs[context as usize];
            context = self.links[context as usize];
        }
    }

    /// The trie of some n-grams, with those that begin them; the others now get what backing off gives them.
    pub fn retain(&self, kept: &[bool]) -> Self {
        let of = |values: &[f32]| {
            values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| *value).collect::<Vec<f32>>()
        };
        let (logs, backoffs) = (of(&self.logs), of(&self.backoffs));
        // The new number of each node, or that of the next one that stays.
        let mut rank = Vec::with_capacity(kept.len() + 1);
        let mut count = 0;
        for kept in kept {
            rank.push(count);
            count += u32::from(*kept);
        }
        rank.push(count);
        let stay = (0..self.units.len()).filter(|node| kept[*node]);
        let mut children: Vec<u32> = stay.clone().map(|node| rank[self.children[node] as usize]).collect();
        children.push(count);
        let units = stay.map(|node| self.units[node]).collect();
        let mut trie = Self { units, logs, backoffs, children, links: Vec::new() };
        trie.link();
        trie.renormalise();
        trie
    }

    /// Sets the back-off weight of each context so that its probabilities sum to 1.
    fn renormalise(&mut self) {
        // Shorter ones first: longer ones back off to them.
        for node in 1..self.units.len() as u32 {
            let link = self.links[node as usize];
            let (mut seen, mut lower) = (0.0f64, 0.0f64);
            for child in self.children_of(node) {
                seen += 10f64.powf(self.log(child).into());
                lower += 10f64.powf(self.next(link, self.unit(child)).0.into());
            }
            let weight = ((1.0 - seen).max(1e-9) / (1.0 - lower).max(1e-9)).max(1e-9);
            self.backoffs[node as usize] =
                if self.children_of(node).is_empty() { 0.0 } else { weight.log10() as f32 };
        }
    }

    /// The levels that [`Self::new`] makes the trie of, sorted.
    pub fn levels(&self) -> Vec<Level> {
        let mut levels = Vec::new();
        // Nodes of a level with their units.
        let mut above: Vec<(u32, Vec<u32>)> = vec![(0, vec![])];
        while !above.is_empty() {
            let mut level = Level::default();
            let mut nodes = Vec::new();
            for (parent, context) in &above {
                for node in self.children_of(*parent) {
                    let mut units = context.clone();
                    units.push(self.units[node as usize]);
                    level.units.extend_from_slice(&units);
                    level.logs.push(self.logs[node as usize]);
                    level.backoffs.push(self.backoffs[node as usize]);
                    nodes.push((node, units));
                }
            }
            if !nodes.is_empty() {
                levels.push(level);
            }
            above = nodes;
        }
        levels
    }
}
