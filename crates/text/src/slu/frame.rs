//! Intents with slots.

use super::lexer::{FrameToken, frame_tokens, is_name};
use super::{Fault, MAX_BYTES, MAX_NODES, SluError};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a speaker wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Intent {
    /// The field it belongs to, where a corpus has such: `alarm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// What to do there: `query`; or the whole intent. Empty where a model did not say.
    pub action: String,
}

/// A slot with the words that fill it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// Its type: `event_name`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value, words with single spaces: `dance class`.
    pub value: String,
}

/// An intent with slots, in the order of the sentence. A slot may come several times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// What the speaker wants; `None` where a model did not say.
    pub intent: Option<Intent>,
    /// With what.
    pub entities: Vec<Entity>,
}

impl Intent {
    /// An intent in one name.
    pub fn new(action: impl Into<String>) -> Self {
        Self { scenario: None, action: action.into() }
    }

    /// An intent in a scenario, as SLURP has it.
    pub fn in_scenario(scenario: impl Into<String>, action: impl Into<String>) -> Self {
        Self { scenario: Some(scenario.into()), action: action.into() }
    }

    /// `scenario_action`, or the action alone: what is compared.
    pub fn name(&self) -> String {
        match &self.scenario {
            Some(scenario) => format!("{scenario}_{}", self.action),
            None => self.action.clone(),
        }
    }
}

impl Entity {
    /// A slot of a type with its value, white space made single.
    pub fn new(kind: impl Into<String>, value: &str) -> Self {
        Self { kind: kind.into(), value: value.split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

impl Frame {
    /// An intent without slots.
    pub fn new(intent: Intent) -> Self {
        Self { intent: Some(intent), entities: Vec::new() }
    }

    /// The same with one more slot behind the others.
    #[must_use]
    pub fn with(mut self, kind: impl Into<String>, value: &str) -> Self {
        self.entities.push(Entity::new(kind, value));
        self
    }

    /// The intent's name; empty where there is none.
    pub fn intent_name(&self) -> String {
        self.intent.as_ref().map(Intent::name).unwrap_or_default()
    }

    /// The frame as a sequence model writes it: `<scn:S> <act:A>` or `<int:I>`, then `<slot:T> words </slot>`
    /// for each slot. [`Frame::parse`] reads it back.
    ///
    /// ```
    /// use auricle_text::slu::{Frame, Intent};
    /// let frame = Frame::new(Intent::in_scenario("alarm", "query")).with("event_name", "dance class");
    /// let text = frame.to_text()?;
    /// assert_eq!(text, "<scn:alarm> <act:query> <slot:event_name> dance class </slot>");
    /// assert_eq!(Frame::parse(&text), Ok(frame));
    /// # Ok::<(), auricle_text::slu::SluError>(())
    /// ```
    ///
    /// # Errors
    /// A name or a value that could not be read back, no intent, too much of it.
    pub fn to_text(&self) -> Result<String, SluError> {
        let name = |name: &str| if is_name(name) { Ok(()) } else { Err(SluError::Name(name.to_owned())) };
        let intent = self.intent.as_ref().ok_or_else(|| SluError::Name(String::new()))?;
        name(&intent.action)?;
        let mut text = match &intent.scenario {
            Some(scenario) => {
                name(scenario)?;
                format!("<scn:{scenario}> <act:{}>", intent.action)
            }
            None => format!("<int:{}>", intent.action),
        };
        if self.entities.len() > MAX_NODES {
            return Err(SluError::TooMuch { what: "slots", limit: MAX_NODES });
        }
        for Entity { kind, value } in &self.entities {
            name(kind)?;
            let words: Vec<&str> = value.split(' ').collect();
            let tokens = frame_tokens(value);
            let read_back = tokens.iter().map(|token| match token {
                FrameToken::Word(word) => Some(*word),
                _ => None,
            });
            if value.is_empty() || !read_back.eq(words.iter().map(|word| Some(*word))) {
                return Err(SluError::Value { slot: kind.clone(), value: value.clone() });
            }
            // Writing to a String cannot fail.
            write!(text, " <slot:{kind}> {value} </slot>").ok();
        }
        if text.len() > MAX_BYTES {
            return Err(SluError::TooMuch { what: "bytes", limit: MAX_BYTES });
        }
        Ok(text)
    }

    /// The frame of a text of [`Frame::to_text`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (frame, fault) = Self::read(text);
        fault.map_or(Ok(frame), Err)
    }

    /// The frame of a model's output, and what is wrong with it.
    ///
    /// Of a text with a fault the intent is what the marks before the first slot say, and there are no
    /// slots. Of a text longer than [`MAX_BYTES`] only the beginning is looked at.
    pub fn read(text: &str) -> (Self, Option<Fault>) {
        let mut cut = text.len().min(MAX_BYTES);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let tokens = frame_tokens(&text[..cut]);
        let fault = if cut < text.len() { Err(Fault::Long) } else { strict(&tokens) };
        match fault {
            Ok(frame) => (frame, None),
            Err(fault) => (Self { intent: first_intent(&tokens), entities: Vec::new() }, Some(fault)),
        }
    }
}

fn strict(tokens: &[FrameToken<'_>]) -> Result<Frame, Fault> {
    let (intent, mut rest) = match tokens {
        [] => return Err(Fault::Empty),
        [FrameToken::Scenario(scenario), FrameToken::Action(action), rest @ ..] => {
            (Intent::in_scenario(*scenario, *action), rest)
        }
        [FrameToken::Intent(intent), rest @ ..] => (Intent::new(*intent), rest),
        _ => return Err(Fault::NoIntent),
    };
    let mut frame = Frame::new(intent);
    while let [token, after @ ..] = rest {
        let kind = match token {
            FrameToken::Slot(kind) => kind,
            FrameToken::Word(word) => return Err(Fault::Outside((*word).to_owned())),
            other => return Err(Fault::Misplaced(other.to_string())),
        };
        let words = after.iter().map_while(|token| match token {
            FrameToken::Word(word) => Some(*word),
            _ => None,
        });
        let words: Vec<&str> = words.collect();
        match after.get(words.len()) {
            Some(FrameToken::EndSlot) if words.is_empty() => return Err(Fault::NoValue((*kind).to_owned())),
            Some(FrameToken::EndSlot) => {}
            Some(other) => return Err(Fault::Misplaced(other.to_string())),
            None => return Err(Fault::Open(token.to_string())),
        }
        if frame.entities.len() == MAX_NODES {
            return Err(Fault::Nodes);
        }
        frame.entities.push(Entity { kind: (*kind).to_owned(), value: words.join(" ") });
        rest = &after[words.len() + 1..];
    }
    Ok(frame)
}

/// The intent that the marks before the first slot name.
fn first_intent(tokens: &[FrameToken<'_>]) -> Option<Intent> {
    let (mut scenario, mut action) = (None, None);
    for token in tokens {
        match token {
            FrameToken::Slot(_) | FrameToken::EndSlot => break,
            FrameToken::Scenario(name) if scenario.is_none() => scenario = Some((*name).to_owned()),
            FrameToken::Intent(name) if scenario.is_none() && action.is_none() => {
                return Some(Intent::new(*name));
            }
            FrameToken::Action(name) if action.is_none() => action = Some((*name).to_owned()),
            _ => {}
        }
    }
    if scenario.is_none() && action.is_none() {
        return None;
    }
    // A missing half compares as wrong, not as no scenario.
    Some(Intent { scenario: Some(scenario.unwrap_or_default()), action: action.unwrap_or_default() })
}
