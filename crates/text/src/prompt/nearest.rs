//! Which of the accepted pronunciations a learner aimed at.

use super::Prompt;
use crate::phones::Phone;

/// The way to a cell: its cost, and where in `heard` the word begins on it.
#[derive(Clone, Copy)]
struct Way {
    cost: usize,
    start: usize,
}

impl Prompt {
    /// The pronunciation of each word that together are nearest to what was heard, by edit distance over
    /// the whole prompt; of equal ones the earlier. For [`Prompt::phones_of`].
    ///
    /// Judged against these phones, an accepted variant is not taken for a mistake. Time grows with the
    /// number of all phones of all pronunciations times the number of heard ones.
    pub fn nearest_choice(&self, heard: &[Phone]) -> Vec<usize> {
        let mut costs: Vec<usize> = (0..=heard.len()).collect();
        let mut layers = Vec::with_capacity(self.words.len());
        for word in &self.words {
            let mut layer: Vec<(Way, usize)> = Vec::new();
            for (choice, phones) in word.pronunciations.iter().enumerate() {
                let ways = through(&costs, phones, heard);
                if layer.is_empty() {
                    layer = ways.into_iter().map(|way| (way, choice)).collect();
                    continue;
                }
                for (best, way) in layer.iter_mut().zip(ways) {
                    if way.cost < best.0.cost {
                        *best = (way, choice);
                    }
                }
            }
            if !layer.is_empty() {
                costs = layer.iter().map(|(way, _)| way.cost).collect();
            }
            layers.push(layer);
        }
        let mut end = heard.len();
        let mut choices: Vec<usize> = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let (start, choice) = layer.get(end).map_or((end, 0), |(way, choice)| (way.start, *choice));
            choices.push(choice);
            end = start;
        }
        choices.reverse();
        choices
    }
}

/// The cheapest ways through a word that ends before each position of `heard`, from the costs before it.
fn through(costs: &[usize], phones: &[Phone], heard: &[Phone]) -> Vec<Way> {
    let mut row: Vec<Way> =
        costs.iter().enumerate().map(|(start, cost)| Way { cost: *cost, start }).collect();
    for phone in phones {
        let mut diagonal = row[0];
        row[0].cost += 1;
        for (h, other) in heard.iter().enumerate() {
            let over = Way { cost: diagonal.cost + usize::from(phone != other), ..diagonal };
            let deletion = Way { cost: row[h + 1].cost + 1, ..row[h + 1] };
            let insertion = Way { cost: row[h].cost + 1, ..row[h] };
            diagonal = row[h + 1];
            let shorter = if deletion.cost < over.cost { deletion } else { over };
            row[h + 1] = if insertion.cost < shorter.cost { insertion } else { shorter };
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::super::{PromptWord, Source};
    use super::*;
    use crate::score::ErrorCounts;
    use proptest::prelude::*;

    fn prompt(words: &[Vec<Vec<Phone>>]) -> Prompt {
        let word = |pronunciations: &Vec<Vec<Phone>>| PromptWord {
            text: "w".into(),
            span: 0..1,
            pronunciations: pronunciations.clone(),
            source: Source::Lexicon,
        };
        Prompt { words: words.iter().map(word).collect() }
    }

    #[test]
    fn an_accepted_variant_is_found() {
        use Phone::{Ah, Dh, Eh, Iy, P, R, T};
        let the_read = prompt(&[vec![vec![Dh, Ah], vec![Dh, Iy]], vec![vec![R, Iy, T], vec![R, Eh, T]]]);
        assert_eq!(the_read.nearest_choice(&[Dh, Iy, R, Eh, P]), [1, 1]);
        assert_eq!(the_read.nearest_choice(&[]), [0, 0]);
    }

    proptest! {
        #[test]
        fn no_other_choice_is_nearer(
            words in prop::collection::vec(prop::collection::vec(prop::collection::vec(0usize..3, 1..4), 1..4), 1..4),
            heard in prop::collection::vec(0usize..3, 0..9),
        ) {
            let words: Vec<Vec<Vec<Phone>>> = words.into_iter().map(|word| {
                word.into_iter().map(|phones| phones.into_iter().map(|p| Phone::ALL[p]).collect()).collect()
            }).collect();
            let heard: Vec<Phone> = heard.into_iter().map(|p| Phone::ALL[p]).collect();
            let prompt = prompt(&words);
            let distance = |choice: &[usize]| ErrorCounts::of(&prompt.phones_of(choice), &heard).errors();
            let found = distance(&prompt.nearest_choice(&heard));
            for number in 0..64usize {
                let choice = [number % 4, number / 4 % 4, number / 16];
                prop_assert!(found <= distance(&choice), "{:?}", choice);
            }
        }
    }
}
