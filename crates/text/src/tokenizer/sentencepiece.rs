//! SentencePiece's `.model` files: a protocol-buffers message, read with bounds everywhere.
//!
//! Field numbers from SentencePiece's public schema (`sentencepiece_model.proto`, Apache-2.0):
//! message 1 = piece {1 text, 2 score, 3 kind}, 2 = trainer settings {3 algorithm}.

use super::TokenizerKind;
use super::subwords::{Piece, PieceKind, Subwords};

/// The vocabulary of a `.model`.
pub(super) fn parse(bytes: &[u8]) -> Result<Subwords, String> {
    let mut pieces = Vec::new();
    let mut kind = TokenizerKind::Unigram;
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(message)) => pieces.push(piece(message)?),
            (2, Value::Bytes(message)) => kind = algorithm(message)?,
            _ => {}
        }
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
    // A piece that the user defined wins over every way to spell it otherwise.
    let most =
        pieces.iter().filter(|p| p.kind == PieceKind::Normal).map(|p| p.score).fold(f32::MIN, f32::max);
    for piece in pieces.iter_mut().filter(|piece| piece.kind == PieceKind::UserDefined) {
        piece.score = piece.text.chars().count() as f32 * most - 0.1;
    }
    Subwords::new(kind, pieces).map_err(|reason| format!("no SentencePiece model: {reason}"))
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
                    // 5 is `unused`; 6 stands for single bytes, which transcripts do not have.
                    5 | 6 => PieceKind::Unused,
                    other => return Err(format!("unknown kind of piece {other}")),
                }
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn algorithm(message: &[u8]) -> Result<TokenizerKind, String> {
    let mut kind = TokenizerKind::Unigram;
    for field in Fields(message) {
        if let (3, Value::Number(number)) = field? {
            kind = match number {
                1 => TokenizerKind::Unigram,
                2 => TokenizerKind::Bpe,
                _ => return Err("only unigram and BPE models are read".into()),
            };
        }
    }
    Ok(kind)
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
