//! The page that a run leaves behind.

use anyhow::{Context as _, Result};
use auricle_train::Recipe;
use auricle_train::log::read_series;
use auricle_train::report::{Axis, Report, Series};
use std::path::Path;

/// Writes `<run>/report.html`: curves of everything in the log, the last validation, the recipe.
pub fn write_run_report(run: &Path, recipe: &Recipe) -> Result<()> {
    let log = run.join("log.jsonl");
    let series = read_series(&log).with_context(|| log.display().to_string())?;
    let title = if recipe.description.is_empty() { recipe.task.clone() } else { recipe.description.clone() };
    let mut page = Report::new(&title);
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
    let resolved = std::fs::read_to_string(run.join("recipe.resolved.toml")).unwrap_or_default();
    page = page.heading("Recipe").code(&resolved);
    let path = run.join("report.html");
    page.write(&path).with_context(|| path.display().to_string())
}
