//! Kaldi's lists: lines of a key, blanks or a tab, and a value.

use crate::PrepError;
use crate::listing::read_text;
use std::collections::BTreeMap;
use std::path::Path;

/// A longer line is none of a list.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Reads a list; a value may be empty.
///
/// # Errors
/// A missing file, an over-long line, a key that comes twice.
pub(crate) fn read_list(path: &Path) -> Result<BTreeMap<String, String>, PrepError> {
    parse(path, &read_text(path)?)
}

/// Reads a list, which is empty where there is no such file.
pub(crate) fn read_list_if_there(path: &Path) -> Result<BTreeMap<String, String>, PrepError> {
    if path.is_file() { read_list(path) } else { Ok(BTreeMap::new()) }
}

fn parse(path: &Path, content: &str) -> Result<BTreeMap<String, String>, PrepError> {
    let mut list = BTreeMap::new();
    for (number, line) in lines(path, content)? {
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if list.insert(key.to_owned(), value.trim().to_owned()).is_some() {
            let reason = format!("line {number}: {key} comes twice; remove one of the lines");
            return Err(PrepError::layout(path, reason));
        }
    }
    Ok(list)
}

/// The lines that are not blank, trimmed, with their numbers.
///
/// # Errors
/// An over-long line.
pub(crate) fn lines<'a>(path: &Path, content: &'a str) -> Result<Vec<(usize, &'a str)>, PrepError> {
    let lines = content.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).collect();
    match lines.iter().find(|(_, line)| line.len() > MAX_LINE_BYTES) {
        None => Ok(lines),
        Some((number, line)) => {
            let reason = format!(
                "line {number} has {} bytes, more than {MAX_LINE_BYTES}: no list of this corpus; get it again",
                line.len()
            );
            Err(PrepError::layout(path, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_blanks_and_line_ends_of_any_kind() {
        let list = parse(Path::new("text"), "a\tWE CALL\r\n\nb  IT BEAR \nc\n").unwrap();
        let pairs: Vec<_> = list.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "WE CALL"), ("b", "IT BEAR"), ("c", "")]);
        let message = parse(Path::new("text"), "a 1\na 2\n").unwrap_err().to_string();
        assert!(message.contains("line 2: a comes twice"), "{message}");
        let message = parse(Path::new("text"), &"x".repeat(1 << 20)).unwrap_err().to_string();
        assert!(message.contains("1048576 bytes") && message.len() < 200, "{message}");
    }
}
