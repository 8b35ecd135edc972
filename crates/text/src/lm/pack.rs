//! Packed models: about 6 bytes an n-gram, ready without sorting or linking.
//!
//! A file is [`MAGIC`], a hash of all bytes behind it (8 bytes), then: order; number of units; units as length
//! and UTF-8; for each length of two and more two code books (number of values, values as f32) of logarithms and of
//! back-off weights; then all n-grams, the empty one first, in breadth-first order: the distance of the unit from that
//! of the n-gram before in the context (from −1 for the first), the logarithm and back-off weight (f32 for one unit,
//! else a byte each, a code), the link (position among the n-grams of the parent's link + 1; 0: to be searched), and
//! the number of n-grams that it begins. Numbers are little-endian; whole ones that are not of fixed size have 7 bits a
//! byte, the lowest first. The empty n-gram has only the last. The longest have neither weight nor last.

use super::trie::Trie;
use super::{LmError, MAX_ORDER, NgramLm};
use auricle_io::atomic_write;
use std::collections::HashMap;
use std::path::Path;

/// First bytes of a packed model, with the version of the format.
pub(super) const MAGIC: &[u8; 8] = b"AURINGR1";
/// Largest size of a logarithm.
const MOST: f32 = 1000.0;
/// Values of a code book.
const CODES: usize = 256;
/// Rounds of k-means for a code book.
const ROUNDS: usize = 20;

impl NgramLm {
    /// Writes a packed model, which [`Self::load`] reads. Logarithms of n-grams of two and more units are rounded to
    /// 256 values for each length, as are back-off weights, so that probabilities sum to 1 only nearly.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_packed(&self, path: &Path) -> Result<(), LmError> {
        let body = pack(self);
        let bytes = [&MAGIC[..], &hash(&body).to_le_bytes(), &body].concat();
        atomic_write(path, &bytes).map_err(|source| LmError::Io { path: path.into(), source })
    }
}

/// FNV-1a of words of 8 bytes, the last filled up with zeros, and the number of bytes.
fn hash(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    words.chain([bytes.len() as u64]).fold(0xcbf2_9ce4_8422_2325, step)
}

fn put(to: &mut Vec<u8>, mut number: u32) {
    while number >= 128 {
        to.push(number as u8 | 128);
        number >>= 7;
    }
    to.push(number as u8);
}

/// At most [`CODES`] values that stand for all, in ascending order; 0 stays what it is.
fn code_book(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let mut different = values.clone();
    different.dedup();
    if different.len() <= CODES {
        return different;
    }
    values.retain(|value| *value != 0.0);
    // As many n-grams for each value at first; then as k-means has it (Lloyd 1982), for the rare values.
    let bins = CODES - 1;
    let mean = |bin: usize| {
        let of = &values[bin * values.len() / bins..(bin + 1) * values.len() / bins];
        (of.iter().map(|value| f64::from(*value)).sum::<f64>() / of.len().max(1) as f64) as f32
    };
    let mut book: Vec<f32> = (0..bins).map(mean).collect();
    for _ in 0..ROUNDS {
        book.dedup();
        // Values of each code are those next to it; they are sorted, as the codes are.
        let mut rest = &values[..];
        for at in 0..book.len() {
            let end = book.get(at + 1).map_or(rest.len(), |next| {
                let middle = 0.5 * (book[at] + next);
                rest.partition_point(|value| *value < middle)
            });
            let (own, others) = rest.split_at(end);
            if !own.is_empty() {
                book[at] = (own.iter().map(|value| f64::from(*value)).sum::<f64>() / own.len() as f64) as f32;
            }
            rest = others;
        }
        book.sort_unstable_by(f32::total_cmp);
    }
    book.push(0.0);
    book.sort_unstable_by(f32::total_cmp);
    book.dedup();
    book
}

fn code(book: &[f32], value: f32) -> u8 {
    let at = book.partition_point(|other| *other < value).min(book.len() - 1);
    let before = at.saturating_sub(1);
    if (book[before] - value).abs() < (book[at] - value).abs() { before as u8 } else { at as u8 }
}

