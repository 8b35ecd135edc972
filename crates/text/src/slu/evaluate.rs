//! Everything there is to say about a test set.

use super::lexer::{is_tree, tree_tokens};
use super::scores::{Counts, LabelCounts, char_distance, distance_counts, span_counts, total, word_distance};
use super::{Entity, Fault, Frame, SluError, Tree};
use crate::mdd::{Interval, bootstrap};
use crate::report::Confusion;
use auricle_rng::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Value confusions kept of each slot.
const MAX_VALUES: usize = 10;
/// An error shows so many bytes of a meaning.
const SHOWN: usize = 80;

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Frames by SLURP's scores.
    Slurp,
    /// Trees by exact match.
    Stop,
    /// Frames by frame accuracy and slot F1. The same numbers as [`Kind::Slurp`], other ones first.
    Frame,
}

/// An utterance with what is meant and what a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// Utterance id.
    pub id: String,
    /// What is meant, serialised.
    pub reference: String,
    /// What the model says; `None` where there is nothing of it, which counts as wrong.
    pub hypothesis: Option<String>,
}

/// A score, 0 to 1, with its uncertainty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Of all utterances.
    pub value: f64,
    /// 95 % interval by the bootstrap over utterances; `None` for fewer than two.
    pub interval: Option<Interval>,
}

/// What became of the slots of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelErrors {
    /// The label.
    pub label: String,
    /// Exact counts: type and value.
    pub counts: Counts,
    /// Their F1.
    pub f1: f64,
    /// Values taken for others, most frequent first, at most ten. An empty reference is a slot that is not
    /// there, an empty hypothesis one that was not found.
    pub values: Vec<Confusion>,
}

/// Scores of frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameReport {
    /// Number of references.
    pub utterances: usize,
    /// Those without hypothesis.
    pub missing: usize,
    /// Hypotheses that are no frame: scored by their intent and without slots.
    pub broken: usize,
    /// How often each fault comes.
    pub faults: BTreeMap<String, usize>,
    /// Intents that are right as a whole.
    pub intent_accuracy: Rate,
    /// Scenarios that are right; 0 without scenarios.
    pub scenario_accuracy: Rate,
    /// Actions that are right.
    pub action_accuracy: Rate,
    /// Utterances with the right intent and, as a multiset, the right slots.
    pub frame_accuracy: Rate,
    /// F1 of slots with type and value; 0 where there are none. Also called slot F1.
    pub span_f1: Rate,
    /// F1 with the word error rate of values as distance.
    pub word_f1: Rate,
    /// F1 with the character distance of values.
    pub char_f1: Rate,
    /// F1 of the sum of the counts of the two.
    pub slu_f1: Rate,
    /// Counts behind `span_f1`.
    pub span: Counts,
    /// Counts behind `word_f1`.
    pub word: Counts,
    /// Counts behind `char_f1`.
    pub characters: Counts,
    /// Intents taken for others, most frequent first; an empty hypothesis is none.
    pub intents: Vec<Confusion>,
    /// Slots by label, those with most errors first.
    pub slots: Vec<LabelErrors>,
}

/// Scores of trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeReport {
    /// Number of references.
    pub utterances: usize,
    /// Those without hypothesis.
    pub missing: usize,
    /// Hypotheses that are no tree.
    pub broken: usize,
    /// How often each fault comes.
    pub faults: BTreeMap<String, usize>,
    /// EM: all tokens are the same.
    pub exact_match: Rate,
    /// EM-Tree: the same without words.
    pub tree_match: Rate,
    /// EM where the order of the trees below a node does not matter. No official score.
    pub unordered_match: Rate,
    /// Root labels that are right.
    pub intent_accuracy: Rate,
    /// Root labels taken for others, most frequent first; an empty hypothesis is none.
    pub intents: Vec<Confusion>,
    /// Slots by label, those with most errors first.
    pub slots: Vec<LabelErrors>,
}

/// Scores of a test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SluReport {
    /// Of frames.
    Frames(FrameReport),
    /// Of trees.
    Trees(TreeReport),
}

impl Kind {
    /// What a serialised reference is scored by.
    pub fn of(reference: &str) -> Self {
        match reference {
            tree if is_tree(tree) => Self::Stop,
            frame if frame.trim_start().starts_with("<scn:") => Self::Slurp,
            _ => Self::Frame,
        }
    }
}

/// Scores utterances; the intervals come from `samples` resampled test sets.
///
/// # Errors
/// No utterance; a reference that is no meaning of the kind.
pub fn evaluate(
    kind: Kind,
    utterances: &[Understood],
    samples: usize,
    key: Key,
) -> Result<SluReport, SluError> {
    Ok(match kind {
        Kind::Slurp | Kind::Frame => SluReport::Frames(evaluate_frames(utterances, samples, key)?),
        Kind::Stop => SluReport::Trees(evaluate_trees(utterances, samples, key)?),
    })
}

/// What the bootstrap of frames resamples.
#[derive(Default)]
struct FrameUnit {
    intent: bool,
    scenario: bool,
    action: bool,
    frame: bool,
    span: Counts,
    word: Counts,
    characters: Counts,
}

