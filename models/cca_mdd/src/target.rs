//! A text to be read aloud, and a reading of it.

use crate::scored::{Scored, ScoredPhone, ScoredWord};
use crate::{PhoneVerdict, Session, SessionError, inventory};
use auricle_text::phones::{Phone, hint, how_to_say};
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

/// With more pronunciations to try than this, those of all words are tried together: each trial reads the whole
/// recording again, and its cost grows with the length of the prompt.
const MAX_SINGLE_TRIALS: usize = 64;

/// Phones that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

    /// Words with the phones that each should have.
    pub fn of_words(words: impl IntoIterator<Item = (String, Vec<Phone>)>) -> Self {
        let word =
            |(text, phones)| TargetWord { text, source: None, pronunciations: vec![phones], chosen: 0 };
        Self { words: words.into_iter().map(word).collect() }
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

    /// Mean goodness of each word.
    fn word_scores(&self, verdicts: &[PhoneVerdict]) -> Vec<f32> {
        let score = |span: Range<usize>| {
            let own = verdicts.get(span).unwrap_or_default();
            own.iter().map(|verdict| verdict.goodness).sum::<f32>() / own.len().max(1) as f32
        };
        self.spans().into_iter().map(score).collect()
    }

    /// The same with pronunciation `choice` of every word that has one.
    fn with_all(&self, choice: usize) -> Self {
        let mut other = self.clone();
        for word in other.words.iter_mut().filter(|word| choice < word.pronunciations.len()) {
            word.chosen = choice;
        }
        other
    }

    /// The words with their scores. Phones below `threshold` (0 to 100) are mispronounced; no time is later
    /// than `duration_secs`.
    pub(crate) fn words_scored(
        &self,
        verdicts: &[PhoneVerdict],
        threshold: f64,
        frame_secs: f64,
        duration_secs: f64,
    ) -> Vec<ScoredWord> {
        let mut verdicts = verdicts.iter();
        let at = |frame: usize| rounded((frame as f64 * frame_secs).min(duration_secs), 1000.0);
        let phone = |verdict: &PhoneVerdict| scored_phone(verdict, threshold, &at);
        let word = |word: &TargetWord| {
            let phones: Vec<ScoredPhone> = verdicts.by_ref().take(word.phones().len()).map(phone).collect();
            let score = mean(phones.iter().map(|phone| phone.score));
            ScoredWord { text: word.text.clone(), score, source: word.source, phones }
        };
        self.words.iter().map(word).collect()
    }
}

/// The verdict on a phone, for people: it is mispronounced where its goodness, as a score of 0 to 100, is below
/// the threshold.
///
/// # Differences from the paper
/// The final verdict of arXiv 2111.08191 is a fusion: a phone is wrong where either the classifier or the CTC
/// decoder says so, and the classifier never clears what the decoder rejects
/// ([`auricle_text::mdd::Verdicts::fuse`]). Here the classifier decides alone, by the threshold that is stored
/// with the weights. On the development speakers of speechocean762 fusion finds more mistakes and rejects more than
/// twice as many good phones for it (FAR 36 against 57 %, FRR 6.1 against 2.4 %; F1 0.53
/// and 0.49: `recipes/speechocean762/RESULTS.md`; `auricle eval mdd` gives both, and the decoder's own). A learner who is told
/// that a good sound was wrong is worse off than one who is not told of a mistake. The decoder gives the
/// provisional verdicts while the learner speaks ([`Event::Phone`](crate::Event::Phone)), and the diagnosis where
/// the phone predictor has none.
fn scored_phone(verdict: &PhoneVerdict, threshold: f64, at: &dyn Fn(usize) -> f64) -> ScoredPhone {
    let score = rounded(100.0 * f64::from(verdict.goodness), 10.0);
    let mispronounced = score < threshold;
    let said = verdict.diagnosis().filter(|_| mispronounced);
    let advice = |canonical| match said {
        Some(said) => hint(canonical, inventory::phone(said)),
        None => how_to_say(canonical),
    };
    ScoredPhone {
        phone: inventory::name(verdict.canonical),
        score,
        mispronounced,
        said: said.map(inventory::name),
        hint: inventory::phone(verdict.canonical).filter(|_| mispronounced).map(advice),
        start_secs: at(verdict.frames.start),
        end_secs: at(verdict.frames.end),
    }
}

