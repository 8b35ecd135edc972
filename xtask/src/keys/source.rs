//! Structs and enums that are read by serde, from formatted sources: names, types, docs, what may be left out.

use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// A field of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    /// Its type, as written.
    pub kind: String,
    /// Its documentation, first paragraph.
    pub doc: String,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Field {
    /// The documentation without its sentence "Default: …", and what that says.
    pub fn text_and_default(&self) -> (String, Option<String>) {
        let Some((before, rest)) = self.doc.split_once("Default: ") else { return (self.doc.clone(), None) };
        // A sentence ends where a full stop is not inside a number.
        let end = rest.find(". ").unwrap_or(rest.len());
        let (default, after) = rest.split_at(end);
        let text = format!("{}{}", before.trim_end(), after.trim_start_matches('.'));
        (text.trim().to_string(), Some(default.trim_end_matches('.').to_string()))
    }
}

/// A choice of an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// As a recipe writes it.
    pub name: String,
    pub fields: Vec<Field>,
    /// The type in its parentheses.
    pub content: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

/// A struct or an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Whether all of its fields may be left out.
    pub all_default: bool,
    /// Whether `kind` says which variant it is.
    pub tagged: bool,
    pub body: Body,
}

/// All definitions, by name.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<String, Definition>);

impl Sources {
    /// Reads every source of some folders.
    pub fn read(root: &Path, folders: &[&str]) -> Result<Self> {
        let mut sources = Self::default();
        for folder in folders {
            sources.read_folder(&root.join(folder))?;
        }
        Ok(sources)
    }

    pub fn get(&self, name: &str) -> Result<&Definition> {
        self.0.get(name).with_context(|| format!("no struct or enum `{name}` that serde reads"))
    }

    fn read_folder(&mut self, folder: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                self.read_folder(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                self.add(&text).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Adds the definitions of a source.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let mut attributes = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("#[") {
                attributes.push_str(line);
                continue;
            }
            let head = line.strip_prefix("pub struct ").map(|name| (name, false));
            let head = head.or_else(|| line.strip_prefix("pub enum ").map(|name| (name, true)));
            let read = attributes.contains("Deserialize");
            if let Some((name, is_enum)) = head.filter(|_| read)
                && let Some(name) = name.strip_suffix(" {")
            {
                let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").collect();
                let body = if is_enum { Body::Enum(variants(&body)?) } else { Body::Struct(fields(&body)?) };
                let all_default = attributes.contains(", default)") || attributes.contains("serde(default");
                let tagged = attributes.contains("tag = \"kind\"");
                let definition = Definition { all_default, tagged, body };
                if self.0.insert(name.to_string(), definition).is_some() {
                    bail!(
                        "two structs or enums `{name}` that serde reads: the reference of keys needs one name for each"
                    );
                }
            }
            if !line.starts_with("///") {
                attributes.clear();
            }
        }
        Ok(())
    }
}

/// What stands before a field or a variant.
#[derive(Default)]
struct Before {
    doc: Vec<String>,
    attributes: String,
}

impl Before {
    /// Takes a line that is documentation or an attribute.
    fn takes(&mut self, line: &str) -> bool {
        if let Some(doc) = line.strip_prefix("///") {
            self.doc.push(doc.trim().to_string());
        } else if line.starts_with("#[") {
            self.attributes.push_str(line);
        } else {
            return line.is_empty() || line.starts_with("//");
        }
        true
    }

    fn field(&mut self, line: &str) -> Result<Field> {
        let line = line.trim_start_matches("pub ").trim_end_matches(',');
        let (name, kind) = line.split_once(": ").with_context(|| format!("no field: `{line}`"))?;
        let Self { doc, attributes } = std::mem::take(self);
        let first: Vec<String> = doc.into_iter().take_while(|line| !line.is_empty()).collect();
        Ok(Field {
            name: name.to_string(),
            kind: kind.to_string(),
            doc: plain(&first.join(" ")),
            optional: attributes.contains("default") || kind.starts_with("Option<"),
        })
    }
}

fn fields(body: &[&str]) -> Result<Vec<Field>> {
    let (mut before, mut fields) = (Before::default(), Vec::new());
    for line in body.iter().map(|line| line.trim()) {
        if !before.takes(line) {
            fields.push(before.field(line)?);
        }
    }
    Ok(fields)
}

fn variants(body: &[&str]) -> Result<Vec<Variant>> {
    let mut variants: Vec<Variant> = Vec::new();
    let (mut before, mut inside) = (Before::default(), false);
    for line in body.iter().map(|line| line.trim()) {
        if before.takes(line) {
            continue;
        }
        if let Some(variant) = variants.last_mut().filter(|_| inside) {
            match line {
                "}," | "}" => inside = false,
                field => variant.fields.push(before.field(field)?),
            }
            continue;
        }
        before = Before::default();
        let line = line.trim_end_matches(',');
        let (name, content) = match line.split_once('(') {
            Some((name, content)) => (name, Some(content.trim_end_matches(')').to_string())),
            None => (line, None),
        };
        inside = name.ends_with(" {");
        let name = snake(name.trim_end_matches(" {"));
        variants.push(Variant { name, fields: Vec::new(), content });
    }
    Ok(variants)
}

/// As `rename_all = "snake_case"` writes it.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// Documentation without links.
fn plain(doc: &str) -> String {
    let mut text = String::new();
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        // `[name](target)` and [`name`] are links, `[train]` in backticks and `[B, T]` are not.
        match after.split_once(']') {
            Some((name, tail)) if tail.starts_with('(') => {
                text.push_str(name);
                rest = tail.split_once(')').map_or("", |(_, tail)| tail);
            }
            Some((name, tail)) if name.starts_with('`') => {
                text.push_str(name);
                rest = tail;
            }
            _ => {
                text.push('[');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// A table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// How many. Default: 0.5. Or more, see [`Kind`]
    /// and [that](x).
    ///
    /// Not this.
    #[serde(default = "half")]
    pub count: f64,
    /// Must be.
    pub path: PathBuf,
    pub limit: Option<usize>,
}

/// A choice.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// One.
    PreLn,
    /// Other.
    Wide {
        /// Width.
        #[serde(default)]
        width: usize,
    },
    Fixed(f32),
}

#[derive(Debug)]
pub struct NotRead {
    pub a: usize,
}
"#;

    #[test]
    fn what_serde_reads_is_found_with_its_docs() {
        let mut sources = Sources::default();
        sources.add(SOURCE).unwrap();
        assert_eq!(sources.0.len(), 2);
        let Body::Struct(fields) = &sources.get("Own").unwrap().body else { panic!() };
        let names: Vec<(&str, bool)> = fields.iter().map(|f| (f.name.as_str(), f.optional)).collect();
        assert_eq!(names, [("count", true), ("path", false), ("limit", true)]);
        let (text, default) = fields[0].text_and_default();
        assert_eq!(
            (text.as_str(), default.as_deref()),
            ("How many. Or more, see `Kind` and that.", Some("0.5"))
        );
        assert_eq!(fields[1].text_and_default(), ("Must be.".to_string(), None));
        let kind = sources.get("Kind").unwrap();
        assert!(kind.tagged && !kind.all_default);
        let Body::Enum(variants) = &kind.body else { panic!() };
        let names: Vec<&str> = variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["pre_ln", "wide", "fixed"]);
        assert_eq!(
            (variants[1].fields[0].name.as_str(), variants[2].content.as_deref()),
            ("width", Some("f32"))
        );
        assert!(sources.add(SOURCE).unwrap_err().to_string().contains("two structs"));
    }
}
