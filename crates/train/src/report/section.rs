//! What a task adds to a report.

use super::escape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A part of a report: a heading, a sentence, a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Heading.
    pub heading: String,
    /// What is to be seen, in a sentence.
    pub text: String,
    /// Names of the columns; none where there is no table.
    pub header: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Plain text.
    Text(String),
    /// Words of which some are marked.
    Words(Vec<Word>),
}

/// A word of a transcript and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Its error; `None` where it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WordError>,
}

/// Kinds of word errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordError {
    /// Taken for another word, or recognised in its place.
    Substitution,
    /// Said and not recognised.
    Deletion,
    /// Recognised and not said.
    Insertion,
}

impl WordError {
    /// Its name, which is also its class in the stylesheet.
    pub fn name(self) -> &'static str {
        match self {
            Self::Substitution => "substitution",
            Self::Deletion => "deletion",
            Self::Insertion => "insertion",
        }
    }
}

impl Cell {
    /// Neighbours with the same error share a mark.
    pub(super) fn html(&self) -> String {
        let words = match self {
            Self::Text(text) => return escape(text),
            Self::Words(words) => words,
        };
        let runs = words.chunk_by(|a, b| a.error == b.error).map(|run| {
            let text = run.iter().map(|word| escape(&word.text)).collect::<Vec<_>>().join(" ");
            match run.first().and_then(|word| word.error) {
                None => text,
                // `del` and `ins` are what these are called in HTML: screen readers tell them.
                Some(error) => {
                    let (tag, name) = (["mark", "del", "ins"][error as usize], error.name());
                    format!("<{tag} class=\"{name}\" title=\"{name}\">{text}</{tag}>")
                }
            }
        });
        runs.collect::<Vec<_>>().join(" ")
    }

    /// Whether it says that there is no value.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Text(text) if matches!(text.as_str(), "" | "–"))
    }

    /// Whether it is a number, with a unit or not.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+'))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The text without its marks.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Words(words) => {
                f.write_str(&words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_by_their_error_and_escaped() {
        let word = |text: &str, error| Word { text: text.into(), error };
        let cell = Cell::Words(vec![
            word("the", None),
            word("<b>", Some(WordError::Substitution)),
            word("fat", Some(WordError::Deletion)),
            word("old", Some(WordError::Deletion)),
            word("cat", Some(WordError::Insertion)),
        ]);
        assert_eq!(
            cell.html(),
            "the <mark class=\"substitution\" title=\"substitution\">&lt;b&gt;</mark> \
             <del class=\"deletion\" title=\"deletion\">fat old</del> \
             <ins class=\"insertion\" title=\"insertion\">cat</ins>"
        );
        assert_eq!(cell.to_string(), "the <b> fat old cat");
        let json = serde_json::to_string(&vec![cell.clone(), Cell::from("plain".to_string())]).unwrap();
        let back: Vec<Cell> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, [cell, Cell::Text("plain".into())]);
    }
}
