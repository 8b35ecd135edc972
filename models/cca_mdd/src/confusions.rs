//! Which phones are taken for which: from how they are made, and from the mistakes of a corpus.

use crate::Labels;
use crate::analysis::differences;
use auricle_data::Utterance;
use auricle_rng::Stream;
use auricle_text::phones::Phone;

/// Mistakes that the kinship of two phones counts as, beside those of the corpus.
const PRIOR: f64 = 4.0;

/// How likely each phone was asked for where another was said.
///
/// ```text
/// w(c | s) = n(c, s) + 4·2^(−d(c, s)),   c ≠ s
/// ```
///
/// with n how often annotators heard s for c, and d how many of place, manner, voicing, height and backness differ.
/// Where a corpus has no perceived phones, phones that are made alike are confused.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusions {
    /// `[said, asked for]`.
    weights: Vec<f64>,
}

impl Default for Confusions {
    fn default() -> Self {
        let mut weights = vec![0.0; Phone::COUNT * Phone::COUNT];
        for said in Phone::ALL {
            for asked in Phone::ALL.into_iter().filter(|&asked| asked != said) {
                let place = said.index() * Phone::COUNT + asked.index();
                weights[place] = PRIOR * 0.5f64.powi(differences(said, asked) as i32);
            }
        }
        Self { weights }
    }
}

impl Confusions {
    /// Those of a corpus; utterances without perceived phones add nothing.
    pub fn of(utterances: &[Utterance]) -> Self {
        let mut confusions = Self::default();
        let told = utterances.iter().filter_map(|utterance| Labels::of(utterance).ok());
        for slot in told.filter(|labels| labels.told).flat_map(|labels| labels.slots) {
            let (Some(said), asked) = (slot.perceived.map(|said| said as usize), slot.canonical as usize)
            else {
                continue;
            };
            if said != asked && said.max(asked) < Phone::COUNT {
                confusions.weights[said * Phone::COUNT + asked] += 1.0;
            }
        }
        confusions
    }

    /// A phone that is asked for where `said` was said; `None` where `said` is no phone.
    pub fn draw(&self, said: u32, stream: &mut Stream) -> Option<u32> {
        let row = self.weights.chunks_exact(Phone::COUNT).nth(said as usize)?;
        let mut left = stream.uniform() * row.iter().sum::<f64>();
        let drawn = row.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave nothing: the last phone with a weight.
        drawn.or_else(|| row.iter().rposition(|weight| *weight > 0.0)).map(|asked| asked as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{ERR, class};
    use auricle_rng::{Key, Purpose};
    use serde_json::json;

    fn share(confusions: &Confusions, said: &str, asked: &str) -> f64 {
        let mut stream = Key::new(4).stream(Purpose::Test);
        let (said, asked) = (class(said).unwrap(), class(asked).unwrap());
        let drawn = (0..4_000).filter(|_| confusions.draw(said, &mut stream) == Some(asked)).count();
        drawn as f64 / 4_000.0
    }

    #[test]
    fn phones_made_alike_are_confused() {
        let confusions = Confusions::default();
        // F and V differ in voicing alone, F and S in place, F and M in three features, F and AA in most.
        let [v, s, m, aa] = ["V", "S", "M", "AA"].map(|asked| share(&confusions, "F", asked));
        assert!(v > 1.5 * m && s > 1.5 * m && m > aa, "{v} {s} {m} {aa}");
        assert_eq!(share(&confusions, "F", "F"), 0.0);
        assert_eq!(confusions.draw(ERR, &mut Key::new(1).stream(Purpose::Test)), None);
    }

    #[test]
    fn what_annotators_heard_counts() {
        let told = json!({"id": "a", "audio": "a.wav", "duration_secs": 1.0, "phones": vec!["R"; 40], "perceived_phones": vec!["L"; 40]});
        let untold = json!({"id": "b", "audio": "a.wav", "duration_secs": 1.0, "phones": vec!["TH"; 9]});
        let utterances = [told, untold].map(|line| serde_json::from_value(line).unwrap());
        let confusions = Confusions::of(&utterances);
        let (before, after) = (share(&Confusions::default(), "L", "R"), share(&confusions, "L", "R"));
        assert!(after > 0.5 && after > 2.0 * before, "{before} {after}");
        assert_eq!(share(&confusions, "R", "L"), share(&Confusions::default(), "R", "L"));
    }
}
