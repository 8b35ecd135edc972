//! Why a corpus could not be prepared.

use auricle_audio::AudioError;
use auricle_data::{DataError, LoaderError};
use std::path::{Path, PathBuf};

/// Why a corpus could not be prepared: the datum, and the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepError {
    /// There is no corpus of that name.
    #[error("no corpus is called `{name}`; there are {known}")]
    UnknownCorpus {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The operating system refused a file operation.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file or folder is not what the corpus has there.
    #[error("{path}: {reason}")]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The folder for the manifests has those of another corpus.
    #[error(
        "{out} holds the manifests of {found}; choose another folder for {wanted}, or remove its prepare.json"
    )]
    OtherCorpus {
        /// The folder.
        out: PathBuf,
        /// The corpus it belongs to.
        found: String,
        /// The corpus that is being prepared.
        wanted: &'static str,
    },
    /// Two audio files would be one utterance.
    #[error("{set}: utterance {id} is both {first} and {second}; remove or rename one of them")]
    DuplicateId {
        /// The set.
        set: String,
        /// The id.
        id: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// Audio files whose duration cannot be found.
    #[error(
        "{set}: {count} of {total} audio files cannot be used: {first}{also}; \
         replace or remove them and run the command again; finished work is kept"
    )]
    Audio {
        /// The set.
        set: String,
        /// How many files.
        count: usize,
        /// Out of how many.
        total: usize,
        /// What is wrong with the first.
        first: Box<AudioError>,
        /// The names of some others, as the end of a sentence.
        also: String,
    },
    /// A file could not be fetched.
    #[error(
        "{url} could not be fetched: {reason}; run the command again to continue; or download it yourself, put it into {folder} \
         and run again with --download, or unpack it there and run without --download"
    )]
    Download {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
        /// Where the file belongs.
        folder: PathBuf,
    },
    /// A fetched archive is damaged or not acceptable.
    #[error("{archive}: {reason}; remove the file and fetch it again")]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// What is wrong, with the member's name.
        reason: String,
    },
    /// A manifest could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A thread that looked up durations failed.
    #[error(transparent)]
    Loader(#[from] LoaderError),
}

impl PrepError {
    /// Attaches a path to an I/O error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn layout(path: &Path, reason: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), reason: reason.into() }
    }
}