fn pack(lm: &NgramLm) -> Vec<u8> {
    let trie = &lm.trie;
    // The first n-gram of each length, and the end.
    let (mut starts, mut start, mut end) = (vec![], 0u32, 1u32);
    while start < end {
        starts.push(start);
        let next = (start..end).map(|node| trie.children_of(node).end).max().unwrap_or(end).max(end);
        (start, end) = (end, next);
    }
    starts.push(end);
    let mut out = Vec::new();
    put(&mut out, lm.order as u32);
    put(&mut out, lm.units.len() as u32);
    for unit in &lm.units {
        put(&mut out, unit.len() as u32);
        out.extend_from_slice(unit.as_bytes());
    }
    let mut books = vec![];
    for length in 2..=lm.order {
        let nodes = match starts.get(length..length + 2) {
            Some(range) => range[0]..range[1],
            None => 0..0,
        };
        let of = [
            code_book(nodes.clone().map(|node| trie.log(node)).collect()),
            code_book(nodes.map(|node| trie.backoff(node)).collect()),
        ];
        for book in &of {
            put(&mut out, book.len() as u32);
            book.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
        books.push(of);
    }
    put(&mut out, trie.children_of(0).len() as u32);
    for length in 1..starts.len() - 1 {
        for parent in starts[length - 1]..starts[length] {
            let mut before = 0;
            for node in trie.children_of(parent) {
                let unit = trie.unit(node);
                put(&mut out, unit + 1 - before);
                before = unit + 1;
                let is_longest = length == lm.order;
                match length.checked_sub(2).map(|book| &books[book]) {
                    None => {
                        out.extend_from_slice(&trie.log(node).to_le_bytes());
                        out.extend_from_slice(&trie.backoff(node).to_le_bytes());
                    }
                    Some([logs, backoffs]) => {
                        out.push(code(logs, trie.log(node)));
                        if !is_longest {
                            out.push(code(backoffs, trie.backoff(node)));
                        }
                    }
                }
                if parent != 0 {
                    let siblings = trie.children_of(trie.link_of(parent));
                    let link = trie.link_of(node);
                    put(&mut out, if siblings.contains(&link) { link - siblings.start + 1 } else { 0 });
                }
                if !is_longest {
                    put(&mut out, trie.children_of(node).len() as u32);
                }
            }
        }
    }
    out
}

/// What is left of a file.
struct Rest<'a>(&'a [u8]);

const SHORT: &str = "it ends too early";

impl<'a> Rest<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return u32::try_from(number).map_err(|_| "a number is too large");
            }
        }
        Err("a number is too long")
    }

    fn float(&mut self) -> Result<f32, &'static str> {
        let bytes = self.bytes(4)?;
        let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if value.abs() <= MOST { Ok(value) } else { Err("a logarithm is out of range") }
    }

    fn book(&mut self) -> Result<Vec<f32>, &'static str> {
        let count = self.number()? as usize;
        if count > CODES {
            return Err("a code book is too large");
        }
        (0..count).map(|_| self.float()).collect()
    }
}

/// The model of a file behind [`MAGIC`]. What a file asks for is bounded by its own length.
pub(super) fn unpack(bytes: &[u8]) -> Result<NgramLm, &'static str> {
    let mut rest = Rest(bytes);
    let expected = rest.bytes(8)?;
    if hash(rest.0).to_le_bytes() != expected {
        return Err("its checksum is wrong");
    }
    let order = rest.number()? as usize;
    if !(1..=MAX_ORDER).contains(&order) {
        return Err("its order is out of range");
    }
    let (mut units, mut index) = (Vec::new(), HashMap::new());
    for id in 0..rest.number()? {
        let length = rest.number()? as usize;
        let unit = std::str::from_utf8(rest.bytes(length)?).map_err(|_| "a unit is not UTF-8")?;
        if index.insert(unit.to_owned(), id).is_some() {
            return Err("a unit comes twice");
        }
        units.push(unit.to_owned());
    }
    if super::SPECIAL.iter().enumerate().any(|(id, mark)| units.get(id).is_none_or(|unit| unit != mark)) {
        return Err("it does not begin with the special units");
    }
    let books =
        (2..=order).map(|_| Ok([rest.book()?, rest.book()?])).collect::<Result<Vec<_>, &'static str>>()?;
    let mut trie =
        Trie { units: vec![0], logs: vec![0.0], backoffs: vec![0.0], children: vec![], links: vec![0] };
    // N-grams take 5 bytes and more, but for the longest.
    let likely = rest.0.len() / 5;
    trie.units.reserve(likely);
    trie.logs.reserve(likely);
    trie.backoffs.reserve(likely);
    trie.children.reserve(likely);
    trie.links.reserve(likely);
    // How many n-grams each of the length before begins.
    let (mut counts, mut first) = (vec![rest.number()?], 0u32);
    for length in 1..=order {
        let mut next = Vec::new();
        for (parent, count) in (first..).zip(&counts) {
            trie.children.push(trie.units.len() as u32);
            let mut before = 0u32;
            for _ in 0..*count {
                let after = before.checked_add(rest.number()?).ok_or("a unit is out of range")?;
                if after == before || after as usize > units.len() {
                    return Err("a unit is out of range");
                }
                before = after;
                let unit = after - 1;
                let is_longest = length == order;
                let (log, backoff) = match length.checked_sub(2).map(|book| &books[book]) {
                    None => (rest.float()?, rest.float()?),
                    Some([logs, backoffs]) => {
                        let log = *logs.get(rest.byte()? as usize).ok_or("a code is out of range")?;
                        let backoff = match is_longest {
                            true => 0.0,
                            false => *backoffs.get(rest.byte()? as usize).ok_or("a code is out of range")?,
                        };
                        (log, backoff)
                    }
                };
                if log > 0.0 {
                    return Err("a probability is above 1");
                }
                let link = match parent {
                    0 => 0,
                    _ => link(&trie, parent, unit, rest.number()?)?,
                };
                trie.units.push(unit);
                trie.logs.push(log);
                trie.backoffs.push(backoff);
                trie.links.push(link);
                if !is_longest {
                    next.push(rest.number()?);
                }
            }
        }
        first += counts.len() as u32;
        counts = next;
    }
    if !rest.0.is_empty() {
        return Err("something is behind its end");
    }
    let end = u32::try_from(trie.units.len()).map_err(|_| "it has too many n-grams")?;
    trie.children.resize(trie.units.len() + 1, end);
    Ok(NgramLm { order, units, index, trie })
}

