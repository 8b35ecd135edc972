//! A look through the pages of an Ogg file (RFC 3533) before it is decoded: what is in it, whether its end is there,
//! whether a page between is damaged. The decoder would pass over a damaged page without a word.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use super::input::Input;

const HEADER_BYTES: usize = 27;

/// The largest page.
const MAX_PAGE_BYTES: usize = HEADER_BYTES + 255 + 255 * 255;

/// Streams at once in a file. More are not counted, and belong to no recording.
const MAX_STREAMS: usize = 64;

/// What the pages show.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Recordings one after the other ("chained").
    pub(super) num_links: usize,
    /// What the streams of the first link are, by the names of their codecs.
    pub(super) codecs: Vec<&'static str>,
    /// The last page is missing or damaged.
    pub(super) is_cut: bool,
    /// The first sample after which a page is damaged or missing, though others follow.
    pub(super) damage: Option<u64>,
    /// A last page that the end of the file cuts, with a header for the packets that are whole: a page can hold
    /// seconds, and the decoder would drop all of it.
    pub(super) last_page: Option<LastPage>,
}

/// A mended page: where it begins and ends in the file, and its header.
#[derive(Debug)]
pub(super) struct LastPage {
    at: u64,
    end: u64,
    header: Vec<u8>,
}

impl Pages {
    /// The file with its last page mended.
    pub(super) fn mended(&self, input: Input) -> Input {
        match &self.last_page {
            Some(LastPage { at, end, header }) => input.part(0, *end).patched(*at, header),
            None => input,
        }
    }
}

/// Codecs that can be decoded.
pub(super) const DECODABLE: [&str; 2] = ["Vorbis", "FLAC"];

/// How a stream of each codec begins.
const CODECS: [(&[u8], &str); 10] = [
    (b"\x01vorbis", "Vorbis"),
    (b"\x7fFLAC", "FLAC"),
    (b"fLaC", "FLAC"),
    (b"OpusHead", "Opus"),
    (b"Speex   ", "Speex"),
    (b"CELT    ", "CELT"),
    (b"PCM     ", "PCM"),
    (b"\x80theora", "Theora video"),
    (b"fishead", "a skeleton"),
    (b"BBCD", "Dirac video"),
];

struct Page {
    flags: u8,
    granule: u64,
    serial: u32,
    sequence: u32,
    /// Where the content begins, and where the page ends.
    body: usize,
    end: usize,
}

enum Parsed {
    Page(Page),
    /// The file ends inside of it.
    Incomplete,
    /// It is none, or its checksum is wrong.
    Bad,
}

/// Looks at every page.
pub(super) fn scan(mut input: Input) -> io::Result<Pages> {
    let mut pages = Pages::default();
    let (mut buffer, mut start, mut has_ended, mut offset) = (Vec::new(), 0, false, 0);
    // The last page of each stream of this link: its number, and whether it says that it is the last.
    let mut streams: BTreeMap<u32, (u32, bool)> = BTreeMap::new();
    let (mut granule, mut is_beginning, mut is_bad) = (0, false, false);
    loop {
        if buffer.len() - start < MAX_PAGE_BYTES && !has_ended {
            buffer.drain(..start);
            offset += start as u64;
            start = 0;
            let wanted = 4 * MAX_PAGE_BYTES;
            has_ended = (&mut input).take(wanted as u64).read_to_end(&mut buffer)? < wanted;
        }
        let rest = &buffer[start..];
        if rest.is_empty() {
            break;
        }
        let page = match parse(rest) {
            Parsed::Page(page) => page,
            parsed => {
                // The next place that could be a page.
                let next = rest.windows(4).skip(1).position(|w| w == b"OggS");
                is_bad = true;
                if matches!(parsed, Parsed::Incomplete) && next.is_none() {
                    pages.last_page = mend(rest, offset + start as u64, granule);
                    break;
                }
                start += next.map_or(rest.len().saturating_sub(3).max(1), |next| next + 1);
                continue;
            }
        };
        let is_first = page.flags & 2 != 0;
        if is_first && !is_beginning {
            pages.num_links += 1;
            streams.clear();
            granule = 0;
        }
        is_beginning = is_first;
        if is_first && pages.num_links == 1 && pages.codecs.len() < MAX_STREAMS {
            let content = &rest[page.body..page.end];
            let codec = CODECS.iter().find(|(magic, _)| content.starts_with(magic));
            pages.codecs.push(codec.map_or("an unknown codec", |(_, name)| name));
        }
        let last = streams.get(&page.serial);
        // Streams that were recorded from the middle begin with pages of any number.
        let is_gap = last.is_some_and(|(last, _)| granule > 0 && last.wrapping_add(1) != page.sequence);
        if (is_bad || is_gap) && !is_first && pages.damage.is_none() {
            pages.damage = Some(granule);
        }
        is_bad = false;
        if page.granule != u64::MAX {
            granule = page.granule;
        }
        if last.is_some() || is_first && streams.len() < MAX_STREAMS {
            streams.insert(page.serial, (page.sequence, page.flags & 4 != 0));
        }
        start += page.end;
    }
    pages.is_cut = is_bad || streams.values().any(|(_, is_last)| !is_last);
    Ok(pages)
}

