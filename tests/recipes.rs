//! Every recipe of the repository works.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_tests::program::{auricle, workspace};
use auricle_train::recipe;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All `.toml` files below a folder, sorted.
fn recipes(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            recipes(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml")
            && !path.ends_with("Cargo.toml")
        {
            found.push(path);
        }
    }
    found.sort();
}

/// A recipe says what it is for; a file that does not is a part of others.
#[test]
fn every_recipe_runs_and_every_part_is_used() {
    let root = workspace().join("recipes");
    let mut files = Vec::new();
    recipes(&root, &mut files);
    let own = |path: &Path| std::fs::read_to_string(path).unwrap().parse::<toml::Table>().unwrap();
    let bases: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|path| {
            let base = own(path).get("base")?.as_str().unwrap().to_string();
            Some(path.parent().unwrap().join(base).canonicalize().unwrap())
        })
        .collect();
    let (whole, parts): (Vec<&PathBuf>, Vec<&PathBuf>) =
        files.iter().partition(|path| own(path).contains_key("description"));
    for part in parts {
        assert!(
            bases.contains(&part.canonicalize().unwrap()),
            "{}: no `description`, so no recipe, and no recipe's `base`",
            part.display()
        );
    }
    assert!(whole.len() >= 16, "only {} recipes found below {}", whole.len(), root.display());
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for path in whole {
        let task = recipe::load(path, &[]).unwrap().contains_key("task");
        assert!(task, "{}: a recipe with a `description` needs a `task`", path.display());
        let args = ["train", path.to_str().unwrap(), "--smoke", "--quiet"];
        let finished = auricle(folder.path(), &args);
        if finished.code != Some(0) || !finished.stdout.ends_with(": ok\n") {
            failures.push(format!("{}: {}{}", path.display(), finished.stdout, finished.stderr));
        }
    }
    assert!(failures.is_empty(), "{} recipes fail:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a smoke run leaves something behind");
}