/// The link of an n-gram, of which the file gives the position among those of its parent's link.
fn link(trie: &Trie, parent: u32, unit: u32, position: u32) -> Result<u32, &'static str> {
    let mut context = trie.link_of(parent);
    if let Some(position) = position.checked_sub(1) {
        let node = trie.children_of(context).nth(position as usize);
        return node.filter(|node| trie.unit(*node) == unit).ok_or("a link is wrong");
    }
    loop {
        match trie.find(context, unit) {
            Some(node) => return Ok(node),
            None if context == 0 => return Ok(0),
            None => context = trie.link_of(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::tests::{of_sentences, sentences};
    use crate::lm::{LmConfig, Perplexity, Prune, Unit};
    use proptest::prelude::*;

    fn again(lm: &NgramLm) -> NgramLm {
        let folder = tempfile::tempdir().unwrap();
        lm.save_packed(&folder.path().join("lm")).unwrap();
        NgramLm::load(&folder.path().join("lm")).unwrap()
    }

    #[test]
    fn a_packed_model_is_the_same_but_for_rounding() {
        let small = NgramLm::train([vec!["a", "b"], vec!["a", "c"]], &LmConfig::default()).unwrap();
        assert_eq!(again(&small), small, "few values are kept exactly");
        for order in [1, 2, 4] {
            let whole = of_sentences(&LmConfig { order, ..LmConfig::default() });
            let half =
                whole.pruned(Prune::Ngrams((whole.ngram_count() / 2).max(whole.units.len()))).unwrap().lm;
            for lm in [whole, half] {
                let packed = again(&lm);
                assert_eq!(
                    (packed.order, &packed.units, packed.ngram_count()),
                    (order, &lm.units, lm.ngram_count())
                );
                assert_eq!((&packed.trie.links, &packed.trie.children), (&lm.trie.links, &lm.trie.children));
                let (mut exact, mut rounded) = (Perplexity::default(), Perplexity::default());
                for line in sentences() {
                    let units = Unit::Word.split(&line);
                    let (a, b) = (lm.sentence(&units), packed.sentence(&units));
                    let ratio = b.perplexity() / a.perplexity();
                    assert!((0.95..1.05).contains(&ratio), "{line}: {b:?}, not {a:?}");
                    exact += a;
                    rounded += b;
                }
                let ratio = rounded.perplexity() / exact.perplexity();
                assert!((0.995..1.005).contains(&ratio), "{rounded:?}, not {exact:?}");
                assert_eq!(again(&packed).trie.links, packed.trie.links);
            }
        }
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lm.bin");
        of_sentences(&LmConfig::default()).save_packed(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = NgramLm::load(&path).unwrap_err().to_string();
        assert!(error.contains("lm.bin") && error.contains("checksum"), "{error}");
    }

    proptest! {
        /// Also where the checksum was made to fit.
        #[test]
        fn hostile_bytes_are_answered(changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6), cut in 0usize..40) {
            let lm = NgramLm::train([vec!["a", "b", "a"], vec!["a", "c"]], &LmConfig::default()).unwrap();
            let mut body = pack(&lm);
            body.truncate(body.len() - cut.saturating_sub(20));
            for (at, value) in changes {
                let at = usize::from(at) % body.len();
                body[at] = value;
            }
            let bytes = [&hash(&body).to_le_bytes()[..], &body].concat();
            if let Ok(lm) = unpack(&bytes) {
                prop_assert!(lm.sentence(&["a", "b", "c", "x"]).log_probability.is_finite());
            }
        }
    }
}
