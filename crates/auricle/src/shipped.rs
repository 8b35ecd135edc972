//! Where the models are that come with the program.

use std::path::{Path, PathBuf};

/// Networks by name.
pub const SHIPPED: [&str; 3] = ["asr-en-small", "mdd-en-small", "spiral-en-small"];

/// Folders that hold shipped models, the first that has one wins: `$AURICLE_MODELS`; `models` beside the program, as in a
/// release, and `share/auricle/models` beside its folder, as where it is installed; `models/pretrained` below the
/// working directory and below every folder above the program, as in the repository.
pub fn roots() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    roots_of(std::env::var_os("AURICLE_MODELS").map(PathBuf::from), program.as_deref())
}

fn roots_of(asked: Option<PathBuf>, program: Option<&Path>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = asked.into_iter().collect();
    let folder = program.and_then(Path::parent);
    roots.extend(folder.map(|folder| folder.join("models")));
    roots.extend(folder.and_then(Path::parent).map(|above| above.join("share/auricle/models")));
    roots.push(PathBuf::from("models/pretrained"));
    let above = program.map(Path::ancestors).into_iter().flatten().skip(1);
    roots.extend(above.map(|folder| folder.join("models/pretrained")));
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_in_a_release_where_installed_and_in_the_repository() {
        let asked = Some(PathBuf::from("/asked"));
        let roots = roots_of(asked, Some(Path::new("/opt/bin/auricle")));
        let expected = [
            "/asked",
            "/opt/bin/models",
            "/opt/share/auricle/models",
            "models/pretrained",
            "/opt/bin/models/pretrained",
            "/opt/models/pretrained",
            "/models/pretrained",
        ];
        assert_eq!(roots, expected.map(PathBuf::from));
        assert_eq!(roots_of(None, None), [PathBuf::from("models/pretrained")]);
    }
}
