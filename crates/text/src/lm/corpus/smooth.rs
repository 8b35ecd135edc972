//! Modified Kneser–Ney smoothing in passes over sorted files.
//!
//! A *reversed key* holds the units of an n-gram, the last one in the highest bits, so that n-grams in the order of
//! their keys come together by their suffixes, and a key without its lowest unit is that of the suffix.

use super::sort::{Counted, Counter, Sorter, Spool, Stored};
use crate::kneser_ney;
use crate::lm::arpa::{write_end, write_entry, write_header, write_section};
use crate::lm::train::NEVER;
use crate::lm::{BEGIN, LmError};
use std::io::{self, Write};
use std::path::Path;

/// How units are put into keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    order: usize,
    /// Bits of a unit, whose field is its number + 1: 0 stands where there is none.
    bits: u32,
}

impl Packing {
    pub fn new(order: usize, units: usize) -> Result<Self, LmError> {
        let bits = usize::BITS - units.leading_zeros();
        if bits * order as u32 > u128::BITS {
            return Err(LmError::TooLong { order, units });
        }
        Ok(Self { order, bits })
    }

    fn key_bits(&self, length: usize) -> u32 {
        self.bits * length as u32
    }

    fn mask(&self) -> u128 {
        (1 << self.bits) - 1
    }

    /// The suffix of `length` units of an n-gram of the highest order.
    fn suffix(&self, key: u128, length: usize) -> u128 {
        key >> self.key_bits(self.order - length)
    }

    /// The units of an n-gram, from the first.
    fn units(&self, key: u128, length: usize) -> impl Iterator<Item = u32> {
        let (bits, mask) = (self.bits, self.mask());
        (0..length as u32).map(move |at| ((key >> (at * bits)) & mask) as u32 - 1)
    }
}

/// The n-grams that end at each unit of a text, as long as the order and the sentence allow.
pub(super) struct NgramCounter {
    counter: Counter,
    packing: Packing,
    key: u128,
}

impl NgramCounter {
    pub fn begin(&mut self) {
        self.key = u128::from(BEGIN + 1) << self.packing.key_bits(self.packing.order - 1);
    }

    pub fn push(&mut self, unit: u32) -> io::Result<()> {
        let shift = self.packing.key_bits(self.packing.order - 1);
        let before = if self.packing.order == 1 { 0 } else { self.key >> self.packing.bits };
        self.key = u128::from(unit + 1) << shift | before;
        self.counter.push(self.key)
    }
}

/// N-grams of each length with their counts for smoothing, and how many have a count of 0, 1, … 4.
struct Adjusted {
    counts: Vec<Stored<u64>>,
    counts_of_counts: Vec<[u64; 5]>,
}

/// Where and with what smoothing is done.
pub(super) struct Smoother<'a> {
    pub folder: &'a Path,
    pub memory: usize,
    pub packing: Packing,
    /// Number of units of the model, special ones too.
    pub units: u32,
}

