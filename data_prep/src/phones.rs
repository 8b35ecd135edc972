//! The phones that corpora with phone labels are brought to.
//!
//! Manifests have the 39 phones of the CMU dictionary, upper case and without stress, and [`ERR`] for
//! a sound that is none of them. Silence is never written.

/// The phones of the CMU dictionary, sorted.
pub(crate) const PHONES: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY",
    "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y",
    "Z", "ZH",
];

/// A sound that is no phone of English, or that nobody could tell.
pub(crate) const ERR: &str = "err";

/// What a label says that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Phone(&'static str),
    /// Close to a phone.
    Near(&'static str),
    Err,
    Silence,
}

impl Heard {
    /// The symbol in `perceived_phones`, where something was heard.
    pub fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Phone(phone) | Self::Near(phone) => Some(phone),
            Self::Err => Some(ERR),
            Self::Silence => None,
        }
    }
}

/// The phone of a label such as `AH0`, `ah` or `AH`: any case, with or without one digit of stress.
pub(crate) fn phone(label: &str) -> Option<&'static str> {
    let bare = label.strip_suffix(['0', '1', '2']).unwrap_or(label);
    if bare.len() > 2 {
        return None;
    }
    let bare = bare.to_ascii_uppercase();
    PHONES.binary_search(&bare.as_str()).ok().map(|index| PHONES[index])
}

/// The `pronounced-phone` of speechocean762: `AH`, `AH*` close to it, `<unk>` not recognisable, `<DEL>`
/// not said.
pub(crate) fn from_speechocean(label: &str) -> Option<Heard> {
    let label = label.trim();
    match label.to_ascii_lowercase().as_str() {
        "<unk>" => Some(Heard::Err),
        "<del>" => Some(Heard::Silence),
        _ => match label.strip_suffix('*') {
            Some(near) => phone(near).map(Heard::Near),
            None => phone(label).map(Heard::Phone),
        },
    }
}

/// One side of a label of L2-ARCTIC. Marks of deviation (`*`, `_`) go, slips such as `ER)` and ``V``
/// are mended, `AX` is `AH`.
pub(crate) fn from_l2arctic(label: &str) -> Option<Heard> {
    let bare: String =
        label.chars().filter(|c| !matches!(c, '*' | '_' | '`' | ')') && !c.is_whitespace()).collect();
    match bare.to_ascii_lowercase().as_str() {
        "" | "sil" | "sp" | "spn" => Some(Heard::Silence),
        "err" => Some(Heard::Err),
        "ax" | "ax0" | "ax1" | "ax2" => Some(Heard::Phone("AH")),
        _ => phone(&bare).map(Heard::Phone),
    }
}

/// A label of TIMIT's 61, as Fu et al. (arXiv 2104.08428) map them: `ao` and `zh` are kept, other than
/// in Lee and Hon's 39 classes. Closures are silence, and so is the glottal stop `q`, which is dropped.
pub(crate) fn from_timit(label: &str) -> Option<Heard> {
    let phone = match label.to_ascii_lowercase().as_str() {
        "bcl" | "dcl" | "gcl" | "pcl" | "tcl" | "kcl" | "pau" | "epi" | "h#" | "q" => {
            return Some(Heard::Silence);
        }
        "ax" | "ax-h" => "AH",
        "axr" => "ER",
        "ix" => "IH",
        "ux" => "UW",
        "hv" => "HH",
        "el" => "L",
        "en" | "nx" => "N",
        "em" => "M",
        "eng" => "NG",
        "dx" => "DH",
        stressed if stressed.ends_with(|c: char| c.is_ascii_digit()) => return None,
        bare => phone(bare)?,
    };
    Some(Heard::Phone(phone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sorted_and_every_phone_is_found() {
        assert!(PHONES.is_sorted());
        for known in PHONES {
            assert_eq!(phone(&known.to_lowercase()), Some(known));
            assert_eq!(phone(&format!("{known}1")), Some(known));
        }
        for bad in ["", "0", "AX", "AH3", "AH00", "É", "ERR"] {
            assert_eq!(phone(bad), None, "{bad}");
        }
    }

    #[test]
    fn timits_61_labels_cover_the_39() {
        let labels = "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h jh ch b d g p t k dx s \
            sh z zh f th v dh m n ng em nx en eng l r w y hh hv el bcl dcl gcl pcl tcl kcl q pau epi h#";
        let heard: Vec<_> = labels.split_whitespace().map(|label| from_timit(label).unwrap()).collect();
        assert_eq!(heard.len(), 61);
        assert_eq!(heard.iter().filter(|&&heard| heard == Heard::Silence).count(), 10);
        let phones: BTreeSet<_> = heard.iter().filter_map(|heard| heard.symbol()).collect();
        assert!(phones.into_iter().eq(PHONES));
        let merged = "ax=AH ax-h=AH axr=ER ix=IH ux=UW hv=HH el=L en=N nx=N em=M eng=NG dx=DH ao=AO zh=ZH";
        for (label, phone) in merged.split(' ').filter_map(|pair| pair.split_once('=')) {
            assert_eq!(from_timit(label).unwrap().symbol(), Some(phone), "{label}");
        }
        for bad in ["ah0", "sp", "", "1"] {
            assert_eq!(from_timit(bad), None, "{bad}");
        }
    }

    #[test]
    fn l2arctics_labels_are_mended() {
        for (label, expected) in [
            ("AH0", Heard::Phone("AH")),
            ("ax", Heard::Phone("AH")),
            ("AH)", Heard::Phone("AH")),
            ("ER)", Heard::Phone("ER")),
            ("V``", Heard::Phone("V")),
            ("W`", Heard::Phone("W")),
            (" D* ", Heard::Phone("D")),
            ("R_", Heard::Phone("R")),
            ("ERR", Heard::Err),
            ("err", Heard::Err),
            ("sp", Heard::Silence),
            ("SIL", Heard::Silence),
            (" ", Heard::Silence),
        ] {
            assert_eq!(from_l2arctic(label), Some(expected), "{label}");
        }
        assert_eq!(from_l2arctic("QQ"), None);
    }

    #[test]
    fn speechoceans_labels() {
        for (label, expected) in [
            ("AH", Heard::Phone("AH")),
            ("EH1", Heard::Phone("EH")),
            ("L*", Heard::Near("L")),
            ("<unk>", Heard::Err),
            ("<DEL>", Heard::Silence),
        ] {
            assert_eq!(from_speechocean(label), Some(expected), "{label}");
        }
        for bad in ["", "*", "L**", "<bad>"] {
            assert_eq!(from_speechocean(bad), None, "{bad}");
        }
    }
}
