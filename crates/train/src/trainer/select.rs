//! Which utterances a run trains on.

use crate::{Recipe, TrainError};
use auricle_data::Utterance;
use auricle_rng::{Key, Purpose};

/// Filters by duration and takes the recipe's share of minutes, in an order set by the seed.
pub(super) fn select(mut utterances: Vec<Utterance>, recipe: &Recipe, crops: bool) -> Vec<Utterance> {
    let data = &recipe.data;
    let fits = |secs: f64| secs >= data.min_secs && (crops || secs <= data.max_secs);
    utterances.retain(|u| fits(u.duration_secs));
    match data.subset_minutes {
        Some(minutes) => subset(utterances, minutes, recipe.seed).0,
        None => utterances,
    }
}

/// As many utterances as `minutes` hold, in an order set by the seed, and the others; each sorted by id.
pub fn subset(mut utterances: Vec<Utterance>, minutes: f64, seed: u64) -> (Vec<Utterance>, Vec<Utterance>) {
    Key::new(seed).stream(Purpose::Subset).shuffle(&mut utterances);
    let mut secs = 0.0;
    let (mut taken, mut rest): (Vec<_>, Vec<_>) = utterances.into_iter().partition(|u| {
        let take = secs + u.duration_secs <= minutes * 60.0;
        secs += if take { u.duration_secs } else { 0.0 };
        take
    });
    taken.sort_by(|a, b| a.id.cmp(&b.id));
    rest.sort_by(|a, b| a.id.cmp(&b.id));
    (taken, rest)
}

/// Asks of every utterance whether the task can use it, before hours of training come to it.
pub(super) fn check(
    train: &[Utterance],
    validation: &[Utterance],
    usable: impl Fn(&Utterance) -> Result<(), String>,
) -> Result<(), TrainError> {
    let find = |set: &'static str, utterances: &[Utterance]| -> Vec<String> {
        let bad = |u: &Utterance| usable(u).err().map(|reason| format!("{set} utterance {}: {reason}", u.id));
        utterances.iter().filter_map(bad).collect()
    };
    let mut found = find("training", train);
    found.extend(find("validation", validation));
    let count = found.len();
    let Some(shown) = found.get(..count.min(5)).filter(|shown| !shown.is_empty()) else { return Ok(()) };
    let more =
        if count > shown.len() { format!("\n  and {} more", count - shown.len()) } else { String::new() };
    Err(TrainError::Data(format!(
        "{count} utterances cannot be used; `auricle data check --needs-text --fix` drops them:\n  {}{more}",
        shown.join("\n  ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipe with a `[data]` table.
    fn recipe(data: &str, seed: u64) -> Recipe {
        let text = format!(
            "task = 'ctc'\nseed = {seed}\ndata = {{ train = [], {data} }}\nschedule = {{ kind = 'constant' }}\n\
             train = {{ steps = 1 }}\n"
        );
        toml::from_str(&text).unwrap()
    }

    /// Utterances of 1 to 40 s.
    fn corpus() -> Vec<Utterance> {
        (1..=40).map(|i| Utterance::new(format!("u{i:02}"), "x.wav", f64::from(i))).collect()
    }

    #[test]
    fn a_subset_fills_its_minutes_and_is_chosen_by_the_seed() {
        let choose = |seed| select(corpus(), &recipe("subset_minutes = 2.0, max_secs = 35.0", seed), false);
        let chosen = choose(1);
        let secs: f64 = chosen.iter().map(|u| u.duration_secs).sum();
        assert!(secs <= 120.0 && chosen.iter().all(|u| u.duration_secs <= 35.0), "{secs} s");
        let left = corpus().into_iter().filter(|u| u.duration_secs <= 35.0 && !chosen.contains(u));
        assert!(left.map(|u| secs + u.duration_secs).all(|more| more > 120.0), "another one has room");
        assert!(chosen.is_sorted_by(|a, b| a.id < b.id));
        assert_eq!(chosen, choose(1));
        assert_ne!(chosen, choose(2));
    }

    #[test]
    fn what_is_too_long_stays_where_it_is_cropped() {
        let recipe = recipe("min_secs = 3.0, max_secs = 10.0", 1);
        let secs = |crops| {
            let chosen = select(corpus(), &recipe, crops);
            (chosen[0].duration_secs, chosen[chosen.len() - 1].duration_secs)
        };
        assert_eq!((secs(false), secs(true)), ((3.0, 10.0), (3.0, 40.0)));
    }
}
