//! Which utterances a run trains on: decided once, before a task is made of them.

use crate::inputs::Inputs;
use crate::{Recipe, TrainError};
use auricle_data::{Utterance, read_lists};
use auricle_rng::{Key, Purpose};
use std::path::{Path, PathBuf};

/// What becomes of training utterances that are longer than `data.max_secs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// They are left out.
    LeftOut,
    /// They stay: the task crops them.
    Cropped,
}

/// What a run trains on and validates with.
///
/// Whatever a task learns of its data beforehand (words, confusions, lengths) it must learn from here and not from the
/// lists, or it knows labels that `data.subset_minutes` withholds.
#[derive(Debug, Clone)]
pub struct Selection {
    train: Vec<Utterance>,
    validation: Vec<Utterance>,
    noise: Vec<Utterance>,
    rirs: Vec<Utterance>,
    left_out: LeftOut,
    inputs: Inputs,
}

/// Training utterances that were not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Shorter than `data.min_secs`.
    pub short: usize,
    /// Longer than `data.max_secs`.
    pub long: usize,
    /// Not among the `data.subset_minutes`.
    pub beyond: usize,
}

impl Selection {
    /// Reads the lists of a recipe and chooses from them.
    ///
    /// # Errors
    /// A recipe out of its ranges; lists that cannot be read, or hold utterances without a duration.
    pub fn read(recipe: &Recipe, too_long: TooLong) -> Result<Self, TrainError> {
        let train = read_speech(&recipe.data.train)?;
        let validation = read_speech(&recipe.data.validation)?;
        let paths = &recipe.data;
        let train = paths.train.iter().map(PathBuf::as_path).zip(train).collect();
        let validation = paths.validation.iter().map(PathBuf::as_path).zip(validation).collect();
        let mut selection = Self::of_lists(recipe, train, validation, too_long)?;
        for (key, lists, kept) in [
            ("data.noise", &paths.noise, &mut selection.noise),
            ("data.rirs", &paths.rirs, &mut selection.rirs),
        ] {
            for (path, mut list) in lists.iter().zip(read_speech(lists)?) {
                selection.inputs.add_list(key, path, list.iter());
                kept.append(&mut list);
            }
        }
        selection.inputs.add_files_of("model", &toml::Value::Table(recipe.model.clone()))?;
        if let Some(errors) = recipe.train.curriculum.as_ref().and_then(|c| c.errors.as_deref()) {
            selection.inputs.add_file("train.curriculum.errors", errors)?;
        }
        Ok(selection)
    }

    /// Chooses from utterances that are in memory.
    ///
    /// # Errors
    /// A recipe out of its ranges.
    pub fn new(
        recipe: &Recipe,
        train: Vec<Utterance>,
        validation: Vec<Utterance>,
        too_long: TooLong,
    ) -> Result<Self, TrainError> {
        let memory = Path::new("(in memory)");
        Self::of_lists(recipe, vec![(memory, train)], vec![(memory, validation)], too_long)
    }

    /// Filters by duration and takes the recipe's share of minutes, in an order set by the seed.
    fn of_lists(
        recipe: &Recipe,
        train: Vec<(&Path, Vec<Utterance>)>,
        validation: Vec<(&Path, Vec<Utterance>)>,
        too_long: TooLong,
    ) -> Result<Self, TrainError> {
        recipe.validate()?;
        let data = &recipe.data;
        let (mut inputs, mut left_out) = (Inputs::default(), LeftOut::default());
        let mut fits = |utterance: &Utterance| {
            let short = utterance.duration_secs < data.min_secs;
            let long = too_long == TooLong::LeftOut && utterance.duration_secs > data.max_secs;
            left_out.short += usize::from(short);
            left_out.long += usize::from(long && !short);
            !short && !long
        };
        let mut chosen = Vec::new();
        for (path, mut list) in train {
            list.retain(&mut fits);
            inputs.add_list("data.train", path, list.iter());
            chosen.append(&mut list);
        }
        if let Some(minutes) = data.subset_minutes {
            let (taken, rest) = subset(chosen, minutes, recipe.seed);
            (chosen, left_out.beyond) = (taken, rest.len());
        }
        for (path, list) in &validation {
            inputs.add_list("data.validation", path, list.iter());
        }
        let validation = validation.into_iter().flat_map(|(_, list)| list).collect();
        let (noise, rirs) = (Vec::new(), Vec::new());
        Ok(Self { train: chosen, validation, noise, rirs, left_out, inputs })
    }

