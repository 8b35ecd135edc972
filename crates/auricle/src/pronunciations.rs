//! Where pronunciations come from.

use crate::error::Doing as _;
use crate::models::shipped_file;
use crate::{Error, Result};
use auricle_text::{G2p, Lexicon, Pronouncer};
use std::path::PathBuf;

/// The letter-to-sound model that comes with the program.
const SHIPPED: &str = "g2p-en/model.g2p";

/// Lexicons and a letter-to-sound model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pronunciations {
    /// Lexicons in the format of the CMU dictionary, beside the built-in one of common words; later ones go before
    /// earlier ones.
    pub lexicons: Vec<PathBuf>,
    /// Letter-to-sound model for words that no lexicon has. `None`: the English one that comes with the program.
    pub g2p: Option<PathBuf>,
}

impl Pronunciations {
    /// What turns a text into phones.
    ///
    /// # Errors
    /// Files that cannot be read; neither a lexicon nor a letter-to-sound model.
    pub fn pronouncer(&self) -> Result<Pronouncer> {
        let model = match &self.g2p {
            Some(path) => Some(G2p::load(path)?),
            None => shipped_file(SHIPPED)?.map(|bytes| G2p::from_bytes(&bytes)).transpose().doing(SHIPPED)?,
        };
        if model.is_none() && self.lexicons.is_empty() {
            return Error::refused(format!(
                "no pronunciations: give --lexicon (the CMU dictionary, for example) or --g2p; `{SHIPPED}` was not found"
            ));
        }
        let mut pronouncer = Pronouncer::new(Lexicon::common(), model);
        for path in &self.lexicons {
            pronouncer = pronouncer.with_overlay(Lexicon::read(path).doing(path.display())?);
        }
        Ok(pronouncer)
    }
}
