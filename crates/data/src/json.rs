//! Lines of JSON within limits.

use crate::DataError;
use crate::list::{Collector, budget, charge, for_each_line};
use auricle_io::Budget;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::Path;

/// More values are none of an utterance: an hour with a time for every word has 50,000.
const MAX_VALUES: usize = 1 << 18;

/// What a value takes in memory, about, a name beside it included.
const VALUE_COST: u64 = 96;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Parses a line, having charged what it will take.
///
/// # Errors
/// Another form of JSON or too many values (a line); a list that takes too much memory (the file).
pub(crate) fn parse<T: DeserializeOwned>(
    path: &Path,
    number: usize,
    line: &str,
    budget: &mut Budget,
    form: &str,
) -> Result<T, DataError> {
    let values = values(line);
    if values > MAX_VALUES {
        let reason = format!("{values} JSON values, more than the {MAX_VALUES} of a line; split it");
        return Err(DataError::line(path, number, reason));
    }
    charge(path, budget, values as u64 * VALUE_COST)?;
    serde_json::from_str(line).map_err(|e| DataError::line(path, number, format!("{}{form}", said(&e))))
}

/// serde's message without "line 1", which is always so.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| match error.column() {
        0 => what.to_owned(),
        column => format!("{what} at column {column}"),
    })
}

/// At least as many as there are JSON values in a text: signs outside of strings that come before one.
fn values(text: &str) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

/// Calls `each` with every line as a JSON object.
pub(crate) fn for_each_object(
    path: &Path,
    collector: &mut Collector,
    mut each: impl FnMut(usize, Object, &mut Collector) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut budget = budget(path);
    for_each_line(path, |number, line| {
        let object = line.and_then(|line| parse(path, number, line, &mut budget, ""));
        let result = object.and_then(|object| each(number, object, collector));
        collector.take(result)
    })
}

/// The first object, or `None` of a file without lines. Lines before it that are broken are passed over by a lenient
/// reading, which meets them again.
pub(crate) fn first_object(path: &Path, is_lenient: bool) -> Result<Option<Object>, DataError> {
    let mut first = None;
    let mut budget = budget(path);
    let result = for_each_line(path, |number, line| {
        match line.and_then(|line| parse_first(path, number, line, &mut budget)) {
            Ok(object) => first = Some(object),
            Err(DataError::Line { .. }) if is_lenient => return Ok(()),
            Err(error) => return Err(error),
        }
        Err(DataError::layout(path, "")) // enough has been read
    });
    match first {
        Some(object) => Ok(Some(object)),
        None => result.map(|()| None),
    }
}

/// The first line tells most often that a file is JSON, but not one object a line.
fn parse_first(path: &Path, number: usize, line: &str, budget: &mut Budget) -> Result<Object, DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let whole = |what: &str, filter: &str| {
        let reason = format!(
            "{what}, but auricle reads one JSON object a line; `jq -c '{filter}' {name} > lines.jsonl` writes it so"
        );
        Err(DataError::layout(path, reason))
    };
    const BY_ID: &str = "to_entries[]|{id:.key}+.value";
    if line.starts_with('[') {
        return whole("one JSON list of all utterances", ".[]");
    }
    match parse::<Object>(path, number, line, budget, "") {
        Err(DataError::Line { .. }) if number == 1 && line.starts_with('{') && line.ends_with(['{', '[']) => {
            whole("one JSON object of many lines", BY_ID)
        }
        // `{"x": {"wav": …}, …}`
        Ok(object) if !object.is_empty() && object.values().all(Value::is_object) => {
            whole("one JSON object of all utterances", BY_ID)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_counted_too_few() {
        for text in ["7", "[]", "[1,2,[3]]", r#"{"a":"x,[{","b":[{"c\"":1}]}"#] {
            fn all(value: &Value) -> usize {
                match value {
                    Value::Array(list) => 1 + list.iter().map(all).sum::<usize>(),
                    Value::Object(map) => 1 + map.values().map(all).sum::<usize>(),
                    _ => 1,
                }
            }
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(values(text) >= all(&value), "{text}");
        }
        assert_eq!(values(r#"{"a":"x,,,[{{"}"#), 2);
    }
}
