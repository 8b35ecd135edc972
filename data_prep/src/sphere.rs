//! NIST SPHERE files, as LDC corpora have them, to WAV.
//!
//! The header is text: `NIST_1A`, its size in bytes, `name -type value` lines, `end_head`. What follows
//! is read where it is 16-bit PCM of one channel, of either byte order; "shortened" files are not.

use crate::PrepError;
use crate::listing::SourceFile;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

const MAGIC: &[u8] = b"NIST_1A";

/// A larger header is none.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// More samples are not one utterance: four hours at 16 kHz.
const MAX_SAMPLES: u64 = 4 * 3600 * 16_000;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sphere {
    header_bytes: u64,
    samples: u64,
    pub sample_rate: u32,
    big_endian: bool,
}

impl Sphere {
    /// The header of a file; `None` where it is no SPHERE file.
    ///
    /// # Errors
    /// A header that is damaged or of another coding; fewer samples than it promises.
    pub fn open(file: &SourceFile) -> Result<Option<Self>, PrepError> {
        let path = &file.path;
        let mut reader = File::open(path).map_err(PrepError::io(path))?;
        let mut start = Vec::with_capacity(16);
        reader.by_ref().take(16).read_to_end(&mut start).map_err(PrepError::io(path))?;
        if !start.starts_with(MAGIC) {
            return Ok(None);
        }
        let size = start.get(MAGIC.len()..).and_then(|size| std::str::from_utf8(size).ok());
        let header_bytes = size.and_then(|size| size.trim().parse::<u64>().ok());
        let header_bytes = header_bytes.filter(|bytes| (17..=MAX_HEADER_BYTES).contains(bytes));
        let Some(header_bytes) = header_bytes else {
            return Err(damaged(path, "the size of its header is missing or out of bounds"));
        };
        let mut header = Vec::new();
        reader.take(header_bytes - 16).read_to_end(&mut header).map_err(PrepError::io(path))?;
        let header = String::from_utf8_lossy(&header);
        Self::parse(path, header_bytes, &header, file.bytes).map(Some)
    }

    fn parse(path: &Path, header_bytes: u64, header: &str, bytes: u64) -> Result<Self, PrepError> {
        let lines = header.lines().take_while(|line| line.trim() != "end_head");
        let field = |name: &str| {
            let mut values = lines.clone().filter_map(|line| {
                let mut parts = line.split_whitespace();
                (parts.next()? == name).then(|| parts.nth(1)).flatten()
            });
            values.next()
        };
        let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());

        let coding = field("sample_coding").unwrap_or("pcm");
        if coding.contains("shorten") || coding.contains("shortpack") || coding.contains("wavpack") {
            let reason = format!(
                "SPHERE compressed as {coding}, which is not read here; unpack it first, \
                 for example with `sph2pipe -p -f wav`"
            );
            return Err(PrepError::layout(path, reason));
        }
        let (width, channels) = (number("sample_n_bytes"), number("channel_count").unwrap_or(1));
        if coding != "pcm" || width != Some(2) || channels != 1 {
            let width = width.map_or("an unknown number of".to_owned(), |width| width.to_string());
            let reason = format!(
                "SPHERE with {coding} samples of {width} bytes in {channels} channels; only 16-bit PCM of \
                 one channel is read: convert it to WAV with `sph2pipe -p -f wav`"
            );
            return Err(PrepError::layout(path, reason));
        }
        let big_endian = match field("sample_byte_format") {
            Some("01") => false,
            Some("10") => true,
            other => {
                let reason = format!("sample_byte_format is {}, not 01 or 10", other.unwrap_or("missing"));
                return Err(damaged(path, &reason));
            }
        };
        let sample_rate = number("sample_rate").and_then(|rate| u32::try_from(rate).ok());
        let Some(sample_rate) = sample_rate.filter(|&rate| rate > 0) else {
            return Err(damaged(path, "sample_rate is missing or out of bounds"));
        };
        let there = bytes.saturating_sub(header_bytes) / 2;
        let samples = number("sample_count").unwrap_or(there);
        if samples > there {
            return Err(damaged(path, &format!("{there} samples of the {samples} that its header promises")));
        }
        if !(1..=MAX_SAMPLES).contains(&samples) {
            return Err(damaged(path, &format!("{samples} samples; 1 to {MAX_SAMPLES} can be used")));
        }
        Ok(Self { header_bytes, samples, sample_rate, big_endian })
    }

    /// The samples, in [−1, 1).
    pub fn read(&self, path: &Path) -> Result<Vec<f32>, PrepError> {
        let mut file = File::open(path).map_err(PrepError::io(path))?;
        file.seek(SeekFrom::Start(self.header_bytes)).map_err(PrepError::io(path))?;
        let mut bytes = vec![0; 2 * self.samples as usize];
        file.read_exact(&mut bytes).map_err(PrepError::io(path))?;
        let sample = |pair: &[u8; 2]| match self.big_endian {
            true => i16::from_be_bytes(*pair),
            false => i16::from_le_bytes(*pair),
        };
        Ok(bytes.as_chunks().0.iter().map(|pair| f32::from(sample(pair)) / 32_768.0).collect())
    }

    /// Size of the WAV file that is made of it.
    pub fn wav_bytes(&self) -> u64 {
        44 + 2 * self.samples
    }
}

fn damaged(path: &Path, reason: &str) -> PrepError {
    PrepError::layout(path, format!("damaged SPHERE file: {reason}; copy it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fields: &str) -> Vec<u8> {
        let mut header = format!("NIST_1A\n   1024\n{fields}end_head\n").into_bytes();
        header.resize(1024, b' ');
        header
    }

    const FIELDS: &str = "database_id -s5 TIMIT\nchannel_count -i 1\nsample_count -i 3\n\
                          sample_rate -i 16000\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n";

    fn file(folder: &Path, content: &[u8]) -> SourceFile {
        let path = folder.join("SA1.WAV");
        std::fs::write(&path, content).unwrap();
        SourceFile { path, bytes: content.len() as u64 }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let message = |fields: &str, samples: usize| {
            let mut content = header(fields);
            content.resize(1024 + 2 * samples, 0);
            Sphere::open(&file(folder.path(), &content)).unwrap_err().to_string()
        };
        let shorten = format!("{FIELDS}sample_coding -s26 pcm,embedded-shorten-v2.00\n");
        assert!(message(&shorten, 3).contains("sph2pipe"));
        assert!(message(FIELDS, 2).contains("2 samples of the 3"));
        assert!(message(&FIELDS.replace("-i 3", "-i 0"), 3).contains("0 samples"));
        assert!(message(&FIELDS.replace("-i 16000", "-i 0"), 3).contains("sample_rate"));
        assert!(message(&FIELDS.replace("s2 01", "s2 xy"), 3).contains("sample_byte_format is xy"));
        assert!(
            message(&FIELDS.replace("channel_count -i 1", "channel_count -i 2"), 3).contains("2 channels")
        );
        assert!(message(&FIELDS.replace("-i 3", "-i 99999999999999999"), 3).contains("promises"));
        for content in [&b"NIST_1A\n   9999999\n"[..], b"NIST_1A", b"NIST_1A\n   xxxx\n"] {
            let message = Sphere::open(&file(folder.path(), content)).unwrap_err().to_string();
            assert!(message.contains("header"), "{message}");
        }
        assert_eq!(Sphere::open(&file(folder.path(), b"RIFF....WAVEfmt ")).unwrap(), None);
    }
}
