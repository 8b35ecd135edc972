//! TensorBoard event files: TFRecords of `Event` messages with scalar summaries.
//!
//! A record is `length (u64 LE) | masked CRC-32C of it | data | masked CRC-32C of the data`.

use crate::TrainError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one event file.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl EventWriter {
    /// A new file in `folder`; several files of one run are read as one by TensorBoard.
    pub fn create(folder: &Path) -> Result<Self, TrainError> {
        std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        let name = format!("events.out.tfevents.{:.6}.{}.auricle", unix_secs(), std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(TrainError::io(&path))?;
        let mut writer = Self { path, out: BufWriter::new(file) };
        let mut event = event_header(0);
        field_bytes(&mut event, 3, b"brain.Event:2");
        writer.record(&event).map_err(TrainError::io(&writer.path))?;
        Ok(writer)
    }

    /// A named number at a step.
    pub fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), TrainError> {
        let mut entry = Vec::new();
        field_bytes(&mut entry, 1, name.as_bytes());
        entry.push(2 << 3 | 5);
        entry.extend_from_slice(&(value as f32).to_le_bytes());
        let mut summary = Vec::new();
        field_bytes(&mut summary, 1, &entry);
        let mut event = event_header(step);
        field_bytes(&mut event, 5, &summary);
        self.record(&event).map_err(TrainError::io(&self.path))
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.out.flush().map_err(TrainError::io(&self.path))
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        self.out.write_all(&length)?;
        self.out.write_all(&masked_crc(&length).to_le_bytes())?;
        self.out.write_all(data)?;
        self.out.write_all(&masked_crc(data).to_le_bytes())
    }
}

fn unix_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |age| age.as_secs_f64())
}

/// Wall time (field 1, double) and step (field 2, varint).
fn event_header(step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend_from_slice(&unix_secs().to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step);
    event
}

fn field_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// CRC-32C, rotated and offset as TFRecord wants it.
fn masked_crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_castagnoli_one() {
        // RFC 3720 B.4: 32 zero bytes give 0x8A9136AA.
        let crc = 0x8A91_36AAu32.rotate_right(15).wrapping_add(0xA282_EAD8);
        assert_eq!(masked_crc(&[0; 32]), crc);
    }

    #[test]
    fn records_frame_the_events() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        writer.scalar(300, "loss", 0.5).unwrap();
        writer.flush().unwrap();
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(file).unwrap();
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(masked_crc(&rest[..8]).to_le_bytes(), rest[8..12]);
            let data = &rest[12..12 + length];
            assert_eq!(masked_crc(data).to_le_bytes(), rest[12 + length..16 + length]);
            events.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(events.len(), 2);
        assert!(events[0].ends_with(b"brain.Event:2"));
        // step 300 as varint, then the summary with name and little-endian 0.5.
        assert_eq!(events[1][9..12], [0x10, 0xAC, 0x02]);
        assert!(events[1].ends_with(&[b'l', b'o', b's', b's', 0x15, 0, 0, 0, 0x3F]));
    }
}
