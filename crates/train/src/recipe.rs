//! Recipe files: inheritance, overrides, errors that help.

use crate::TrainError;
use crate::task_kind::nearest;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Bases of bases beyond this are a mistake.
const MAX_DEPTH: usize = 16;

/// Reads a recipe: its `base` (relative to the file) first, then the file over it, then the
/// overrides `key.path=value` over both.
pub fn load(path: &Path, overrides: &[String]) -> Result<Table, TrainError> {
    let mut table = read(path, &mut Vec::new())?;
    for text in overrides {
        set(&mut table, text)?;
    }
    Ok(table)
}

/// A table as a typed section; an unknown key is an error that suggests the nearest known one.
pub fn parse<T: DeserializeOwned>(table: &Table, place: &str) -> Result<T, TrainError> {
    Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| {
        // The key is only in the error's full text, on a line of its own.
        let text = error.to_string();
        let key = text.lines().skip(1).find(|line| line.starts_with("in `"));
        let message = with_suggestion(error.message());
        TrainError::Recipe(format!(
            "{place}: {message}{}",
            key.map_or_else(String::new, |key| format!(", {key}"))
        ))
    })
}

fn read(path: &Path, seen: &mut Vec<PathBuf>) -> Result<Table, TrainError> {
    let canonical = path.canonicalize().map_err(TrainError::io(path))?;
    if seen.contains(&canonical) || seen.len() >= MAX_DEPTH {
        let chain: Vec<String> = seen.iter().chain([&canonical]).map(|p| p.display().to_string()).collect();
        return Err(TrainError::Recipe(format!("`base` goes in circles: {}", chain.join(" → "))));
    }
    seen.push(canonical);
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let mut own: Table =
        toml::from_str(&text).map_err(|e| TrainError::Recipe(format!("{}: {e}", path.display())))?;
    let Some(base) = own.remove("base") else { return Ok(own) };
    let Value::String(base) = base else {
        return Err(TrainError::Recipe(format!("{}: `base` must be a file name", path.display())));
    };
    let mut merged = read(&path.parent().unwrap_or(Path::new(".")).join(base), seen)?;
    merge(&mut merged, own);
    Ok(merged)
}

/// Tables merge key by key; everything else is replaced.
///
/// A table whose `kind` changes is another variant: nothing of the old one is kept.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new))
                if new.get("kind").is_none_or(|kind| old.get("kind") == Some(kind)) =>
            {
                merge(old, new);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Overrides one value: `key.path=value`.
///
/// # Errors
/// No key, a value of another type than the one it replaces.
pub fn set(table: &mut Table, text: &str) -> Result<(), TrainError> {
    let fail = |why: String| TrainError::Recipe(format!("--set {text}: {why}"));
    let (path, value) = text.split_once('=').ok_or_else(|| fail("write KEY=VALUE".into()))?;
    let value = parse_value(value.trim());
    let keys: Vec<&str> = path.trim().split('.').collect();
    let (last, parents) =
        keys.split_last().filter(|(last, _)| !last.is_empty()).ok_or_else(|| fail("no key".into()))?;
    let mut place = table;
    for key in parents {
        let next = place.entry(key.to_string()).or_insert_with(|| Value::Table(Table::new()));
        place = next.as_table_mut().ok_or_else(|| fail(format!("`{key}` is not a table")))?;
    }
    let value = match (place.get(*last), value) {
        (Some(Value::Float(_)), Value::Integer(whole)) => Value::Float(whole as f64),
        (Some(old), new) if !old.same_type(&new) => {
            return Err(fail(format!("`{path}` is a {}, not a {}", old.type_str(), new.type_str())));
        }
        (_, new) => new,
    };
    place.insert(last.to_string(), value);
    Ok(())
}

/// TOML where it is TOML, else a bare word.
fn parse_value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_string()))
}

/// Adds "did you mean" to serde's message on an unknown field or variant.
fn with_suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.contains("unknown field") || message.contains("unknown variant");
    let Some(wrong) = quoted.next().filter(|_| unknown) else { return message.to_string() };
    match nearest(wrong, quoted) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    const BASE: &str = "task = 'ctc'\n[data]\ntrain = ['a.jsonl']\n[schedule]\nkind = 'cosine'\nwarmup_steps = 5\ntotal_steps = 10\n[train]\nsteps = 10\n[optimizer]\nlr = 0.1\n";

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn bases_merge_and_overrides_win() {
        let folder =
            files(&[("base.toml", BASE), ("own.toml", "base = 'base.toml'\n[train]\npatience = 3\n")]);
        let set = ["optimizer.lr=1".to_string(), "train.device=cpu".into(), "data.noise=['n.jsonl']".into()];
        let recipe: Recipe =
            parse(&load(&folder.path().join("own.toml"), &set).unwrap(), "own.toml").unwrap();
        assert_eq!((recipe.train.steps, recipe.train.patience, recipe.optimizer.lr), (10, Some(3), 1.0));
        assert_eq!(recipe.data.noise, [PathBuf::from("n.jsonl")]);
        // The resolved text reads back as the same recipe.
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(toml::from_str::<Recipe>(&text).unwrap().hash(), recipe.hash());
    }

    #[test]
    fn another_kind_replaces_the_table() {
        let folder = files(&[
            ("base.toml", BASE),
            ("own.toml", "base = 'base.toml'\n[schedule]\nkind = 'constant'\n"),
        ]);
        let recipe: Recipe = parse(&load(&folder.path().join("own.toml"), &[]).unwrap(), "own.toml").unwrap();
        assert_eq!(recipe.schedule, crate::schedule::Schedule::Constant);
    }

    #[test]
    fn mistakes_are_explained() {
        let folder = files(&[
            ("a.toml", "base = 'b.toml'"),
            ("b.toml", "base = 'a.toml'"),
            ("base.toml", BASE),
            ("typo.toml", "base = 'base.toml'\n[train]\nstepz = 4\n"),
        ]);
        let at = |name: &str| folder.path().join(name);
        assert!(load(&at("a.toml"), &[]).unwrap_err().to_string().contains("in circles"));
        let error =
            parse::<Recipe>(&load(&at("typo.toml"), &[]).unwrap(), "typo.toml").unwrap_err().to_string();
        assert!(error.contains("typo.toml") && error.contains("did you mean `steps`"), "{error}");
        let set = ["train.clip_norm='none'".to_string()];
        let error = parse::<Recipe>(&load(&at("base.toml"), &set).unwrap(), "base.toml").unwrap_err();
        assert!(error.to_string().contains("in `train.clip_norm`"), "{error}");
        for (set, expected) in [
            ("optimizer.lr=fast", "is a float, not a string"),
            ("optimizer.lr", "KEY=VALUE"),
            ("task.x=1", "not a table"),
            ("=1", "no key"),
        ] {
            let error = load(&at("base.toml"), &[set.to_string()]).unwrap_err().to_string();
            assert!(error.contains(expected), "{set}: {error}");
        }
        assert!(load(&at("none.toml"), &[]).unwrap_err().to_string().contains("none.toml"));
    }

    #[test]
    fn the_hash_ignores_what_a_resumed_run_may_change() {
        let recipe: Recipe = toml::from_str(BASE).unwrap();
        let mut longer = recipe.clone();
        longer.train.steps = 20;
        longer.train.log_every = 1;
        longer.data.workers = 7;
        assert_eq!(recipe.hash(), longer.hash());
        longer.optimizer.lr = 0.2;
        assert_ne!(recipe.hash(), longer.hash());
    }
}
