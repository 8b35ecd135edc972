//! Expressions with alternatives and slots, and the part of YAML that they are written in.

use auricle_rng::Stream;
use auricle_text::slu::{Frame, Intent};
use std::collections::BTreeMap;

/// A longer list is not read.
const MAX_ENTRIES: usize = 100_000;

/// What can be said.
#[derive(Debug)]
pub(super) struct Grammar {
    expressions: Vec<(String, Vec<Part>)>,
    slots: BTreeMap<String, Vec<String>>,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Words(String),
    /// One of them.
    Choice(Vec<String>),
    /// A value of a list, and the slot that it fills.
    Slot {
        list: String,
        slot: String,
    },
}

impl Grammar {
    /// Reads
    ///
    /// ```yaml
    /// context:
    ///   expressions:
    ///     intent:
    ///       - "[a, b] words $list:slot"
    ///   slots:
    ///     list:
    ///       - "value"
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut expressions, mut slots) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
        let mut path: Vec<(usize, String)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let fail = |reason: &str| format!("line {}: {reason}; correct the line", number + 1);
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            if let Some(entry) = content.strip_prefix("- ") {
                let entry = unquoted(entry).ok_or_else(|| fail("a quote that is not closed"))?;
                path.retain(|(of_key, _)| *of_key <= indent);
                let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
                match keys.as_slice() {
                    ["context", "expressions", intent] => {
                        let parts = parts(entry).map_err(|reason| fail(&reason))?;
                        expressions.push(((*intent).to_owned(), parts));
                    }
                    ["context", "slots", list] => {
                        slots.entry((*list).to_owned()).or_default().push(entry.to_owned())
                    }
                    // Macros and other lists are not used here.
                    _ => {}
                }
                if expressions.len() + slots.values().map(Vec::len).sum::<usize>() > MAX_ENTRIES {
                    return Err(format!("more than {MAX_ENTRIES} entries; is this a grammar?"));
                }
            } else {
                let key = content.strip_suffix(':').ok_or_else(|| fail("neither `key:` nor `- entry`"))?;
                let key = unquoted(key).ok_or_else(|| fail("a quote that is not closed"))?;
                path.retain(|(of_key, _)| *of_key < indent);
                path.push((indent, key.to_owned()));
            }
        }
        if expressions.is_empty() {
            return Err("no expressions below context; is this the grammar?".into());
        }
        let lists = expressions.iter().flat_map(|(_, parts)| parts).filter_map(|part| match part {
            Part::Slot { list, .. } => Some(list),
            _ => None,
        });
        match lists.into_iter().find(|list| !slots.contains_key(*list)) {
            Some(list) => Err(format!("there are no values of ${list}; add them to slots")),
            None => Ok(Self { expressions, slots }),
        }
    }

    /// A sentence and its meaning.
    pub fn draw(&self, stream: &mut Stream) -> (String, Frame) {
        let (intent, parts) = &self.expressions[stream.below(self.expressions.len())];
        let mut frame = Frame::new(Intent::new(intent));
        let mut said: Vec<String> = Vec::new();
        for part in parts {
            said.push(match part {
                Part::Words(words) => words.clone(),
                Part::Choice(choice) => choice[stream.below(choice.len())].clone(),
                Part::Slot { list, slot } => {
                    let values = self.slots.get(list).map(Vec::as_slice).unwrap_or_default();
                    let value = values
                        .get(stream.below(values.len().max(1)))
                        .map(|value| value.trim().to_lowercase());
                    let value = value.unwrap_or_default();
                    frame = frame.with(slot, &value);
                    value
                }
            });
        }
        // `[a, an]` is drawn before the next word is known.
        for at in 1..said.len() {
            if matches!(said[at - 1].as_str(), "a" | "an") && parts[at - 1].is_article() {
                let vowel = said[at].starts_with(['a', 'e', 'i', 'o', 'u']);
                said[at - 1] = if vowel { "an".into() } else { "a".into() };
            }
        }
        (said.join(" "), frame)
    }
}

impl Part {
    fn is_article(&self) -> bool {
        matches!(self, Self::Choice(choice) if choice.len() == 2 && choice.contains(&"a".to_owned()) && choice.contains(&"an".to_owned()))
    }
}

/// A scalar without its quotes.
fn unquoted(text: &str) -> Option<&str> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.strip_suffix(quote);
        }
    }
    Some(text)
}

fn parts(expression: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = expression.trim();
    while !rest.is_empty() {
        let (part, after) = if let Some(inner) = rest.strip_prefix('[') {
            let (choice, after) = inner.split_once(']').ok_or("a `[` without `]`")?;
            let choice: Vec<String> = choice.split(',').map(|one| one.trim().to_owned()).collect();
            if choice.iter().any(|one| one.is_empty() || one.contains(['[', '$'])) {
                return Err(format!("`[{choice:?}]` is no list of words"));
            }
            (Part::Choice(choice), after)
        } else if let Some(inner) = rest.strip_prefix('$') {
            let (name, after) = inner.split_at(inner.find(char::is_whitespace).unwrap_or(inner.len()));
            let (list, slot) =
                name.split_once(':').ok_or_else(|| format!("`${name}` is not `$list:slot`"))?;
            (Part::Slot { list: list.to_owned(), slot: slot.to_owned() }, after)
        } else {
            let (words, after) = rest.split_at(rest.find(['[', '$']).unwrap_or(rest.len()));
            if let Some(sign) = words.chars().find(|c| "()@|{}]".contains(*c)) {
                return Err(format!("`{sign}` in an expression is not read here"));
            }
            (Part::Words(words.trim().to_owned()), after)
        };
        parts.push(part);
        rest = after.trim_start();
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use std::collections::BTreeSet;

    const ORDERS: &str = "# orders\ncontext:\n  expressions:\n    order:\n      - \"[brew, I'd like] [a, an] $size:size $drink:coffee with milk\"\n  \
        slots:\n    size:\n      - \"small\"\n      - 'eight ounce'\n    drink:\n      - \" latte\"\n";

    #[test]
    fn every_sentence_of_it_is_drawn() {
        let grammar = Grammar::parse(ORDERS).unwrap();
        let mut stream = Key::new(1).stream(Purpose::Test);
        let drawn: BTreeSet<_> = (0..100)
            .map(|_| {
                let (text, frame) = grammar.draw(&mut stream);
                format!("{text} | {}", frame.to_text().unwrap())
            })
            .collect();
        assert_eq!(drawn.len(), 4, "{drawn:?}");
        let one = "I'd like an eight ounce latte with milk | <int:order> <slot:size> eight ounce </slot> <slot:coffee> latte </slot>";
        assert!(
            drawn.contains(one) && drawn.iter().any(|text| text.starts_with("brew a small latte")),
            "{drawn:?}"
        );
    }

    #[test]
    fn faults_are_told_by_line() {
        for (from, to, expected) in [
            ("$drink:coffee", "$tea:coffee", "no values of $tea"),
            ("$drink:coffee", "$drink", "`$drink` is not"),
            ("[a, an]", "[a, an", "line 5"),
            ("[a, an]", "(a|an)", "`(`"),
            ("expressions", "macros", "no expressions"),
            ("slots:", "slots", "line 6"),
            ("small\"", "small", "line 8"),
        ] {
            let message = Grammar::parse(&ORDERS.replace(from, to)).unwrap_err();
            assert!(message.contains(expected), "{to}: {message}");
        }
    }
}
