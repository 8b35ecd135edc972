//! The reference of every key of a recipe, made from the structs that recipes are read into.

mod source;

use anyhow::{Context as _, Result, bail};
use source::{Body, Definition, Field, Sources, Variant};
use std::fmt::Write as _;
use std::path::Path;

/// Where the page stands: for readers, and in the package that prints it.
const PAGES: [&str; 2] = ["docs/recipe_keys.md", "crates/auricle/src/recipe_keys.md"];

/// Folders whose structs are tables of recipes.
const FOLDERS: [&str; 9] = [
    "crates/train/src",
    "crates/data/src",
    "crates/nn/src",
    "crates/audio/src",
    "crates/augment/src",
    "models/spiral/src",
    "models/asr/src",
    "models/cca_mdd/src",
    "models/lasyn/src",
];

/// Tasks, and the structs of their `[model]` and `[augment]` tables.
const TASKS: [(&str, &str, &str); 5] = [
    ("spiral", "SpiralConfig", "SpiralAugment"),
    ("ctc", "CtcConfig", "AugmentConfig"),
    ("cca_mdd", "CcaMddConfig", "AugmentConfig"),
    ("lasyn", "LasynConfig", "AugmentConfig"),
    ("lasyn_synthesizer", "SynthesisConfig", "AugmentConfig"),
];

const HEAD: &str = "# Every key of a recipe

Made by `cargo xtask keys` from the structs that recipes are read into; `auricle train --keys` prints it.
A key with dots is a place in nested tables, `[]` an entry of a list: `model.encoder.stages[].convs[].channels`.
`--set KEY=VALUE` changes one, and `base = \"other.toml\"` takes all others from another recipe.
";

/// Writes the page.
pub fn write(root: &Path) -> Result<()> {
    let page = page(root)?;
    for path in PAGES {
        std::fs::write(root.join(path), &page).with_context(|| path.to_string())?;
    }
    Ok(())
}

/// Whether the page says what the structs say.
pub fn check(root: &Path) -> Result<()> {
    let page = page(root)?;
    for path in PAGES {
        let found = std::fs::read_to_string(root.join(path)).with_context(|| path.to_string())?;
        if found != page {
            bail!("{path} is not what the structs say; `cargo xtask keys` makes it anew");
        }
    }
    Ok(())
}

fn page(root: &Path) -> Result<String> {
    let sources = Sources::read(root, &FOLDERS)?;
    let mut page = HEAD.to_string();
    let mut section = |title: &str, tables: &[(&str, &str)]| -> Result<()> {
        writeln!(page, "\n## {title}\n")?;
        for (prefix, name) in tables {
            table(&sources, &mut page, prefix, sources.get(name)?)?;
        }
        Ok(())
    };
    section("Every task", &[("", "Recipe")])?;
    for (task, model, augment) in TASKS {
        section(&format!("Task `{task}`"), &[("model", model), ("augment", augment)])?;
    }
    Ok(page)
}

/// The keys of a table, and of those inside it.
fn table(sources: &Sources, page: &mut String, prefix: &str, definition: &Definition) -> Result<()> {
    match &definition.body {
        Body::Struct(fields) => {
            for field in fields {
                let optional = field.optional || definition.all_default;
                entry(sources, page, &join(prefix, &field.name), field, optional, "")?;
            }
        }
        Body::Enum(variants) if definition.tagged => tagged(sources, page, prefix, variants)?,
        Body::Enum(_) => {}
    }
    Ok(())
}

/// A table whose `kind` says which keys it has.
fn tagged(sources: &Sources, page: &mut String, prefix: &str, variants: &[Variant]) -> Result<()> {
    let kinds: Vec<String> = variants.iter().map(|variant| format!("`{}`", variant.name)).collect();
    writeln!(page, "- `{}` ({}; required)", join(prefix, "kind"), kinds.join(", "))?;
    let mut done: Vec<&str> = Vec::new();
    for field in variants.iter().flat_map(|variant| &variant.fields) {
        if done.contains(&field.name.as_str()) {
            continue;
        }
        done.push(&field.name);
        let with = variants.iter().filter(|variant| variant.fields.iter().any(|own| own.name == field.name));
        let with: Vec<String> = with.map(|variant| format!("`{}`", variant.name)).collect();
        let with = format!(" Of kind {}.", with.join(", "));
        entry(sources, page, &join(prefix, &field.name), field, field.optional, &with)?;
    }
    Ok(())
}

fn entry(
    sources: &Sources,
    page: &mut String,
    key: &str,
    field: &Field,
    optional: bool,
    more: &str,
) -> Result<()> {
    let (kind, inner, list) = kind(sources, &field.kind);
    let (text, default) = field.text_and_default();
    let default = match default {
        Some(default) => format!("default: {default}"),
        None if optional => "optional".to_string(),
        None => "required".to_string(),
    };
    writeln!(page, "- `{key}` ({kind}; {default}): {text}{more}")?;
    match inner {
        Some(inner) => table(sources, page, &format!("{key}{}", if list { "[]" } else { "" }), inner),
        None => Ok(()),
    }
}

/// A type in words; the definition of a table inside, and whether it is a list of them.
fn kind<'s>(sources: &'s Sources, name: &str) -> (String, Option<&'s Definition>, bool) {
    if let Some(inner) = within(name, "Option<") {
        return kind(sources, inner);
    }
    if let Some(inner) = within(name, "Vec<") {
        let (of, definition, _) = kind(sources, inner);
        return (format!("list of {of}s"), definition, true);
    }
    let word = match name {
        "f64" | "f32" => "number",
        "usize" | "u64" | "u32" => "whole number",
        "bool" => "`true` or `false`",
        "String" => "text",
        "TaskKind" => "name of a task",
        "PathBuf" => "path",
        "[f64; 2]" => "two numbers",
        "toml::Table" => "table of the task, see below",
        _ => "",
    };
    if !word.is_empty() {
        return (word.to_string(), None, false);
    }
    let Ok(definition) = sources.get(name) else { return (format!("`{name}`"), None, false) };
    match &definition.body {
        Body::Enum(variants) if !definition.tagged => {
            let words: Vec<String> = variants.iter().map(|variant| spelled(sources, variant)).collect();
            (words.join(" or "), None, false)
        }
        _ => ("table".to_string(), Some(definition), false),
    }
}

/// A choice as a recipe writes it.
fn spelled(sources: &Sources, variant: &Variant) -> String {
    if let Some(content) = &variant.content {
        return format!("`{{ {} = … }}` with a {}", variant.name, kind(sources, content).0);
    }
    if variant.fields.is_empty() {
        return format!("`\"{}\"`", variant.name);
    }
    let fields: Vec<String> = variant.fields.iter().map(|field| format!("{} = …", field.name)).collect();
    format!("`{{ {} = {{ {} }} }}`", variant.name, fields.join(", "))
}

fn within<'n>(name: &'n str, outer: &str) -> Option<&'n str> {
    name.strip_prefix(outer)?.strip_suffix('>')
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_structs_say() {
        check(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
    }
}