/// The mean of scores, to a decimal.
fn mean(scores: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = scores.fold((0.0, 0), |(sum, count), score| (sum + score, count + 1));
    rounded(sum / f64::from(count.max(1)), 10.0)
}

fn rounded(x: f64, parts: f64) -> f64 {
    (x * parts).round() / parts
}

impl TargetWord {
    fn phones(&self) -> &[Phone] {
        self.pronunciations.get(self.chosen).map_or(&[], Vec::as_slice)
    }
}

/// A recording that is over, judged by the pronunciations that its words are said best as: each one that
/// a lexicon has is right.
///
/// Up to 64 pronunciations besides the usual ones are tried one by one. Where the words of a prompt have more, the
/// second ones of all words are tried together, then the third ones, and so on; each word takes the one that it was
/// best with, if the words together are not worse for it. So there are never more than 64 trials.
#[derive(Debug, Clone)]
pub struct Reading {
    target: Target,
    verdicts: Vec<PhoneVerdict>,
    next: Trial,
}

/// What to try next.
#[derive(Debug, Clone)]
enum Trial {
    /// One pronunciation of one word.
    Single { word: usize, choice: usize },
    /// The same of all words; `best` are the score and pronunciation that each was best with.
    Together { choice: usize, best: Vec<(f32, usize)> },
    /// Nothing.
    Done,
}

impl Reading {
    /// A reading by the usual pronunciations; `verdicts` is what the session gave at its end.
    pub fn new(target: Target, verdicts: Vec<PhoneVerdict>) -> Self {
        let others = target.words.iter().map(|word| word.pronunciations.len().saturating_sub(1));
        let next = if others.sum::<usize>() <= MAX_SINGLE_TRIALS {
            Trial::Single { word: 0, choice: 1 }
        } else {
            let chosen = target.words.iter().map(|word| word.chosen);
            Trial::Together {
                choice: 1,
                best: target.word_scores(&verdicts).into_iter().zip(chosen).collect(),
            }
        };
        Self { target, verdicts, next }
    }

    /// Tries one more pronunciation, of one word or of all; false where all have been tried.
    ///
    /// # Errors
    /// A session that fails.
    pub fn improve(&mut self, session: &Session) -> Result<bool, SessionError> {
        self.improve_by(|classes| session.verdicts_for(classes))
    }

    fn improve_by(
        &mut self,
        judge: impl FnOnce(Vec<u32>) -> Result<Vec<PhoneVerdict>, SessionError>,
    ) -> Result<bool, SessionError> {
        match std::mem::replace(&mut self.next, Trial::Done) {
            Trial::Single { mut word, mut choice } => {
                while self.target.words.get(word).is_some_and(|word| choice >= word.pronunciations.len()) {
                    (word, choice) = (word + 1, 1);
                }
                let mut other = self.target.clone();
                let Some(tried) = other.words.get_mut(word) else { return Ok(false) };
                tried.chosen = choice;
                self.next = Trial::Single { word, choice: choice + 1 };
                let verdicts = judge(other.classes())?;
                let (new, old) = (other.word_scores(&verdicts), self.target.word_scores(&self.verdicts));
                if new.get(word) > old.get(word) {
                    (self.target, self.verdicts) = (other, verdicts);
                }
                Ok(true)
            }
            Trial::Together { choice, mut best } => {
                let has_choice = |word: &TargetWord| choice < word.pronunciations.len();
                if self.target.words.iter().any(has_choice) {
                    let other = self.target.with_all(choice);
                    let scores = other.word_scores(&judge(other.classes())?);
                    for ((word, best), score) in self.target.words.iter().zip(&mut best).zip(scores) {
                        if has_choice(word) && score > best.0 {
                            *best = (score, choice);
                        }
                    }
                    self.next = Trial::Together { choice: choice + 1, best };
                    return Ok(true);
                }
                let mut other = self.target.clone();
                for (word, (_, choice)) in other.words.iter_mut().zip(best) {
                    word.chosen = choice;
                }
                let verdicts = judge(other.classes())?;
                let sum = |scores: Vec<f32>| scores.iter().sum::<f32>();
                if sum(other.word_scores(&verdicts)) >= sum(self.target.word_scores(&self.verdicts)) {
                    (self.target, self.verdicts) = (other, verdicts);
                }
                Ok(true)
            }
            Trial::Done => Ok(false),
        }
    }

    /// Tries all pronunciations.
    ///
    /// # Errors
    /// A session that fails.
    pub fn best(mut self, session: &Session) -> Result<Self, SessionError> {
        while self.improve(session)? {}
        Ok(self)
    }

