//! Where an utterance is over.

use super::SearchError;
use super::word_search::WordSearch;
use serde::{Deserialize, Serialize};

/// What must hold, all of it, for one rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndRule {
    /// Whether a word must have been said.
    pub needs_words: bool,
    /// Silence since the last word, in seconds, at least.
    pub silence_secs: f64,
    /// Length of the utterance in seconds, at least.
    pub utterance_secs: f64,
    /// By how much the best path may be better than the best one at the end of a sentence; none: by anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub most_cost: Option<f64>,
}

/// An utterance is over as soon as one of these rules holds. The defaults are those of Kaldi.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndRules {
    /// Nobody says anything. Default: 5 s of silence.
    pub nothing_said: EndRule,
    /// The sentence is complete, or as good as. Default: 0.5 s, cost 2.
    pub complete: EndRule,
    /// It may be complete. Default: 1 s, cost 8.
    pub likely: EndRule,
    /// A long pause, whatever was said. Default: 2 s behind words.
    pub pause: EndRule,
    /// It is too long. Default: 20 s.
    pub too_long: EndRule,
}

impl Default for EndRules {
    fn default() -> Self {
        let silence = |needs_words, silence_secs, most_cost| EndRule {
            needs_words,
            silence_secs,
            utterance_secs: 0.0,
            most_cost,
        };
        Self {
            nothing_said: silence(false, 5.0, None),
            complete: silence(true, 0.5, Some(2.0)),
            likely: silence(true, 1.0, Some(8.0)),
            pause: silence(true, 2.0, None),
            too_long: EndRule {
                needs_words: false,
                silence_secs: 0.0,
                utterance_secs: 20.0,
                most_cost: None,
            },
        }
    }
}

impl EndRules {
    fn named(&self) -> [(&'static str, &EndRule); 5] {
        [
            ("nothing_said", &self.nothing_said),
            ("complete", &self.complete),
            ("likely", &self.likely),
            ("pause", &self.pause),
            ("too_long", &self.too_long),
        ]
    }

    /// Whether all settings are in range.
    ///
    /// # Errors
    /// One is not.
    pub fn validate(&self) -> Result<(), SearchError> {
        for (setting, rule) in self.named() {
            for value in [rule.silence_secs, rule.utterance_secs, rule.most_cost.unwrap_or(0.0)] {
                if value.is_nan() || value < 0.0 {
                    return Err(SearchError::Config { setting, value, range: "0 or more in all its fields" });
                }
            }
        }
        Ok(())
    }

    /// The name of the first rule that holds after the frames that a search has had, each of which is `frame_secs` long.
    ///
    /// Asked after every frame the answer does not depend on how frames were cut.
    pub fn holds(&self, search: &mut WordSearch, frame_secs: f64) -> Option<&'static str> {
        let (has_words, silence) = search.trailing_silence();
        let silence_secs = silence as f64 * frame_secs;
        let utterance_secs = search.num_frames() as f64 * frame_secs;
        let in_time = |rule: &EndRule| {
            (has_words || !rule.needs_words)
                // Sums of seconds are not exact.
                && silence_secs >= rule.silence_secs - 1e-9
                && utterance_secs >= rule.utterance_secs - 1e-9
        };
        let rules = self.named();
        let mut rules = rules.iter().filter(|(_, rule)| in_time(rule)).peekable();
        rules.peek()?;
        let cost = search.end_cost();
        rules.find(|(_, rule)| rule.most_cost.is_none_or(|most| cost <= most)).map(|(name, _)| *name)
    }
}