impl Smoother<'_> {
    pub fn counter(&self) -> io::Result<NgramCounter> {
        let bits = self.packing.key_bits(self.packing.order);
        let counter = Counter::new(self.folder, bits, self.memory)?;
        Ok(NgramCounter { counter, packing: self.packing, key: 0 })
    }

    /// The model of what was counted.
    pub fn smooth(&self, counter: NgramCounter) -> io::Result<Model> {
        let Adjusted { counts, counts_of_counts } = self.adjust(counter.counter.finish()?)?;
        let mut model = Model { probabilities: Vec::new(), backoffs: Vec::new() };
        for (i, (mut counts, of)) in counts.into_iter().zip(counts_of_counts).enumerate() {
            let discounts = kneser_ney::discounts_of(of);
            let discount =
                move |count: u64| if count == 0 { 0.0 } else { discounts[count.min(3) as usize - 1] };
            let probabilities = match model.probabilities.last_mut() {
                None => self.unigrams(&mut counts, discount)?,
                Some(lower) => {
                    let (probabilities, backoffs) = self.longer(i + 1, counts, lower, discount)?;
                    model.backoffs.push(backoffs);
                    probabilities
                }
            };
            model.probabilities.push(probabilities);
        }
        Ok(model)
    }

    /// Counts for smoothing: how often the longest n-grams and those that begin a sentence come, and how many
    /// different units come before the others.
    fn adjust(&self, mut counted: Counted) -> io::Result<Adjusted> {
        let Packing { order, .. } = self.packing;
        let mut spools = (1..=order)
            .map(|length| Spool::create(self.folder, self.packing.key_bits(length)))
            .collect::<io::Result<Vec<Spool<u64>>>>()?;
        let mut counts_of_counts = vec![[0u64; 5]; order];
        // The n-gram at hand, its length, and the count of each of its suffixes so far.
        let (mut key, mut length, mut counts) = (0u128, 0, vec![0u64; order + 1]);
        loop {
            let next = counted.next()?;
            let common = match next {
                Some((next, _)) => (1..=length).take_while(|n| self.suffix_is_shared(key, next, *n)).count(),
                None => 0,
            };
            for done in common + 1..=length {
                spools[done - 1].push(self.packing.suffix(key, done), counts[done])?;
                if let Some(of) = counts_of_counts[done - 1].get_mut(counts[done].min(5) as usize) {
                    *of += 1;
                }
            }
            let Some((next, count)) = next else { break };
            key = next;
            length =
                (1..=order).take_while(|n| self.packing.suffix(key, *n) & self.packing.mask() != 0).count();
            counts[common + 1..=length].fill(0);
            // Each new n-gram is one more unit before its suffix.
            counts.iter_mut().take(length).skip(common.max(1)).for_each(|count| *count += 1);
            counts[length] = count;
        }
        let counts = spools.into_iter().map(Spool::finish).collect::<io::Result<Vec<_>>>()?;
        Ok(Adjusted { counts, counts_of_counts })
    }

    fn suffix_is_shared(&self, a: u128, b: u128, length: usize) -> bool {
        self.packing.suffix(a, length) == self.packing.suffix(b, length)
    }

    /// Probabilities of all units, seen or not.
    fn unigrams(&self, counts: &mut Stored<u64>, discount: impl Fn(u64) -> f64) -> io::Result<Stored<f64>> {
        let (mut total, mut discounted) = (0.0, 0.0);
        let mut stream = counts.stream()?;
        while let Some((_, count)) = stream.next()? {
            total += count as f64;
            discounted += discount(count);
        }
        // All but the begin of a sentence can come next.
        let unseen = discounted / total / f64::from(self.units - 1);
        let mut spool = Spool::create(self.folder, self.packing.bits)?;
        let mut stream = counts.stream()?;
        let mut next = stream.next()?;
        for key in 1..=u128::from(self.units) {
            let seen = match next {
                Some((found, count)) if found == key => {
                    next = stream.next()?;
                    (count as f64 - discount(count)).max(0.0) / total
                }
                _ => 0.0,
            };
            spool.push(key, seen + unseen)?;
        }
        spool.finish()
    }

    /// Probabilities of n-grams, and back-off weights of their contexts.
    fn longer(
        &self,
        length: usize,
        mut counts: Stored<u64>,
        lower: &mut Stored<f64>,
        discount: impl Fn(u64) -> f64,
    ) -> io::Result<(Stored<f64>, Stored<f64>)> {
        let Packing { bits, .. } = self.packing;
        let (key_bits, context_bits) = (self.packing.key_bits(length), self.packing.key_bits(length - 1));
        // By context: the same key with the last unit in the lowest bits.
        let mut by_context = Sorter::new(self.folder, key_bits, self.memory)?;
        let mut stream = counts.stream()?;
        while let Some((key, count)) = stream.next()? {
            let (last, context) = (key >> context_bits, key & ((1 << context_bits) - 1));
            by_context.push(context << bits | last, count)?;
        }
        drop(counts);
        let mut sorted = by_context.finish()?;
        let mut by_suffix = Sorter::<(f64, f64)>::new(self.folder, key_bits, self.memory)?;
        let mut backoffs = Spool::create(self.folder, context_bits)?;
        // The n-grams of a context: at most as many as there are units.
        let mut group: Vec<(u128, u64)> = Vec::new();
        loop {
            let next = sorted.next()?;
            let context = group.first().map(|(key, _)| key >> bits);
            if let Some(context) =
                context.filter(|context| next.is_none_or(|(key, _)| key >> bits != *context))
            {
                let total: f64 = group.iter().map(|(_, count)| *count as f64).sum();
                let backoff = group.iter().map(|(_, count)| discount(*count)).sum::<f64>() / total;
                backoffs.push(context, backoff)?;
                for (key, count) in group.drain(..) {
                    let own = (count as f64 - discount(count)).max(0.0) / total;
                    by_suffix.push((key & self.packing.mask()) << context_bits | context, (own, backoff))?;
                }
            }
            let Some(next) = next else { break };
            group.push(next);
        }
        let mut sorted = by_suffix.finish()?;
        let mut lower = lower.stream()?;
        let mut suffix = lower.next()?;
        let mut probabilities = Spool::create(self.folder, key_bits)?;
        while let Some((key, (own, backoff))) = sorted.next()? {
            while suffix.is_some_and(|(found, _)| found < key >> bits) {
                suffix = lower.next()?;
            }
            let Some((_, below)) = suffix.filter(|(found, _)| *found == key >> bits) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a temporary file has changed"));
            };
            probabilities.push(key, own + backoff * below)?;
        }
        Ok((probabilities.finish()?, backoffs.finish()?))
    }
}

/// A model on disk: probabilities by length, and back-off weights of those that are contexts.
pub(super) struct Model {
    probabilities: Vec<Stored<f64>>,
    backoffs: Vec<Stored<f64>>,
}

impl Model {
    /// Number of n-grams by length.
    pub fn ngrams(&self) -> Vec<u64> {
        self.probabilities.iter().map(Stored::len).collect()
    }

    pub fn write_arpa(
        &mut self,
        packing: &Packing,
        units: &[String],
        out: &mut impl Write,
    ) -> io::Result<()> {
        write_header(out, &self.ngrams())?;
        for (i, probabilities) in self.probabilities.iter_mut().enumerate() {
            let length = i + 1;
            write_section(out, length)?;
            let mut contexts = self.backoffs.get_mut(i).map(Stored::stream).transpose()?;
            let mut context = contexts.as_mut().map_or(Ok(None), |contexts| contexts.next())?;
            let mut stream = probabilities.stream()?;
            while let Some((key, probability)) = stream.next()? {
                let begins = length == 1 && key == u128::from(BEGIN + 1);
                let log = if begins { NEVER } else { probability.max(1e-38).log10() as f32 };
                let mut backoff = 0.0;
                if let (Some((found, weight)), Some(contexts)) = (context, contexts.as_mut())
                    && found == key
                {
                    backoff = weight.log10() as f32;
                    context = contexts.next()?;
                }
                write_entry(
                    out,
                    log,
                    packing.units(key, length).map(|unit| &*units[unit as usize]),
                    backoff,
                )?;
            }
        }
        write_end(out)
    }
}
