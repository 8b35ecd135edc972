//! The units that an acoustic model of phones distinguishes: the phones, silence, and noise that somebody makes.

use crate::lexicon::Pronunciation;
use crate::phones::Phone;
use auricle_rng::Stream;
use serde::{Deserialize, Serialize};

/// Silence; it comes after the phones, whose numbers are [`Phone::index`].
pub const SILENCE: u16 = Phone::COUNT as u16;
/// What is spoken and no word: coughs, laughter, fragments.
pub const SPOKEN_NOISE: u16 = SILENCE + 1;
/// Number of units.
pub const UNITS: usize = Phone::COUNT + 2;

/// How a unit is written: a phone in lower case, `sil` or `spn`; none for numbers from [`UNITS`] on.
pub fn unit_name(unit: u16) -> Option<&'static str> {
    match unit {
        SILENCE => Some("sil"),
        SPOKEN_NOISE => Some("spn"),
        phone => Phone::from_index(usize::from(phone)).map(Phone::name),
    }
}

/// The units of a pronunciation.
pub fn units_of(pronunciation: &[Phone]) -> impl Iterator<Item = u16> {
    pronunciation.iter().map(|phone| phone.index() as u16)
}

/// Where silence is put in a text of phones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SilenceModel {
    /// Probability of silence before the first and after the last word. Default: 0.8.
    pub edge: f64,
    /// Probability of silence between two words. Default: 0.1.
    pub between: f64,
}

impl Default for SilenceModel {
    fn default() -> Self {
        Self { edge: 0.8, between: 0.1 }
    }
}

impl SilenceModel {
    /// What is wrong with it, in words, or `Ok`.
    pub fn validate(&self) -> Result<(), String> {
        match [("edge", self.edge), ("between", self.between)].iter().find(|(_, p)| !(0.0..=1.0).contains(p))
        {
            Some((name, value)) => Err(format!("silence.{name}: {value} is no probability")),
            None => Ok(()),
        }
    }

    /// One way to say words, each given by its pronunciations: a pronunciation drawn for each, and silence.
    ///
    /// A word without pronunciations is left out.
    pub fn draw(&self, words: &[&[Pronunciation]], stream: &mut Stream) -> Vec<u16> {
        let mut units = Vec::new();
        for (i, pronunciations) in words.iter().enumerate() {
            if stream.chance(if i == 0 { self.edge } else { self.between }) {
                units.push(SILENCE);
            }
            if let Some(pronunciation) = pronunciations.get(stream.below(pronunciations.len())) {
                units.extend(units_of(pronunciation));
            }
        }
        if stream.chance(self.edge) {
            units.push(SILENCE);
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    #[test]
    fn units_have_names_and_an_end() {
        let names: Vec<_> = (0..UNITS as u16).map(|unit| unit_name(unit).unwrap()).collect();
        assert_eq!((names[0], names[38], names[39], names[40]), ("aa", "zh", "sil", "spn"));
        assert_eq!(unit_name(UNITS as u16), None);
    }

    #[test]
    fn every_pronunciation_and_every_silence_is_drawn() {
        let words = [vec![vec![Phone::Ah], vec![Phone::Ey]], vec![vec![Phone::B]]];
        let words: Vec<&[Pronunciation]> = words.iter().map(Vec::as_slice).collect();
        let model = SilenceModel { edge: 0.5, between: 0.5 };
        let mut stream = Key::new(1).stream(Purpose::Test);
        let seen: std::collections::BTreeSet<_> = (0..500).map(|_| model.draw(&words, &mut stream)).collect();
        assert_eq!(seen.len(), 16);
        let never = SilenceModel { edge: 0.0, between: 0.0 }.draw(&words[1..], &mut stream);
        assert_eq!(never, [Phone::B.index() as u16]);
        let always = SilenceModel { edge: 1.0, between: 1.0 }.draw(&[], &mut stream);
        assert_eq!(always, [SILENCE]);
        assert!(
            SilenceModel { edge: 1.1, between: 0.0 }.validate().unwrap_err().contains("silence.edge: 1.1")
        );
    }
}
