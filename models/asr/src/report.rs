//! Word errors of a set, for reports.

use auricle_text::{
    Breakdown, Differences, Edit, ErrorCounts, Scored, WordCount, breakdown, differences, wer,
};
use auricle_train::report::{Cell, Section, Word, WordError};

/// Rows of a table, at most.
const SHOWN: usize = 15;

/// What is wrong, how often, and where most. `what` was scored on what: "The exported weights on the validation set".
///
/// Errors are marked within the worst utterances.
pub fn word_errors(what: &str, scored: &[Scored]) -> Vec<Section> {
    let single: Vec<ErrorCounts> = scored.iter().map(|item| wer(&item.reference, &item.hypothesis)).collect();
    let mut words = ErrorCounts::default();
    single.iter().for_each(|own| words += *own);
    let ErrorCounts { substitutions, deletions, insertions, reference } = words;
    let Breakdown { substitutions: confused, deletions: lost, insertions: added, .. } = breakdown(scored);
    let share = |count: usize| format!("{:.2} %", 100.0 * count as f64 / reference.max(1) as f64);
    let kinds = [("substitutions", substitutions), ("deletions", deletions), ("insertions", insertions)];
    let errors = table(
        "Word errors",
        &format!(
            "{what}: {} utterances, {reference} words, WER {:.2} %.",
            scored.len(),
            100.0 * words.rate()
        ),
        &["kind", "count", "of the words"],
        kinds.iter().map(|&(kind, count)| vec![text(kind), text(count), text(share(count))]),
    );
    let confusions = table(
        "Words taken for others",
        "The most frequent.",
        &["said", "recognised", "count"],
        confused.into_iter().map(|c| vec![text(c.reference), text(c.hypothesis), text(c.count)]),
    );
    let counted = |w: WordCount| vec![text(w.word), text(w.count)];
    let lost =
        table("Words left out", "The most frequent.", &["word", "count"], lost.into_iter().map(counted));
    let added = table(
        "Words that nobody said",
        "The most frequent.",
        &["word", "count"],
        added.into_iter().map(counted),
    );
    let count = |own: &ErrorCounts| own.substitutions + own.deletions + own.insertions;
    let mut worst: Vec<(&Scored, ErrorCounts)> =
        scored.iter().zip(single).filter(|(_, own)| count(own) > 0).collect();
    // By errors and not by rate: one wrong word of one is no catastrophe. Equal ones stay in their order.
    worst.sort_by_key(|(_, own)| std::cmp::Reverse(count(own)));
    let row = |(item, own): (&Scored, ErrorCounts)| {
        let errors = format!("{} of {}", count(&own), own.reference);
        let (said, recognised) = differences(&item.reference, &item.hypothesis);
        vec![text(&item.id), text(errors), marked(&said), marked(&recognised)]
    };
    let worst = table(
        "Worst utterances",
        "Those with the most word errors. Underlined: one word taken for another; struck out: left out; bold with dots \
         below: nobody said it.",
        &["utterance", "errors", "said", "recognised"],
        worst.into_iter().map(row),
    );
    let tables = [confusions, lost, added, worst].into_iter().filter(|section| !section.rows.is_empty());
    std::iter::once(errors).chain(tables).collect()
}

fn table(heading: &str, text: &str, header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Section {
    Section {
        heading: heading.into(),
        text: text.into(),
        header: header.iter().map(ToString::to_string).collect(),
        rows: rows.take(SHOWN).collect(),
    }
}

fn text(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

fn marked(words: &Differences<'_>) -> Cell {
    let word = |&(text, edit): &(&str, Edit)| {
        let error = match edit {
            Edit::Correct(..) => None,
            Edit::Substitution(..) => Some(WordError::Substitution),
            Edit::Deletion(_) => Some(WordError::Deletion),
            Edit::Insertion(_) => Some(WordError::Insertion),
        };
        Word { text: text.to_string(), error }
    };
    Cell::Words(words.iter().map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_named_and_placed() {
        let item = |id: &str, reference: &str, hypothesis: &str| Scored {
            id: id.into(),
            speaker: None,
            reference: reference.into(),
            hypothesis: hypothesis.into(),
        };
        let scored = [
            item("good", "all is well", "all is well"),
            item("one", "the cat sat", "the cut sat"),
            item("three", "a cat on the mat", "cut on mat mat"),
        ];
        let sections = word_errors("A model on a set", &scored);
        let rows = |heading: &str| {
            let found = sections.iter().find(|section| section.heading == heading);
            let cells = found.map(|section| section.rows.concat()).unwrap_or_default();
            cells.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let errors = rows("Word errors");
        assert_eq!(errors[0..2], ["substitutions", "3"], "{errors:?}");
        assert_eq!(errors[3..5], ["deletions", "1"]);
        assert!(sections[0].text.contains("11 words"), "{}", sections[0].text);
        assert_eq!(rows("Words taken for others")[0..3], ["cat", "cut", "2"]);
        assert_eq!(rows("Words left out"), ["a", "1"]);
        let worst = rows("Worst utterances");
        assert_eq!((worst[0].as_str(), worst[1].as_str(), worst[4].as_str()), ("three", "3 of 5", "one"));
        assert_eq!(worst.len(), 8, "what is right is not among the worst");
        let found = sections.iter().find(|section| section.heading == "Worst utterances").unwrap();
        let Cell::Words(said) = &found.rows[0][2] else { panic!("{found:?}") };
        let errors: Vec<_> = said.iter().map(|word| word.error).collect();
        let (substitution, deletion) = (Some(WordError::Substitution), Some(WordError::Deletion));
        assert_eq!(errors.iter().filter(|error| error.is_some()).count(), 3, "{said:?}");
        assert!(errors.contains(&substitution) || errors.contains(&deletion));
        let empty = word_errors("A model on a set", &[]);
        assert_eq!(empty.len(), 1);
    }
}
