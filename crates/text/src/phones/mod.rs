//! The 39 phones of the CMU dictionary, and how they are made.

mod hint;
mod labels;

pub use hint::{hint, how_to_say};
pub use labels::{LabelError, Perceived, Slot};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a consonant is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Both lips.
    Bilabial,
    /// Lower lip and upper teeth.
    Labiodental,
    /// Tongue and teeth.
    Dental,
    /// Tongue and the ridge behind the teeth.
    Alveolar,
    /// Tongue and the back of that ridge.
    Postalveolar,
    /// Tongue and hard palate.
    Palatal,
    /// Back of the tongue and soft palate.
    Velar,
    /// Lips and soft palate at once.
    Labiovelar,
    /// The throat.
    Glottal,
}

/// How a consonant is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manner {
    /// The air is stopped, then let go.
    Stop,
    /// Stopped, then let go with friction.
    Affricate,
    /// The air rubs through a narrow gap.
    Fricative,
    /// The air goes through the nose.
    Nasal,
    /// The air goes round the sides of the tongue.
    Lateral,
    /// The tongue comes near without friction.
    Approximant,
}

/// How high the tongue is in a vowel, from high to low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Height {
    /// As in "see".
    Close,
    /// As in "sit".
    NearClose,
    /// As at the beginning of "say".
    CloseMid,
    /// As in "set".
    OpenMid,
    /// As in "sat".
    NearOpen,
    /// As in "spa".
    Open,
}

/// How far back the tongue is in a vowel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backness {
    /// As in "see".
    Front,
    /// As in "sun".
    Central,
    /// As in "soon".
    Back,
}

/// Where the tongue goes during a vowel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Glide {
    /// It stays.
    Steady,
    /// Forward and up, as in "my".
    Front,
    /// Back and up with the lips rounding, as in "now".
    Back,
    /// It curls, as in "bird".
    Curled,
}

/// What the mouth does for a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Features {
    /// A vowel; height, backness and rounding are those of its beginning.
    Vowel {
        /// Height of the tongue.
        height: Height,
        /// Position of the tongue.
        backness: Backness,
        /// Whether the lips are rounded.
        rounded: bool,
        /// Movement.
        glide: Glide,
    },
    /// A consonant.
    Consonant {
        /// Where.
        place: Place,
        /// How.
        manner: Manner,
        /// Whether the throat hums.
        voiced: bool,
    },
}

const fn vowel(height: Height, backness: Backness, rounded: bool, glide: Glide) -> Features {
    Features::Vowel { height, backness, rounded, glide }
}

const fn consonant(place: Place, manner: Manner, voiced: bool) -> Features {
    Features::Consonant { place, manner, voiced }
}

/// The enum, its names, example words and features from one table.
macro_rules! phones {
    ($($variant:ident $name:literal $example:literal $features:expr;)*) => {
        /// A phone of the CMU dictionary, without stress.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[repr(u8)]
        pub enum Phone {
            $(#[doc = concat!("`", $name, "` as in \"", $example, "\".")] $variant,)*
        }

        impl Phone {
            /// Number of phones.
            pub const COUNT: usize = Self::ALL.len();
            /// All phones in alphabetical order; the position is [`Phone::index`].
            pub const ALL: [Self; 39] = [$(Self::$variant,)*];

            /// Name in lower case, as in `"aa"`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A word that has the phone.
            pub const fn example(self) -> &'static str {
                match self { $(Self::$variant => $example,)* }
            }

            /// How the phone is made.
            pub const fn features(self) -> Features {
                use {Backness::*, Height::*, Manner::*, Place::*};
                match self { $(Self::$variant => $features,)* }
            }
        }
    };
}