fn parse(bytes: &[u8]) -> Parsed {
    if !bytes.starts_with(b"OggS") {
        let is_cut = bytes.len() < 4 && b"OggS".starts_with(bytes);
        return if is_cut { Parsed::Incomplete } else { Parsed::Bad };
    }
    let Some((header, table)) = bytes.split_at_checked(HEADER_BYTES) else { return Parsed::Incomplete };
    let num_segments = usize::from(header[26]);
    let Some(table) = table.get(..num_segments) else { return Parsed::Incomplete };
    let body = HEADER_BYTES + num_segments;
    let end = body + table.iter().map(|&len| usize::from(len)).sum::<usize>();
    let Some(page) = bytes.get(..end) else { return Parsed::Incomplete };
    let u32_at = |i: usize| u32::from_le_bytes([page[i], page[i + 1], page[i + 2], page[i + 3]]);
    let crc = crc32(crc32(crc32(0, &page[..22]), &[0; 4]), &page[26..]);
    if header[4] != 0 || crc != u32_at(22) {
        return Parsed::Bad;
    }
    let granule = u64::from(u32_at(6)) | u64::from(u32_at(10)) << 32;
    Parsed::Page(Page { flags: header[5], granule, serial: u32_at(14), sequence: u32_at(18), body, end })
}

/// A page whose end is missing, with the packets that are whole. `granule` is where the page before ends.
fn mend(rest: &[u8], at: u64, granule: u64) -> Option<LastPage> {
    let num_segments = usize::from(*rest.get(HEADER_BYTES - 1)?);
    let body = HEADER_BYTES + num_segments;
    let mut header = rest.get(..body)?.to_vec();
    // Segments up to the last packet that is whole; those behind become empty packets, which the decoder passes over.
    let (mut sum, mut whole, mut kept) = (0, 0, 0);
    for (i, &len) in header[HEADER_BYTES..].iter().enumerate() {
        sum += usize::from(len);
        if body + sum > rest.len() {
            break;
        }
        if len < 255 {
            (whole, kept) = (sum, i + 1);
        }
    }
    if whole == 0 {
        return None;
    }
    header[HEADER_BYTES + kept..].fill(0);
    header[5] |= 4;
    // Where these packets end is not known: beyond what they can hold, so that nothing of them is cut.
    header[6..14].copy_from_slice(&granule.saturating_add(1 << 40).to_le_bytes());
    header[22..26].fill(0);
    let crc = crc32(crc32(0, &header), &rest[body..body + whole]);
    header[22..26].copy_from_slice(&crc.to_le_bytes());
    Some(LastPage { at, end: at + (body + whole) as u64, header })
}

/// The polynomial 0x04c11db7, most significant bit first, going on from `crc`.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = (i as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    bytes.iter().fold(crc, |crc, &byte| crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}
