//! Circles of imports between files: of two files that need each other neither can be read, tested or moved alone.
//!
//! A file imports another where it names something that is defined there, in a `use` or in the middle of the code:
//! `crate::a::b`, `super::b`, `child::b`, through re-exports and renamings. Not counted are `mod x;`, re-exports of what
//! stands below a file (that is how a folder shows its face), what a file takes from the modules that hold it, and tests.

mod source;

use anyhow::{Context as _, Result};
use source::{Source, Use};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Re-exports of re-exports beyond this are a mistake.
const MAX_DEPTH: usize = 16;

/// Every circle of the workspace: its files, sorted, a line each.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for start in roots(root)? {
        let house = House::read(&start)?;
        found.extend(house.circles().into_iter().map(|files| {
            let names = files.iter().map(|file| {
                let path = &house.files[*file].path;
                path.strip_prefix(root).unwrap_or(path).display().to_string()
            });
            format!("files that import each other: {}", names.collect::<Vec<_>>().join(", "))
        }));
    }
    Ok(found)
}

/// The first file of every library and program.
fn roots(root: &Path) -> Result<Vec<PathBuf>> {
    let mut packages =
        vec![root.join("data_prep"), root.join("xtask"), root.join("benches"), root.join("tests")];
    for group in ["crates", "models"] {
        let folder = root.join(group);
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            packages.push(entry?.path());
        }
    }
    let mut roots: Vec<PathBuf> = Vec::new();
    for package in packages {
        roots.extend(["src/lib.rs", "src/main.rs"].map(|name| package.join(name)));
        if let Ok(programs) = std::fs::read_dir(package.join("src/bin")) {
            roots.extend(programs.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
    roots.retain(|path| path.is_file() && path.extension().is_some_and(|e| e == "rs"));
    roots.sort();
    Ok(roots)
}

/// A module's place: the names from the crate's root to it.
type Place = Vec<String>;

/// A file and the module that it is.
struct File {
    path: PathBuf,
    place: Place,
    source: Source,
}

/// The files of a crate.
struct House {
    files: Vec<File>,
    modules: BTreeMap<Place, usize>,
}

impl House {
    /// Follows `mod` from a crate's first file.
    fn read(start: &Path) -> Result<Self> {
        let mut house = Self { files: Vec::new(), modules: BTreeMap::new() };
        house.add(start.to_path_buf(), Vec::new(), true)?;
        Ok(house)
    }

    fn add(&mut self, path: PathBuf, place: Place, owns_folder: bool) -> Result<()> {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let source = Source::of(&text);
        let children = source.modules.clone();
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let below = match (owns_folder, path.file_stem()) {
            (false, Some(stem)) => folder.join(stem),
            _ => folder,
        };
        self.modules.insert(place.clone(), self.files.len());
        self.files.push(File { path, place: place.clone(), source });
        for child in children {
            let mut own = place.clone();
            own.push(child.clone());
            let (flat, deep) = (below.join(format!("{child}.rs")), below.join(&child).join("mod.rs"));
            if flat.is_file() {
                self.add(flat, own, false)?;
            } else if deep.is_file() {
                self.add(deep, own, true)?;
            }
        }
        Ok(())
    }

    /// The file that a path names something of, as seen from a module. A path that names a module names nothing yet.
    fn file_of(&self, from: &[String], path: &[String], depth: usize) -> Option<usize> {
        let mut rest = path;
        let mut place = from.to_vec();
        match path.first()?.as_str() {
            "crate" => {
                place.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some(("super", more)) = rest.split_first().map(|(name, more)| (name.as_str(), more))
                {
                    place.pop()?;
                    rest = more;
                }
            }
            _ => {}
        }
        while let Some((name, more)) = rest.split_first() {
            let mut child = place.clone();
            child.push(name.clone());
            if self.modules.contains_key(&child) {
                (place, rest) = (child, more);
                continue;
            }
            let file = *self.modules.get(&place)?;
            let source = &self.files[file].source;
            if name == "*" || source.defines.contains(name) {
                return Some(file);
            }
            if depth == 0 {
                return None;
            }
            let follow = |target: &[String], more: &[String]| {
                let whole: Vec<String> = target.iter().chain(more).cloned().collect();
                // A name that stands for itself (`use serde; … serde::x`) leads nowhere.
                (whole != rest).then(|| self.file_of(&place, &whole, depth - 1)).flatten()
            };
            let named = source.uses.iter().filter(|own| own.name == *name);
            let globs = source.uses.iter().filter(|own| own.name == "*");
            return named
                .filter_map(|own| follow(&own.path, more))
                .chain(globs.filter_map(|own| follow(&own.path[..own.path.len() - 1], rest)))
                .next();
        }
        None
    }

    /// For every file those that it imports from.
    fn arrows(&self) -> Vec<BTreeSet<usize>> {
        let arrows = self.files.iter().enumerate().map(|(own, file)| {
            let resolve = |path: &Vec<String>| self.file_of(&file.place, path, MAX_DEPTH);
            let is_face = |used: &Use, target: usize| {
                used.is_public && self.files[target].place.starts_with(&file.place)
            };
            let imported = file
                .source
                .uses
                .iter()
                .filter_map(|used| resolve(&used.path).filter(|&target| !is_face(used, target)));
            let named = file.source.paths.iter().filter_map(resolve);
            // A file stands in the module that holds it, and may lean on it.
            let holds = |target: usize| file.place.starts_with(&self.files[target].place);
            imported.chain(named).filter(|&target| target != own && !holds(target)).collect()
        });
        arrows.collect()
    }

    /// Groups of files that all reach each other.
    fn circles(&self) -> Vec<Vec<usize>> {
        let arrows = self.arrows();
        let reach: Vec<BTreeSet<usize>> = (0..arrows.len())
            .map(|start| {
                let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
                while let Some(file) = open.pop() {
                    open.extend(arrows[file].iter().filter(|&&next| seen.insert(next)));
                }
                seen
            })
            .collect();
        let mut circles = BTreeSet::new();
        for (file, own) in reach.iter().enumerate().filter(|(file, own)| own.contains(file)) {
            circles.insert(own.iter().copied().filter(|&other| reach[other].contains(&file)).collect());
        }
        circles.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of files, by name.
    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let house = House::read(&folder.path().join("lib.rs")).unwrap();
        let name = |file: &usize| {
            let path = house.files[*file].path.strip_prefix(folder.path()).unwrap();
            path.display().to_string().replace('\\', "/")
        };
        house.circles().iter().map(|files| files.iter().map(name).collect()).collect()
    }

    #[test]
    fn this_workspace_has_no_circle() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert_eq!(violations(&root).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_way_of_naming_is_an_import() {
        let b = ("b.rs", "use crate::a::A;\npub struct B(A);");
        for a in [
            "use crate::b::B;\npub struct A;",
            "use super::b::{C as _, B as Other};\npub struct A;",
            "pub struct A;\nfn f() { crate::b::B(A); }",
            "use super::b::*;\npub struct A(B);",
            "use crate::B;\npub struct A;",
            "use crate::b;\npub struct A;\nfn f(_: b::B) {}",
        ] {
            let lib = ("lib.rs", "mod a;\nmod b;\npub use b::B;\nuse a::A;");
            let with = circles(&[lib, ("a.rs", a), b]);
            let found =
                with.iter().any(|files| files.contains(&"a.rs".into()) && files.contains(&"b.rs".into()));
            assert!(found || a.contains("super::*"), "{a}: {with:?}");
        }
    }

    #[test]
    fn who_lives_in_a_module_may_lean_on_it() {
        let lib = ("lib.rs", "pub mod a;\npub mod b;");
        let child = ("a/child.rs", "use super::Shared;\npub struct Child(Shared);");
        let using =
            ("a/mod.rs", "mod child;\nuse child::Child;\npub struct Shared;\npub struct Whole(Child);");
        let b = ("b.rs", "use crate::a::Whole;\npub struct B(Whole);");
        assert!(circles(&[lib, using, child, b]).is_empty());
        // But not go round through a third file.
        let child = ("a/child.rs", "pub struct Child(crate::b::B);");
        assert_eq!(circles(&[lib, using, child, b]), [["a/mod.rs", "a/child.rs", "b.rs"]]);
        // A face only, from which others take what stands behind it.
        let face = ("a/mod.rs", "mod child;\npub use child::Child;");
        assert!(circles(&[lib, face, ("a/child.rs", "pub struct Child;"), b]).is_empty());
        let b = ("b.rs", "use crate::a::Child;\npub struct B(Child);");
        assert_eq!(circles(&[lib, face, child, b]), [["a/child.rs", "b.rs"]]);
    }

    #[test]
    fn tests_comments_texts_and_foreign_names_are_no_imports() {
        let lib = ("lib.rs", "mod a;\nmod b;\npub use a::A;");
        let b = ("b.rs", "use crate::a::A;\npub struct B(A);");
        let a = "/* crate::b::B */ // crate::b::B\nuse std::fmt;\npub struct A;\nconst T: &str = \"crate::b::B\";\n\
                 const R: &str = r#\"\"crate::b::B\"#;\nfn f<'a>(_: &'a str, c: char) -> bool { c == '\"' || c == '\\'' }\n\
                 #[cfg(test)]\nmod tests {\n use crate::b::B;\n fn g(b: B) {}\n}\n#[cfg(test)]\nmod more;";
        assert!(circles(&[lib, ("a.rs", a), b, ("a/more.rs", "use crate::b::B;")]).is_empty());
        // After the tests there may be code again.
        let behind = format!("{a}\nfn h(_: crate::b::B) {{}}");
        assert_eq!(circles(&[lib, ("a.rs", &behind), b]), [["a.rs", "b.rs"]]);
    }
}
