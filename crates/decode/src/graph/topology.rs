//! What an acoustic model puts out, and how phones take time.

use super::GraphError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a phone takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// A phone's first frame has an output of its own, all further ones share another; after each frame it goes on or ends
    /// with probability ½. Phones fill the time.
    #[default]
    Chain,
    /// The same with one output for all frames of a phone.
    ChainOne,
    /// Connectionist temporal classification: a blank may stand between phones, and must between equal ones; phones and
    /// blanks go on at no cost.
    Ctc,
}

/// The outputs of an acoustic model for phones, after the phone before where that is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    topology: Topology,
    units: usize,
    /// Pairs (before, phone) with outputs of their own, in order; `units` stands for the beginning.
    pairs: Vec<(u16, u16)>,
}

impl Outputs {
    /// Outputs of each phone, whatever comes before it.
    pub fn mono(topology: Topology, units: usize) -> Self {
        Self { topology, units, pairs: Vec::new() }
    }

    /// Outputs of their own for pairs (phone before, phone) with at least `min_count` occurrences in texts of phones; other
    /// pairs share those of the phone.
    pub fn left<'a>(
        topology: Topology,
        units: usize,
        texts: impl IntoIterator<Item = &'a [u16]>,
        min_count: usize,
    ) -> Self {
        let mut counts: BTreeMap<(u16, u16), usize> = BTreeMap::new();
        for text in texts {
            let mut before = units as u16;
            for &phone in text {
                *counts.entry((before, phone)).or_default() += 1;
                before = phone;
            }
        }
        let pairs = counts.into_iter().filter(|(_, count)| *count >= min_count.max(1)).map(|(pair, _)| pair);
        Self { topology, units, pairs: pairs.collect() }
    }

    /// How phones take time.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// Number of phones.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Pairs with outputs of their own.
    pub fn pairs(&self) -> &[(u16, u16)] {
        &self.pairs
    }

    /// Whether outputs depend on the phone before.
    pub fn has_context(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Number of outputs.
    pub fn count(&self) -> usize {
        let phones = self.units + self.pairs.len();
        match self.topology {
            Topology::Chain => 2 * phones,
            Topology::ChainOne => phones,
            Topology::Ctc => phones + 1,
        }
    }

    /// The output of CTC's blank; other topologies have none.
    pub fn blank(&self) -> Option<u32> {
        (self.topology == Topology::Ctc).then(|| (self.units + self.pairs.len()) as u32)
    }

    /// The outputs of a phone's first frame and of its others, after a phone or at the beginning.
    pub fn of(&self, before: Option<u16>, phone: u16) -> [u32; 2] {
        let pair = (before.unwrap_or(self.units as u16), phone);
        let place = match self.pairs.binary_search(&pair) {
            Ok(pair) => self.units + pair,
            Err(_) => usize::from(phone),
        } as u32;
        match self.topology {
            Topology::Chain => [2 * place, 2 * place + 1],
            Topology::ChainOne | Topology::Ctc => [place, place],
        }
    }

    /// For each output, the output of the same model without context: where a model with context starts from.
    pub fn mono_outputs(&self) -> Vec<u32> {
        let mono = Self::mono(self.topology, self.units);
        let phones = (0..self.units as u16).chain(self.pairs.iter().map(|&(_, phone)| phone));
        let mut outputs: Vec<u32> = phones
            .flat_map(|phone| {
                let [first, other] = mono.of(None, phone);
                if self.topology == Topology::Chain { vec![first, other] } else { vec![first] }
            })
            .collect();
        outputs.extend(mono.blank());
        outputs
    }

    /// Checks a table that was read from a file.
    ///
    /// # Errors
    /// What does not fit.
    pub fn validate(&self) -> Result<(), GraphError> {
        let known = |&(before, phone): &(u16, u16)| {
            usize::from(before) <= self.units && usize::from(phone) < self.units
        };
        let ordered = self.pairs.is_sorted_by(|a, b| a < b);
        if self.units == 0 || self.units > 4096 || !ordered || !self.pairs.iter().all(known) {
            return Err(GraphError::Outputs(format!(
                "{} units, or a pair that is out of order or not of them",
                self.units
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_has_one_meaning() {
        for topology in [Topology::Chain, Topology::ChainOne, Topology::Ctc] {
            let texts: [&[u16]; 2] = [&[0, 1, 0, 1], &[2, 1]];
            let outputs = Outputs::left(topology, 3, texts, 2);
            assert_eq!(outputs.pairs(), [(0, 1)]);
            assert_eq!(outputs.of(Some(2), 1), outputs.of(None, 1));
            assert_ne!(outputs.of(Some(0), 1), outputs.of(None, 1));
            let mut all: Vec<u32> = (0..3).flat_map(|p| outputs.of(None, p)).collect();
            all.extend(outputs.of(Some(0), 1));
            all.extend(outputs.blank());
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, (0..outputs.count() as u32).collect::<Vec<_>>());
            let mono = Outputs::mono(topology, 3);
            let from = outputs.mono_outputs();
            assert_eq!(from.len(), outputs.count());
            assert_eq!(outputs.of(Some(0), 1).map(|o| from[o as usize]), mono.of(None, 1));
            assert_eq!(outputs.blank().map(|o| from[o as usize]), mono.blank());
            let text = serde_json::to_string(&outputs).unwrap();
            assert_eq!(serde_json::from_str::<Outputs>(&text).unwrap(), outputs);
            assert!(outputs.validate().is_ok());
        }
        let stored = r#"{"topology":"chain","units":3,"pairs":[[0,3]]}"#;
        assert!(serde_json::from_str::<Outputs>(stored).unwrap().validate().is_err());
    }
}
