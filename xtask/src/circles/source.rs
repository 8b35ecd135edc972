//! What a file of Rust defines and names, as far as its words tell.

use std::collections::BTreeSet;

/// One name that a `use` brings.
#[derive(Debug, PartialEq)]
pub struct Use {
    /// The name here; `*` for all that is there.
    pub name: String,
    /// Where it comes from, as written.
    pub path: Vec<String>,
    /// Whether it is a re-export (`pub`, `pub(crate)`, …).
    pub is_public: bool,
}

/// A file without its tests.
#[derive(Debug, Default)]
pub struct Source {
    /// Modules that are files of their own.
    pub modules: Vec<String>,
    /// Names of functions, types, constants and macros.
    pub defines: BTreeSet<String>,
    /// What it imports and re-exports.
    pub uses: Vec<Use>,
    /// Paths in the code: at least two names.
    pub paths: Vec<Vec<String>>,
}

/// What a name stands behind where it is defined.
const DEFINING: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

impl Source {
    /// Reads a file's text.
    pub fn of(text: &str) -> Self {
        let words = words(text);
        let at = |i: usize| words.get(i).map_or("", String::as_str);
        let mut source = Self::default();
        let (mut i, mut is_public) = (0, false);
        while i < words.len() {
            match at(i) {
                "#" if is_test(&words[i..]) => {
                    i = behind_item(&words, i + 7);
                    is_public = false;
                    continue;
                }
                "pub" => is_public = true,
                "mod" if at(i + 2) == ";" => source.modules.push(at(i + 1).into()),
                "use" => {
                    let end = (i..words.len()).find(|&j| at(j) == ";").unwrap_or(words.len());
                    tree(&words[i + 1..end], &mut Vec::new(), &mut |name, path| {
                        source.uses.push(Use { name, path, is_public });
                    });
                    i = end;
                }
                "macro_rules" => {
                    source.defines.insert(at(i + 2).into());
                }
                word if DEFINING.contains(&word) => {
                    source.defines.insert(at(i + 1).into());
                }
                word if is_name(word) && at(i + 1) == "::" && (i == 0 || at(i - 1) != "::") => {
                    let mut path = vec![word.to_string()];
                    while at(i + 1) == "::" && is_name(at(i + 2)) {
                        path.push(at(i + 2).into());
                        i += 2;
                    }
                    source.paths.push(path);
                }
                _ => {}
            }
            if matches!(at(i), ";" | "{" | "}") {
                is_public = false;
            }
            i += 1;
        }
        source
    }
}

/// Whether an attribute is `#[cfg(test)]`.
fn is_test(words: &[String]) -> bool {
    words.iter().take(7).map(String::as_str).eq(["#", "[", "cfg", "(", "test", ")", "]"])
}

/// The place behind the item that begins at `i`: behind its `;`, or behind the brace that closes its first one.
fn behind_item(words: &[String], mut i: usize) -> usize {
    let mut depth = 0usize;
    while let Some(word) = words.get(i) {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        i += 1;
        if depth == 0 && matches!(word.as_str(), ";" | "}") {
            break;
        }
    }
    i
}

/// Every name of a `use` tree.
fn tree(words: &[String], before: &mut Vec<String>, found: &mut dyn FnMut(String, Vec<String>)) {
    let depth = before.len();
    let mut i = 0;
    let mut alias = None;
    while let Some(word) = words.get(i) {
        match word.as_str() {
            "{" => {
                let inner = &words[i + 1..words.len().saturating_sub(1)];
                for part in split(inner) {
                    tree(part, before, found);
                }
                before.truncate(depth);
                return;
            }
            "::" => {}
            "as" => {
                alias = words.get(i + 1).cloned();
                break;
            }
            word => before.push(word.into()),
        }
        i += 1;
    }
    // `a::{self}` brings `a`.
    let mut path = before.clone();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    before.truncate(depth);
    if let Some(name) = alias.or(path.last().cloned()) {
        found(name, path);
    }
}

/// The parts of a list between commas that are not inside braces.
fn split(words: &[String]) -> Vec<&[String]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push(&words[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single marks; comments and texts are left out.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut words = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            i = (i..chars.len()).find(|&j| at(j) == '\n').unwrap_or(chars.len());
        } else if c == '/' && at(i + 1) == '*' {
            i = behind_comment(&chars, i);
        } else if let Some(end) = behind_raw_text(&chars, i) {
            i = end;
        } else if c == '"' || (c == 'b' && at(i + 1) == '"') {
            i = behind_quoted(&chars, i + usize::from(c == 'b'), '"');
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // Not a lifetime.
            i = behind_quoted(&chars, i, '\'');
        } else if c.is_alphanumeric() || c == '_' {
            let end = (i..chars.len()).find(|&j| !(at(j).is_alphanumeric() || at(j) == '_'));
            let end = end.unwrap_or(chars.len());
            words.push(chars[i..end].iter().collect());
            i = end;
        } else if c == ':' && at(i + 1) == ':' {
            words.push("::".into());
            i += 2;
        } else {
            if !c.is_whitespace() {
                words.push(c.into());
            }
            i += 1;
        }
    }
    words
}

/// Behind a comment that may hold others.
fn behind_comment(chars: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0usize);
    while i < chars.len() {
        match chars.get(i..i + 2) {
            Some(['/', '*']) => {
                depth += 1;
                i += 2;
            }
            Some(['*', '/']) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

/// Behind a text in quotes that begins at `start`; a backslash hides what follows it.
fn behind_quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut i = start + 1;
    while let Some(&c) = chars.get(i) {
        i += match c {
            '\\' => 2,
            _ => 1,
        };
        if c == quote {
            break;
        }
    }
    i.min(chars.len())
}

/// Behind `r"…"`, `r#"…"#`, `br"…"`, where one begins.
fn behind_raw_text(chars: &[char], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).and_then(|i| chars.get(i));
    if before.is_some_and(|c| c.is_alphanumeric() || *c == '_') {
        return None;
    }
    let r = start + usize::from(chars.get(start) == Some(&'b'));
    if chars.get(r) != Some(&'r') {
        return None;
    }
    let hashes = chars[r + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut i = r + 2 + hashes;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(i)
}
