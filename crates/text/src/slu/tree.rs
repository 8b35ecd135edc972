//! Bracketed parse trees, after Gupta et al. (TOP, arXiv 1810.07942).

use super::lexer::{is_name, tree_tokens};
use super::{Fault, MAX_BYTES, MAX_DEPTH, MAX_NODES, SluError};
use std::fmt;

/// An intent or a slot with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree {
    /// `IN:…` or `SL:…`, in upper case.
    pub label: String,
    /// Words, in lower case, and trees, in the order of the sentence.
    pub children: Vec<Node>,
}

/// A part of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A word.
    Word(String),
    /// An intent or a slot.
    Tree(Tree),
}

impl Tree {
    /// A tree without children.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), children: Vec::new() }
    }

    /// The tree as a sequence model writes it, with single spaces. [`Tree::parse`] reads it back.
    ///
    /// # Errors
    /// A label or a word that could not be read back, too deep or too much.
    pub fn to_text(&self) -> Result<String, SluError> {
        // Before anything recurses.
        let (mut level, mut depth, mut nodes) = (vec![self], 0, 0);
        while !level.is_empty() {
            depth += 1;
            nodes += level.len();
            if depth > MAX_DEPTH {
                return Err(SluError::TooMuch { what: "levels", limit: MAX_DEPTH });
            }
            if nodes > MAX_NODES {
                return Err(SluError::TooMuch { what: "nodes", limit: MAX_NODES });
            }
            level = level.iter().flat_map(|tree| tree.subtrees()).collect();
        }
        let text = self.to_string();
        if text.len() > MAX_BYTES {
            return Err(SluError::TooMuch { what: "bytes", limit: MAX_BYTES });
        }
        match Self::parse(&text) {
            Ok(tree) if tree == *self => Ok(text),
            _ => Err(SluError::Name(text)),
        }
    }

    /// The tree of a text such as `[IN:GET_EVENT [SL:DATE_TIME tonight ] ]`.
    ///
    /// Labels are read as upper case and words as lower case; brackets may be glued to words.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_BYTES {
            return Err(Fault::Long);
        }
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut nodes = 0;
        for token in tree_tokens(text) {
            if root.is_some() {
                return Err(if token.starts_with(['[', ']']) {
                    Fault::Misplaced(token)
                } else {
                    Fault::Outside(token)
                });
            }
            if let Some(label) = token.strip_prefix('[') {
                let fits = label.strip_prefix("IN:").or_else(|| {
                    // The root is an intent.
                    label.strip_prefix("SL:").filter(|_| !open.is_empty())
                });
                if !fits.is_some_and(is_name) {
                    return Err(if open.is_empty() { Fault::NoIntent } else { Fault::Misplaced(token) });
                }
                nodes += 1;
                if open.len() == MAX_DEPTH {
                    return Err(Fault::Deep);
                }
                if nodes > MAX_NODES {
                    return Err(Fault::Nodes);
                }
                open.push(Self::new(label));
                continue;
            }
            let Some(mut top) = open.pop() else {
                return Err(if token == "]" { Fault::Misplaced(token) } else { Fault::NoIntent });
            };
            if token != "]" {
                top.children.push(Node::Word(token));
                open.push(top);
            } else if let Some(parent) = open.last_mut() {
                parent.children.push(Node::Tree(top));
            } else {
                root = Some(top);
            }
        }
        match (root, open.pop()) {
            (Some(root), _) => Ok(root),
            (None, Some(tree)) => Err(Fault::Open(format!("[{}", tree.label))),
            (None, None) => Err(Fault::Empty),
        }
    }

    /// The root's label of a model's output: what the first bracket says, however broken the rest is.
    pub fn read_intent(text: &str) -> Option<String> {
        let start = text.find('[')?;
        let label: String =
            text[start + 1..].chars().take_while(|c| !c.is_whitespace() && !"[]".contains(*c)).collect();
        Some(label.to_uppercase()).filter(|label| is_name(label))
    }

    /// The trees right below.
    pub fn subtrees(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Tree(tree) => Some(tree),
            Node::Word(_) => None,
        })
    }

    /// The *decoupled* form (Aghajanyan et al., arXiv 2009.13655): words stay only in slots that
    /// hold no other tree.
    #[must_use]
    pub fn decoupled(&self) -> Self {
        let leaf = self.label.starts_with("SL:") && self.subtrees().next().is_none();
        let children = self.children.iter().filter_map(|node| match node {
            Node::Word(_) if !leaf => None,
            Node::Word(word) => Some(Node::Word(word.clone())),
            Node::Tree(tree) => Some(Node::Tree(tree.decoupled())),
        });
        Self { label: self.label.clone(), children: children.collect() }
    }

    /// The same with the trees below each node sorted, behind its words.
    #[must_use]
    pub fn sorted(&self) -> Self {
        let mut children: Vec<Node> = self
            .children
            .iter()
            .map(|node| match node {
                Node::Word(word) => Node::Word(word.clone()),
                Node::Tree(tree) => Node::Tree(tree.sorted()),
            })
            .collect();
        // Words are equal here: they keep their order.
        children.sort_by(|a, b| match (a, b) {
            (Node::Tree(a), Node::Tree(b)) => a.cmp(b),
            (Node::Word(_), Node::Tree(_)) => std::cmp::Ordering::Less,
            (Node::Tree(_), Node::Word(_)) => std::cmp::Ordering::Greater,
            (Node::Word(_), Node::Word(_)) => std::cmp::Ordering::Equal,
        });
        Self { label: self.label.clone(), children }
    }

    /// Slots anywhere in the tree, by label, with the words in them: what a table of errors shows.
    pub fn slots(&self) -> Vec<super::Entity> {
        let mut slots = Vec::new();
        self.collect_slots(&mut slots);
        slots
    }

    fn collect_slots(&self, slots: &mut Vec<super::Entity>) {
        if let Some(kind) = self.label.strip_prefix("SL:") {
            let inside: Vec<String> = self.children.iter().map(ToString::to_string).collect();
            slots.push(super::Entity::new(kind, &inside.join(" ")));
        }
        self.subtrees().for_each(|tree| tree.collect_slots(slots));
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Tree(tree) => tree.fmt(f),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.label)?;
        for child in &self.children {
            write!(f, " {child}")?;
        }
        f.write_str(" ]")
    }
}
