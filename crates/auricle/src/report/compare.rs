//! Several runs beside each other: curves, best scores, what their recipes have different, speed.

use crate::error::Doing as _;
use crate::{Error, Result};
use auricle_io::Budget;
use auricle_train::Validation;
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A recipe is some kilobytes.
const RECIPE_BYTES: u64 = 1 << 24;

/// Curves by name: (step, value).
type Curves = BTreeMap<String, Vec<(f64, f64)>>;

/// What several runs have in common and what not.
#[derive(Debug, Clone, Serialize)]
pub struct RunComparison {
    /// The runs, in the order in which they were named.
    pub runs: Vec<ComparedRun>,
    /// Names of the validation scores; those that select weights come first.
    pub scores: Vec<String>,
    /// Keys of the recipes whose values are not the same in all runs.
    pub recipe: Vec<RecipeDifference>,
}

/// A run among others.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedRun {
    /// Its folder.
    pub run: PathBuf,
    /// What its recipe is for: its description, or else the name of its task.
    pub title: String,
    /// The last step in its log.
    pub steps: u64,
    /// Its validation scores, by name.
    pub scores: BTreeMap<String, RunScore>,
    /// Hours of audio trained on, repetitions counted; `None` where the run has written no speed.
    pub hours_heard: Option<f64>,
    /// Time spent, in seconds.
    pub secs: Option<f64>,
    /// Mean throughput: hours of audio in an hour.
    pub audio_hours_per_hour: Option<f64>,
    /// Mean throughput: optimiser steps in a second.
    pub steps_per_sec: Option<f64>,
    /// Peak memory in MiB.
    pub peak_memory_mib: Option<f64>,
    #[serde(skip)]
    curves: Curves,
    #[serde(skip)]
    speed: Curves,
    #[serde(skip)]
    recipe: BTreeMap<String, String>,
    #[serde(skip)]
    selected_by: Vec<String>,
}

/// A validation score over a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RunScore {
    /// The last value.
    pub last: f64,
    /// The best value; `None` for a score of which it isn't known whether less is better.
    pub best: Option<f64>,
    /// The step of `best`, or of `last` without it.
    pub step: u64,
}

impl RunScore {
    /// The best value where that is known, or the last.
    pub fn value(&self) -> f64 {
        self.best.unwrap_or(self.last)
    }
}

/// A key of recipes and its value in each run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipeDifference {
    /// `table.key`.
    pub key: String,
    /// Values in TOML, run by run; `None` where a run's recipe has no such key.
    pub values: Vec<Option<String>>,
}

/// Reads the logs and recipes of several runs.
///
/// # Errors
/// Fewer than two runs, a run that is named twice, folders that hold no run, files that cannot be read.
pub fn compare_runs(runs: &[PathBuf]) -> Result<RunComparison> {
    if runs.len() < 2 {
        return Error::refused("a comparison takes two runs or more");
    }
    let mut places = BTreeSet::new();
    for run in runs {
        // A run that is not there is refused by name below.
        if !places.insert(std::fs::canonicalize(run).unwrap_or_else(|_| run.clone())) {
            return Error::refused(format!("{} is named twice", run.display()));
        }
    }
    let mut runs = runs.iter().map(|run| ComparedRun::read(run)).collect::<Result<Vec<_>>>()?;
    let selecting = selecting(&runs);
    runs.iter_mut().for_each(|run| run.score(&selecting));
    let mut scores: Vec<String> =
        selecting.into_iter().filter(|name| runs.iter().any(|run| run.scores.contains_key(name))).collect();
    let others: BTreeSet<&String> = runs.iter().flat_map(|run| run.scores.keys()).collect();
    let others: Vec<String> = others.into_iter().filter(|name| !scores.contains(name)).cloned().collect();
    scores.extend(others);
    Ok(RunComparison { recipe: differences(&runs), scores, runs })
}

