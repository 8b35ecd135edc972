//! A vocabulary of sub-words and the segmentation of words by it.

use super::TokenizerKind;
use super::options::{Options, longest_prefix};
use crate::nfc;
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use unicode_normalization::is_nfc;

/// Stands for the space before a word, as in SentencePiece.
pub(super) const SPACE: char = '\u{2581}';
/// The blank's id.
pub(super) const BLANK: u32 = 0;
/// How the unknown piece is shown.
pub(super) const UNKNOWN: &str = " \u{2047} ";
/// What an unknown character costs beyond the least probable piece (SentencePiece's value).
const UNKNOWN_PENALTY: f32 = 10.0;

/// What a piece is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PieceKind {
    /// Part of words.
    #[default]
    Normal,
    /// Stands for characters that no piece has.
    Unknown,
    /// Never part of a text.
    Control,
    /// Always a piece of its own.
    UserDefined,
    /// Not used.
    Unused,
}

impl PieceKind {
    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// One token of the vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    /// Its string.
    pub text: String,
    /// Log probability (unigram) or priority of the merge (BPE).
    pub score: f32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "PieceKind::is_normal")]
    pub kind: PieceKind,
}

impl Piece {
    /// A piece that is a whole word, never part of one.
    pub fn mark(text: &str) -> Self {
        Self { text: format!("{SPACE}{text}"), score: 0.0, kind: PieceKind::UserDefined }
    }

    fn is_mark(&self) -> bool {
        self.kind == PieceKind::UserDefined && self.text.starts_with(SPACE)
    }
}

/// A vocabulary with its look-up tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subwords {
    kind: TokenizerKind,
    pieces: Vec<Piece>,
    /// Pieces that texts are made of.
    index: HashMap<String, u32>,
    /// The token for unknown characters; none where only the blank could stand for them.
    unknown: Option<u32>,
    /// Pieces that the user defined, by their ids.
    symbols: Vec<u32>,
    options: Options,
    /// Whether all pieces are in Unicode's normal form C: then texts are brought into it.
    is_composed: bool,
    /// Bytes of the longest piece.
    longest: usize,
    least_score: f32,
}

