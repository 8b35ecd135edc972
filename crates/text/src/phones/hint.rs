//! What to do with the mouth to say one phone and not another.

use super::{Backness, Features, Glide, Height, Manner, Phone, Place};

/// A short advice for a learner who said `perceived` where `canonical` belongs, or left it out
/// (`None`); empty where both are the same.
///
/// Made from the differences of their [features](Phone::features), at most two of them: more is
/// not kept in mind while speaking.
pub fn hint(canonical: Phone, perceived: Option<Phone>) -> String {
    let Some(perceived) = perceived else {
        return format!("say the \"{canonical}\" as in \"{}\"; it was left out", canonical.example());
    };
    let advice = match (canonical.features(), perceived.features()) {
        (
            Features::Consonant { place, manner, voiced },
            Features::Consonant { place: other_place, manner: other_manner, voiced: other_voiced },
        ) => {
            let mut advice = Vec::new();
            if place != other_place {
                advice.push(at(place));
            }
            if manner != other_manner {
                advice.push(by(manner));
            }
            if voiced != other_voiced {
                advice.push(if voiced {
                    "voice it: let the throat hum"
                } else {
                    "do not voice it: only breath"
                });
            }
            advice
        }
        (
            Features::Vowel { height, backness, rounded, glide },
            Features::Vowel {
                height: other_height,
                backness: other_backness,
                rounded: other_rounded,
                glide: other,
            },
        ) => {
            let mut advice = Vec::new();
            if glide != other {
                advice.push(along(glide));
            }
            if height != other_height {
                advice.push(towards(height, other_height));
            }
            if backness != other_backness {
                advice.push(match backness {
                    Backness::Front => "bring the tongue forward",
                    Backness::Central if other_backness == Backness::Front => {
                        "draw the tongue back to the middle"
                    }
                    Backness::Central => "bring the tongue forward to the middle",
                    Backness::Back => "draw the tongue back",
                });
            }
            if rounded != other_rounded {
                advice.push(if rounded { "round the lips" } else { "do not round the lips" });
            }
            advice
        }
        (Features::Vowel { .. }, Features::Consonant { .. }) => {
            vec!["open the mouth and let the air flow: this is a vowel"]
        }
        (Features::Consonant { place, manner, .. }, Features::Vowel { .. }) => vec![at(place), by(manner)],
    };
    advice.into_iter().take(2).collect::<Vec<_>>().join("; ")
}

/// How a phone is made, for a learner who said it wrong in a way that is not known.
///
/// Names as many of its [features](Phone::features) as tell it from every other phone.
pub fn how_to_say(phone: Phone) -> String {
    let parts = match phone.features() {
        Features::Consonant { place, manner, voiced } => {
            let obstruent = matches!(manner, Manner::Stop | Manner::Affricate | Manner::Fricative);
            let voice = match (obstruent, voiced) {
                (true, true) => Some("let the throat hum"),
                (true, false) => Some("only breath, the throat does not hum"),
                // All of these hum.
                (false, _) => None,
            };
            [Some(at(place)), Some(by(manner)), voice]
        }
        Features::Vowel { height, backness, rounded, glide } => {
            let moving = (glide != Glide::Steady).then(|| along(glide));
            [Some(mouth(height, rounded)), Some(tongue(backness)), moving]
        }
    };
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    format!("say \"{phone}\" as in \"{}\": {}", phone.example(), parts.join("; "))
}

fn mouth(height: Height, rounded: bool) -> &'static str {
    match (height, rounded) {
        (Height::Close, false) => "the mouth nearly closed, lips spread",
        (Height::Close, true) => "the mouth nearly closed, lips round and tight",
        (Height::NearClose, false) => "the mouth a little open, relaxed and short",
        (Height::NearClose, true) => "the mouth a little open, lips loosely round, short",
        (Height::CloseMid, false) => "the mouth half closed, lips spread",
        (Height::CloseMid, true) => "the mouth half closed, lips round",
        (Height::OpenMid, false) => "the mouth half open",
        (Height::OpenMid, true) => "the mouth half open, lips round",
        (Height::NearOpen, false) => "the mouth wide open, lips spread",
        (Height::NearOpen, true) => "the mouth wide open, lips round",
        (Height::Open, false) => "the jaw down, the mouth as open as it goes",
        (Height::Open, true) => "the jaw down, lips round",
    }
}

