//! Lines of an id and a text: what `decode` writes and `eval` reads.

use auricle_io::{Budget, Lines, OverBudget, TextError, open};
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest line: the words of a day of speech with their times have some 30 MB.
const MAX_LINE_BYTES: usize = 64 << 20;
/// All ids and texts together.
const MAX_BYTES: u64 = 2 << 30;

/// Why hypotheses cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HypothesesError {
    /// The file cannot be read, or is no text.
    #[error("{path}: {source}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TextError,
    },
    /// A line that is no hypothesis.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A line of Kaldi's `text` format, without its end: the id, a blank, the text.
///
/// An id that has white space in it is parted from the text by a tab instead, and one with tabs or line breaks, or
/// that begins with a quotation mark or a brace, is written as a JSON string, so that [`read_hypotheses`] finds
/// every id again. Line breaks in the text become blanks.
///
/// ```
/// assert_eq!(auricle_text::text_line("u1", "good morning"), "u1 good morning");
/// assert_eq!(auricle_text::text_line("my talk", "good morning"), "my talk\tgood morning");
/// ```
pub fn text_line(id: &str, text: &str) -> String {
    let text = match text.contains(['\n', '\r']) {
        true => Cow::Owned(text.replace(['\n', '\r'], " ")),
        false => Cow::Borrowed(text),
    };
    let is_odd = |c: char| c.is_control() || c == '\u{feff}';
    if id.is_empty() || id.starts_with(['"', '{']) || id.trim() != id || id.contains(is_odd) {
        return format!("{}\t{text}", serde_json::Value::from(id));
    }
    let blank = if id.contains(char::is_whitespace) { '\t' } else { ' ' };
    format!("{id}{blank}{text}")
}

/// Texts by id, of JSON lines with `id` and `field`, or of `<id> <text>` lines ([`text_line`]); gzip and byte order
/// marks are understood.
///
/// `known` are the ids that may come. They tell where the id ends in lines of other programs: it is what stands
/// before the first tab if that is known, else before the first white space if that is, else the longest known id
/// that the line begins with.
///
/// # Errors
/// The file cannot be read, a line lacks one of the two, or an id comes twice.
pub fn read_hypotheses(
    path: &Path,
    field: &str,
    known: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>, HypothesesError> {
    let text_error = |source| HypothesesError::Text { path: path.into(), source };
    let reader = open(path).map_err(|error| text_error(error.into()))?;
    let mut lines = Lines::new(reader, MAX_LINE_BYTES);
    let mut budget = Budget::new("the hypotheses", MAX_BYTES);
    let mut texts = BTreeMap::new();
    while let Some((line, content)) = lines.next_line().map_err(text_error)? {
        if content.trim().is_empty() {
            continue;
        }
        let wrong = |reason| HypothesesError::Line { path: path.into(), line, reason };
        let (id, text) = if content.trim_start().starts_with('{') {
            json_line(content, field).map_err(wrong)?
        } else {
            let (id, text) = plain_line(content, known);
            (id.into_owned(), text.to_owned())
        };
        let cost = (id.len() + text.len() + size_of::<(String, String)>()) as u64;
        budget.charge(cost).map_err(|error: OverBudget| text_error(error.into()))?;
        if texts.contains_key(&id) {
            return Err(wrong(format!("id `{id}` comes twice")));
        }
        texts.insert(id, text);
    }
    Ok(texts)
}

/// Id and text of a line that is not JSON.
fn plain_line<'l>(line: &'l str, known: &BTreeSet<&str>) -> (Cow<'l, str>, &'l str) {
    let at_tab = line.split_once('\t');
    if let Some((quoted, text)) = at_tab
        && quoted.starts_with('"')
        && let Ok(id) = serde_json::from_str::<String>(quoted)
    {
        return (id.into(), text);
    }
    let at_blank = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let is_known = |split: &(&str, &str)| known.contains(split.0);
    let longest = || {
        let ends =
            line.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, c)| (at, at + c.len_utf8()));
        let mut splits =
            ends.chain([(line.len(), line.len())]).map(|(end, next)| (&line[..end], &line[next..]));
        splits.rfind(is_known)
    };
    let found = at_tab.filter(is_known).or_else(|| Some(at_blank).filter(is_known)).or_else(longest);
    let (id, text) = found.or(at_tab).unwrap_or(at_blank);
    (id.into(), text)
}