/// The scores that select weights in any of the runs. Lower is better in all of them.
fn selecting(runs: &[ComparedRun]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in runs.iter().flat_map(|run| &run.selected_by) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    // A run that still goes on has not written what it selects by; these are rates of errors and losses everywhere.
    for name in ["wer", "per", "cer", "loss"].map(|short| format!("validation/{short}")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn differences(runs: &[ComparedRun]) -> Vec<RecipeDifference> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.recipe.keys()).collect();
    let difference = |key: &String| RecipeDifference {
        key: key.clone(),
        values: runs.iter().map(|run| run.recipe.get(key).cloned()).collect(),
    };
    let all = keys.into_iter().map(difference);
    all.filter(|difference| difference.values.windows(2).any(|two| two[0] != two[1])).collect()
}

impl ComparedRun {
    fn read(run: &Path) -> Result<Self> {
        let path = run.join("recipe.resolved.toml");
        if !path.is_file() {
            return Error::refused(format!(
                "{}: no run, for it has no recipe.resolved.toml; `auricle train RECIPE --run FOLDER` makes one",
                run.display()
            ));
        }
        let mut budget = Budget::new("a recipe", RECIPE_BYTES);
        let text = auricle_io::read_to_string(&path, &mut budget)
            .map_err(|error| Error::Refused(format!("{}: {error}", path.display())))?;
        let table: toml::Table = toml::from_str(&text).doing(path.display())?;
        let text_of =
            |key: &str| table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_string();
        let title = [text_of("description"), text_of("task")].into_iter().find(|text| !text.is_empty());
        let mut recipe = BTreeMap::new();
        flatten("", table, &mut recipe);
        let curves = |name: &str| {
            let path = run.join(name);
            // A run that was stopped before its first entry has none.
            if path.exists() { read_series(&path).map_err(Error::io(&path)) } else { Ok(Curves::new()) }
        };
        let (curves, speed) = (curves("log.jsonl")?, curves("speed.jsonl")?);
        let last = curves.values().flatten().map(|point| point.0).fold(0.0, f64::max);
        let pace = Pace::of(&speed);
        Ok(Self {
            run: run.to_path_buf(),
            title: title.unwrap_or_default(),
            steps: last as u64,
            scores: BTreeMap::new(),
            hours_heard: pace.map(|pace| pace.hours),
            secs: pace.map(|pace| pace.secs),
            audio_hours_per_hour: pace.map(|pace| pace.hours / (pace.secs / 3600.0)),
            steps_per_sec: pace.map(|pace| pace.steps / pace.secs),
            peak_memory_mib: speed
                .get("peak_memory_mib")
                .and_then(|points| points.iter().map(|point| point.1).reduce(f64::max)),
            curves,
            speed,
            recipe,
            selected_by: Validation::read(run)?.map(|validation| validation.selected_by).unwrap_or_default(),
        })
    }

    /// Scores of the log; `selecting` are those of which less is better.
    fn score(&mut self, selecting: &[String]) {
        for (name, points) in self.curves.iter().filter(|(name, _)| name.starts_with("validation/")) {
            let Some(&(at, last)) = points.last() else { continue };
            let least = points.iter().min_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| selecting.contains(name));
            let step = least.map_or(at, |point| point.0) as u64;
            self.scores.insert(name.clone(), RunScore { last, best: least.map(|point| point.1), step });
        }
    }

    /// As it was named.
    fn name(&self) -> String {
        self.run.display().to_string()
    }
}

/// What a run did in which time.
#[derive(Clone, Copy)]
struct Pace {
    steps: f64,
    secs: f64,
    hours: f64,
}

impl Pace {
    /// Adds up the intervals of a `speed.jsonl`.
    fn of(speed: &Curves) -> Option<Self> {
        let hours: BTreeMap<u64, f64> =
            speed.get("audio_hours_per_hour")?.iter().map(|&(step, hours)| (step as u64, hours)).collect();
        let mut sum = Self { steps: 0.0, secs: 0.0, hours: 0.0 };
        let mut before = 0.0;
        for &(step, per_sec) in speed.get("steps_per_sec")? {
            let steps = step - before;
            if per_sec > 0.0 && steps > 0.0 {
                let secs = steps / per_sec;
                sum.steps += steps;
                sum.secs += secs;
                sum.hours += hours.get(&(step as u64)).copied().unwrap_or_default() * secs / 3600.0;
            }
            before = step;
        }
        (sum.secs > 0.0).then_some(sum)
    }
}