fn tongue(backness: Backness) -> &'static str {
    match backness {
        Backness::Front => "the tongue at the front",
        Backness::Central => "the tongue in the middle",
        Backness::Back => "the tongue drawn back",
    }
}

fn at(place: Place) -> &'static str {
    match place {
        Place::Bilabial => "bring both lips together",
        Place::Labiodental => "upper teeth on the lower lip",
        Place::Dental => "tongue between the teeth",
        Place::Alveolar => "tip of the tongue to the ridge behind the upper teeth",
        Place::Postalveolar => "tongue a little behind the ridge of the upper teeth",
        Place::Palatal => "middle of the tongue up to the palate",
        Place::Velar => "back of the tongue up to the soft palate",
        Place::Labiovelar => "make the lips small and round, and keep them off the teeth",
        Place::Glottal => "just breathe out, tongue and lips at rest",
    }
}

fn by(manner: Manner) -> &'static str {
    match manner {
        Manner::Stop => "stop the air for a moment, then let it go at once",
        Manner::Affricate => "stop the air first, then let it hiss out",
        Manner::Fricative => "do not stop the air: let it rub through a narrow gap",
        Manner::Nasal => "let the air out through the nose",
        Manner::Lateral => "keep the tip of the tongue up and let the air out at its sides",
        Manner::Approximant => "come near without touching: no contact, no friction",
    }
}

fn along(glide: Glide) -> &'static str {
    match glide {
        Glide::Steady => "hold it: the tongue does not move",
        Glide::Front => "move the tongue forward and up while saying it",
        Glide::Back => "close and round the lips while saying it",
        Glide::Curled => "curl the tongue up and back",
    }
}

fn towards(height: Height, other: Height) -> &'static str {
    match (height < other, height) {
        (true, Height::Close) => "raise the tongue until the mouth is nearly closed, tense and long",
        (true, _) => "raise the tongue: the mouth less open",
        (false, Height::NearClose) => "relax and shorten it, the tongue a little lower",
        (false, _) => "lower the jaw: the mouth more open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes() {
        assert_eq!(hint(Phone::Z, Some(Phone::S)), "voice it: let the throat hum");
        assert_eq!(hint(Phone::Th, Some(Phone::S)), "tongue between the teeth");
        assert!(hint(Phone::Dh, Some(Phone::D)).starts_with("tongue between the teeth; do not stop the air"));
        assert!(hint(Phone::V, Some(Phone::W)).starts_with("upper teeth on the lower lip"));
        assert!(hint(Phone::Ih, Some(Phone::Iy)).starts_with("relax and shorten"));
        assert!(hint(Phone::Iy, Some(Phone::Ih)).contains("tense and long"));
        assert_eq!(hint(Phone::Ae, Some(Phone::Eh)), "lower the jaw: the mouth more open");
        assert!(hint(Phone::T, None).contains("left out"));
    }

    #[test]
    fn no_two_phones_are_said_alike() {
        let advice: std::collections::HashSet<String> = Phone::ALL
            .into_iter()
            .map(|phone| how_to_say(phone).split_once(": ").unwrap().1.into())
            .collect();
        assert_eq!(advice.len(), Phone::COUNT);
        let dh = how_to_say(Phone::Dh);
        assert!(dh.starts_with("say \"dh\" as in \"the\": tongue between the teeth;"), "{dh}");
        assert!(how_to_say(Phone::Th).ends_with("the throat does not hum"));
        assert!(how_to_say(Phone::Ay).ends_with("move the tongue forward and up while saying it"));
    }

    #[test]
    fn every_pair_has_an_advice_and_its_reverse_another() {
        for canonical in Phone::ALL {
            assert_eq!(hint(canonical, Some(canonical)), "");
            for perceived in Phone::ALL.into_iter().filter(|other| *other != canonical) {
                let there = hint(canonical, Some(perceived));
                assert!(!there.is_empty(), "{canonical} {perceived}");
                assert_ne!(there, hint(perceived, Some(canonical)), "{canonical} {perceived}");
            }
        }
    }
}
