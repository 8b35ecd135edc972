//! A FLAC stream cut into frames (RFC 9639), so that its end, what stands behind it, and damage are seen exactly.
//!
//! A frame ends where its checksum matches and the next frame begins, or nothing follows. What STREAMINFO says about
//! the sizes of blocks and frames is not needed for that, and often wrong.

use std::io::{self, Read as _};

use crate::decode::input::Input;

/// Beyond this a frame has lost its end. The largest frame that is possible: 65,535 samples of 8 channels with 33 bits.
const MAX_FRAME_BYTES: usize = 3 << 20;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 15;

/// Places where a stream seems to go on behind damage that are tried: a hostile file could have one every few bytes.
const MAX_TRIES: usize = 64;

/// Largest block.
const MAX_BLOCK: u16 = 65_535;

/// The longest frame header.
const MAX_HEADER_BYTES: usize = 16;

/// The block that every FLAC file begins with.
#[derive(Debug, Clone)]
pub(super) struct StreamInfo {
    /// As the decoder wants it: with sizes of blocks that hold for every frame.
    pub(super) for_decoder: Box<[u8]>,
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
    /// 0 is "unknown".
    pub(super) total_samples: Option<u64>,
}

impl StreamInfo {
    fn parse(block: &[u8; 34]) -> Self {
        let [_, _, a, b, ..] = *block;
        let max_block = u16::from_be_bytes([a, b]);
        let mut for_decoder = block.to_vec();
        // The least block may be anything, the largest is what memory is reserved for.
        for_decoder[..2].copy_from_slice(&16u16.to_be_bytes());
        let largest = if max_block < 16 { MAX_BLOCK } else { max_block };
        for_decoder[2..4].copy_from_slice(&largest.to_be_bytes());
        for_decoder[4..10].fill(0);
        let bits = block[10..18].iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        let total = bits & ((1 << 36) - 1);
        Self {
            for_decoder: for_decoder.into(),
            sample_rate: (bits >> 44) as u32,
            channels: (bits >> 41 & 7) as usize + 1,
            total_samples: (total > 0).then_some(total),
        }
    }

    /// Makes room for blocks that are larger than what the block says.
    fn allow_block(&mut self, samples: u16) {
        let [_, _, a, b, ..] = *self.for_decoder else { return };
        if samples > u16::from_be_bytes([a, b]) {
            self.for_decoder[2..4].copy_from_slice(&MAX_BLOCK.to_be_bytes());
        }
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// The number of the frame, or of its first sample, whichever the stream counts.
    number: u64,
    block_samples: u16,
    /// Fields that are the same in all frames: strategy, rate, channels (1 where two are stored as sum and
    /// difference), bits.
    kind: [u8; 4],
    bytes: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d, first, ..] = bytes else { return None };
        if a != 0xff || b & 0xfe != 0xf8 || d & 1 != 0 || c >> 4 == 0 || c & 15 == 15 || d >> 4 > 10 {
            return None;
        }
        // The number is written like a long character of UTF-8.
        let more = match first.leading_ones() {
            0 => 0,
            ones @ 2..=7 => ones as usize - 1,
            _ => return None,
        };
        let mut number = if more == 0 { u64::from(first) } else { u64::from(first) & (0x3f >> more) };
        for &byte in bytes.get(5..5 + more)? {
            if byte & 0xc0 != 0x80 {
                return None;
            }
            number = number << 6 | u64::from(byte & 0x3f);
        }
        let mut at = 5 + more;
        let block_samples = match c >> 4 {
            1 => 192,
            n @ 2..=5 => 576 << (n - 2),
            6 => {
                at += 1;
                u16::from(*bytes.get(at - 1)?) + 1
            }
            7 => {
                at += 2;
                u16::from_be_bytes(*bytes.get(at - 2..)?.first_chunk()?).checked_add(1)?
            }
            n => 256 << (n - 8),
        };
        at += match c & 15 {
            12 => 1,
            13 | 14 => 2,
            _ => 0,
        };
        if crc8(bytes.get(..at)?) != *bytes.get(at)? {
            return None;
        }
        let channels = if d >> 4 >= 8 { 1 } else { d >> 4 };
        Some(Self { number, block_samples, kind: [b, c & 15, channels, d & 14], bytes: at + 1 })
    }

    /// Whether `next` can follow this frame directly.
    fn is_followed_by(&self, next: &Self) -> bool {
        let by_frame = self.number.checked_add(1);
        let by_sample = self.number.checked_add(u64::from(self.block_samples));
        next.kind == self.kind && (Some(next.number) == by_frame || Some(next.number) == by_sample)
    }

    /// The sample this frame begins with, where blocks have the size of the first one.
    fn first_sample(&self, first: &Self) -> u64 {
        let counts_samples = self.kind[0] & 1 == 1;
        if counts_samples { self.number } else { self.number.saturating_mul(u64::from(first.block_samples)) }
    }
}

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame, in [`Frames::frame`].
    Frame,
    /// The end. So many bytes before it are no frame; `is_cut` where they begin like one.
    End { rest_bytes: u64, is_cut: bool },
    /// A frame is damaged or missing; the next good one begins with this sample.
    Gap { next_sample: u64 },
}

