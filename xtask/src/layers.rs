//! The layering of the crates: arrows point down only.

use serde::Deserialize;

/// Every crate, lowest first. A crate may depend on those before it, whatever the kind of dependency.
const ORDER: [&str; 24] = [
    "auricle-rng",
    "auricle-io",
    "auricle-tensor",
    "auricle-audio",
    "auricle-text",
    "auricle-augment",
    "auricle-data",
    "auricle-nn",
    "auricle-decode",
    "auricle-data-prep",
    "auricle-train",
    "auricle-spiral",
    "auricle-asr",
    "auricle-lasyn",
    "auricle-mmi",
    "auricle-cca-mdd",
    "auricle-serve",
    "auricle-recipes",
    "auricle-models",
    "auricle",
    "auricle-cli",
    "auricle-tests",
    "auricle-benches",
    "xtask",
];

/// Crates that speak in slices and small structs, so that they can be used without a tensor library. They
/// depend on each other only: every other crate of the workspace brings burn.
const WITHOUT_BURN: [&str; 10] = [
    "auricle-rng",
    "auricle-io",
    "auricle-audio",
    "auricle-text",
    "auricle-augment",
    "auricle-data",
    "auricle-decode",
    "auricle-data-prep",
    "auricle-recipes",
    "auricle-models",
];

/// What `cargo metadata --no-deps` says, as far as it matters here.
#[derive(Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Every arrow that points up, and every crate that has no place; empty where all is well.
pub fn violations(metadata: &Metadata) -> Vec<String> {
    let place = |name: &str| ORDER.iter().position(|&own| own == name);
    let mut found = Vec::new();
    for package in &metadata.packages {
        let Some(own) = place(&package.name) else {
            found.push(format!("{} has no place in the order of xtask/src/layers.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if place(&dependency.name).is_some_and(|other| other >= own) {
                found.push(format!("{} depends upward on {}", package.name, dependency.name));
            }
            let knows_burn = dependency.name == "burn"
                || place(&dependency.name).is_some() && !WITHOUT_BURN.contains(&dependency.name.as_str());
            if knows_burn && WITHOUT_BURN.contains(&package.name.as_str()) {
                found.push(format!(
                    "{} must do without burn, not depend on {}",
                    package.name, dependency.name
                ));
            }
        }
    }
    found
}

/// What inference must do without: the trainer, and what only it needs.
const OF_TRAINING: [&str; 3] = ["auricle-train", "auricle-augment", "indicatif"];

/// Packages of training among those that a crate is compiled with, as `cargo tree --prefix none` lists them.
pub fn of_training(tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut found: Vec<String> = names.filter(|name| OF_TRAINING.contains(name)).map(Into::into).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<String> {
        violations(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn this_workspace_has_no_arrow_that_points_up() {
        let metadata = crate::metadata().unwrap();
        assert_eq!(metadata.packages.len(), ORDER.len(), "a crate of the order is not in the workspace");
        assert_eq!(violations(&metadata), Vec::<String>::new());
    }

    /// The server is inference alone.
    #[test]
    fn the_server_does_without_the_trainer() {
        let tree = crate::tree("auricle-serve").unwrap();
        assert!(tree.contains("auricle-cca-mdd"), "{tree}");
        assert_eq!(of_training(&tree), Vec::<String>::new());
        // The check itself can fail.
        assert_eq!(of_training(&crate::tree("auricle-train").unwrap()).len(), OF_TRAINING.len());
    }

    #[test]
    fn an_arrow_up_a_stranger_and_burn_below_are_found() {
        let up = r#"{"packages": [{"name": "auricle-audio", "dependencies": [{"name": "auricle-text"}]}]}"#;
        assert_eq!(found(up), ["auricle-audio depends upward on auricle-text"]);
        let down = r#"{"packages": [{"name": "auricle-nn", "dependencies": [{"name": "auricle-tensor"}, {"name": "burn"}]}]}"#;
        assert!(found(down).is_empty());
        let burn = r#"{"packages": [{"name": "auricle-data", "dependencies": [{"name": "burn"}]}]}"#;
        assert_eq!(found(burn), ["auricle-data must do without burn, not depend on burn"]);
        // Below it in the order, and yet not to be used.
        let through = r#"{"packages": [{"name": "auricle-audio", "dependencies": [{"name": "auricle-tensor"}, {"name": "auricle-rng"}]}]}"#;
        assert_eq!(found(through), ["auricle-audio must do without burn, not depend on auricle-tensor"]);
        let stranger = r#"{"packages": [{"name": "auricle-extra", "dependencies": []}]}"#;
        assert_eq!(found(stranger).len(), 1);
    }
}
