//! Memory that knows which of its words were written, by whom and when, and who read them since.
//!
//! Every access is stamped with the pipe and its epoch (the number of flags it has set). An access is ordered after
//! another if its pipe has, through flags, heard of that epoch; two accesses to the same block of which one writes
//! and that are not ordered are a race, whatever order they happened to run in. A block is 32 bytes in the
//! buffers of a core, and a word in memory, where cores may write next to each other.

/// Words of a block of a buffer.
const BLOCK: usize = 16;

/// Nobody.
const NOBODY: u32 = u32::MAX;

/// An access: pipe and epoch.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    queue: u32,
    epoch: u32,
}

const NEVER: Stamp = Stamp { queue: NOBODY, epoch: 0 };

impl Stamp {
    fn ordered(self, by: Access<'_>) -> bool {
        self.queue == NOBODY || self.queue == by.queue || self.epoch <= by.clock[self.queue as usize]
    }
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// One bit a word.
    written: u16,
    /// Whether more pipes read it than can be remembered.
    crowded: bool,
    writer: Stamp,
    readers: [Stamp; 2],
}

/// Who accesses: the pipe and, for every pipe, the epoch it has heard of.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Index of the pipe.
    pub queue: u32,
    /// Epochs.
    pub clock: &'a [u32],
}

/// What is wrong with an access, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Reads what was never written.
    Unwritten(usize),
    /// Is not ordered with another access.
    Race(usize),
    /// Ends beyond the end.
    Overflow(usize),
    /// Writes an input.
    ReadOnly,
}

/// 16-bit words with their history.
#[derive(Debug, Default)]
pub struct Memory {
    words: Vec<u16>,
    /// Words of a block.
    unit: usize,
    /// None where nobody may write.
    blocks: Vec<Block>,
}

impl Memory {
    /// A buffer of `words` words of a core, in which nothing was written.
    pub fn buffer(words: usize) -> Self {
        Self::new(vec![0; words], BLOCK)
    }

    /// A tensor in which nothing was written, whatever it holds.
    pub fn unwritten(words: Vec<u16>) -> Self {
        Self::new(words, 1)
    }

    /// A tensor that was written before the program began and that the program does not write.
    pub fn read_only(words: Vec<u16>) -> Self {
        Self { words, unit: 1, blocks: Vec::new() }
    }

    fn new(words: Vec<u16>, unit: usize) -> Self {
        let block = Block { written: 0, crowded: false, writer: NEVER, readers: [NEVER; 2] };
        Self { blocks: vec![block; words.len().div_ceil(unit)], unit, words }
    }

    /// The words, and the first byte that was never written.
    pub fn finish(self) -> (Vec<u16>, Option<usize>) {
        let written = |word: usize| {
            let block = self.blocks.get(word / self.unit);
            block.is_none_or(|block| block.written & (1 << (word % self.unit)) != 0)
        };
        let missing = (0..self.words.len()).find(|&word| !written(word)).map(|word| 2 * word);
        (self.words, missing)
    }

    /// Words `start..start + len`, to read.
    pub fn read(&mut self, start: usize, len: usize, by: Access<'_>) -> Result<&[u16], Fault> {
        let unit = self.unit;
        for (index, mask) in self.touched(start, len)? {
            let Some(block) = self.blocks.get_mut(index) else { break };
            if block.written & mask != mask {
                let word = index * unit + (mask & !block.written).trailing_zeros() as usize;
                return Err(Fault::Unwritten(2 * word));
            }
            if !block.writer.ordered(by) {
                return Err(Fault::Race(2 * index * unit));
            }
            let stamp = Stamp { queue: by.queue, epoch: by.clock[by.queue as usize] };
            match block.readers.iter_mut().find(|reader| reader.ordered(by)) {
                Some(reader) => *reader = stamp,
                None => block.crowded = true,
            }
        }
        Ok(&self.words[start..start + len])
    }

    /// Words `start..start + len`, to overwrite.
    pub fn write(&mut self, start: usize, len: usize, by: Access<'_>) -> Result<&mut [u16], Fault> {
        let unit = self.unit;
        for (index, mask) in self.touched(start, len)? {
            let Some(block) = self.blocks.get_mut(index) else { return Err(Fault::ReadOnly) };
            let ordered = block.writer.ordered(by) && block.readers.iter().all(|reader| reader.ordered(by));
            if block.crowded || !ordered {
                return Err(Fault::Race(2 * index * unit));
            }
            block.written |= mask;
            block.writer = Stamp { queue: by.queue, epoch: by.clock[by.queue as usize] };
        }
        Ok(&mut self.words[start..start + len])
    }

    /// Blocks of a range, each with the bits of its words in the range.
    fn touched(&self, start: usize, len: usize) -> Result<impl Iterator<Item = (usize, u16)> + use<>, Fault> {
        let end = start + len;
        if end > self.words.len() {
            return Err(Fault::Overflow(2 * self.words.len()));
        }
        let unit = self.unit;
        let last = if len == 0 { start / unit } else { end.div_ceil(unit) };
        Ok((start / unit..last).map(move |index| {
            let from = start.saturating_sub(index * unit);
            let to = (end - index * unit).min(unit);
            let below = |n: usize| ((1u32 << n) - 1) as u16;
            (index, below(to) & !below(from))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_a_history() {
        let mut memory = Memory::buffer(40);
        let (first, second) = ([1, 0], [0, 1]);
        let (a, b) = (Access { queue: 0, clock: &first }, Access { queue: 1, clock: &second });
        assert_eq!(memory.read(3, 2, a), Err(Fault::Unwritten(6)));
        memory.write(3, 20, a).unwrap();
        assert_eq!(memory.read(22, 2, a), Err(Fault::Unwritten(46)));
        assert_eq!(memory.read(39, 2, a), Err(Fault::Overflow(80)));
        assert_eq!(memory.read(4, 2, b), Err(Fault::Race(0)), "nobody told b");
        let told = [1, 1];
        let b = Access { queue: 1, clock: &told };
        assert_eq!(memory.read(4, 2, b).unwrap(), [0, 0]);
        assert_eq!(memory.write(4, 1, a), Err(Fault::Race(0)), "b may still read");
        assert_eq!(memory.finish().1, Some(0));
    }
}
