//! Which system a recipe trains.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::str::FromStr;

/// The system that a recipe's `task` names; what it trains bears the same name in its metadata as `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TaskKind {
    /// SPIRAL pre-training.
    Spiral,
    /// CTC fine-tuning: a recogniser.
    Ctc,
    /// Mispronunciation detection and diagnosis.
    CcaMdd,
    /// Speech and text as latents: a recogniser, or a model of meanings.
    Lasyn,
    /// A synthesizer of latents.
    LasynSynthesizer,
    /// Phones by LF-MMI.
    Mmi,
    /// A task of the caller's own, for [`Trainer`](crate::Trainer); the `auricle` command has none.
    Custom,
}

impl TaskKind {
    /// Those that the `auricle` command trains.
    pub const ALL: [Self; 6] =
        [Self::Spiral, Self::Ctc, Self::CcaMdd, Self::Lasyn, Self::LasynSynthesizer, Self::Mmi];

    /// Its name in recipes and metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spiral => "spiral",
            Self::Ctc => "ctc",
            Self::CcaMdd => "cca_mdd",
            Self::Lasyn => "lasyn",
            Self::LasynSynthesizer => "lasyn_synthesizer",
            Self::Mmi => "mmi",
            Self::Custom => "custom",
        }
    }

    /// Whether encoders of the task can compute in another precision than `f32`.
    pub const fn takes_precision(self) -> bool {
        matches!(self, Self::Spiral | Self::Ctc | Self::Mmi | Self::Custom)
    }
}

impl Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown task `{name}`; known are {known}{suggestion}")]
#[non_exhaustive]
pub struct UnknownTask {
    /// The name.
    pub name: String,
    known: String,
    suggestion: String,
}

impl FromStr for TaskKind {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        if let Some(kind) = Self::ALL.into_iter().chain([Self::Custom]).find(|kind| kind.name() == name) {
            return Ok(kind);
        }
        let known = Self::ALL.map(|kind| format!("`{kind}`")).join(", ");
        let suggestion = nearest(name, Self::ALL.iter().map(|kind| kind.name()));
        let suggestion = suggestion.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(UnknownTask { name: name.into(), known, suggestion })
    }
}

impl TryFrom<String> for TaskKind {
    type Error = UnknownTask;

    fn try_from(name: String) -> Result<Self, UnknownTask> {
        name.parse()
    }
}

impl From<TaskKind> for String {
    fn from(kind: TaskKind) -> Self {
        kind.name().into()
    }
}

/// The known name that is most like a wrong one, where one is like it at all.
pub(crate) fn nearest<'k>(wrong: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (strsim::jaro_winkler(wrong, known), known));
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > 0.7)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for kind in TaskKind::ALL.into_iter().chain([TaskKind::Custom]) {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<TaskKind>(&format!("\"{kind}\"")).unwrap(), kind);
        }
        assert_eq!(format!("{:>7}|", TaskKind::Ctc), "    ctc|");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let error = "lasyn_synthesiser".parse::<TaskKind>().unwrap_err().to_string();
        assert!(error.contains("did you mean `lasyn_synthesizer`?"), "{error}");
        let error = "quux".parse::<TaskKind>().unwrap_err().to_string();
        assert!(error.contains("`cca_mdd`") && !error.contains("did you mean"), "{error}");
    }
}
