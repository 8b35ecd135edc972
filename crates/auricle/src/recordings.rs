//! Recordings by name: files, folders, manifests, and what comes through a pipe.

use crate::error::Doing as _;
use crate::{Error, Events, Result};
use auricle_data::{Utterance, read_any};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes that are taken from a pipe: as many as a WAV file can hold.
const MAX_PIPED_BYTES: u64 = 4 << 30;

/// Recordings in the order of the inputs.
pub struct Recordings {
    /// Those that could be found.
    pub utterances: Vec<Utterance>,
    /// How many inputs could not be read; each was told to the listener.
    pub failures: usize,
    /// What came through pipes, for as long as it is needed.
    _copies: Vec<Copy>,
}

impl Recordings {
    /// Reads what is there of all inputs; `-` is the standard input. What cannot be read is told to the listener.
    pub fn of(inputs: &[PathBuf], events: &dyn Events) -> Self {
        let mut recordings = Self { utterances: Vec::new(), failures: 0, _copies: Vec::new() };
        for input in inputs {
            if let Err(error) = recordings.add(input) {
                recordings.failures += 1;
                events.failure(&error.to_string());
            }
        }
        recordings
    }

    fn add(&mut self, input: &Path) -> Result<()> {
        if !is_pipe(input) {
            self.utterances.extend(read_any(input)?);
            return Ok(());
        }
        let name = name_of_pipe(input);
        let copy = match input == Path::new("-") {
            true => Copy::of(&mut io::stdin().lock(), input),
            false => {
                File::open(input).map_err(Error::io(input)).and_then(|mut pipe| Copy::of(&mut pipe, input))
            }
        };
        let copy = copy?;
        let found = read_any(&copy.0).doing(input.display())?;
        let single = found.len() == 1;
        self.utterances.extend(found.into_iter().map(|mut utterance| {
            if single {
                utterance.id.clone_from(&name);
            }
            utterance
        }));
        self._copies.push(copy);
        Ok(())
    }

    /// An input that is one recording; `otherwise` is what to use for more.
    ///
    /// # Errors
    /// An input that cannot be read or is another number of recordings.
    pub fn single(input: &Path, otherwise: &str) -> Result<(Utterance, Self)> {
        let mut recordings = Self { utterances: Vec::new(), failures: 0, _copies: Vec::new() };
        recordings.add(input)?;
        match recordings.utterances.len() {
            1 => Ok((recordings.utterances.swap_remove(0), recordings)),
            count => Error::refused(format!(
                "{}: {count} recordings; give one, or use {otherwise}",
                input.display()
            )),
        }
    }

    /// The first id that comes twice: two files in two folders may have one name.
    pub fn repeated_id(&self) -> Option<&str> {
        let mut ids = HashSet::new();
        self.utterances.iter().map(|utterance| utterance.id.as_str()).find(|id| !ids.insert(*id))
    }
}

/// Whether an input can be read only once, from its beginning: a pipe, the standard input, a device.
fn is_pipe(input: &Path) -> bool {
    let by_name = input == Path::new("-") || ["/dev", "/proc"].iter().any(|root| input.starts_with(root));
    by_name || input.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// What such an input is called.
fn name_of_pipe(input: &Path) -> String {
    match input.to_str() {
        Some("-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") => "stdin".into(),
        _ => format!("pipe-{}", input.file_name().unwrap_or_default().to_string_lossy()),
    }
}

/// A file of what came through a pipe; readers of audio go back and forth. It is removed when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(pipe: &mut dyn Read, name: &Path) -> Result<Self> {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let mut start = [0; 16];
        let mut filled = 0;
        while filled < start.len() {
            match pipe.read(&mut start[filled..]).map_err(Error::io(name))? {
                0 => break,
                more => filled += more,
            }
        }
        let start = &start[..filled];
        if start.is_empty() {
            return Error::refused(format!("{}: nothing came through it", name.display()));
        }
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let file = format!("auricle-pipe-{}-{number}.{}", std::process::id(), extension(start));
        let path = std::env::temp_dir().join(file);
        // Only this user may read it, and nobody else's file is written to.
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(Error::io(&path))?;
        let copy = Self(path);
        file.write_all(start).map_err(Error::io(&copy.0))?;
        let copied = io::copy(&mut pipe.take(MAX_PIPED_BYTES), &mut file).map_err(Error::io(&copy.0))?;
        if copied == MAX_PIPED_BYTES {
            return Error::refused(format!(
                "{}: more than {} GiB came through it; write it to a file",
                name.display(),
                MAX_PIPED_BYTES >> 30
            ));
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// The kind of file that begins like this, by its usual extension.
fn extension(start: &[u8]) -> &'static str {
    match start {
        [b'R', b'I', b'F', b'F' | b'X', ..] | [b'R', b'F', b'6', b'4', ..] => "wav",
        [b'f', b'L', b'a', b'C', ..] => "flac",
        [b'O', b'g', b'g', b'S', ..] => "ogg",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "m4a",
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "mp3",
        [b'{', ..] => "jsonl",
        _ => "wav",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenth of a second of silence as a WAV file.
    fn wav() -> Vec<u8> {
        let mut bytes = b"RIFF\xa4\x0c\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x80\x0c\0\0".to_vec();
        bytes.resize(bytes.len() + 3200, 0);
        bytes
    }

    #[test]
    fn what_comes_through_a_pipe_is_read_by_its_content() {
        let copy = Copy::of(&mut wav().as_slice(), Path::new("-")).unwrap();
        let path = copy.0.clone();
        let found = read_any(&path).unwrap();
        assert_eq!((found.len(), found[0].duration_secs), (1, 0.1));
        drop(copy);
        assert!(!path.exists());
        assert!(Copy::of(&mut io::empty(), Path::new("-")).is_err());
        for (start, expected) in [
            (&b"fLaC\0"[..], "flac"),
            (b"OggS\0", "ogg"),
            (b"\0\0\0\x20ftypM4A ", "m4a"),
            (b"ID3\x04", "mp3"),
            (b"\xff\xfb\x90", "mp3"),
            (b"{\"id\":", "jsonl"),
        ] {
            assert_eq!(extension(start), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_a_recording() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("sound");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if !made.is_ok_and(|status| status.success()) {
            return; // this machine has no mkfifo
        }
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, wav()).unwrap()
        });
        let recordings = Recordings::of(&[pipe, folder.path().join("none.wav")], &crate::Silent);
        writer.join().unwrap();
        assert_eq!((recordings.utterances.len(), recordings.failures), (1, 1));
        assert_eq!(recordings.utterances[0].id, "pipe-sound");
        assert!(recordings.utterances[0].samples(16_000).unwrap().len() == 1600);
    }
}
