//! A text to be read aloud, and a reading of it.

use crate::scored::{Scored, ScoredPhone, ScoredWord};
use crate::{PhoneVerdict, Session, SessionError, inventory};
use auricle_text::phones::{Phone, hint};
use auricle_text::{Prompt, PromptWord, Source};
use std::ops::Range;

/// What is to be said, word by word, with the pronunciation that is tried.
#[derive(Debug, Clone)]
pub struct Target {
    words: Vec<TargetWord>,
}

#[derive(Debug, Clone)]
struct TargetWord {
    text: String,
    source: Option<Source>,
    pronunciations: Vec<Vec<Phone>>,
    chosen: usize,
}

/// Phones that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No phone.
    #[error("there are no phones; write what should be said")]
    Empty,
    /// A name that is no phone.
    #[error("`{0}` is no phone of the CMU dictionary (AA … ZH)")]
    Unknown(String),
}

impl Target {
    /// The words of a prompt, each with its usual pronunciation.
    pub fn of_prompt(prompt: Prompt) -> Self {
        let word = |word: PromptWord| TargetWord {
            text: word.text,
            source: Some(word.source),
            pronunciations: word.pronunciations,
            chosen: 0,
        };
        Self { words: prompt.words.into_iter().map(word).collect() }
    }

    /// Phones by name, as one word.
    ///
    /// # Errors
    /// No phone, or a name that is none.
    pub fn of_phones(text: &str) -> Result<Self, TargetError> {
        let parse = |name: &str| Phone::parse(name).ok_or_else(|| TargetError::Unknown(name.into()));
        let phones = text.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
        if phones.is_empty() {
            return Err(TargetError::Empty);
        }
        let word = TargetWord { text: text.into(), source: None, pronunciations: vec![phones], chosen: 0 };
        Ok(Self { words: vec![word] })
    }

    /// Words in order: text, where the pronunciation comes from, phones of the chosen pronunciation.
    pub fn words(&self) -> impl Iterator<Item = (&str, Option<Source>, &[Phone])> {
        self.words.iter().map(|word| (word.text.as_str(), word.source, word.phones()))
    }

    /// Class numbers of the chosen pronunciations' phones, for a [`Session`].
    pub fn classes(&self) -> Vec<u32> {
        self.words.iter().flat_map(TargetWord::phones).map(|phone| phone.index() as u32).collect()
    }

    /// Where the phones of each word stand among all.
    pub fn spans(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let span = |word: &TargetWord| {
            let start = end;
            end += word.phones().len();
            start..end
        };
        self.words.iter().map(span).collect()
    }

    /// Mean goodness of a word.
    fn word_score(&self, word: usize, verdicts: &[PhoneVerdict]) -> f32 {
        let own = self.spans().get(word).and_then(|span| verdicts.get(span.clone())).unwrap_or_default();
        own.iter().map(|verdict| verdict.goodness).sum::<f32>() / own.len().max(1) as f32
    }

    /// The result in words and numbers. Phones below `threshold` (0 to 100) are mispronounced.
    pub fn scored(
        &self,
        id: &str,
        verdicts: &[PhoneVerdict],
        threshold: f64,
        frame_secs: f64,
        duration_secs: f64,
    ) -> Scored {
        let mut verdicts = verdicts.iter();
        let round = |x: f64, digits: f64| (x * digits).round() / digits;
        let phone = |verdict: &PhoneVerdict| {
            let score = round(100.0 * f64::from(verdict.goodness), 10.0);
            let mispronounced = score < threshold;
            let said = verdict.diagnosis().filter(|_| mispronounced);
            let canonical = inventory::phone(verdict.canonical);
            let advice = canonical
                .zip(said)
                .map(|(canonical, said)| hint(canonical, inventory::phone(said)))
                .filter(|advice| !advice.is_empty());
            let at = |frame: usize| round((frame as f64 * frame_secs).min(duration_secs), 1000.0);
            ScoredPhone {
                phone: inventory::name(verdict.canonical),
                score,
                mispronounced,
                said: said.map(inventory::name),
                hint: advice,
                start_secs: at(verdict.frames.start),
                end_secs: at(verdict.frames.end),
            }
        };
        let mean = |scores: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = scores.fold((0.0, 0), |(sum, count), score| (sum + score, count + 1));
            round(sum / f64::from(count.max(1)), 10.0)
        };
        let words: Vec<ScoredWord> = self
            .words
            .iter()
            .map(|word| {
                let count = word.phones().len();
                let phones: Vec<ScoredPhone> = verdicts.by_ref().take(count).map(phone).collect();
                let score = mean(&mut phones.iter().map(|phone| phone.score));
                ScoredWord { text: word.text.clone(), score, source: word.source, phones }
            })
            .collect();
        let score = mean(&mut words.iter().flat_map(|word| &word.phones).map(|phone| phone.score));
        Scored { id: id.into(), score, duration_secs, words }
    }
}

impl TargetWord {
    fn phones(&self) -> &[Phone] {
        self.pronunciations.get(self.chosen).map_or(&[], Vec::as_slice)
    }
}

/// A recording that is over, judged by the pronunciations that its words are said best as: each one that
/// a lexicon has is right.
#[derive(Debug, Clone)]
pub struct Reading {
    target: Target,
    verdicts: Vec<PhoneVerdict>,
    /// Word and pronunciation to try next.
    next: (usize, usize),
}

impl Reading {
    /// A reading by the usual pronunciations; `verdicts` is what the session gave at its end.
    pub fn new(target: Target, verdicts: Vec<PhoneVerdict>) -> Self {
        Self { target, verdicts, next: (0, 1) }
    }

    /// Tries one more pronunciation of one word; false where all have been tried.
    ///
    /// # Errors
    /// A session that fails.
    pub fn improve(&mut self, session: &Session) -> Result<bool, SessionError> {
        let (mut w, mut choice) = self.next;
        while self.target.words.get(w).is_some_and(|word| choice >= word.pronunciations.len()) {
            (w, choice) = (w + 1, 1);
        }
        self.next = (w, choice + 1);
        let mut other = self.target.clone();
        let Some(word) = other.words.get_mut(w) else { return Ok(false) };
        word.chosen = choice;
        let verdicts = session.verdicts_for(other.classes())?;
        if other.word_score(w, &verdicts) > self.target.word_score(w, &self.verdicts) {
            (self.target, self.verdicts) = (other, verdicts);
        }
        Ok(true)
    }

    /// Tries all pronunciations; what was chosen, and its verdicts.
    ///
    /// # Errors
    /// A session that fails.
    pub fn best(mut self, session: &Session) -> Result<(Target, Vec<PhoneVerdict>), SessionError> {
        while self.improve(session)? {}
        Ok(self.into_parts())
    }

    /// What has been chosen so far, and its verdicts.
    pub fn into_parts(self) -> (Target, Vec<PhoneVerdict>) {
        (self.target, self.verdicts)
    }
}