    /// The result in words and numbers, of the session's recording of `duration_secs`. Phones below `threshold`
    /// (0 to 100) are mispronounced.
    pub fn scored(&self, session: &Session, id: &str, threshold: f64, duration_secs: f64) -> Scored {
        let words = self.target.words_scored(&self.verdicts, threshold, session.frame_secs(), duration_secs);
        let score = mean(words.iter().flat_map(|word| &word.phones).map(|phone| phone.score));
        Scored { id: id.into(), score, duration_secs, notice: session.notice(), words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(goodness: f32, predicted: u32, heard: Option<u32>) -> PhoneVerdict {
        let canonical = Phone::Dh.index() as u32;
        PhoneVerdict { canonical, goodness, predicted: (predicted, 0.9), heard, frames: 2..5 }
    }

    /// A prompt of words whose pronunciation `good[w]` is said well and all others are not; how many trials it takes.
    fn trials(pronunciations: usize, good: &[usize]) -> (Vec<usize>, usize) {
        let pronunciation = |i: usize| vec![Phone::ALL[i % 39], Phone::ALL[i / 39]];
        let all: Vec<Vec<Phone>> = (0..pronunciations).map(pronunciation).collect();
        let word = |_: &usize| TargetWord {
            text: "blah".into(),
            source: None,
            pronunciations: all.clone(),
            chosen: 0,
        };
        let target = Target { words: good.iter().map(word).collect() };
        let judge = |classes: Vec<u32>| {
            let is_good = |(at, class): (usize, &u32)| {
                *class == Phone::ALL[good[at / 2] % 39].index() as u32 || at % 2 == 1
            };
            classes
                .iter()
                .enumerate()
                .map(|item| verdict(if is_good(item) { 0.9 } else { 0.1 }, 0, None))
                .collect::<Vec<_>>()
        };
        let verdicts = judge(target.classes());
        let (mut reading, mut count) = (Reading::new(target, verdicts), 0);
        while reading.improve_by(|classes| Ok(judge(classes))).unwrap() {
            count += 1;
        }
        (reading.target.words.iter().map(|word| word.chosen).collect(), count)
    }

    #[test]
    fn many_pronunciations_take_few_trials_and_few_are_tried_one_by_one() {
        for (pronunciations, words) in [(32, 90), (2, 100), (1, 5), (3, 32), (32, 2)] {
            let good: Vec<usize> = (0..words).map(|w| w * 7 % pronunciations).collect();
            let (chosen, count) = trials(pronunciations, &good);
            assert_eq!(chosen, good, "{pronunciations} of {words}");
            let single = (pronunciations - 1) * words;
            let expected = if single <= MAX_SINGLE_TRIALS { single } else { pronunciations };
            assert_eq!(count, expected, "{pronunciations} of {words}");
        }
    }

    #[test]
    fn every_wrong_phone_has_an_advice_and_no_other_has() {
        let [dh, d, z] = [Phone::Dh, Phone::D, Phone::Z].map(|phone| phone.index() as u32);
        let of = |verdict| scored_phone(&verdict, 40.0, &|frame| frame as f64 * 0.04);
        // Just at the threshold, whatever predictor and decoder say.
        let good = of(verdict(0.4, d, Some(d)));
        assert_eq!((good.mispronounced, good.said, good.hint), (false, None, None));
        assert_eq!((good.start_secs, good.end_secs), (0.08, 0.2));
        let hint_of = |said, verdict| {
            let wrong = of(verdict);
            assert_eq!((wrong.mispronounced, wrong.said), (true, said));
            wrong.hint.unwrap()
        };
        assert!(hint_of(Some("d"), verdict(0.3, d, Some(z))).contains("do not stop the air"));
        assert!(hint_of(Some("z"), verdict(0.3, dh, Some(z))).starts_with("tongue between the teeth"));
        assert!(hint_of(Some("<del>"), verdict(0.3, inventory::DELETED, None)).contains("left out"));
        // Predictor and decoder know no other phone: how the right one is made.
        for (predicted, heard) in [(dh, Some(dh)), (dh, None), (inventory::ERR, Some(inventory::ERR))] {
            let advice = hint_of(None, verdict(0.3, predicted, heard));
            assert!(advice.contains("as in \"the\"") && advice.contains("between the teeth"), "{advice}");
        }
    }
}
