//! All ways to say a text: an automaton of phones in which every sequence has one path.

use super::GraphError;
use auricle_text::Pronunciation;
use auricle_text::units::{SILENCE, units_of};
use std::collections::BTreeMap;

/// The most states of a transcript.
const MAX_STATES: usize = 1 << 20;

/// An automaton without loops: words one after the other, each in one of its pronunciations, silence or none around each.
///
/// It is deterministic: a sequence of phones that two choices lead to is one path, so that it is counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// What follows each state, by phone. The first is the beginning.
    pub arcs: Vec<Vec<(u16, u32)>>,
    /// Whether the text may end in each state.
    pub ends: Vec<bool>,
}

impl Transcript {
    /// The ways to say words, given by their pronunciations; `optional_silence` is around every word.
    ///
    /// # Errors
    /// A word has no pronunciation, or there are too many ways.
    pub fn new(words: &[(&str, &[Pronunciation])], optional_silence: bool) -> Result<Self, GraphError> {
        let choices = Choices::new(words, optional_silence)?;
        // Subsets of the states of the choices, as they are met.
        let first = vec![0u32];
        let mut numbers = BTreeMap::from([(first.clone(), 0u32)]);
        let mut found = vec![first];
        let mut automaton = Self { arcs: Vec::new(), ends: Vec::new() };
        while let Some(subset) = found.get(automaton.arcs.len()).cloned() {
            let mut next: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
            for &state in &subset {
                for &(phone, to) in &choices.arcs[state as usize] {
                    next.entry(phone).or_default().push(to);
                }
            }
            let mut arcs = Vec::with_capacity(next.len());
            for (phone, mut to) in next {
                to.sort_unstable();
                to.dedup();
                let fresh = found.len() as u32;
                let number = *numbers.entry(to.clone()).or_insert_with(|| {
                    found.push(to);
                    fresh
                });
                arcs.push((phone, number));
            }
            if found.len() > MAX_STATES {
                return Err(GraphError::Size(MAX_STATES));
            }
            automaton.arcs.push(arcs);
            automaton.ends.push(subset.iter().any(|state| choices.ends.contains(state)));
        }
        Ok(automaton)
    }
}

/// The same with several paths to a sequence.
struct Choices {
    arcs: Vec<Vec<(u16, u32)>>,
    ends: [u32; 2],
}

impl Choices {
    fn new(words: &[(&str, &[Pronunciation])], optional_silence: bool) -> Result<Self, GraphError> {
        let mut arcs: Vec<Vec<(u16, u32)>> = vec![Vec::new()];
        let state = |arcs: &mut Vec<Vec<(u16, u32)>>| {
            arcs.push(Vec::new());
            (arcs.len() - 1) as u32
        };
        // Where a word may begin: without and with silence before it.
        let mut gap = [0u32; 2];
        for i in 0..=words.len() {
            if optional_silence {
                gap[1] = state(&mut arcs);
                arcs[gap[0] as usize].push((SILENCE, gap[1]));
            } else {
                gap[1] = gap[0];
            }
            let Some((word, pronunciations)) = words.get(i) else { break };
            let after = state(&mut arcs);
            let mut said = false;
            for pronunciation in pronunciations.iter().filter(|phones| !phones.is_empty()) {
                said = true;
                let mut from = gap.to_vec();
                from.dedup();
                for (k, phone) in units_of(pronunciation).enumerate() {
                    let to = if k + 1 == pronunciation.len() { after } else { state(&mut arcs) };
                    from.iter().for_each(|&from| arcs[from as usize].push((phone, to)));
                    from = vec![to];
                }
            }
            if !said {
                return Err(GraphError::Pronunciation((*word).to_string()));
            }
            if arcs.len() > MAX_STATES {
                return Err(GraphError::Size(MAX_STATES));
            }
            gap = [after; 2];
        }
        Ok(Self { arcs, ends: gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::Phone::{self, Ah, B, Dh, Iy, K};
    use std::collections::BTreeSet;

    /// Every sequence of an automaton, with the number of its paths.
    pub fn sequences(transcript: &Transcript) -> BTreeMap<Vec<u16>, usize> {
        let mut all = BTreeMap::new();
        let mut paths = vec![(0u32, Vec::new())];
        while let Some((state, phones)) = paths.pop() {
            if transcript.ends[state as usize] {
                *all.entry(phones.clone()).or_default() += 1;
            }
            for &(phone, to) in &transcript.arcs[state as usize] {
                paths.push((to, [phones.as_slice(), &[phone]].concat()));
            }
        }
        all
    }

    fn units(phones: &[Phone]) -> Vec<u16> {
        units_of(phones).collect()
    }

    #[test]
    fn words_pronunciations_and_silences_in_every_combination_once() {
        let a = [vec![Ah], vec![Iy, K]];
        let the = [vec![Dh, Ah], vec![Dh, Iy], vec![Dh, B]];
        let transcript = Transcript::new(&[("a", &a), ("the", &the)], true).unwrap();
        let found = sequences(&transcript);
        assert_eq!(found.len(), 2 * 3 * 8);
        assert!(found.values().all(|&paths| paths == 1));
        assert!(
            found
                .contains_key(&[&[SILENCE], units(&[Ah]).as_slice(), &units(&[Dh, Iy]), &[SILENCE]].concat())
        );
        let without = Transcript::new(&[("a", &a), ("the", &the)], false).unwrap();
        assert_eq!(sequences(&without).len(), 6);
    }

    #[test]
    fn what_two_choices_sound_like_is_one_path() {
        // "b·ah" + "k" and "b" + "ah·k", and a homophone.
        let one = [vec![B, Ah], vec![B], vec![B]];
        let two = [vec![K], vec![Ah, K]];
        let found = sequences(&Transcript::new(&[("one", &one), ("two", &two)], false).unwrap());
        let expected: BTreeSet<Vec<u16>> =
            [units(&[B, Ah, K]), units(&[B, Ah, Ah, K]), units(&[B, K])].into();
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
        assert!(found.values().all(|&paths| paths == 1));
    }

    #[test]
    fn words_that_cannot_be_said_are_named() {
        let none: [Pronunciation; 0] = [];
        let error = Transcript::new(&[("xyzzy", &none)], true).unwrap_err();
        assert!(error.to_string().contains("`xyzzy` has no pronunciation"));
        assert!(Transcript::new(&[("x", &[vec![]])], true).is_err());
        let silence = sequences(&Transcript::new(&[], true).unwrap());
        assert_eq!(silence.len(), 2, "nothing, or silence");
    }
}