/// The frames of a stream, in order.
pub(super) struct Frames {
    input: Input,
    buffer: Vec<u8>,
    /// Where the bytes that are not used up begin in the buffer.
    start: usize,
    /// Length of the current frame.
    given: usize,
    has_ended: bool,
    first: Header,
    last: Option<Header>,
    is_last: bool,
    skipped_bytes: u64,
}

impl Frames {
    /// Reads the metadata. `None` where there is no STREAMINFO or no frame.
    pub(super) fn open(input: Input) -> io::Result<Option<(StreamInfo, Self)>> {
        let mut at = 4;
        let mut info = None;
        loop {
            let head = input.peek(at, 4)?;
            let &[kind, a, b, c] = head.as_slice() else { return Ok(None) };
            // No block has this number, but frames begin so: the mark of the last block is damaged.
            if kind == 0xff {
                break;
            }
            if kind & 0x7f == 0 && info.is_none() {
                info = input.peek(at + 4, 34)?.first_chunk().map(StreamInfo::parse);
            }
            at += 4 + u64::from(u32::from_be_bytes([0, a, b, c]));
            if kind & 0x80 != 0 {
                break;
            }
        }
        let Some(mut info) = info else { return Ok(None) };
        let mut frames = Self {
            input: input.part(at, input.len()),
            buffer: Vec::new(),
            start: 0,
            given: 0,
            has_ended: false,
            first: Header { number: 0, block_samples: 0, kind: [0; 4], bytes: 0 },
            last: None,
            is_last: false,
            skipped_bytes: 0,
        };
        let Some((offset, first)) = frames.find_header(0, |_| true)? else { return Ok(None) };
        frames.first = first;
        frames.skipped_bytes = offset as u64;
        frames.start = offset;
        info.allow_block(first.block_samples);
        Ok(Some((info, frames)))
    }

    /// Bytes between the metadata and the first frame.
    pub(super) fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// The bytes of the current frame.
    pub(super) fn frame(&self) -> &[u8] {
        self.buffer.get(self.start..self.start + self.given).unwrap_or_default()
    }

    /// Whether no other frame was found behind the current one.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// The sample that the first frame begins with: above 0 where frames before it are missing.
    pub(super) fn first_sample(&self) -> u64 {
        self.first.first_sample(&self.first)
    }

    /// What STREAMINFO says and the first frame denies.
    pub(super) fn contradiction(&self, info: &StreamInfo) -> Option<String> {
        const RATES_HZ: [u32; 12] =
            [0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
        let [_, rate, channels, _] = self.first.kind;
        let hz = RATES_HZ.get(usize::from(rate)).copied().filter(|&hz| hz > 0 && hz != info.sample_rate);
        if let Some(hz) = hz {
            return Some(format!("it says {} Hz, its frames say {hz} Hz", info.sample_rate));
        }
        let channels = usize::from(channels) + 1;
        (channels != info.channels)
            .then(|| format!("it says {} channels, its frames have {channels}", info.channels))
    }

    /// Goes to the next frame.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        self.start += self.given;
        self.given = 0;
        self.fill(MAX_HEADER_BYTES)?;
        if self.rest().is_empty() {
            return Ok(Step::End { rest_bytes: 0, is_cut: false });
        }
        let header =
            Header::parse(self.rest()).filter(|h| self.last.is_none_or(|last| last.is_followed_by(h)));
        if let Some(header) = header
            && let Some(len) = self.frame_bytes(header)?
        {
            self.given = len;
            self.last = Some(header);
            return Ok(Step::Frame);
        }
        // A header that the end of the file cuts begins like one.
        let is_cut_header = self.rest().len() < MAX_HEADER_BYTES && self.rest().starts_with(&[0xff]);
        self.after_damage(header.is_some() || is_cut_header)
    }