/// Scores frames.
///
/// # Differences from SLURP's program
/// It passes over references without prediction; here they count as an empty one, and are told in
/// `missing`. With a prediction for every reference the numbers are the same.
///
/// # Errors
/// As [`evaluate()`].
pub fn evaluate_frames(utterances: &[Understood], samples: usize, key: Key) -> Result<FrameReport, SluError> {
    if utterances.is_empty() {
        return Err(SluError::Nothing);
    }
    let mut tally = Tally::default();
    let mut units = Vec::with_capacity(utterances.len());
    for utterance in utterances {
        let reference = Frame::parse(&utterance.reference).map_err(|fault| refused(utterance, fault))?;
        let (predicted, fault) = match &utterance.hypothesis {
            Some(hypothesis) => Frame::read(hypothesis),
            None => (Frame::default(), None),
        };
        tally.add_fault(utterance, fault);
        tally.add_intent(reference.intent_name(), predicted.intent_name());
        let span = span_counts(&reference.entities, &predicted.entities);
        tally.add_slots(&reference.entities, &predicted.entities, &span);
        let span = total(&span);
        let of = |distance| total(&distance_counts(&reference.entities, &predicted.entities, distance));
        let part = |part: fn(&super::Intent) -> Option<&str>| {
            let (wanted, found) = (reference.intent.as_ref(), predicted.intent.as_ref());
            wanted.and_then(part).is_some_and(|wanted| found.and_then(part) == Some(wanted))
        };
        let intent = reference.intent == predicted.intent;
        units.push(FrameUnit {
            intent,
            scenario: part(|intent| intent.scenario.as_deref()),
            action: part(|intent| Some(&intent.action)),
            frame: intent && span.false_positives + span.false_negatives == 0.0,
            span,
            word: of(word_distance),
            characters: of(char_distance),
        });
    }
    let rate = |right: fn(&FrameUnit) -> bool| {
        rate(&units, samples, key, |drawn| {
            drawn.iter().filter(|unit| right(unit)).count() as f64 / drawn.len().max(1) as f64
        })
    };
    let f1 = |counts: fn(&FrameUnit) -> Counts| {
        self::rate(&units, samples, key, |drawn| drawn.iter().map(|unit| counts(unit)).sum::<Counts>().f1())
    };
    let sum = |counts: fn(&FrameUnit) -> Counts| units.iter().map(counts).sum::<Counts>();
    Ok(FrameReport {
        utterances: utterances.len(),
        missing: tally.missing,
        broken: tally.faults.values().sum(),
        intent_accuracy: rate(|unit| unit.intent),
        scenario_accuracy: rate(|unit| unit.scenario),
        action_accuracy: rate(|unit| unit.action),
        frame_accuracy: rate(|unit| unit.frame),
        span_f1: f1(|unit| unit.span),
        word_f1: f1(|unit| unit.word),
        char_f1: f1(|unit| unit.characters),
        slu_f1: f1(|unit| unit.word + unit.characters),
        span: sum(|unit| unit.span),
        word: sum(|unit| unit.word),
        characters: sum(|unit| unit.characters),
        intents: tally.intents(),
        slots: tally.slots(),
        faults: tally.faults,
    })
}

/// Scores trees, token by token: of broken outputs too.
///
/// EM compares all tokens, EM-Tree those that are brackets with labels. Labels are compared in upper case,
/// words in lower case, white space does not matter.
///
/// # Errors
/// As [`evaluate()`].
pub fn evaluate_trees(utterances: &[Understood], samples: usize, key: Key) -> Result<TreeReport, SluError> {
    if utterances.is_empty() {
        return Err(SluError::Nothing);
    }
    let mut tally = Tally::default();
    // EM, EM-Tree, unordered EM, intent.
    let mut units: Vec<[bool; 4]> = Vec::with_capacity(utterances.len());
    for utterance in utterances {
        let reference = Tree::parse(&utterance.reference).map_err(|fault| refused(utterance, fault))?;
        let hypothesis = utterance.hypothesis.as_deref().unwrap_or_default();
        let (tree, fault) = match Tree::parse(hypothesis) {
            Ok(tree) => (Some(tree), None),
            Err(fault) => (None, Some(fault).filter(|_| utterance.hypothesis.is_some())),
        };
        // What is too long is wrong, and not looked at further.
        let tokens = if fault == Some(Fault::Long) { Vec::new() } else { tree_tokens(hypothesis) };
        tally.add_fault(utterance, fault);
        let intent = Tree::read_intent(hypothesis).unwrap_or_default();
        let right = intent == reference.label;
        tally.add_intent(reference.label.clone(), intent);
        let (wanted_slots, slots) = (reference.slots(), tree.as_ref().map(Tree::slots).unwrap_or_default());
        tally.add_slots(&wanted_slots, &slots, &span_counts(&wanted_slots, &slots));
        let wanted = tree_tokens(&utterance.reference);
        let brackets = |tokens: &[String]| -> Vec<String> {
            tokens.iter().filter(|token| token.starts_with(['[', ']'])).cloned().collect()
        };
        let unordered = tree.is_some_and(|tree| tree.sorted() == reference.sorted());
        units.push([wanted == tokens, brackets(&wanted) == brackets(&tokens), unordered, right]);
    }
    let rate = |which: usize| {
        rate(&units, samples, key, |drawn| {
            drawn.iter().filter(|unit| unit[which]).count() as f64 / drawn.len().max(1) as f64
        })
    };
    Ok(TreeReport {
        utterances: utterances.len(),
        missing: tally.missing,
        broken: tally.faults.values().sum(),
        exact_match: rate(0),
        tree_match: rate(1),
        unordered_match: rate(2),
        intent_accuracy: rate(3),
        intents: tally.intents(),
        slots: tally.slots(),
        faults: tally.faults,
    })
}