phones! {
    Aa "aa" "father" vowel(Open, Back, false, Glide::Steady);
    Ae "ae" "cat" vowel(NearOpen, Front, false, Glide::Steady);
    Ah "ah" "cut" vowel(OpenMid, Central, false, Glide::Steady);
    Ao "ao" "law" vowel(OpenMid, Back, true, Glide::Steady);
    Aw "aw" "now" vowel(Open, Central, false, Glide::Back);
    Ay "ay" "my" vowel(Open, Central, false, Glide::Front);
    B "b" "be" consonant(Bilabial, Stop, true);
    Ch "ch" "cheese" consonant(Postalveolar, Affricate, false);
    D "d" "do" consonant(Alveolar, Stop, true);
    Dh "dh" "the" consonant(Dental, Fricative, true);
    Eh "eh" "bed" vowel(OpenMid, Front, false, Glide::Steady);
    Er "er" "bird" vowel(OpenMid, Central, false, Glide::Curled);
    Ey "ey" "day" vowel(CloseMid, Front, false, Glide::Front);
    F "f" "fee" consonant(Labiodental, Fricative, false);
    G "g" "go" consonant(Velar, Stop, true);
    Hh "hh" "he" consonant(Glottal, Fricative, false);
    Ih "ih" "it" vowel(NearClose, Front, false, Glide::Steady);
    Iy "iy" "eat" vowel(Close, Front, false, Glide::Steady);
    Jh "jh" "joy" consonant(Postalveolar, Affricate, true);
    K "k" "key" consonant(Velar, Stop, false);
    L "l" "lee" consonant(Alveolar, Lateral, true);
    M "m" "me" consonant(Bilabial, Nasal, true);
    N "n" "knee" consonant(Alveolar, Nasal, true);
    Ng "ng" "sing" consonant(Velar, Nasal, true);
    Ow "ow" "go" vowel(CloseMid, Back, true, Glide::Back);
    Oy "oy" "toy" vowel(OpenMid, Back, true, Glide::Front);
    P "p" "pea" consonant(Bilabial, Stop, false);
    R "r" "read" consonant(Postalveolar, Approximant, true);
    S "s" "sea" consonant(Alveolar, Fricative, false);
    Sh "sh" "she" consonant(Postalveolar, Fricative, false);
    T "t" "tea" consonant(Alveolar, Stop, false);
    Th "th" "think" consonant(Dental, Fricative, false);
    Uh "uh" "good" vowel(NearClose, Back, true, Glide::Steady);
    Uw "uw" "two" vowel(Close, Back, true, Glide::Steady);
    V "v" "very" consonant(Labiodental, Fricative, true);
    W "w" "we" consonant(Labiovelar, Approximant, true);
    Y "y" "yes" consonant(Palatal, Approximant, true);
    Z "z" "zoo" consonant(Alveolar, Fricative, true);
    Zh "zh" "vision" consonant(Postalveolar, Fricative, true);
}

impl Phone {
    /// Position in [`Phone::ALL`], 0–38.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// How manifests write it: the name in upper case.
    pub fn symbol(self) -> String {
        self.name().to_ascii_uppercase()
    }

    /// The phone at a position of [`Phone::ALL`].
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// Reads a name in either case, with or without a stress digit 0–2: `AH0`, `ah`.
    pub fn parse(name: &str) -> Option<Self> {
        let bare = name.strip_suffix(['0', '1', '2']).unwrap_or(name);
        let index = Self::ALL.binary_search_by(|phone| {
            phone.name().bytes().cmp(bare.bytes().map(|byte| byte.to_ascii_lowercase()))
        });
        let phone = Self::ALL[index.ok()?];
        // Only vowels are stressed.
        (bare.len() == name.len() || phone.is_vowel()).then_some(phone)
    }

    /// Whether it is a vowel.
    pub const fn is_vowel(self) -> bool {
        matches!(self.features(), Features::Vowel { .. })
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_in_order_and_reads_back() {
        assert!(Phone::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
        for (i, phone) in Phone::ALL.into_iter().enumerate() {
            assert_eq!((phone.index(), Phone::from_index(i)), (i, Some(phone)));
            assert_eq!(Phone::parse(phone.name()), Some(phone));
            assert_eq!(Phone::parse(&phone.name().to_uppercase()), Some(phone));
            assert_eq!(serde_json::to_string(&phone).unwrap(), format!("\"{phone}\""));
        }
        assert_eq!(Phone::from_index(39), None);
        assert_eq!(Phone::ALL.iter().filter(|phone| phone.is_vowel()).count(), 15);
    }

    #[test]
    fn stress_goes_and_nonsense_stays_out() {
        assert_eq!(Phone::parse("AH0"), Some(Phone::Ah));
        assert_eq!(Phone::parse("er2"), Some(Phone::Er));
        for bad in ["", "0", "AH3", "AH00", "B1", "sil", "AX", "É"] {
            assert_eq!(Phone::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_two_phones_are_made_alike() {
        let features: HashSet<Features> = Phone::ALL.map(Phone::features).into();
        assert_eq!(features.len(), Phone::COUNT);
    }
}
