//! The page that a run leaves behind.

mod compare;

use crate::{Error, Result};
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use auricle_train::{Recipe, Validation};
use std::path::Path;

pub use compare::{ComparedRun, RecipeDifference, RunComparison, RunScore, compare_runs};

/// Writes `<run>/report.html`: curves of everything in the log, the last validation, speed, the recipe.
///
/// # Errors
/// Logs that cannot be read, a page that cannot be written.
pub fn write_run_report(run: &Path, recipe: &Recipe) -> Result<()> {
    let log = run.join("log.jsonl");
    let series = read_series(&log).map_err(Error::io(&log))?;
    let mut page = Report::new(recipe.title());
    let last: Vec<Vec<String>> = series
        .iter()
        .filter(|(name, _)| name.starts_with("validation/"))
        .filter_map(|(name, points)| {
            let best = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
            let (step, value) = *points.last()?;
            Some(vec![name.clone(), format!("{value:.4}"), format!("{step}"), format!("{best:.4}")])
        })
        .collect();
    if !last.is_empty() {
        page = page.heading("Validation").table(&["score", "last", "at step", "least"], &last);
    }
    if let Some(validation) = Validation::read(run)? {
        page = validation.sections.iter().fold(page, Report::section);
    }
    page = page.heading("Curves");
    // Scores of training and validation with the same name share a chart.
    let mut names: Vec<&str> =
        series.keys().filter_map(|name| name.split_once('/')).map(|(_, short)| short).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let lines: Vec<Series> = ["train", "validation"]
            .iter()
            .filter_map(|set| {
                let points = series.get(&format!("{set}/{name}"))?.clone();
                Some(Series { name: (*set).to_string(), points })
            })
            .collect();
        let y = if name == "grad_norm" { Axis::log(name) } else { Axis::linear(name) };
        page = page.lines(name, &Axis::linear("step"), &y, &lines);
    }
    page = speed(page, run)?;
    let resolved = std::fs::read_to_string(run.join("recipe.resolved.toml")).unwrap_or_default();
    page = page.heading("Recipe").code(&resolved);
    let path = run.join("report.html");
    page.write(&path).map_err(Error::io(&path))
}

/// Throughput and memory, where the run has written them.
fn speed(page: Report, run: &Path) -> Result<Report> {
    let path = run.join("speed.jsonl");
    if !path.exists() {
        return Ok(page);
    }
    let series = read_series(&path).map_err(Error::io(&path))?;
    if series.is_empty() {
        return Ok(page.heading("Speed").paragraph("The run ended before its speed was measured."));
    }
    let memory = series.get("peak_memory_mib").into_iter().flatten().map(|point| point.1).fold(0.0, f64::max);
    let mut page = page.heading("Speed");
    if memory > 0.0 {
        page = page.paragraph(&format!("Peak memory: {memory:.0} MiB."));
    }
    for (name, title) in
        [("audio_hours_per_hour", "hours of audio per hour"), ("steps_per_sec", "steps per second")]
    {
        if let Some(points) = series.get(name) {
            let line = Series { name: "train".into(), points: points.clone() };
            page = page.lines(title, &Axis::linear("step"), &Axis::linear(title), &[line]);
        }
    }
    Ok(page)
}
