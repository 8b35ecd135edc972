//! What can go wrong in a run.

use std::path::PathBuf;

/// Why training stopped or could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The recipe is wrong.
    #[error("recipe: {0}")]
    Recipe(String),
    /// The data is wrong.
    #[error("data: {0}")]
    Data(String),
    /// A list cannot be read.
    #[error(transparent)]
    List(#[from] auricle_data::DataError),
    /// A checkpoint cannot be used.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The task refuses a batch or a configuration.
    #[error("{0}")]
    Task(String),
    /// A loss or gradient is not finite.
    #[error(
        "step {step}: {what} is not finite; the batch was saved, reproduce it with `auricle replay {capsule}`"
    )]
    NonFinite {
        /// Optimiser step.
        step: u64,
        /// Loss or gradient.
        what: String,
        /// The capsule's folder.
        capsule: PathBuf,
    },
}

impl TrainError {
    /// Attaches a path to an I/O error; one that begins with the path already is not given it twice.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            let text = source.to_string();
            let source = match text.strip_prefix(&format!("{}: ", path.display())) {
                Some(rest) => std::io::Error::new(source.kind(), rest.to_string()),
                None => source,
            };
            Self::Io { path, source }
        }
    }
}
