//! Devices through the program: which there are, and what a training step would cost on one that is only described.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_tests::program::{ENCODER, Finished, auricle, command, ctc_recipe, finish, small_corpus};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const LIBRARIES: [&str; 3] = ["libascendcl.so", "libnnopbase.so", "libopapi.so"];

/// Runs the program where the toolkit is said to be in `home`.
fn with_toolkit(home: &Path, args: &[&str]) -> Finished {
    let mut command = command(home);
    finish(command.env("ASCEND_HOME_PATH", home).env_remove("ASCEND_TOOLKIT_HOME").args(args)).succeeded()
}

#[test]
fn devices_are_listed_with_what_is_missing_and_where_it_was_looked() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let folder = home.join("lib64");
    let text = with_toolkit(home, &["device", "list"]).stdout;
    assert_eq!(text, with_toolkit(home, &["device"]).stdout);
    assert!(text.contains(&format!("{} ($ASCEND_HOME_PATH)", folder.display())), "{text}");
    assert!(text.contains("npu:sim:910b3  simulated: computed on the host, times modelled"), "{text}");

    let of_ascend = |text: &str| {
        let devices: Vec<Value> = serde_json::from_str(text).unwrap();
        devices.into_iter().find(|device| device["name"] == "npu:ascend").unwrap()
    };
    // A machine may have the vendor's libraries; then they are found there, in text and JSON alike.
    let before = of_ascend(&with_toolkit(home, &["device", "--json"]).stdout);
    for library in LIBRARIES {
        let missing = before["missing"].as_array().unwrap().iter().any(|name| name == library);
        assert_eq!(missing, text.contains(&format!("{library}: not found")), "{library}: {before}");
        assert_eq!(missing, before["found"].get(library).is_none(), "{library}: {before}");
    }
    let first = &before["looked_in"][0];
    assert_eq!(
        (first["folder"].as_str(), first["why"].as_str()),
        (folder.to_str(), Some("$ASCEND_HOME_PATH"))
    );

    std::fs::create_dir(&folder).unwrap();
    for (present, library) in LIBRARIES.iter().enumerate() {
        std::fs::write(folder.join(library), "").unwrap();
        let after = of_ascend(&with_toolkit(home, &["device", "list", "--json"]).stdout);
        assert_eq!(after["found"][library].as_str(), folder.join(library).to_str());
        if before["missing"].as_array().unwrap().len() == LIBRARIES.len() {
            assert_eq!(after["missing"].as_array().unwrap().len(), LIBRARIES.len() - present - 1, "{after}");
        }
        assert_eq!(after["usable"], after["missing"].as_array().unwrap().is_empty());
    }
    assert!(with_toolkit(home, &["device"]).stdout.contains("npu:ascend:<index>  libraries found:"));
}

#[test]
fn every_number_of_a_description_says_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let list = auricle(folder.path(), &["npu", "devices"]).succeeded().stdout;
    assert!(list.lines().count() == 7 && list.lines().all(|line| line.ends_with("(modelled)")), "{list}");
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let text = auricle(folder.path(), &["npu", "devices", name]).succeeded().stdout;
        for line in text.lines().skip(1) {
            assert!(line.contains(" published: ") || line.contains(" modelled ("), "{name}: {line}");
        }
        // Fitted to times of one part of the family: a guess for those of another kind.
        let launch = text.lines().find(|line| line.starts_with("heads.launch")).unwrap();
        let fitted = if name == "910a" || name == "310p3" { "assumed" } else { "calibrated" };
        assert!(launch.contains(&format!("modelled ({fitted})")), "{name}: {launch}");
    }
    auricle(folder.path(), &["npu", "devices", "910z"]).failed_with(&["910z", "910b3"]);
}

/// A row of the table of `auricle npu profile`, by its header.
type Row = BTreeMap<String, String>;

/// The table that a profile prints, after its text was checked.
fn profile(folder: &Path, recipe: &str, more: &[&str]) -> (Vec<Row>, String) {
    let args = ["npu", "profile", recipe, "--device", "910b3", "--report", "page.html"];
    let text = auricle(folder, &[&args, more].concat()).succeeded().stdout;
    let (table, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains('\t'));
    let header: Vec<&str> = table[0].split('\t').collect();
    for pipe in ["MTE2 %", "MTE1 %", "cube %", "fixpipe %", "vector %", "MTE3 %"] {
        assert_eq!(header.iter().filter(|name| **name == pipe).count(), 1, "{pipe}: {header:?}");
    }
    let rows = table[1..].iter().map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), header.len(), "{line}");
        header.iter().zip(cells).map(|(name, cell)| (name.to_string(), cell.to_string())).collect()
    });
    for figure in rest.iter().filter(|line| line.contains(" ms ") || line.contains(" % ")) {
        assert!(figure.contains("(modelled)"), "{figure}");
    }
    (rows.collect(), rest.join("\n"))
}