/// Id and text of a JSON object; the rest of it, such as words with their times, is passed over without being kept.
fn json_line(line: &str, field: &str) -> Result<(String, String), String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let found = json.deserialize_map(Fields { field }).and_then(|found| json.end().map(|()| found));
    found.map_err(|error| error.to_string())
}

struct Fields<'f> {
    field: &'f str,
}

/// What an id may be in JSON.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = (String, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `id` and `{}`", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut id, mut text) = (None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "id" => {
                    id = Some(match map.next_value()? {
                        Id::Text(id) => id,
                        Id::Number(id) => id.to_string(),
                    });
                }
                key if key == self.field => text = Some(map.next_value::<String>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        id.zip(text).ok_or_else(|| A::Error::custom(format!("needs `id` and `{}`", self.field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(content: &[u8], known: &[&str]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyp.txt");
        std::fs::write(&path, content).unwrap();
        let found = read_hypotheses(&path, "text", &known.iter().copied().collect());
        found.map(|texts| texts.into_iter().collect()).map_err(|error| error.to_string())
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(id, text)| (id.to_string(), text.to_string())).collect()
    }

    #[test]
    fn lines_of_text_and_json_with_a_mark_and_windows_ends() {
        let text = "\u{feff}a we call it\r\nb\r\n\r\n{\"id\": \"c\", \"words\": [{}], \"text\": \"bear\"}\r\n{\"text\":\"five\",\"id\":5}";
        let expected = pairs(&[("5", "five"), ("a", "we call it"), ("b", ""), ("c", "bear")]);
        assert_eq!(read(text.as_bytes(), &[]), Ok(expected));
        let error = read(b"a x\n{\"id\": \"b\"}\n", &[]).unwrap_err();
        assert!(error.contains("hyp.txt, line 2: needs `id` and `text`"), "{error}");
        assert!(read(b"a x\na y\n", &[]).unwrap_err().ends_with("line 2: id `a` comes twice"));
        assert!(read(b"a x\n\xff y\n", &[]).unwrap_err().contains("line 2 is not UTF-8"));
        assert!(read(b"{\"id\":\"a\",\"text\":\"b\"} c\n", &[]).unwrap_err().contains("line 1"));
    }

    #[test]
    fn known_ids_tell_where_an_id_ends() {
        let known = ["my talk", "my talk 2", "u1"];
        let of = |line: &str| read(line.as_bytes(), &known).unwrap().remove(0);
        let is = |id: &str, text: &str| (id.to_string(), text.to_string());
        assert_eq!(of("my talk good morning"), is("my talk", "good morning"));
        assert_eq!(of("my talk 2 good"), is("my talk 2", "good"));
        assert_eq!(of("my talk"), is("my talk", ""));
        assert_eq!(of("u1 good\tmorning"), is("u1", "good\tmorning"));
        assert_eq!(of("other thing\tgood"), is("other thing", "good"));
    }

    proptest! {
        /// What is written is read: any id, with or without knowing it; any text but for its line breaks.
        #[test]
        fn every_id_and_text_comes_back(
            items in prop::collection::btree_map("[ -~\t\n\r\u{a0}é\u{2028}\u{feff}\"{}\\\\]{0,8}", "[a-z ]{0,12}", 1..6),
            knows: bool,
        ) {
            let lines: Vec<String> = items.iter().map(|(id, text)| text_line(id, text)).collect();
            let known: Vec<&str> = if knows { items.keys().map(String::as_str).collect() } else { vec![] };
            let found = read(lines.join("\n").as_bytes(), &known).unwrap();
            prop_assert_eq!(found, items.into_iter().collect::<Vec<_>>());
        }
    }
}
