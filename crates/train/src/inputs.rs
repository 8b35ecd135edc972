//! What a run reads, as digests: a run that goes on must read the same.

use crate::TrainError;
use auricle_data::Utterance;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Digests (blake3) of lists and files, by the key of the recipe and the path that name them; a part of the checkpoint.
///
/// The order of batches and the position in an epoch mean something only for the same lists, and what a step computes
/// only for the same texts, vocabularies and noises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Adds a list: everything that is said of its utterances, and where their audio is; not the audio itself.
    pub(crate) fn add_list<'u>(
        &mut self,
        key: &str,
        path: &Path,
        utterances: impl Iterator<Item = &'u Utterance>,
    ) {
        let mut hasher = blake3::Hasher::new();
        for utterance in utterances {
            // Strings, numbers and lists of them: there is nothing in an utterance that JSON cannot say.
            hasher.update(&serde_json::to_vec(utterance).unwrap_or_default());
            hasher.update(b"\n");
        }
        self.add(key, path, &hasher);
    }

    /// Adds a file, by its content.
    pub(crate) fn add_file(&mut self, key: &str, path: &Path) -> Result<(), TrainError> {
        let file = File::open(path).map_err(TrainError::io(path))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(TrainError::io(path))?;
        self.add(key, path, &hasher);
        Ok(())
    }

    /// Adds every file that a table names, but not the weights that a run starts from: it does not read them again.
    pub(crate) fn add_files_of(&mut self, key: &str, value: &toml::Value) -> Result<(), TrainError> {
        match value {
            toml::Value::String(name) if Path::new(name).is_file() => self.add_file(key, Path::new(name)),
            toml::Value::Array(values) => values.iter().try_for_each(|value| self.add_files_of(key, value)),
            toml::Value::Table(table) => table
                .iter()
                .filter(|(name, _)| *name != "init_from")
                .try_for_each(|(name, value)| self.add_files_of(&format!("{key}.{name}"), value)),
            _ => Ok(()),
        }
    }

    fn add(&mut self, key: &str, path: &Path, hasher: &blake3::Hasher) {
        self.0.insert(format!("{key} {}", path.display()), hasher.finalize().to_hex().to_string());
    }

    /// The names of what is another, or is only on one side; of nothing where `before` says nothing: checkpoints of
    /// earlier versions do not.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        if before.0.is_empty() {
            return Vec::new();
        }
        let mut names: Vec<&str> = self.0.keys().chain(before.0.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|&name| self.0.get(name) != before.0.get(name));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(utterances: &[Utterance]) -> Inputs {
        let mut inputs = Inputs::default();
        inputs.add_list("data.train", Path::new("a.jsonl"), utterances.iter());
        inputs
    }

    /// Whatever a list says of an utterance makes another list of it.
    #[test]
    fn every_change_of_a_list_is_seen() {
        let one = Utterance::new("a", "a.wav", 1.0).with_text("hello");
        let before = list(&[one.clone(), Utterance::new("b", "b.wav", 2.0)]);
        let two = |first: Utterance| list(&[first, Utterance::new("b", "b.wav", 2.0)]);
        assert!(two(one.clone()).changed_since(&before).is_empty());
        let changes: [fn(&mut Utterance); 6] = [
            |u| u.id = "c".into(),
            |u| u.audio = "c.wav".into(),
            |u| u.start_secs = 0.5,
            |u| u.duration_secs = 1.5,
            |u| u.text = Some("hallo".into()),
            |u| u.extra = [("snr_db".to_string(), 3.into())].into_iter().collect(),
        ];
        for change in changes {
            let mut changed = one.clone();
            change(&mut changed);
            assert_eq!(two(changed.clone()).changed_since(&before), ["data.train a.jsonl"], "{changed:?}");
        }
        assert_eq!(list(std::slice::from_ref(&one)).changed_since(&before), ["data.train a.jsonl"]);
        assert_eq!(
            list(&[Utterance::new("b", "b.wav", 2.0), one]).changed_since(&before),
            ["data.train a.jsonl"]
        );
        assert!(before.changed_since(&Inputs::default()).is_empty(), "an earlier version's checkpoint");
    }

    #[test]
    fn files_of_a_table_are_found_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["words.txt", "tokens.json", "weights"] {
            std::fs::write(path(name), name).unwrap();
        }
        let table = |text: &str| -> toml::Value {
            toml::Value::Table(toml::from_str(&text.replace("DIR", &path("").display().to_string())).unwrap())
        };
        let table = table(
            "width = 3\nname = 'DIR/none'\ninit_from = 'DIR/weights'\ntext = ['DIR/words.txt']\n\
             [head]\ntokenizer = 'DIR/tokens.json'\n",
        );
        let read = || {
            let mut inputs = Inputs::default();
            inputs.add_files_of("model", &table).unwrap();
            inputs
        };
        let before = read();
        assert_eq!(before.0.len(), 2);
        std::fs::write(path("tokens.json"), "other").unwrap();
        std::fs::write(path("weights"), "other").unwrap();
        let now = read();
        let changed = now.changed_since(&before);
        assert!(changed.len() == 1 && changed[0].starts_with("model.head.tokenizer "), "{changed:?}");
    }
}
