//! What the label sets of the corpora mean in CMU phones.

use super::Phone;
use crate::align::{Edit, align};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an annotator heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Perceived {
    /// A phone.
    Phone(Phone),
    /// Close to a phone, but accented (speechocean762's `X*`).
    Near(Phone),
    /// A sound that is no phone of English (`err`, `<unk>`).
    Error,
    /// Nothing.
    Silence,
}

/// A label that the corpus does not define.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{label}` is no phone label of {corpus}")]
pub struct LabelError {
    /// The label.
    pub label: String,
    /// The corpus.
    pub corpus: &'static str,
}

impl Perceived {
    /// A label of TIMIT (61 phones) in the 39 of the CMU dictionary; `None` for the glottal stop
    /// `q`, which is dropped.
    ///
    /// As the mispronunciation literature maps it (Fu et al., arXiv 2104.08428), `ao` and `zh` stay apart;
    /// the 39 classes of TIMIT recognition (Lee & Hon) join them to `aa` and `sh`.
    ///
    /// # Errors
    /// The label is not TIMIT's.
    pub fn from_timit(label: &str) -> Result<Option<Self>, LabelError> {
        let phone = match label {
            "ax" | "ax-h" => Phone::Ah,
            "axr" => Phone::Er,
            "ix" => Phone::Ih,
            "ux" => Phone::Uw,
            "hv" => Phone::Hh,
            "el" => Phone::L,
            "en" | "nx" => Phone::N,
            "em" => Phone::M,
            "eng" => Phone::Ng,
            "dx" => Phone::Dh,
            "bcl" | "dcl" | "gcl" | "pcl" | "tcl" | "kcl" | "pau" | "epi" | "h#" => {
                return Ok(Some(Self::Silence));
            }
            "q" => return Ok(None),
            _ => match Phone::parse(label) {
                Some(phone) if phone.name() == label => phone,
                _ => return Err(LabelError { label: label.into(), corpus: "TIMIT" }),
            },
        };
        Ok(Some(Self::Phone(phone)))
    }

    /// One phone label of L2-ARCTIC: stress and the deviation marks `*` and `_` go, its misspellings
    /// (`ER)`, ``V` ``, ``W` ``) are mended.
    ///
    /// # Errors
    /// The label is not L2-ARCTIC's.
    pub fn from_l2arctic(label: &str) -> Result<Self, LabelError> {
        let bare: String =
            label.chars().filter(|c| !matches!(c, '*' | '_' | '`' | ')') && !c.is_whitespace()).collect();
        let bare = bare.to_ascii_lowercase();
        Ok(match bare.as_str() {
            "" | "sil" | "sp" | "spn" => Self::Silence,
            "err" => Self::Error,
            "ax" | "ax0" | "ax1" | "ax2" => Self::Phone(Phone::Ah),
            bare => match Phone::parse(bare) {
                Some(phone) => Self::Phone(phone),
                None => return Err(LabelError { label: label.into(), corpus: "L2-ARCTIC" }),
            },
        })
    }

    /// A label of speechocean762: a phone with or without stress, also with its position in the word
    /// (`_B`, `_I`, `_E`, `_S`); `X*` close to X, `<unk>` not recognisable, `<DEL>` not said.
    ///
    /// # Errors
    /// The label is not speechocean762's.
    pub fn from_speechocean(label: &str) -> Result<Self, LabelError> {
        let label = label.trim();
        if label.eq_ignore_ascii_case("<unk>") {
            return Ok(Self::Error);
        }
        if label.eq_ignore_ascii_case("<del>") {
            return Ok(Self::Silence);
        }
        let (bare, near) = match label.strip_suffix('*') {
            Some(bare) => (bare, true),
            None => (label, false),
        };
        let positions = ["_B", "_I", "_E", "_S"];
        let bare = positions.iter().find_map(|position| bare.strip_suffix(position)).unwrap_or(bare);
        match Phone::parse(bare) {
            Some(phone) if near => Ok(Self::Near(phone)),
            Some(phone) => Ok(Self::Phone(phone)),
            None => Err(LabelError { label: label.into(), corpus: "speechocean762" }),
        }
    }

    /// The phone, or the one it was close to.
    pub fn phone(self) -> Option<Phone> {
        match self {
            Self::Phone(phone) | Self::Near(phone) => Some(phone),
            Self::Error | Self::Silence => None,
        }
    }
}

impl From<Phone> for Perceived {
    fn from(phone: Phone) -> Self {
        Self::Phone(phone)
    }
}

impl fmt::Display for Perceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(phone) => write!(f, "{phone}"),
            Self::Near(phone) => write!(f, "{phone}*"),
            Self::Error => f.write_str("err"),
            Self::Silence => f.write_str("sil"),
        }
    }
}

/// One position of an annotation: what should be said and what was heard.
///
/// `canonical` is `None` for an insertion, `perceived` for a deletion; never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot<T> {
    /// What should be said.
    pub canonical: Option<T>,
    /// What was heard.
    pub perceived: Option<T>,
}

impl<T: PartialEq> Slot<T> {
    /// Whether the right thing was said.
    pub fn is_correct(&self) -> bool {
        self.canonical == self.perceived
    }
}

impl<T: PartialEq + Clone> Slot<T> {
    /// Slots of two strings of which only the symbols are known, by their Levenshtein alignment.
    pub fn pair(canonical: &[T], perceived: &[T]) -> Vec<Self> {
        let slot = |c: Option<usize>, p: Option<usize>| Self {
            canonical: c.map(|c| canonical[c].clone()),
            perceived: p.map(|p| perceived[p].clone()),
        };
        let edits = align(canonical, perceived).edits;
        let slots = edits.into_iter().map(|edit| match edit {
            Edit::Correct(c, p) | Edit::Substitution(c, p) => slot(Some(c), Some(p)),
            Edit::Deletion(c) => slot(Some(c), None),
            Edit::Insertion(p) => slot(None, Some(p)),
        });
        slots.collect()
    }
}

