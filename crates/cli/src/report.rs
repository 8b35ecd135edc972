//! `auricle report`.

use crate::shared::out::one_line;
use anyhow::{Context as _, Result};
use auricle::{RunComparison, compare_runs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The page, where no other is named.
const PAGE: &str = "compare.html";
/// Differences of recipes on the terminal; all are on the page.
const SHOWN: usize = 20;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Runs beside each other: curves, best scores, what their recipes have different, speed.
    #[command(after_help = "Examples:
  auricle report compare runs/lr1e-3 runs/lr3e-4
  auricle report compare runs/* --out learning_rates.html
  auricle report compare runs/* --json > runs.json

Runs that still go on can be compared, too.")]
    Compare(Compare),
}

#[derive(clap::Args)]
pub struct Compare {
    /// Run directories of `auricle train`, two or more.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where the page goes. Default: compare.html, and none with --json.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::Compare(args) = command;
    let found = compare_runs(&args.runs)?;
    let page = args.out.as_deref().or((!args.json).then_some(Path::new(PAGE)));
    if let Some(path) = page {
        found.page().write(path).with_context(|| path.display().to_string())?;
    }
    if args.json {
        outln!("{}", serde_json::to_string(&found)?);
        return Ok(ExitCode::SUCCESS);
    }
    let scores = found.scores.iter().map(|name| name.trim_start_matches("validation/").to_string());
    let scores: Vec<Vec<String>> =
        std::iter::once(std::iter::once("run".to_string()).chain(scores).collect())
            .chain(found.runs.iter().map(|run| found.scores_of(run)))
            .collect();
    let effort = std::iter::once(RunComparison::EFFORT.map(String::from).to_vec()).chain(found.effort());
    out!("{}\n{}", table(&scores), table(&effort.collect::<Vec<_>>()));
    recipes(&found);
    if let Some(path) = page {
        outln!("report: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `key: value | value`, in the order of the runs.
fn recipes(found: &RunComparison) {
    outln!("");
    if found.recipe.is_empty() {
        outln!("all runs have the same recipe");
    }
    for difference in found.recipe.iter().take(SHOWN) {
        let values = difference.values.iter().map(|value| value.as_deref().unwrap_or("–"));
        let values: Vec<String> = values.map(|value| one_line(value).into_owned()).collect();
        outln!("{}: {}", one_line(&difference.key), values.join(" | "));
    }
    if found.recipe.len() > SHOWN {
        outln!("and {} more keys, which the page and --json show", found.recipe.len() - SHOWN);
    }
    outln!("");
}

/// Columns as wide as their widest cell; the first on the left, numbers on the right.
fn table(rows: &[Vec<String>]) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell).into_owned()).collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let text = table(&[row(["run", "wer", "loss"]), row(["a\nb", "0.25 at 10", "–"])]);
        assert_eq!(text, "run              wer  loss\na\\u000ab  0.25 at 10     –\n");
    }
}
