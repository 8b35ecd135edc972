//! What can go wrong between a name or a recipe and a model.

use crate::shipped::SHIPPED;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Why something cannot be done, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A model that is neither a file nor a folder nor shipped.
    #[error("no model `{}`; looked for {}{}", name.display(), list(looked), remedy(name))]
    NoModel {
        /// As it was asked for.
        name: PathBuf,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// What is asked for cannot be had: why, and the next step.
    #[error("{0}")]
    Refused(String),
    /// A manifest, a corpus or a recording.
    #[error(transparent)]
    Data(#[from] auricle_data::DataError),
    /// A recipe, a checkpoint, or training itself.
    #[error(transparent)]
    Train(#[from] auricle_train::TrainError),
    /// What another crate of the project says.
    #[error(transparent)]
    Cause(Box<dyn std::error::Error + Send + Sync>),
    /// What was being done, and why it failed.
    #[error("{what}: {source}")]
    Doing {
        /// A file, an utterance, a key of the recipe.
        what: String,
        /// The reason.
        source: Box<Error>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What to do about a model that is not there.
fn remedy(name: &Path) -> String {
    let shipped = SHIPPED.iter().any(|shipped| name == Path::new(shipped));
    let known = match shipped {
        true => format!("`{}` comes with the program", name.display()),
        false => format!("shipped models are {}, and they come with the program", SHIPPED.join(", ")),
    };
    format!(
        ". {known}: put the folder `models` of the release (or `models/pretrained` of the repository) beside it, or set \
         AURICLE_MODELS to that folder"
    )
}

/// With [`Error`] as its error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Attaches a path to an I/O error.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// A refusal, as an `Err`.
    pub(crate) fn refused<T>(why: impl Into<String>) -> Result<T> {
        Err(Self::Refused(why.into()))
    }
}

macro_rules! causes {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Cause(Box::new(error))
            }
        })+
    };
}

causes![
    auricle_asr::RecogniseError,
    auricle_audio::AudioError,
    auricle_cca_mdd::SessionError,
    auricle_data::builtin::BuiltinError,
    auricle_decode::WordLmError,
    auricle_lasyn::LasynError,
    auricle_nn::ConfigError,
    auricle_nn::StoredError,
    auricle_nn::params::LoadError,
    auricle_nn::pytorch::PytorchError,
    auricle_nn::weights::WeightsError,
    auricle_spiral::ExtractError,
    auricle_tensor::DeviceError,
    auricle_text::G2pError,
    auricle_text::LexiconError,
    auricle_text::TokenizerError,
    auricle_text::lm::LmError,
    auricle_train::UnknownTask,
    serde_json::Error,
    toml::de::Error,
    toml::ser::Error,
];

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// With a name that is at hand.
    fn doing(self, what: impl Display) -> Result<T>;

    /// With a name that is made only then.
    fn doing_with<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.doing_with(|| what)
    }

    fn doing_with<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error::Doing { what: what().to_string(), source: Box::new(error.into()) })
    }
}