impl Slot<Perceived> {
    /// A label of L2-ARCTIC's phone tier: `AH0`, or `canonical,perceived,type` with type `s`, `d` or
    /// `a`; `None` for silence, and for a triple that has silence on both sides.
    ///
    /// # Errors
    /// A part is no label of L2-ARCTIC, or there are neither one nor three of them.
    pub fn from_l2arctic(label: &str) -> Result<Option<Self>, LabelError> {
        let parts: Vec<&str> = label.split(',').collect();
        let (canonical, perceived) = match parts.as_slice() {
            [both] => (*both, *both),
            [canonical, perceived, kind] if matches!(kind.trim(), "s" | "d" | "a") => {
                (*canonical, *perceived)
            }
            _ => return Err(LabelError { label: label.into(), corpus: "L2-ARCTIC" }),
        };
        let side = |label| -> Result<_, LabelError> {
            let perceived = Perceived::from_l2arctic(label)?;
            Ok((perceived != Perceived::Silence).then_some(perceived))
        };
        let slot = Self { canonical: side(canonical)?, perceived: side(perceived)? };
        Ok((slot.canonical.is_some() || slot.perceived.is_some()).then_some(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Perceived::{Error, Near, Silence};
    use std::collections::BTreeSet;

    const TIMIT: &str = "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h jh ch b d g p t k dx s \
        sh z zh f th v dh m n ng em nx en eng l r w y hh hv el bcl dcl gcl pcl tcl kcl q pau epi h#";

    #[test]
    fn all_of_timit_covers_all_phones() {
        let labels: Vec<&str> = TIMIT.split_whitespace().collect();
        assert_eq!(labels.len(), 61);
        let mapped: Vec<_> = labels.iter().map(|label| Perceived::from_timit(label).unwrap()).collect();
        assert_eq!(mapped.iter().filter(|label| label.is_none()).count(), 1);
        let phones: BTreeSet<Phone> = mapped.iter().flatten().filter_map(|p| p.phone()).collect();
        assert_eq!(phones.len(), 39);
        assert_eq!(mapped.iter().flatten().filter(|p| **p == Silence).count(), 9);
        assert_eq!(Perceived::from_timit("ao").unwrap(), Some(Phone::Ao.into()));
        assert_eq!(Perceived::from_timit("dx").unwrap(), Some(Phone::Dh.into()));
        for bad in ["AH0", "ah0", "sp", ""] {
            assert!(Perceived::from_timit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn l2arctic_labels_are_mended() {
        let cases = [
            ("AH0", Phone::Ah.into()),
            ("AX", Phone::Ah.into()),
            ("ER)", Phone::Er.into()),
            ("V``", Phone::V.into()),
            ("W`", Phone::W.into()),
            ("D*", Phone::D.into()),
            (" R_ ", Phone::R.into()),
            ("ERR", Error),
            ("err", Error),
            ("sp", Silence),
            ("spn", Silence),
            ("SIL", Silence),
            ("", Silence),
        ];
        for (label, expected) in cases {
            assert_eq!(Perceived::from_l2arctic(label).unwrap(), expected, "{label}");
        }
        let error = Perceived::from_l2arctic("QQ").unwrap_err();
        assert_eq!(error.to_string(), "`QQ` is no phone label of L2-ARCTIC");
    }

    #[test]
    fn l2arctic_triples() {
        let slot = |label| Slot::from_l2arctic(label).unwrap().map(|slot| (slot.canonical, slot.perceived));
        let (dh, d) = (Some(Phone::Dh.into()), Some(Phone::D.into()));
        assert_eq!(slot("DH"), Some((dh, dh)));
        assert_eq!(slot("DH, D*, s"), Some((dh, d)));
        assert_eq!(slot("D,sil,d"), Some((d, None)));
        assert_eq!(slot("sil,DH,a"), Some((None, dh)));
        assert_eq!(slot("DH,err,s"), Some((dh, Some(Error))));
        assert_eq!(slot("sp"), None);
        assert_eq!(slot("sil,sp,s"), None);
        for bad in ["DH,D", "DH,D,x", "DH,D,s,s", "DH,QQ,s"] {
            assert!(Slot::from_l2arctic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn speechocean_labels() {
        assert_eq!(Perceived::from_speechocean("EH1").unwrap(), Phone::Eh.into());
        assert_eq!(Perceived::from_speechocean("IY0_E").unwrap(), Phone::Iy.into());
        assert_eq!(Perceived::from_speechocean("L*").unwrap(), Near(Phone::L));
        assert_eq!(Perceived::from_speechocean("<unk>").unwrap(), Error);
        assert_eq!(Perceived::from_speechocean("<DEL>").unwrap(), Silence);
        for bad in ["", "*", "<bad>", "L**", "IY0_X", "_B"] {
            assert!(Perceived::from_speechocean(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slots_of_two_strings() {
        let slots = Slot::pair(&[1, 2, 3], &[1, 4, 3, 5]);
        let pairs: Vec<_> = slots.iter().map(|slot| (slot.canonical, slot.perceived)).collect();
        assert_eq!(pairs, [(Some(1), Some(1)), (Some(2), Some(4)), (Some(3), Some(3)), (None, Some(5))]);
        assert_eq!(slots.iter().filter(|slot| slot.is_correct()).count(), 2);
    }
}
