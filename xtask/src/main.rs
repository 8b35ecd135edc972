//! Development tasks: `cargo xtask check`.

mod circles;
mod keys;
mod layers;
mod numbers;

use anyhow::{Context as _, Result, bail};
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask <task>

  check    formatting, layering, circles, numbers, clippy without warnings, documentation: run it before a pull request
  layers   only the layering: no crate depends on one above it
  circles  only the circles: no two files of a crate import each other
  numbers  only the numbers: each table of results has the command that made it
  keys     makes the reference of every key of a recipe anew (docs/recipe_keys.md)

Clippy and the documentation use the release profile, so that they share its build scripts.";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let result = match task.as_str() {
        "check" => check(),
        "layers" => check_layers(),
        "circles" => check_circles(),
        "numbers" => check_numbers(),
        "keys" => keys::write(&root()),
        _ => {
            println!("{HELP}");
            return if matches!(task.as_str(), "" | "-h" | "--help") {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<()> {
    cargo("formatting", &["fmt", "--all", "--check"], &[])?;
    check_layers()?;
    check_circles()?;
    check_numbers()?;
    check_keys()?;
    cargo(
        "clippy",
        &["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        &[],
    )?;
    cargo(
        "documentation",
        &["doc", "--release", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    println!("all checks passed");
    Ok(())
}

fn check_layers() -> Result<()> {
    println!("== layering");
    let found = layers::violations(&metadata()?);
    if !found.is_empty() {
        bail!("layering:\n  {}", found.join("\n  "));
    }
    let training = layers::of_training(&tree("auricle-serve")?);
    if !training.is_empty() {
        bail!("layering: auricle-serve, which is inference alone, is compiled with {}", training.join(", "));
    }
    Ok(())
}

fn check_circles() -> Result<()> {
    println!("== circles");
    let found = circles::violations(&root())?;
    if !found.is_empty() {
        bail!("circles:\n  {}", found.join("\n  "));
    }
    Ok(())
}

fn check_numbers() -> Result<()> {
    println!("== numbers");
    let found = numbers::violations()?;
    if !found.is_empty() {
        bail!("numbers:\n  {}", found.join("\n  "));
    }
    Ok(())
}

fn check_keys() -> Result<()> {
    println!("== keys of recipes");
    keys::check(&root())
}

/// The folder of the workspace.
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The workspace as cargo sees it.
fn metadata() -> Result<layers::Metadata> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}

/// The packages that a crate by itself is compiled with.
fn tree(package: &str) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none"])
        // Which would give every crate the features that any other asks for.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .context("cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cargo(what: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    println!("== {what}");
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("cargo {}", arguments.join(" ")))?;
    if !status.success() {
        bail!("{what} failed; see above");
    }
    Ok(())
}