    /// The utterances that are trained on.
    pub fn train(&self) -> &[Utterance] {
        &self.train
    }

    /// The utterances that are validated with: all of `data.validation`.
    pub fn validation(&self) -> &[Utterance] {
        &self.validation
    }

    /// The recordings of `data.noise`.
    pub fn noise(&self) -> &[Utterance] {
        &self.noise
    }

    /// The impulse responses of `data.rirs`.
    pub fn rirs(&self) -> &[Utterance] {
        &self.rirs
    }

    /// How many were not taken, and why.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Its parts: training and validation utterances, and the digests of what was read.
    pub(crate) fn into_parts(self) -> (Vec<Utterance>, Vec<Utterance>, Inputs) {
        (self.train, self.validation, self.inputs)
    }
}

/// Reads lists of speech, each by itself.
///
/// # Errors
/// Lists that cannot be read; an utterance without a duration: said now and not when a loader meets the file in the
/// middle of an epoch.
pub fn read_speech(paths: &[PathBuf]) -> Result<Vec<Vec<Utterance>>, TrainError> {
    let lists = read_lists(paths)?;
    for (path, list) in paths.iter().zip(&lists) {
        if let Some(bad) = list.iter().find(|u| u.duration_secs <= 0.0) {
            return Err(TrainError::Data(format!(
                "manifest {}: utterance {} ({}) has no duration; `auricle data check {} --fix FOLDER` mends or drops it",
                path.display(),
                bad.id,
                bad.audio.display(),
                path.display()
            )));
        }
    }
    Ok(lists)
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

    fn select(recipe: &Recipe, too_long: TooLong) -> Selection {
        Selection::new(recipe, corpus(), Vec::new(), too_long).unwrap()
    }

    #[test]
    fn a_subset_fills_its_minutes_and_is_chosen_by_the_seed() {
        let choose = |seed| {
            let selection = select(&recipe("subset_minutes = 2.0, max_secs = 35.0", seed), TooLong::LeftOut);
            let left_out = selection.left_out();
            assert_eq!((left_out.long, left_out.beyond), (5, 35 - selection.train().len()));
            selection.train
        };
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
        let of = |too_long| {
            let selection = select(&recipe, too_long);
            let secs = |u: Option<&Utterance>| u.map_or(0.0, |u| u.duration_secs);
            (secs(selection.train().first()), secs(selection.train().last()), selection.left_out())
        };
        let left_out = |long| LeftOut { short: 2, long, beyond: 0 };
        assert_eq!(of(TooLong::LeftOut), (3.0, 10.0, left_out(30)));
        assert_eq!(of(TooLong::Cropped), (3.0, 40.0, left_out(0)));
    }

    #[test]
    fn a_changed_list_is_named_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        let line = |id: &str| format!("{{\"id\":\"{id}\",\"audio\":\"{id}.wav\",\"duration_secs\":2.0}}\n");
        for name in ["a", "b", "dev", "noise"] {
            write(&format!("{name}.jsonl"), &line(name));
        }
        let mut own = recipe("", 1);
        let lists = |names: &[&str]| names.iter().map(|name| PathBuf::from(path(name))).collect::<Vec<_>>();
        own.data.train = lists(&["a.jsonl", "b.jsonl"]);
        own.data.validation = lists(&["dev.jsonl"]);
        own.data.noise = lists(&["noise.jsonl"]);
        let read = || Selection::read(&own, TooLong::LeftOut).unwrap().inputs;
        let before = read();
        assert_eq!(before, read());
        for (name, key) in
            [("b", "data.train"), ("dev", "data.validation"), ("noise", "data.noise"), ("a", "data.train")]
        {
            let file = format!("{name}.jsonl");
            write(&file, &(line(name) + &line("more")));
            let now = read();
            assert_eq!(now.changed_since(&before), [format!("{key} {}", path(&file))]);
            write(&file, &line(name));
        }
        // What is not trained on may change.
        write("a.jsonl", &(line("a") + &line("long").replace("2.0", "99.0")));
        assert_eq!(read(), before);
        write("a.jsonl", &line("a").replace("2.0", "0.0"));
        let error = Selection::read(&own, TooLong::LeftOut).unwrap_err().to_string();
        assert!(error.contains("has no duration") && error.contains("a.jsonl"), "{error}");
    }
}
