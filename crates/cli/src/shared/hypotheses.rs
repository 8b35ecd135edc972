//! Files of hypotheses.

use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// The first ids of a list, as a text.
pub fn first(ids: &[String]) -> String {
    let shown = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > 5 { format!("{shown}, …") } else { shown }
}

/// Texts by id, of JSON lines with `id` and a field, or of `<id> <text>` lines.
pub fn read_hypotheses(path: &Path, field_name: &str) -> Result<BTreeMap<String, String>> {
    let content = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut texts = BTreeMap::new();
    for (number, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {}", path.display(), number + 1);
        let (id, text) = if line.starts_with('{') {
            let object: serde_json::Value = serde_json::from_str(line).with_context(place)?;
            let field = |name: &str| object.get(name).and_then(|v| v.as_str()).map(str::to_string);
            let both = field("id").zip(field(field_name));
            both.with_context(|| format!("{}: needs `id` and `{field_name}`", place()))?
        } else {
            let (id, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (id.to_string(), text.to_string())
        };
        if texts.insert(id.clone(), text).is_some() {
            bail!("{}: id `{id}` comes twice", place());
        }
    }
    Ok(texts)
}
