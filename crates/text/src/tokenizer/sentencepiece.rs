//! SentencePiece's `.model` files: a protocol-buffers message, read with bounds everywhere.
//!
//! Field numbers from SentencePiece's public schema (`sentencepiece_model.proto`, Apache-2.0):
//! message 1 = piece {1 text, 2 score, 3 kind}, 2 = trainer settings {3 algorithm, 24 space behind words, 35 byte
//! fallback}, 3 = normaliser settings {1 name, 3 dummy prefix, 4 extra spaces go, 5 spaces as `▁`}.

use super::TokenizerKind;
use super::options::{CharacterMap, Options};
use super::subwords::{Piece, PieceKind, Subwords};

/// More pieces no model has: a few bytes may stand for one.
const MAX_PIECES: usize = 1 << 20;
const NO_BYTES: &str = "it spells unknown characters as bytes, which words with times cannot show; train one without --byte_fallback";

/// The vocabulary of a `.model`.
pub(super) fn parse(bytes: &[u8]) -> Result<Subwords, String> {
    let mut pieces = Vec::new();
    let mut kind = TokenizerKind::Unigram;
    let mut options = Options { symbols_anywhere: true, ..Options::default() };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(_)) if pieces.len() >= MAX_PIECES => {
                return Err(format!("more than {MAX_PIECES} pieces"));
            }
            (1, Value::Bytes(message)) => pieces.push(piece(message)?),
            (2, Value::Bytes(message)) => kind = trainer(message, &mut options)?,
            (3, Value::Bytes(message)) => normaliser(message, &mut options)?,
            _ => {}
        }
    }
    if kind == TokenizerKind::Bpe && pieces.iter().any(|piece| piece.kind == PieceKind::Unused) {
        return Err("BPE models with unused pieces are not read; train one without".into());
    }
    // Some vocabularies are in capitals (older LibriSpeech recipes); transcripts here are not.
    let has = |test: fn(char) -> bool| {
        pieces.iter().any(|p: &Piece| p.kind == PieceKind::Normal && p.text.chars().any(test))
    };
    if has(char::is_uppercase) && !has(char::is_lowercase) {
        for piece in pieces.iter_mut().filter(|piece| piece.kind == PieceKind::Normal) {
            piece.text = piece.text.to_lowercase();
        }
    }
    // What SentencePiece gives a piece that the user defined: it wins over most ways to spell it otherwise. Its
    // greatest score starts from the least positive number, so that with log probabilities it is about 0.
    let normal = pieces.iter().filter(|p| p.kind == PieceKind::Normal);
    let most = normal.map(|p| p.score).fold(f32::MIN_POSITIVE, f32::max);
    for piece in pieces.iter_mut().filter(|piece| piece.kind == PieceKind::UserDefined) {
        piece.score = (f64::from(piece.text.len() as f32 * most) - 0.1) as f32;
    }
    Subwords::new(kind, pieces, options).map_err(|reason| format!("no SentencePiece model: {reason}"))
}

fn piece(message: &[u8]) -> Result<Piece, String> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8")?;
                piece.text = text.to_owned();
            }
            (2, Value::Word32(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Number(kind)) => {
                piece.kind = match kind {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => return Err(NO_BYTES.into()),
                    other => return Err(format!("unknown kind of piece {other}")),
                }
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn trainer(message: &[u8], options: &mut Options) -> Result<TokenizerKind, String> {
    let mut kind = TokenizerKind::Unigram;
    for field in Fields(message) {
        match field? {
            (3, Value::Number(1)) => kind = TokenizerKind::Unigram,
            (3, Value::Number(2)) => kind = TokenizerKind::Bpe,
            (3, Value::Number(other)) => {
                let name = ["word", "character"].get((other as usize).wrapping_sub(3)).unwrap_or(&"unknown");
                return Err(format!("this is a {name} model; only unigram and BPE models are read"));
            }
            (24, Value::Number(behind)) => options.space_behind = behind != 0,
            (35, Value::Number(1..)) => return Err(NO_BYTES.into()),
            _ => {}
        }
    }
    Ok(kind)
}

fn normaliser(message: &[u8], options: &mut Options) -> Result<(), String> {
    let (mut name, mut has_map) = ("", false);
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(text)) => name = std::str::from_utf8(text).unwrap_or("?"),
            (2, Value::Bytes(map)) => has_map = !map.is_empty(),
            (3, Value::Number(prefix)) => options.dummy_prefix = prefix != 0,
            (4, Value::Number(removed)) => options.keep_spaces = removed == 0,
            (5, Value::Number(0)) => {
                return Err(
                    "spaces are not `▁` in it (escape_whitespaces=false); train one where they are".into()
                );
            }
            _ => {}
        }
    }
    options.characters = match name {
        "nfkc" | "nmt_nfkc" => CharacterMap::Nfkc,
        "nfkc_cf" | "nmt_nfkc_cf" => CharacterMap::NfkcCf,
        "identity" => CharacterMap::Identity,
        _ if !has_map => CharacterMap::Identity,
        other => {
            return Err(format!(
                "it has a character map of its own (`{other}`); train one with --normalization_rule_name=nmt_nfkc or identity"
            ));
        }
    };
    Ok(())
}

/// A field's value, as the wire has it.
enum Value<'a> {
    Number(u64),
    Word64,
    Bytes(&'a [u8]),
    Word32(u32),
}

/// The fields of a message; ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self.0.split_at_checked(count).ok_or("the file ends within a field")?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number without end".into())
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), String> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Word64)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| "a length beyond memory")?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let word = self.take(4)?;
                Value::Word32(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            }
            other => return Err(format!("unknown wire type {other}")),
        };
        Ok((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().map_err(|reason| format!("no SentencePiece model: {reason}"));
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