/// `table.key` and its value in TOML.
fn flatten(place: &str, table: toml::Table, found: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if place.is_empty() { key } else { format!("{place}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, found),
            value => {
                found.insert(key, value.to_string());
            }
        }
    }
}

impl RunComparison {
    /// A page with all of it.
    pub fn page(&self) -> Report {
        let mut page = Report::new("Runs compared").heading("Scores").paragraph(
            "The best value of scores of which less is better, and its step; the last value of the others.",
        );
        let mut header = vec!["run"];
        header.extend(self.scores.iter().map(|name| short(name)));
        let rows: Vec<Vec<String>> = self.runs.iter().map(|run| self.scores_of(run)).collect();
        page = page.table(&header, &rows).heading("Effort").table(&Self::EFFORT, &self.effort());
        page = self.recipes(page).heading("Curves");
        let names: BTreeSet<&String> = self.runs.iter().flat_map(|run| run.curves.keys()).collect();
        let others = names.into_iter().filter(|name| !self.scores.contains(name));
        for name in self.scores.iter().chain(others) {
            let y = if name.ends_with("/grad_norm") { Axis::log(name) } else { Axis::linear(name) };
            page = page.lines(name, &Axis::linear("step"), &y, &self.curves(name, |run| &run.curves));
        }
        let (name, caption) = ("audio_hours_per_hour", "hours of audio per hour");
        let y = Axis::linear(caption);
        page.lines(caption, &Axis::linear("step"), &y, &self.curves(name, |run| &run.speed))
    }

