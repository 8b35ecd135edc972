//! Other tasks on texts beside the main one: their latents teach the encoder and the decoder more than
//! the few meanings that are known.

use crate::LasynError;
use auricle_nn::ConfigError;
use auricle_rng::Stream;
use auricle_text::{Tokenizer, normalise};
use serde::{Deserialize, Serialize};

/// What a sequence on pseudo-acoustic latents is asked for; each has a token that begins its sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTask {
    /// What was said.
    Transcript,
    /// What was said, where some of the words cannot be heard.
    Reconstruction,
    /// Slots without the intent.
    Slots,
}

impl TextTask {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transcript, Self::Reconstruction, Self::Slots];

    /// The token, which `auricle tokenizer train --tasks` puts into a vocabulary.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Transcript => "<task:transcript>",
            Self::Reconstruction => "<task:reconstruction>",
            Self::Slots => "<task:slots>",
        }
    }

    /// The token's id.
    ///
    /// # Errors
    /// A vocabulary without it.
    pub fn token(self, tokenizer: &Tokenizer) -> Result<u32, LasynError> {
        let ids = tokenizer.encode(self.mark()).unwrap_or_default();
        match ids.as_slice() {
            [id] if tokenizer.decode(&ids) == self.mark() => Ok(*id),
            _ => Err(LasynError::Text(format!(
                "the tokenizer has no token {}; train one with `auricle tokenizer train --meanings --tasks`",
                self.mark()
            ))),
        }
    }
}

/// The `[model.tasks]` table: shares of the pseudo-acoustic rows that have another task than the main one.
///
/// The paper is said to use "diverse textual NLP tasks" for spoken language understanding; which, and how, is our
/// proposal. Sequences of other tasks begin with a token of the task and are learnt by the attention decoder only:
/// CTC, which reads from left to right without being asked anything, learns the main task alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TasksConfig {
    /// Share of transcripts. Default: 0.
    pub transcript: f64,
    /// Share of transcripts of sentences with gaps. Default: 0.
    pub reconstruction: f64,
    /// Probability that a word is a gap there. Default: 0.2.
    pub gaps: f64,
    /// Share of slots without the intent. Default: 0.
    pub slots: f64,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self { transcript: 0.0, reconstruction: 0.0, gaps: 0.2, slots: 0.0 }
    }
}

impl TasksConfig {
    fn shares(&self) -> [(TextTask, f64); 3] {
        let Self { transcript, reconstruction, slots, gaps: _ } = *self;
        let [a, b, c] = TextTask::ALL;
        [(a, transcript), (b, reconstruction), (c, slots)]
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.shares().iter().any(|(_, share)| *share > 0.0)
    }

    /// What is wrong, in words, or `Ok`.
    ///
    /// # Errors
    /// The reason.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let shares = self.shares().map(|(_, share)| share);
        let within = shares.iter().chain([&self.gaps]).all(|p| (0.0..=1.0).contains(p));
        if within && shares.iter().sum::<f64>() <= 1.0 {
            return Ok(());
        }
        Err(ConfigError::new("model.tasks", "shares must lie in 0..1, together too"))
    }

    /// A task, as likely as its share; `None` is the main one.
    pub fn draw(&self, stream: &mut Stream) -> Option<TextTask> {
        let mut left = stream.uniform();
        for (task, share) in self.shares() {
            left -= share;
            if left < 0.0 {
                return Some(task);
            }
        }
        None
    }
}

/// The slots of a meaning without the rest, in their order; `None` where it has none.
pub fn slots_of(meaning: &str) -> Option<String> {
    let mut inside = false;
    let slots: Vec<&str> = meaning
        .split_whitespace()
        .filter(|token| {
            inside |= token.starts_with("<slot:");
            let keep = inside;
            inside &= *token != "</slot>";
            keep
        })
        .collect();
    (!slots.is_empty()).then(|| slots.join(" "))
}