fn rate<U>(units: &[U], samples: usize, key: Key, statistic: impl Fn(&[&U]) -> f64) -> Rate {
    let value = statistic(&units.iter().collect::<Vec<_>>());
    Rate { value, interval: bootstrap(units, samples, key, |drawn| Some(statistic(drawn))) }
}

fn refused(utterance: &Understood, fault: Fault) -> SluError {
    let meaning = &utterance.reference;
    let end = (0..=SHOWN.min(meaning.len())).rev().find(|end| meaning.is_char_boundary(*end)).unwrap_or(0);
    SluError::Reference { id: utterance.id.clone(), meaning: meaning[..end].to_owned(), fault }
}

/// Sums while utterances are gone through.
#[derive(Default)]
struct Tally {
    missing: usize,
    faults: BTreeMap<String, usize>,
    intents: BTreeMap<(String, String), usize>,
    slots: BTreeMap<String, Counts>,
    values: BTreeMap<String, BTreeMap<(String, String), usize>>,
}

impl Tally {
    fn add_fault(&mut self, utterance: &Understood, fault: Option<Fault>) {
        self.missing += usize::from(utterance.hypothesis.is_none());
        if let Some(fault) = fault {
            let kind = match fault {
                // Not by the model's words.
                Fault::Outside(_) => "words outside of slots".to_owned(),
                Fault::Misplaced(_) => "a mark in a wrong place".to_owned(),
                Fault::NoValue(_) => "a slot without value".to_owned(),
                Fault::Open(_) => "something not closed".to_owned(),
                other => other.to_string(),
            };
            *self.faults.entry(kind).or_default() += 1;
        }
    }

    fn add_intent(&mut self, reference: String, predicted: String) {
        if reference != predicted {
            *self.intents.entry((reference, predicted)).or_default() += 1;
        }
    }

    fn add_slots(&mut self, reference: &[Entity], predicted: &[Entity], counts: &LabelCounts) {
        for (label, counts) in counts {
            *self.slots.entry(label.clone()).or_default() += *counts;
        }
        // What is not right, side by side.
        let mut surplus: Vec<&Entity> = predicted.iter().collect();
        let mut missed: Vec<&Entity> = Vec::new();
        for entity in reference {
            match surplus.iter().position(|other| *other == entity) {
                Some(found) => drop(surplus.remove(found)),
                None => missed.push(entity),
            }
        }
        let mut add = |label: &str, reference: &str, predicted: &str| {
            let pair = (reference.to_owned(), predicted.to_owned());
            *self.values.entry(label.to_owned()).or_default().entry(pair).or_default() += 1;
        };
        for entity in missed {
            match surplus.iter().position(|other| other.kind == entity.kind) {
                Some(found) => add(&entity.kind, &entity.value, &surplus.remove(found).value),
                None => add(&entity.kind, &entity.value, ""),
            }
        }
        surplus.iter().for_each(|entity| add(&entity.kind, "", &entity.value));
    }

    fn intents(&self) -> Vec<Confusion> {
        by_frequency(&self.intents)
    }

    fn slots(&self) -> Vec<LabelErrors> {
        let of = |(label, counts): (&String, &Counts)| LabelErrors {
            label: label.clone(),
            counts: *counts,
            f1: counts.f1(),
            values: self
                .values
                .get(label)
                .map(|pairs| by_frequency(pairs).into_iter().take(MAX_VALUES).collect())
                .unwrap_or_default(),
        };
        let mut slots: Vec<LabelErrors> = self.slots.iter().map(of).collect();
        let errors = |slot: &LabelErrors| slot.counts.false_positives + slot.counts.false_negatives;
        // Equal ones stay in the order of their labels.
        slots.sort_by(|a, b| errors(b).total_cmp(&errors(a)));
        slots
    }
}

fn by_frequency(pairs: &BTreeMap<(String, String), usize>) -> Vec<Confusion> {
    let confusion = |((reference, hypothesis), count): (&(String, String), &usize)| Confusion {
        reference: reference.clone(),
        hypothesis: hypothesis.clone(),
        count: *count,
    };
    let mut sorted: Vec<Confusion> = pairs.iter().map(confusion).collect();
    sorted.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
    sorted
}
