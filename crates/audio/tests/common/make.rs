//! Small audio files, made byte by byte.

/// The parts of a WAV header that matter here.
pub struct Wav {
    pub magic: &'static [u8; 4],
    pub riff_bytes: u32,
    pub tag: u16,
    pub channels: u16,
    pub rate: u32,
    pub bits: u16,
    /// What the data chunk says.
    pub data_bytes: u32,
    /// Chunks before the format.
    pub before: Vec<u8>,
}

impl Wav {
    /// 16-bit mono at 16 kHz, with the right lengths for so many bytes.
    pub fn of(bytes: usize) -> Self {
        let data_bytes = bytes as u32;
        let (tag, channels, rate, bits) = (1, 1, 16_000, 16);
        Self {
            magic: b"RIFF",
            riff_bytes: 36 + data_bytes,
            tag,
            channels,
            rate,
            bits,
            data_bytes,
            before: vec![],
        }
    }

    pub fn file(&self, data: &[u8]) -> Vec<u8> {
        let group = self.channels * self.bits.div_ceil(8);
        let mut file =
            [self.magic.as_slice(), &self.riff_bytes.to_le_bytes(), b"WAVE", &self.before].concat();
        file.extend(b"fmt \x10\0\0\0");
        file.extend(self.tag.to_le_bytes());
        file.extend(self.channels.to_le_bytes());
        file.extend(self.rate.to_le_bytes());
        file.extend(self.rate.wrapping_mul(u32::from(group)).to_le_bytes());
        file.extend(group.to_le_bytes());
        file.extend(self.bits.to_le_bytes());
        file.extend(b"data");
        file.extend(self.data_bytes.to_le_bytes());
        file.extend(data);
        file
    }
}

/// Samples that are no silence and no text, as 16-bit little-endian bytes.
pub fn sound(samples: usize) -> Vec<u8> {
    (0..samples).flat_map(|n| (((n as f64 * 0.37).sin() * 9_000.0) as i16).to_le_bytes()).collect()
}

/// A FLAC file of 16-bit frames whose samples are all equal within a frame.
pub struct Flac {
    pub rate: u32,
    pub channels: u8,
    pub min_block: u16,
    pub max_block: u16,
    /// What STREAMINFO says; 0 is "unknown".
    pub total: u64,
    pub md5: [u8; 16],
}

impl Flac {
    pub fn file(&self, frames: impl IntoIterator<Item = (u16, i16)>) -> Vec<u8> {
        let mut file = b"fLaC\x80\0\0\x22".to_vec();
        file.extend(self.min_block.to_be_bytes());
        file.extend(self.max_block.to_be_bytes());
        file.extend([0; 6]);
        let bits = u64::from(self.rate) << 44 | u64::from(self.channels - 1) << 41 | 15 << 36 | self.total;
        file.extend(bits.to_be_bytes());
        file.extend(self.md5);
        for (number, (samples, value)) in frames.into_iter().enumerate() {
            file.extend(self.frame(number as u64, samples, value));
        }
        file
    }

    fn frame(&self, number: u64, samples: u16, value: i16) -> Vec<u8> {
        // Fixed blocks, their size in 16 bits, the rate from STREAMINFO.
        let mut frame = vec![0xff, 0xf8, 0x70, (self.channels - 1) << 4 | 0x08];
        frame.extend(number_bytes(number));
        frame.extend((samples - 1).to_be_bytes());
        frame.push(crc(&frame, 8, 0x07) as u8);
        for _ in 0..self.channels {
            frame.push(0);
            frame.extend(value.to_be_bytes());
        }
        let crc = crc(&frame, 16, 0x8005) as u16;
        frame.extend(crc.to_be_bytes());
        frame
    }
}

/// A number as FLAC writes it: like a character of UTF-8.
fn number_bytes(number: u64) -> Vec<u8> {
    match number {
        0..0x80 => vec![number as u8],
        0x80..0x800 => vec![0xc0 | (number >> 6) as u8, 0x80 | (number & 0x3f) as u8],
        0x800..0x1_0000 => {
            vec![0xe0 | (number >> 12) as u8, 0x80 | (number >> 6 & 0x3f) as u8, 0x80 | (number & 0x3f) as u8]
        }
        _ => {
            let part = |shift: u32| 0x80 | (number >> shift & 0x3f) as u8;
            vec![0xf0 | (number >> 18) as u8, part(12), part(6), part(0)]
        }
    }
}

/// A checksum of `width` bits, most significant bit first.
pub fn crc(bytes: &[u8], width: u32, polynomial: u32) -> u32 {
    let top = 1u64 << (width - 1);
    let mask = (top << 1) - 1;
    let crc = bytes.iter().fold(0u64, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte) << (width - 8), |crc, _| {
            if crc & top != 0 { (crc << 1 ^ u64::from(polynomial)) & mask } else { crc << 1 & mask }
        })
    });
    crc as u32
}

/// Puts the right checksum into every page of an Ogg file, after something else was changed; up to where the pages end.
pub fn seal_ogg(file: &mut [u8]) {
    let mut at = 0;
    while let Some(page) = file.get_mut(at..).filter(|page| page.starts_with(b"OggS") && page.len() > 27) {
        let segments = usize::from(page[26]);
        let Some(table) = page.get(27..27 + segments) else { break };
        let end = 27 + segments + table.iter().map(|&len| usize::from(len)).sum::<usize>();
        let Some(page) = page.get_mut(..end) else { break };
        page[22..26].fill(0);
        let sum = crc(page, 32, 0x04c1_1db7);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += end;
    }
}

/// Where the pages of an Ogg file begin.
pub fn ogg_pages(file: &[u8]) -> Vec<usize> {
    (0..file.len()).filter(|&at| file[at..].starts_with(b"OggS\0")).collect()
}

/// The same Ogg file with another number of the stream.
pub fn with_serial(file: &[u8], serial: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    for at in ogg_pages(&file) {
        file[at + 14..at + 18].copy_from_slice(&serial.to_le_bytes());
    }
    seal_ogg(&mut file);
    file
}

/// An Ogg page that begins a stream, and one that ends it.
pub fn ogg_of(first_packet: &[u8]) -> Vec<u8> {
    let page = |flags: u8, sequence: u32, packet: &[u8]| {
        let head =
            [b"OggS\0".as_slice(), &[flags], &[0; 8], &7u32.to_le_bytes(), &sequence.to_le_bytes(), &[0; 4]];
        [&head.concat()[..], &[1, packet.len() as u8], packet].concat()
    };
    let mut file = [page(2, 0, first_packet), page(4, 1, &[1; 100])].concat();
    seal_ogg(&mut file);
    file
}