/// Words of which some cannot be heard: they have no phones, which synthesizers read as silence. One at least stays.
pub fn with_gaps(words: &[Vec<u32>], gaps: f64, stream: &mut Stream) -> Vec<Vec<u32>> {
    let heard = |word: &Vec<u32>| if stream.chance(gaps) { Vec::new() } else { word.clone() };
    let mut heard: Vec<Vec<u32>> = words.iter().map(heard).collect();
    if heard.iter().all(Vec::is_empty)
        && let (Some(first), Some(word)) = (heard.first_mut(), words.first())
    {
        first.clone_from(word);
    }
    heard
}

/// What a task writes of a sentence: `said`, or the slots of `meaning`; `None` where there is nothing to write.
pub fn wanted(task: TextTask, said: &str, meaning: &str) -> Option<String> {
    match task {
        TextTask::Transcript | TextTask::Reconstruction => Some(normalise(said)),
        TextTask::Slots => slots_of(meaning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use auricle_text::TrainOptions;

    #[test]
    fn tasks_come_as_often_as_they_should() {
        let config = TasksConfig { transcript: 0.2, reconstruction: 0.1, slots: 0.3, gaps: 0.5 };
        let mut stream = Key::new(1).stream(Purpose::TextTask);
        let drawn: Vec<_> = (0..10_000).map(|_| config.draw(&mut stream)).collect();
        let share = |task| drawn.iter().filter(|drawn| **drawn == task).count() as f64 / 1e4;
        let [a, b, c] = TextTask::ALL.map(Some);
        for (task, want) in [(a, 0.2), (b, 0.1), (c, 0.3), (None, 0.4)] {
            assert!((share(task) - want).abs() < 0.02, "{task:?} {}", share(task));
        }
        assert!(config.any() && !TasksConfig::default().any());
        assert_eq!(TasksConfig::default().draw(&mut stream), None);
        assert!(TasksConfig { slots: 0.8, ..config }.validate().is_err());
        assert!(TasksConfig { gaps: f64::NAN, ..config }.validate().is_err());
    }

    #[test]
    fn what_each_task_writes() {
        let meaning = "<int:order> <slot:size> large </slot> <slot:drink> flat white </slot>";
        let of = |task| wanted(task, "A large flat white.", meaning).unwrap();
        assert_eq!(of(TextTask::Transcript), "a large flat white");
        assert_eq!(of(TextTask::Slots), "<slot:size> large </slot> <slot:drink> flat white </slot>");
        assert_eq!(slots_of("<int:stop>"), None);
        let words: Vec<Vec<u32>> = (0..10).map(|i| vec![i]).collect();
        let mut stream = Key::new(2).stream(Purpose::TextTask);
        let heard = with_gaps(&words, 0.5, &mut stream);
        assert!(heard.iter().zip(&words).all(|(heard, word)| heard.is_empty() || heard == word));
        assert!((1..10).contains(&heard.iter().filter(|word| word.is_empty()).count()));
        let least = with_gaps(&words, 1.0, &mut stream);
        assert!(least.len() == 10 && least[0] == [0] && least[1..].iter().all(Vec::is_empty));
    }

    #[test]
    fn a_vocabulary_has_the_tokens_or_is_refused() {
        let options = |marks: &[&str]| TrainOptions {
            vocab_size: 13 + marks.len(),
            marks: marks.iter().map(|mark| (*mark).to_string()).collect(),
            ..TrainOptions::default()
        };
        let texts = ["a large latte", "two small teas"];
        let marks = TextTask::ALL.map(TextTask::mark);
        let with = Tokenizer::train(texts.into_iter(), &options(&marks)).unwrap();
        let ids = TextTask::ALL.map(|task| task.token(&with).unwrap());
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
        let without = Tokenizer::train(texts.into_iter(), &options(&[])).unwrap();
        let error = TextTask::Slots.token(&without).unwrap_err().to_string();
        assert!(error.contains("--tasks"), "{error}");
        assert!(TextTask::Slots.token(&Tokenizer::characters()).is_err());
    }
}
