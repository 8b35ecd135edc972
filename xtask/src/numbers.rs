//! Law 5: a number stands beside the command, seed, commit and hardware that made it, and says which kind it is.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// What a document of results says of all its numbers, and words that say it.
const STATED: [(&str, &[&str]); 3] = [
    ("the kind of number", &["measured", "published", "modelled"]),
    ("a seed", &["seed", "no random numbers"]),
    ("the hardware", &["core", "thread", "gpu"]),
];

/// Everything that numbers in the repository's documents of results lack; empty where all is well.
pub fn violations() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in documents()? {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        found.extend(lacks(&text).into_iter().map(|what| format!("{}: {what}", path.display())));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).context("README.md")?;
    for (model, row) in readme.lines().filter_map(shipped) {
        let card = root.join("models/pretrained").join(model).join("README.md");
        let card = std::fs::read_to_string(&card).with_context(|| card.display().to_string())?;
        found.extend(strange(row, &card).map(|n| format!("README.md: {n} is not on the card of {model}")));
    }
    Ok(found)
}

/// A row of the README's table of models: the model, and what was measured.
fn shipped(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split('|');
    let model = cells.next()?.trim().strip_suffix('`')?;
    Some((model, cells.nth(1)?))
}

/// Decimal numbers of a row that a card does not have.
fn strange<'a>(row: &'a str, card: &'a str) -> impl Iterator<Item = &'a str> {
    let numbers = row.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_end_matches('.'));
    numbers.filter(|word| word.contains('.') && !card.contains(word))
}

/// The results of recipes and benches, and the cards of models.
fn documents() -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents = vec![root.join("benches/RESULTS.md")];
    for (folder, name) in [("recipes", "RESULTS.md"), ("models/pretrained", "README.md")] {
        let folder = root.join(folder);
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path().join(name);
            documents.extend(path.is_file().then_some(path));
        }
    }
    documents.sort();
    Ok(documents)
}

/// What a document lacks as a whole, and its sections with a table of numbers but without a command.
fn lacks(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<String> = STATED
        .iter()
        .filter(|(_, words)| !words.iter().any(|word| lower.contains(word)))
        .map(|(what, words)| format!("it does not state {what} ({})", words.join(", ")))
        .collect();
    if !code(text).any(|piece| piece.len() >= 7 && piece.bytes().all(|b| b.is_ascii_hexdigit())) {
        found.push("it names no commit".into());
    }
    for section in text.split("\n## ") {
        let title = section.lines().next().unwrap_or_default();
        let has_numbers = |line: &str| line.starts_with('|') && line.bytes().any(|b| b.is_ascii_digit());
        if section.lines().any(has_numbers) && !code(section).flat_map(str::lines).any(is_command) {
            found.push(format!("`{title}` has numbers and no command that makes them"));
        }
    }
    found
}

/// What stands between backticks, one or three.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a line starts a program, after variables that it sets.
fn is_command(line: &str) -> bool {
    let program = line.split_whitespace().find(|word| !word.contains('='));
    program.is_some_and(|word| matches!(word, "auricle" | "cargo" | "python") || word.ends_with(".sh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_here_has_its_command() {
        assert!(documents().unwrap().len() >= 10, "{:?}", documents().unwrap());
        assert_eq!(violations().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_readme_says_what_the_cards_say() {
        let row = "| `asr-small` | a recogniser | error rate 46.1 %, 93.3 %: spelt wrongly |";
        let (model, measured) = shipped(row).unwrap();
        assert_eq!(model, "asr-small");
        assert_eq!(strange(measured, "46.1 and 93.3").count(), 0);
        assert_eq!(strange(measured, "46.2 and 93.3").collect::<Vec<_>>(), ["46.1"]);
        assert_eq!(shipped("| model | what |"), None);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let whole = "# Results\n**Measured** on one core, seed 1, commit `0123abc`.\n## Speed\n\
                     `REPEAT=1 benches/run.sh 3`\n| a | 1 |\n## Errors\n```sh\nauricle eval asr\n```\n| b | 2 |\n";
        assert_eq!(lacks(whole), Vec::<String>::new());
        let without = |part: &str| lacks(&whole.replace(part, ""));
        assert_eq!(without("`0123abc`"), ["it names no commit"]);
        assert_eq!(
            without("**Measured**"),
            ["it does not state the kind of number (measured, published, modelled)"]
        );
        assert_eq!(without("seed 1").len(), 1);
        assert_eq!(without("on one core").len(), 1);
        assert_eq!(without("benches/run.sh 3"), ["`Speed` has numbers and no command that makes them"]);
        assert_eq!(without("auricle eval asr"), ["`Errors` has numbers and no command that makes them"]);
        // Words in tables are no numbers.
        assert_eq!(lacks(&whole.replace("auricle eval asr", "").replace("| b | 2 |", "| b | c |")), [""; 0]);
    }
}