    /// Columns of [`Self::effort`].
    pub const EFFORT: [&'static str; 7] =
        ["run", "steps", "hours heard", "time", "audio hours per hour", "steps per second", "peak MiB"];

    /// What each run took, row by row.
    pub fn effort(&self) -> Vec<Vec<String>> {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".into(), |x| format!("{x:.digits$}"));
        let row = |run: &ComparedRun| {
            vec![
                run.name(),
                run.steps.to_string(),
                number(run.hours_heard, 2),
                run.secs.map_or("–".into(), time),
                number(run.audio_hours_per_hour, 1),
                number(run.steps_per_sec, 2),
                number(run.peak_memory_mib, 0),
            ]
        };
        self.runs.iter().map(row).collect()
    }

    /// A run's name and its scores, in the order of [`Self::scores`].
    pub fn scores_of(&self, run: &ComparedRun) -> Vec<String> {
        let cell = |name: &String| match run.scores.get(name) {
            Some(score) => format!("{:.4} at {}", score.value(), score.step),
            None => "–".into(),
        };
        std::iter::once(run.name()).chain(self.scores.iter().map(cell)).collect()
    }

    fn recipes(&self, page: Report) -> Report {
        let page = page.heading("Recipes");
        if self.recipe.is_empty() {
            return page.paragraph("All runs have the same recipe.");
        }
        let names: Vec<String> = self.runs.iter().map(ComparedRun::name).collect();
        let header: Vec<&str> = std::iter::once("key").chain(names.iter().map(String::as_str)).collect();
        let row = |difference: &RecipeDifference| {
            let values = difference.values.iter().map(|value| value.clone().unwrap_or("–".into()));
            std::iter::once(difference.key.clone()).chain(values).collect()
        };
        page.paragraph("Keys whose values differ.")
            .table(&header, &self.recipe.iter().map(row).collect::<Vec<_>>())
    }

    /// The curve of this name in each run; empty where it has none, so that a run has the same colour everywhere.
    fn curves(&self, name: &str, of: impl Fn(&ComparedRun) -> &Curves) -> Vec<Series> {
        let series = |run: &ComparedRun| Series {
            name: run.name(),
            points: of(run).get(name).cloned().unwrap_or_default(),
        };
        self.runs.iter().map(series).collect()
    }
}

/// A time in its fitting unit.
fn time(secs: f64) -> String {
    match secs {
        ..120.0 => format!("{secs:.0} s"),
        ..7200.0 => format!("{:.0} min", secs / 60.0),
        _ => format!("{:.1} h", secs / 3600.0),
    }
}

/// A score's name without its set.
fn short(name: &str) -> &str {
    name.trim_start_matches("validation/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(run: &Path, recipe: &str, log: &str, speed: &str) {
        std::fs::create_dir(run).unwrap();
        for (name, text) in [("recipe.resolved.toml", recipe), ("log.jsonl", log), ("speed.jsonl", speed)] {
            std::fs::write(run.join(name), text).unwrap();
        }
    }

    #[test]
    fn two_runs_are_set_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let runs = ["a<b>", "b"].map(|name| folder.path().join(name));
        write(
            &runs[0],
            "description = \"slow\"\nseed = 1\n[optimizer]\nlr = 0.001\n[train]\nsteps = 20\n",
            "{\"step\":10,\"train/loss\":3.0,\"validation/wer\":0.4,\"validation/accuracy\":0.1}\n\
             {\"step\":20,\"train/loss\":2.0,\"validation/wer\":0.5,\"validation/accuracy\":0.3}\n",
            "{\"step\":10,\"audio_hours_per_hour\":36.0,\"steps_per_sec\":0.1,\"peak_memory_mib\":100}\n\
             {\"step\":20,\"audio_hours_per_hour\":72.0,\"steps_per_sec\":0.2,\"peak_memory_mib\":90}\n",
        );
        write(
            &runs[1],
            "task = \"ctc\"\nseed = 1\n[optimizer]\nlr = 0.01\n[train]\nsteps = 20\n[model]\nlayers = [1, 2]\n",
            "{\"step\":10,\"train/loss\":1.5,\"validation/wer\":0.25}\n",
            "",
        );
        let found = compare_runs(&runs).unwrap();
        assert_eq!(found.scores, ["validation/wer", "validation/accuracy"]);
        let [a, b] = &found.runs[..] else { panic!("{found:?}") };
        assert_eq!(a.scores["validation/wer"], RunScore { last: 0.5, best: Some(0.4), step: 10 });
        assert_eq!(a.scores["validation/accuracy"], RunScore { last: 0.3, best: None, step: 20 });
        assert_eq!((a.title.as_str(), b.title.as_str(), a.steps, b.steps), ("slow", "ctc", 20, 10));
        assert_eq!(a.peak_memory_mib, Some(100.0));
        // A hundred seconds at 36 and fifty at 72: an hour each.
        assert!((a.hours_heard.unwrap() - 2.0).abs() < 1e-9 && (a.secs.unwrap() - 150.0).abs() < 1e-9);
        assert!((a.audio_hours_per_hour.unwrap() - 48.0).abs() < 1e-9, "{a:?}");
        assert_eq!((b.hours_heard, b.steps_per_sec), (None, None));
        let keys: Vec<&str> = found.recipe.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["description", "model.layers", "optimizer.lr", "task"]);
        assert_eq!(found.recipe[1].values, [None, Some("[1, 2]".into())]);
        let html = found.page().html();
        for part in [
            "0.4000 at 10",
            "optimizer.lr",
            "0.001",
            "<svg",
            "a&lt;b&gt;",
            "validation/wer",
            "2 min",
            "b (no values)",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("a<b>"));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["runs"][1]["scores"]["validation/wer"]["best"], 0.25);
    }

    #[test]
    fn what_is_no_run_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let runs = ["one", "two"].map(|name| folder.path().join(name));
        write(&runs[0], "", "", "");
        std::fs::create_dir(&runs[1]).unwrap();
        let error = |runs: &[PathBuf]| compare_runs(runs).unwrap_err().to_string();
        assert!(error(&runs).contains("two: no run"), "{}", error(&runs));
        assert!(error(&[runs[0].clone(), folder.path().join("none")]).contains("none: no run"));
        assert!(error(&runs[..1]).contains("two runs"));
        let again = folder.path().join("two/../one");
        assert!(error(&[runs[0].clone(), again]).contains("named twice"));
        std::fs::write(runs[1].join("recipe.resolved.toml"), "no = [").unwrap();
        assert!(error(&runs).contains("recipe.resolved.toml"), "{}", error(&runs));
        // Runs that have not begun are compared by their recipes.
        std::fs::write(runs[1].join("recipe.resolved.toml"), "seed = 1").unwrap();
        let found = compare_runs(&runs).unwrap();
        assert_eq!((found.runs[1].steps, found.recipe.len(), found.scores.len()), (0, 1, 0));
        assert!(found.page().html().contains("no values"));
    }
}
