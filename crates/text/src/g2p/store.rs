//! Models as bytes.
//!
//! ```text
//! "AURG2P1\n"  highest order u8, number of graphones u16 LE
//! per graphone: letters u8, phones u8, those letters, those phones
//! per n-gram below the highest order, breadth first from the empty one:
//!     number of n-grams that continue it, varint; if any: back-off weight u8,
//!     per continuation: symbol less the one before, varint; logarithm u8
//! ```

use super::graphone::Graphone;
use super::ngram::Ngrams;
use super::{G2p, G2pError, LETTERS, MAX_GRAPHONES};
use crate::phones::Phone;
use auricle_io::{Budget, atomic_write};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

const MAGIC: &[u8] = b"AURG2P1\n";
const MAX_ORDER: usize = 10;
/// The largest model that is read: one of the CMU dictionary has 2 MB.
const MAX_BYTES: u64 = 16 << 20;
const TOO_LARGE: &str = "it is larger than 16 MiB";

impl G2p {
    /// The model as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        // First nodes of the levels; every level below the highest order has children.
        let mut levels = vec![0usize, 1];
        while let [.., last, next] = levels[..]
            && last < next
        {
            levels.push(self.ngrams.children[next] as usize);
        }
        // The last two are the end of all nodes; the level before them is the highest order.
        let order = levels.len().saturating_sub(3).max(1);
        out.push(order as u8);
        out.extend((self.graphones.len() as u16).to_le_bytes());
        for graphone in &self.graphones {
            out.extend([graphone.letters.len() as u8, graphone.phones.len() as u8]);
            out.extend(&graphone.letters);
            out.extend(&graphone.phones);
        }
        for node in 0..levels[order] {
            let children = self.ngrams.children_of(node);
            put(&mut out, children.len() as u32);
            if !children.is_empty() {
                out.push(self.ngrams.backoffs[node]);
            }
            let mut last = 0;
            for child in children {
                let symbol = u32::from(self.ngrams.symbols[child]);
                put(&mut out, symbol - last);
                out.push(self.ngrams.logs[child]);
                last = symbol;
            }
        }
        out
    }

    /// The model of [`G2p::to_bytes`].
    ///
    /// # Errors
    /// The bytes are no model, or more than 16 MiB.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, G2pError> {
        read(bytes).map_err(|reason| G2pError::Stored(reason.into()))
    }

    /// Writes the model to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), G2pError> {
        atomic_write(path, &self.to_bytes()).map_err(|source| G2pError::Io { path: path.into(), source })
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 16 MiB, or is no model.
    pub fn load(path: &Path) -> Result<Self, G2pError> {
        let io = |source| G2pError::Io { path: path.into(), source };
        let mut budget = Budget::new("the letter-to-sound model", MAX_BYTES);
        let read_whole = File::open(path).and_then(|file| budget.read_to_end(file));
        let bytes = read_whole.map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => G2pError::Stored(format!("{}: {TOO_LARGE}", path.display())),
            _ => io(error),
        })?;
        read(&bytes).map_err(|reason| G2pError::Stored(format!("{}: {reason}", path.display())))
    }
}

fn read(bytes: &[u8]) -> Result<G2p, &'static str> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin with `AURG2P1`")?;
    let order = usize::from(byte(&mut rest)?);
    if !(1..=MAX_ORDER).contains(&order) {
        return Err("its order is not 1 to 10");
    }
    let count = usize::from(byte(&mut rest)?) | usize::from(byte(&mut rest)?) << 8;
    if count > MAX_GRAPHONES {
        return Err("too many graphones");
    }
    let mut graphones = Vec::with_capacity(count);
    for _ in 0..count {
        let (letters, phones) = (usize::from(byte(&mut rest)?), usize::from(byte(&mut rest)?));
        if !(1..=2).contains(&letters) || phones > 2 {
            return Err("a graphone of a size that cannot be");
        }
        let (letters, phones) = (take(&mut rest, letters)?.to_vec(), take(&mut rest, phones)?.to_vec());
        let known = |items: &[u8], count: usize| items.iter().all(|item| usize::from(*item) < count);
        if !known(&letters, LETTERS) || !known(&phones, Phone::COUNT) {
            return Err("a graphone of unknown letters or phones");
        }
        graphones.push(Graphone { letters, phones });
    }
    // Every n-gram takes two bytes or more: memory is bounded by the size of the input.
    let (mut symbols, mut logs, mut backoffs, mut children) = (vec![0u16], vec![0u8], vec![], vec![]);
    let mut level = 0..1;
    for _ in 0..order {
        for _ in level.clone() {
            children.push(symbols.len() as u32);
            let count = varint(&mut rest)?;
            backoffs.push(if count > 0 { byte(&mut rest)? } else { 0 });
            let mut last = None;
            for _ in 0..count {
                let symbol = varint(&mut rest)?.saturating_add(last.unwrap_or(0));
                if symbol > u32::from(u16::MAX) || last.is_some_and(|last| symbol <= last) {
                    return Err("symbols out of order");
                }
                symbols.push(symbol as u16);
                logs.push(byte(&mut rest)?);
                last = Some(symbol);
            }
        }
        level = level.end..symbols.len();
    }
    if !rest.is_empty() {
        return Err("something stands behind the last n-gram");
    }
    backoffs.resize(symbols.len(), 0);
    children.resize(symbols.len() + 1, symbols.len() as u32);
    Ok(G2p::assemble(graphones, Ngrams::new(symbols, logs, backoffs, children)))
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(rest: &mut &[u8]) -> Result<u32, &'static str> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = byte(rest)?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number that is too large")
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    let (taken, left) = rest.split_at_checked(count).ok_or("it ends too early")?;
    *rest = left;
    Ok(taken)
}

fn byte(rest: &mut &[u8]) -> Result<u8, &'static str> {
    take(rest, 1).map(|taken| taken[0])
}