    /// The last frame may be longer than it seems: its checksum can match by chance before its end. Goes to the next
    /// place where it matches; false where there is none.
    pub(super) fn lengthen(&mut self) -> bool {
        if !self.is_last {
            return false;
        }
        let mut crc = crc16(0, self.frame());
        let rest = self.rest().get(self.given..).unwrap_or_default();
        let more = rest.iter().position(|&byte| {
            crc = crc16(crc, &[byte]);
            crc == 0
        });
        self.given += more.map_or(0, |i| i + 1);
        more.is_some()
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The length of the frame at the beginning of the rest: to the next header where the checksum matches.
    fn frame_bytes(&mut self, header: Header) -> io::Result<Option<usize>> {
        let (mut checked, mut crc) = (0, 0);
        let mut from = header.bytes;
        while let Some((at, _)) = self.find_header(from, |next| header.is_followed_by(next))? {
            crc = crc16(crc, &self.rest()[checked..at]);
            checked = at;
            // The checksum of a whole frame together with its checksum is 0.
            if crc == 0 {
                return Ok(Some(at));
            }
            from = at + 1;
        }
        if !self.has_ended || self.rest().len() > MAX_FRAME_BYTES {
            return Ok(None);
        }
        // With another frame behind it, it is damaged; as the last frame it ends somewhere, and something that is no
        // frame may follow.
        if self
            .find_header(header.bytes, |next| next.kind == header.kind && next.number > header.number)?
            .is_some()
        {
            return Ok(None);
        }
        self.is_last = true;
        let (head, body) = self.rest().split_at(header.bytes.min(self.rest().len()));
        let mut crc = crc16(0, head);
        let end = body.iter().position(|&byte| {
            crc = crc16(crc, &[byte]);
            crc == 0
        });
        Ok(end.map(|i| header.bytes + i + 1))
    }

    /// Looks for the next frame that can be read.
    fn after_damage(&mut self, is_cut: bool) -> io::Result<Step> {
        let (first, begins) = (self.first, self.last.map_or(0, |last| last.number));
        let mut rest_bytes = 0;
        let mut from = 1;
        for _ in 0..MAX_TRIES {
            let found = self.find_header(from, |next| next.kind == first.kind && next.number > begins)?;
            if let Some((at, next)) = found {
                self.start += at;
                rest_bytes += at as u64;
                if self.frame_bytes(next)?.is_some() {
                    return Ok(Step::Gap { next_sample: next.first_sample(&first) });
                }
                from = 1;
            } else if self.has_ended {
                break;
            } else {
                // Nothing in as many bytes as a frame can have: they are not kept.
                let pass = self.rest().len().saturating_sub(MAX_HEADER_BYTES);
                self.start += pass;
                rest_bytes += pass as u64;
                from = 0;
            }
        }
        rest_bytes += self.rest().len() as u64;
        Ok(Step::End { rest_bytes, is_cut })
    }

    /// The first header in the rest at or behind `from`. Reads on until there is one, or until the rest is longer than a
    /// frame can be.
    fn find_header(
        &mut self,
        mut from: usize,
        is_wanted: impl Fn(&Header) -> bool,
    ) -> io::Result<Option<(usize, Header)>> {
        loop {
            let rest = self.rest();
            let end = if self.has_ended { rest.len() } else { rest.len().saturating_sub(MAX_HEADER_BYTES) };
            while let Some(next) = rest.get(from..end).and_then(|b| b.iter().position(|&b| b == 0xff)) {
                from += next;
                if let Some(header) = Header::parse(&rest[from..]).filter(&is_wanted) {
                    return Ok(Some((from, header)));
                }
                from += 1;
            }
            from = from.max(end);
            if self.has_ended || rest.len() > MAX_FRAME_BYTES {
                return Ok(None);
            }
            self.fill(rest.len() + READ_BYTES)?;
        }
    }

    /// Reads until the rest holds so many bytes, or the end.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        let missing = len.saturating_sub(self.rest().len());
        if missing > 0 && !self.has_ended {
            self.buffer.drain(..self.start);
            self.start = 0;
            let missing = missing.max(READ_BYTES);
            let read = (&mut self.input).take(missing as u64).read_to_end(&mut self.buffer)?;
            self.has_ended = read < missing;
        }
        Ok(())
    }
}

/// Where the stream ends by the number of its last frame: a quick look at the end of a file, to see whether the header's
/// total is right. `None` where no whole frame ends there.
pub(super) fn end_by_last_frame(input: &Input, frames: &Frames) -> io::Result<Option<u64>> {
    for look_bytes in [1u64 << 15, 1 << 20] {
        let from = input.len().saturating_sub(look_bytes);
        let bytes = input.peek(from, look_bytes as usize)?;
        let headers = (0..bytes.len()).rev().filter_map(|at| Some((at, Header::parse(&bytes[at..])?)));
        let mut ours = headers.filter(|(_, h)| h.kind == frames.first.kind);
        if let Some((at, last)) = ours.next() {
            let end = last.first_sample(&frames.first).checked_add(u64::from(last.block_samples));
            return Ok(end.filter(|_| crc16(0, &bytes[at..]) == 0));
        }
        if from == 0 {
            break;
        }
    }
    Ok(None)
}

/// x⁸ + x² + x + 1.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 })
    })
}

/// x¹⁶ + x¹⁵ + x² + 1, going on from `crc`.
fn crc16(crc: u16, bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = (i as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x8005 } else { crc << 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    bytes.iter().fold(crc, |crc, &byte| crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}
