//! Results for people and programs.

use crate::inventory::{self, DELETED};
use crate::level::Notice;
use auricle_text::Source;
use serde::Serialize;

/// The result for an utterance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// Name of the utterance.
    pub id: String,
    /// Mean over phones, 0 to 100.
    pub score: f64,
    /// Length of the recording.
    pub duration_secs: f64,
    /// What should be known of the recording before its scores are believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// Words in order.
    pub words: Vec<ScoredWord>,
}

/// The result for a word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredWord {
    /// As looked up.
    pub text: String,
    /// Mean over its phones, 0 to 100.
    pub score: f64,
    /// Where the pronunciation comes from; `None` where phones were given.
    pub source: Option<Source>,
    /// Canonical phones in order.
    pub phones: Vec<ScoredPhone>,
}

/// The result for a canonical phone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredPhone {
    /// Name in the CMU dictionary, in lower case.
    pub phone: &'static str,
    /// 0 to 100.
    pub score: f64,
    /// Whether the score is below the threshold.
    pub mispronounced: bool,
    /// What was said instead, where it is known.
    pub said: Option<&'static str>,
    /// What to do about it, where it is mispronounced: how to get from what was said to it, or how it is made.
    pub hint: Option<String>,
    /// Where it begins in the recording.
    pub start_secs: f64,
    /// Where it ends.
    pub end_secs: f64,
}

impl Scored {
    /// A table for people: a line per word and phone.
    pub fn table(&self) -> String {
        let mut text = format!("{:5.1}  {}\n", self.score, self.id);
        for word in &self.words {
            let guessed =
                if word.source == Some(Source::LetterToSound) { "  (pronunciation guessed)" } else { "" };
            text += &format!("{:5.1}    {}{guessed}\n", word.score, word.text);
            for phone in &word.phones {
                let verdict = match (phone.mispronounced, phone.said, &phone.hint) {
                    (false, ..) => String::new(),
                    (true, Some(said), Some(hint)) => format!("  wrong: sounds like {said}; {hint}"),
                    (true, Some(said), None) => format!("  wrong: sounds like {said}"),
                    (true, None, Some(hint)) => format!("  wrong: {hint}"),
                    (true, None, None) => "  wrong".into(),
                };
                text += &format!(
                    "{:5.1}      {:3} {:6.2}–{:.2} s{verdict}\n",
                    phone.score, phone.phone, phone.start_secs, phone.end_secs
                );
            }
        }
        text
    }

    /// NIST time marks of phones, with the score of 0 to 1 as confidence.
    pub fn ctm(&self) -> String {
        let id = self.id.replace(char::is_whitespace, "_");
        let line = |p: &ScoredPhone| {
            let length = p.end_secs - p.start_secs;
            format!("{id} 1 {:.3} {length:.3} {} {:.3}\n", p.start_secs, p.phone, p.score / 100.0)
        };
        self.words.iter().flat_map(|word| &word.phones).map(line).collect()
    }

    /// A TextGrid of Praat with tiers of words, phones and scores. Phones are written as in L2-ARCTIC: a right one
    /// as its name, another in its place as `canonical,said,s` (`err` where it is not known), one that was left
    /// out as `canonical,sil,d`.
    pub fn textgrid(&self) -> String {
        let quote = |text: &str| text.replace('"', "\"\"");
        let phones: Vec<&ScoredPhone> = self.words.iter().flat_map(|word| &word.phones).collect();
        let words: Vec<(f64, f64, String)> = self
            .words
            .iter()
            .filter_map(|word| {
                let (first, last) = (word.phones.first()?, word.phones.last()?);
                Some((first.start_secs, last.end_secs, quote(&word.text)))
            })
            .collect();
        let tier_of = |label: &dyn Fn(&ScoredPhone) -> String| -> Vec<(f64, f64, String)> {
            phones.iter().map(|phone| (phone.start_secs, phone.end_secs, label(phone))).collect()
        };
        let tiers = [
            ("words", words),
            ("phones", tier_of(&ScoredPhone::label)),
            ("scores", tier_of(&|phone| format!("{:.1}", phone.score))),
        ];
        let end = self.duration_secs;
        let mut text = format!(
            "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {}\nitem []:\n",
            tiers.len()
        );
        for (i, (name, intervals)) in tiers.iter().enumerate() {
            text += &format!(
                "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        xmin = 0\n        xmax = {end}\n        intervals: size = {}\n",
                i + 1,
                intervals.len()
            );
            for (j, (from, to, label)) in intervals.iter().enumerate() {
                text += &format!(
                    "        intervals [{}]:\n            xmin = {from}\n            xmax = {to}\n            text = \"{label}\"\n",
                    j + 1
                );
            }
        }
        text
    }
}

impl ScoredPhone {
    /// As L2-ARCTIC writes it.
    fn label(&self) -> String {
        match (self.mispronounced, self.said) {
            (false, _) => self.phone.into(),
            (true, Some(said)) if said == inventory::name(DELETED) => format!("{},sil,d", self.phone),
            (true, said) => format!("{},{},s", self.phone, said.unwrap_or("err")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::{Perceived, Phone, Slot};

    /// Labels are read back by the reader of L2-ARCTIC as what they mean.
    #[test]
    fn labels_are_those_of_l2arctic() {
        let label = |mispronounced: bool, said: Option<&'static str>| {
            let (phone, score, hint, start_secs, end_secs) = ("dh", 10.0, None, 0.1, 0.2);
            ScoredPhone { phone, score, mispronounced, said, hint, start_secs, end_secs }.label()
        };
        let canonical = Some(Perceived::Phone(Phone::Dh));
        for (mispronounced, said, written, perceived) in [
            (false, None, "dh", canonical),
            (true, Some("d"), "dh,d,s", Some(Phone::D.into())),
            (true, Some(inventory::name(DELETED)), "dh,sil,d", None),
            (true, None, "dh,err,s", Some(Perceived::Error)),
        ] {
            let label = label(mispronounced, said);
            assert_eq!(label, written);
            assert_eq!(Slot::from_l2arctic(&label), Ok(Some(Slot { canonical, perceived })));
        }
    }
}
