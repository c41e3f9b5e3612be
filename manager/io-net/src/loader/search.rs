//! Where a module's file is: names as the user types them, and the directories they are looked for in.

use crate::config::Kind;
use std::path::{Path, PathBuf};

/// The environment's list of directories.
const PATH_VARIABLE: &str = "IO_NET_MODULE_PATH";

/// Directories to search for modules, in order.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    dirs: Vec<PathBuf>,
}

impl SearchPath {
    /// `given`, then the environment's, then the staged library directory beside the program, then
    /// the program's own directory.
    #[must_use]
    pub fn new(given: &[PathBuf]) -> SearchPath {
        let mut dirs = given.to_vec();
        if let Some(list) = std::env::var_os(PATH_VARIABLE) {
            dirs.extend(std::env::split_paths(&list));
        }
        if let Ok(program) = std::env::current_exe()
            && let Some(own) = program.parent()
        {
            dirs.extend(own.parent().map(|prefix| prefix.join("lib/io-net")));
            dirs.push(own.to_path_buf());
        }
        dirs.retain(|dir| !dir.as_os_str().is_empty());
        SearchPath { dirs }
    }

    /// Finds the file of module `name`, which must be of `kind` where that is given.
    ///
    /// # Errors
    /// No such file: says what was looked for and where.
    pub fn find(&self, name: &str, kind: Option<Kind>) -> Result<PathBuf, String> {
        if name.contains('/') {
            let path = PathBuf::from(name);
            return if path.exists() {
                Ok(path)
            } else {
                Err(format!("{name}: there is no such file"))
            };
        }
        let stems = stems(name, kind);
        for dir in &self.dirs {
            for stem in &stems {
                for file in files(stem) {
                    let path = dir.join(file);
                    if path.is_file() {
                        return Ok(path);
                    }
                }
            }
        }
        let dirs: Vec<_> = self.dirs.iter().map(|d| d.display().to_string()).collect();
        Err(format!(
            "there is no module {}.so in {}; give its path, or its directory with --module-path",
            stems.join(".so or "),
            dirs.join(", ")
        ))
    }

    /// The short names of all modules of a kind that are in the path.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<String> {
        let mut names = Vec::new();
        for dir in &self.dirs {
            let Ok(entries) = std::fs::read_dir(dir) else {
                continue;
            };
            for entry in entries.flatten() {
                let file = entry.file_name();
                let Some(file) = file.to_str().filter(|file| file.ends_with(".so")) else {
                    continue;
                };
                let name = module_name(Path::new(file));
                if Kind::of_name(&name) == Some(kind) && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names.sort_unstable();
        names
    }
}

/// The full names that `name` may stand for.
fn stems(name: &str, kind: Option<Kind>) -> Vec<String> {
    let name = name.strip_suffix(".so").unwrap_or(name);
    if Kind::of_name(name).is_some() {
        return vec![module_name(Path::new(name))];
    }
    let kinds = Kind::ALL.into_iter();
    kinds
        .filter(|own| kind.is_none_or(|kind| kind == *own))
        .map(|kind| format!("{}{name}", kind.prefix()))
        .collect()
}

/// The files that a full name may have: staged, or as cargo builds it.
fn files(stem: &str) -> [String; 2] {
    [
        format!("{stem}.so"),
        format!("lib{}.so", stem.replace('-', "_")),
    ]
}

/// The full name (`devn-tap`) of a module by its file (`libdevn_tap.so`).
#[must_use]
pub(super) fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".so").unwrap_or(&name);
    match name.strip_prefix("lib") {
        Some(stem) if Kind::of_name(stem).is_some() => stem.replace('_', "-"),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("io-net-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn names_may_be_short_full_staged_or_built() {
        let (a, b) = (dir("search-a"), dir("search-b"));
        std::fs::write(a.join("devn-tap.so"), "").unwrap();
        std::fs::write(b.join("libnpm_tcp_ip.so"), "").unwrap();
        std::fs::write(b.join("libnpm_tap.so"), "").unwrap();
        let path = SearchPath {
            dirs: vec![a.clone(), b.clone()],
        };
        for (name, kind, found) in [
            ("tap", Some(Kind::Driver), a.join("devn-tap.so")),
            ("tap.so", None, a.join("devn-tap.so")),
            ("devn-tap", None, a.join("devn-tap.so")),
            ("devn-tap.so", Some(Kind::Driver), a.join("devn-tap.so")),
            ("libdevn_tap.so", None, a.join("devn-tap.so")),
            ("tap", Some(Kind::Protocol), b.join("libnpm_tap.so")),
            ("tcp-ip", None, b.join("libnpm_tcp_ip.so")),
        ] {
            assert_eq!(path.find(name, kind), Ok(found), "{name}");
        }
        assert_eq!(path.list(Kind::Protocol), ["npm-tap", "npm-tcp-ip"]);
        let e = path.find("lance", Some(Kind::Driver)).unwrap_err();
        assert!(
            e.contains("devn-lance.so") && e.contains(a.to_str().unwrap()),
            "{e}"
        );
        let full = a.join("devn-tap.so");
        assert_eq!(path.find(full.to_str().unwrap(), None), Ok(full));
        assert!(path.find("./nothing.so", None).is_err());
        std::fs::remove_dir_all(a).unwrap();
        std::fs::remove_dir_all(b).unwrap();
    }
}