impl Subwords {
    pub fn new(kind: TokenizerKind, pieces: Vec<Piece>, options: Options) -> Result<Self, String> {
        match pieces.first() {
            None => return Err("the vocabulary is empty".into()),
            Some(Piece { kind: PieceKind::Normal | PieceKind::UserDefined, text, .. }) => {
                return Err(format!(
                    "id 0 is `{text}`, but it must be free for CTC's blank; train the vocabulary with a special piece (`<unk>` or `<pad>`) as id 0"
                ));
            }
            Some(_) => {}
        }
        let mut index = HashMap::with_capacity(pieces.len());
        let (mut longest, mut least_score, mut most_score) = (0, f32::INFINITY, f32::NEG_INFINITY);
        for (id, piece) in pieces.iter().enumerate() {
            if !piece.score.is_finite() || piece.text.is_empty() {
                return Err(format!("piece {id}, `{}`, with score {}", piece.text, piece.score));
            }
            if matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) {
                if index.insert(piece.text.clone(), id as u32).is_some() {
                    return Err(format!("`{}` stands twice in the vocabulary", piece.text));
                }
                longest = longest.max(piece.text.len());
            }
            if piece.kind == PieceKind::Normal {
                least_score = least_score.min(piece.score);
                most_score = most_score.max(piece.score);
            }
        }
        if index.is_empty() {
            return Err("the vocabulary has no piece of text".into());
        }
        let unknown = pieces.iter().position(|piece| piece.kind == PieceKind::Unknown);
        let unknown = unknown.map(|id| id as u32).filter(|&id| id != BLANK);
        let is_symbol = |(_, piece): &(usize, &Piece)| piece.kind == PieceKind::UserDefined;
        let symbols = pieces.iter().enumerate().filter(is_symbol).map(|(id, _)| id as u32).collect();
        let is_composed = pieces.iter().all(|piece| is_nfc(&piece.text));
        let least_score = least_score.min(0.0);
        Ok(Self { kind, pieces, index, unknown, symbols, options, is_composed, longest, least_score })
    }

    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub fn piece(&self, id: u32) -> Option<&str> {
        match self.pieces.get(id as usize)? {
            _ if id == BLANK => None,
            Piece { kind: PieceKind::Unknown, .. } => Some(UNKNOWN),
            Piece { kind: PieceKind::Control | PieceKind::Unused, .. } => None,
            piece => Some(&piece.text),
        }
    }

    /// Tokens of a text, or the character that has none.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, char> {
        let mut ids: Vec<u32> = Vec::new();
        let composed = if self.is_composed { nfc(text) } else { text.into() };
        if self.options.symbols_anywhere {
            let symbols: Vec<&str> = self.symbols().collect();
            let sentence = self.spaced(&self.options.mapped(&composed, &symbols));
            self.add_tokens(&sentence, &symbols, &mut ids)?;
            return Ok(ids);
        }
        let mut sentence = String::with_capacity(text.len() + 3);
        for word in composed.split_whitespace() {
            let from = sentence.len();
            sentence.push(SPACE);
            sentence.push_str(word);
            if let Some(mark) = self.mark(&sentence[from..]) {
                self.add_tokens(&sentence[..from], &[], &mut ids)?;
                ids.push(mark);
                sentence.clear();
            }
        }
        self.add_tokens(&sentence, &[], &mut ids)?;
        Ok(ids)
    }

    fn symbols(&self) -> impl Iterator<Item = &str> {
        self.symbols.iter().map(|id| self.pieces[*id as usize].text.as_str())
    }

    /// A text with its spaces as the options have them.
    fn spaced(&self, text: &str) -> String {
        let mut spaced = String::with_capacity(text.len() + 3);
        if self.options.keep_spaces {
            spaced.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        } else {
            for word in text.split_whitespace() {
                if !spaced.is_empty() {
                    spaced.push(SPACE);
                }
                spaced.push_str(word);
            }
        }
        if self.options.dummy_prefix && !spaced.is_empty() {
            if self.options.space_behind { spaced.push(SPACE) } else { spaced.insert(0, SPACE) }
        }
        spaced
    }

    /// The token of a word, with the space before it, that is a mark.
    fn mark(&self, word: &str) -> Option<u32> {
        let id = *self.index.get(word).filter(|_| !self.symbols.is_empty())?;
        self.pieces[id as usize].is_mark().then_some(id)
    }

    fn add_tokens(&self, sentence: &str, symbols: &[&str], ids: &mut Vec<u32>) -> Result<(), char> {
        let segments = match self.kind {
            TokenizerKind::Unigram => self.most_probable(sentence),
            TokenizerKind::Bpe => self.merged(sentence, symbols),
        };
        ids.reserve(segments.len());
        for segment in segments {
            match self.index.get(segment) {
                Some(&id) => ids.push(id),
                None => {
                    let unknown = self.unknown.ok_or_else(|| segment.chars().next().unwrap_or_default())?;
                    // Neighbouring unknown characters are one token, as in SentencePiece.
                    if ids.last() != Some(&unknown) {
                        ids.push(unknown);
                    }
                }
            }
        }
        Ok(())
    }

    /// The segmentation with the greatest sum of scores (Viterbi); of equal ones the first found,
    /// in single precision, so that it equals SentencePiece's.
    fn most_probable<'t>(&self, sentence: &'t str) -> Vec<&'t str> {
        // For every byte position: the best score of a path to it, and where its last piece begins.
        let mut best: Vec<Option<(f32, usize)>> = vec![None; sentence.len() + 1];
        best[0] = Some((0.0, 0));
        let unknown_score = self.least_score - UNKNOWN_PENALTY;
        for (start, character) in sentence.char_indices() {
            let Some((before, _)) = best[start] else { continue };
            let mut offer = |end: usize, score: f32| {
                if best[end].is_none_or(|(old, _)| score > old) {
                    best[end] = Some((score, start));
                }
            };
            let single = start + character.len_utf8();
            let mut spelt = false;
            let ends = sentence[start..].char_indices().map(|(at, c)| start + at + c.len_utf8());
            for end in ends.take_while(|end| end - start <= self.longest) {
                if let Some(&id) = self.index.get(&sentence[start..end]) {
                    offer(end, before + self.pieces[id as usize].score);
                    spelt |= end == single;
                }
            }
            if !spelt {
                offer(single, before + unknown_score);
            }
        }
        let mut segments = Vec::new();
        let mut end = sentence.len();
        while end > 0 {
            let start = best[end].map_or(0, |(_, start)| start);
            segments.push(&sentence[start..end]);
            end = start;
        }
        segments.reverse();
        segments
    }

    /// Merges neighbours as long as their union is a piece: highest score first, then leftmost. `symbols` are whole
    /// from the start and never merged.
    fn merged<'t>(&self, sentence: &'t str, symbols_whole: &[&str]) -> Vec<&'t str> {
        struct Symbol {
            start: usize,
            end: usize,
            is_whole: bool,
            previous: Option<usize>,
            next: Option<usize>,
        }
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut start = 0;
        while let Some(c) = sentence[start..].chars().next() {
            let whole = longest_prefix(&sentence[start..], symbols_whole);
            let end = start + whole.map_or(c.len_utf8(), str::len);
            let at = symbols.len();
            let next = Some(at + 1);
            symbols.push(Symbol { start, end, is_whole: whole.is_some(), previous: at.checked_sub(1), next });
            start = end;
        }
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        let count = symbols.len();
        let mut agenda = BinaryHeap::new();
        let offer = |agenda: &mut BinaryHeap<_>, symbols: &[Symbol], left: Option<usize>| {
            let Some((left, right)) = left.and_then(|left| Some((left, symbols[left].next?))) else { return };
            if symbols[left].is_whole || symbols[right].is_whole {
                return;
            }
            let union = symbols[left].start..symbols[right].end;
            if let Some(&id) = self.index.get(&sentence[union.clone()]) {
                agenda.push((Score(self.pieces[id as usize].score), Reverse(left), right, union.end));
            }
        };
        for left in 0..count {
            offer(&mut agenda, &symbols, Some(left));
        }
        while let Some((_, Reverse(left), right, end)) = agenda.pop() {
            // Either side may have been merged since; a merged-away right side is empty.
            let stale = symbols[left].next != Some(right)
                || symbols[right].end != end
                || symbols[left].start == symbols[left].end;
            if stale {
                continue;
            }
            symbols[left].end = end;
            symbols[left].next = symbols[right].next;
            if let Some(after) = symbols[right].next {
                symbols[after].previous = Some(left);
            }
            symbols[right].start = symbols[right].end;
            symbols[right].next = None;
            let previous = symbols[left].previous;
            offer(&mut agenda, &symbols, previous);
            offer(&mut agenda, &symbols, Some(left));
        }
        symbols.iter().filter(|s| s.start < s.end).map(|s| &sentence[s.start..s.end]).collect()
    }
}

/// A finite score with its order.
#[derive(PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
