//! Marks and words.

use std::collections::BTreeSet;

/// Begins of the marks of frames, with what follows up to `>`.
const FRAME_MARKS: [&str; 4] = ["scn:", "act:", "int:", "slot:"];

/// A piece of a written frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameToken<'t> {
    Scenario(&'t str),
    Action(&'t str),
    Intent(&'t str),
    Slot(&'t str),
    EndSlot,
    Word(&'t str),
}

impl std::fmt::Display for FrameToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scenario(name) => write!(f, "<scn:{name}>"),
            Self::Action(name) => write!(f, "<act:{name}>"),
            Self::Intent(name) => write!(f, "<int:{name}>"),
            Self::Slot(name) => write!(f, "<slot:{name}>"),
            Self::EndSlot => f.write_str("</slot>"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// The mark that a text begins with, and the rest.
fn frame_mark(text: &str) -> Option<(FrameToken<'_>, &str)> {
    if let Some(rest) = text.strip_prefix("</slot>") {
        return Some((FrameToken::EndSlot, rest));
    }
    let inner = text.strip_prefix('<')?;
    FRAME_MARKS.iter().find(|mark| inner.starts_with(**mark))?;
    let end = inner.find(|c: char| !is_of_name(c) && c != ':')?;
    let rest = inner[end..].strip_prefix('>')?;
    let (kind, name) = inner[..end].split_once(':')?;
    if !is_name(name) {
        return None;
    }
    let token = match kind {
        "scn" => FrameToken::Scenario(name),
        "act" => FrameToken::Action(name),
        "int" => FrameToken::Intent(name),
        _ => FrameToken::Slot(name),
    };
    Some((token, rest))
}

/// Marks and words of a frame; marks need no space around them.
pub(super) fn frame_tokens(text: &str) -> Vec<FrameToken<'_>> {
    let mut tokens = Vec::new();
    for part in text.split_whitespace() {
        let (mut rest, mut word) = (part, 0);
        // `word` bytes of `rest` belong to no mark yet.
        while word < rest.len() {
            match frame_mark(&rest[word..]) {
                Some((mark, after)) => {
                    if word > 0 {
                        tokens.push(FrameToken::Word(&rest[..word]));
                    }
                    tokens.push(mark);
                    (rest, word) = (after, 0);
                }
                None => word += rest[word..].chars().next().map_or(1, char::len_utf8),
            }
        }
        if !rest.is_empty() {
            tokens.push(FrameToken::Word(rest));
        }
    }
    tokens
}

/// `[LABEL`, `]` and words of a tree; brackets need no space before them. Labels become upper case and
/// words lower case, as STOP has them.
pub(super) fn tree_tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut push = |token: &str| {
        if !token.is_empty() {
            let label = token.starts_with('[');
            tokens.push(if label { token.to_uppercase() } else { token.to_lowercase() });
        }
    };
    for part in text.split_whitespace() {
        let mut start = 0;
        for (at, c) in part.char_indices().filter(|(_, c)| matches!(c, '[' | ']')) {
            push(&part[start..at]);
            start = at;
            if c == ']' {
                push("]");
                start += 1;
            }
        }
        push(&part[start..]);
    }
    tokens
}

/// Whether a character can be part of the name of an intent or slot.
fn is_of_name(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '[' | ']')
}

/// Whether this can name an intent or slot.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_name)
}

/// The marks of serialised meanings, frames or trees, sorted: each should be one token of its own.
///
/// ```
/// let meanings = ["<int:play> <slot:artist> nina simone </slot>", "[IN:GET_EVENT [SL:DATE_TIME tonight ] ]"];
/// let marks = auricle_text::slu::marks(meanings);
/// assert_eq!(marks, ["</slot>", "<int:play>", "<slot:artist>", "[IN:GET_EVENT", "[SL:DATE_TIME", "]"]);
/// ```
pub fn marks<'a>(meanings: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut marks = BTreeSet::new();
    for meaning in meanings {
        if is_tree(meaning) {
            marks.extend(tree_tokens(meaning).into_iter().filter(|token| token.starts_with(['[', ']'])));
        } else {
            let tokens = frame_tokens(meaning).into_iter();
            marks.extend(tokens.filter(|t| !matches!(t, FrameToken::Word(_))).map(|t| t.to_string()));
        }
    }
    marks.into_iter().collect()
}

/// Whether a serialised meaning is a tree.
pub(super) fn is_tree(meaning: &str) -> bool {
    meaning.trim_start().starts_with('[')
}