fn number(row: &Row, name: &str) -> f64 {
    row[name].parse().unwrap()
}

/// How many elements all runs of an operation on rows worked on.
fn elements(rows: &[Row], operation: &str) -> usize {
    let of_row = |row: &Row| {
        let (height, width) = row["sizes"].split_once('x').unwrap();
        height.parse::<usize>().unwrap() * width.parse::<usize>().unwrap() * number(row, "runs") as usize
    };
    rows.iter().filter(|row| row["operation"] == operation).map(of_row).sum()
}

/// What `auricle train --dry-run` counts.
fn parameters(folder: &Path, recipe: &str) -> usize {
    let text = auricle(folder, &["train", recipe, "--dry-run"]).succeeded().stdout;
    let line = text.lines().find(|line| line.starts_with("trained parameters")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_profile_counts_a_whole_step_and_says_that_it_is_modelled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    // Every layer in every step, so that every parameter has a gradient.
    let encoder = ENCODER.replace("layer_drop = 0.2, ", "");
    let spiral = format!(
        "task = \"spiral\"\ndata = {{ train = [\"train.jsonl\"], validation = [\"dev.jsonl\"] }}\n\
         batch = {{ batch_secs = 8.0 }}\nschedule = {{ kind = \"constant\" }}\ntrain = {{ steps = 1 }}\n\
         [model]\nprojection = 16\nnegatives = 10\n{encoder}"
    );
    std::fs::write(folder.join("spiral.toml"), spiral).unwrap();
    let (rows, text) = profile(folder, "spiral.toml", &["--trace", "trace.json"]);
    let names: Vec<&str> = rows.iter().map(|row| row["operation"].as_str()).collect();
    for name in [
        "matmul",
        "conv1d weight gradient",
        "attention backward",
        "layer norm backward",
        "contrastive",
        "adamw",
        "ema",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for row in &rows {
        assert_eq!(row["figures are"], "modelled", "{row:?}");
        assert!(number(row, "cycles") > 0.0);
        let busy = row.iter().filter(|(name, _)| name.ends_with('%'));
        assert!(busy.map(|(_, cell)| cell.parse::<f64>().unwrap()).all(|x| (0.0..=100.0).contains(&x)));
    }
    let shares: f64 = rows.iter().map(|row| number(row, "share %")).sum();
    assert!((shares - 100.0).abs() < 0.05 * rows.len() as f64, "{shares}");
    // All weights are updated once, those of the trunk are averaged, none is forgotten where rows are not whole.
    let trained = parameters(folder, "spiral.toml");
    assert_eq!(elements(&rows, "adamw"), trained);
    let averaged = elements(&rows, "ema");
    assert!(averaged > trained / 2 && averaged < trained, "{averaged} of {trained}");

    let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
    for part in ["<svg", "MTE1", "modelled", "layer norm backward", "Not counted: copies"] {
        assert!(page.contains(part), "{part}: {text}");
    }
    let trace: Value = serde_json::from_slice(&std::fs::read(folder.join("trace.json")).unwrap()).unwrap();
    assert_eq!(trace["otherData"]["basis"], "modelled");
    let programs = trace["traceEvents"].as_array().unwrap().iter();
    let programs = programs.filter(|event| event["ph"] == "X" && event["pid"] == 0);
    assert_eq!(programs.count(), rows.len());

    // The CTC loss, and an average of the weights.
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2).replace("layer_drop = 0.2, ", "")).unwrap();
    let (rows, _) = profile(folder, "ctc.toml", &["--set", "train.ema=0.9"]);
    let names: Vec<&str> = rows.iter().map(|row| row["operation"].as_str()).collect();
    assert!(names.contains(&"ctc") && names.contains(&"softmax minus"), "{names:?}");
    let trained = parameters(folder, "ctc.toml");
    assert_eq!([elements(&rows, "adamw"), elements(&rows, "ema")], [trained; 2]);
}

#[test]
fn the_device_of_a_training_is_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    std::fs::write(folder.join("ctc.toml"), ctc_recipe(2)).unwrap();
    let train = |options: &[&str]| auricle(folder, &[&["train", "ctc.toml", "--dry-run"], options].concat());
    train(&["--device", "npu:sim:910z"]).failed_with(&["npu:sim:910z", "910b3"]);
    train(&["--set", "train.device=npu:sim:910z", "--device", "cpu"]).succeeded();
}
