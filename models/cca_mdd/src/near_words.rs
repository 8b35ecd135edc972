//! Words that differ in one phone: what a prompt could have asked for instead.

use auricle_data::Utterance;
use auricle_rng::Stream;
use std::collections::{BTreeSet, HashMap};

/// The words of a corpus by their phones, each with its minimal pairs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NearWords {
    words: Vec<Vec<u32>>,
    /// Words that are equal but for the phone at a place.
    by_rest: HashMap<(usize, Vec<u32>), Vec<usize>>,
}

impl NearWords {
    /// The words of all utterances whose word boundaries are known (`word_phones`).
    pub fn of(utterances: &[Utterance]) -> Self {
        let mut words = BTreeSet::new();
        for utterance in utterances {
            let phones = utterance.phones.as_deref().unwrap_or_default();
            let Some(phones) =
                phones.iter().map(|p| crate::inventory::class(p)).collect::<Option<Vec<u32>>>()
            else {
                continue;
            };
            for span in word_spans(utterance, phones.len()) {
                words.insert(phones[span].to_vec());
            }
        }
        let words: Vec<Vec<u32>> = words.into_iter().collect();
        let mut by_rest: HashMap<(usize, Vec<u32>), Vec<usize>> = HashMap::new();
        for (i, word) in words.iter().enumerate() {
            for place in 0..word.len() {
                by_rest.entry(rest(word, place)).or_default().push(i);
            }
        }
        by_rest.retain(|_, words| words.len() > 1);
        Self { words, by_rest }
    }

    /// A word that differs from `word` in one phone, each as likely as the others; `None` where there is none.
    pub fn draw(&self, word: &[u32], stream: &mut Stream) -> Option<&[u32]> {
        let near: Vec<usize> = (0..word.len())
            .filter_map(|place| self.by_rest.get(&rest(word, place)))
            .flatten()
            .copied()
            .filter(|&i| self.words[i] != word)
            .collect();
        (!near.is_empty()).then(|| self.words[near[stream.below(near.len())]].as_slice())
    }
}

fn rest(word: &[u32], place: usize) -> (usize, Vec<u32>) {
    let mut rest = word.to_vec();
    rest[place] = u32::MAX;
    (place, rest)
}

/// Where the words of an utterance stand among its canonical phones; empty where it is not known.
pub fn word_spans(utterance: &Utterance, phones: usize) -> Vec<std::ops::Range<usize>> {
    let Some(counts) = utterance.extra.get("word_phones").and_then(serde_json::Value::as_array) else {
        return Vec::new();
    };
    let mut spans = Vec::with_capacity(counts.len());
    let mut start = 0usize;
    for count in counts {
        let end = count.as_u64().map(|count| start.saturating_add(count as usize));
        match end {
            Some(end) if end <= phones => spans.push(start..end),
            _ => return Vec::new(),
        }
        start = spans.last().map_or(0, |span| span.end);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};
    use serde_json::json;

    fn utterance(phones: &[&str], word_phones: serde_json::Value) -> Utterance {
        serde_json::from_value(json!({
            "id": "a", "audio": "a.wav", "duration_secs": 1.0, "phones": phones, "word_phones": word_phones,
        }))
        .unwrap()
    }

    #[test]
    fn minimal_pairs_of_a_corpus() {
        let classes = |names: &[&str]| -> Vec<u32> {
            names.iter().map(|name| crate::inventory::class(name).unwrap()).collect()
        };
        let text = ["SH", "IH", "P", "SH", "IY", "P", "CH", "IH", "P", "K", "AE", "T", "S"];
        let near = NearWords::of(&[utterance(&text, json!([3, 3, 3, 4]))]);
        let ship = classes(&["SH", "IH", "P"]);
        let mut stream = Key::new(1).stream(Purpose::Test);
        let drawn: BTreeSet<Vec<u32>> =
            (0..50).map(|_| near.draw(&ship, &mut stream).unwrap().to_vec()).collect();
        let expected: BTreeSet<Vec<u32>> =
            [classes(&["SH", "IY", "P"]), classes(&["CH", "IH", "P"])].into_iter().collect();
        assert_eq!(drawn, expected);
        // A word that the corpus does not have can still have neighbours in it; "cats" has none.
        assert_eq!(near.draw(&classes(&["SH", "AE", "P"]), &mut stream).map(<[u32]>::len), Some(3));
        assert_eq!(near.draw(&classes(&["K", "AE", "T", "S"]), &mut stream), None);
    }

    #[test]
    fn boundaries_that_do_not_fit_are_none() {
        let phones = ["SH", "IH", "P"];
        assert_eq!(word_spans(&utterance(&phones, json!([1, 2])), 3), [0..1, 1..3]);
        for bad in [json!([2, 2]), json!([1, "x"]), json!([-1]), json!(3), json!([u64::MAX, 1])] {
            assert!(word_spans(&utterance(&phones, bad), 3).is_empty());
        }
    }
}
