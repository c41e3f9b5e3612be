//! The workspace as `cargo metadata` tells of it.

use crate::shell::{self, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How a package imports another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DepKind {
    /// Part of what is shipped.
    Normal,
    /// Runs while building.
    Build,
    /// Only tests and examples see it.
    Dev,
}

/// One import.
#[derive(Clone, Debug)]
pub(crate) struct Dep {
    pub(crate) name: String,
    pub(crate) kind: DepKind,
    /// Directory below the root, of a package in this workspace.
    pub(crate) dir: Option<String>,
}

/// One package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Directory below the root: `lib/os`.
    pub(crate) dir: String,
    pub(crate) deps: Vec<Dep>,
    /// Names of the programs it makes.
    pub(crate) bins: Vec<String>,
    /// Name of the shared object it makes: `devn_tap`.
    pub(crate) cdylib: Option<String>,
}

/// The root directory of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The workspace's packages.
pub(crate) fn packages() -> Outcome<Vec<Package>> {
    let json = shell::output(shell::cargo().current_dir(root()).args([
        "metadata",
        "--no-deps",
        "--format-version=1",
    ]))?;
    parse(&json, &root())
}

/// Reads the packages out of `cargo metadata`'s answer.
pub(crate) fn parse(json: &str, root: &Path) -> Outcome<Vec<Package>> {
    let value: Value =
        serde_json::from_str(json).map_err(|e| format!("cargo metadata is no JSON: {e}"))?;
    let list = value["packages"]
        .as_array()
        .ok_or("cargo metadata names no packages")?;
    Ok(list.iter().map(|p| package(p, root)).collect())
}

fn package(value: &Value, root: &Path) -> Package {
    let manifest = Path::new(text(&value["manifest_path"]));
    let targets = value["targets"].as_array().map_or(&[][..], Vec::as_slice);
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        targets.iter().filter(move |t| {
            let kinds = t["kind"].as_array();
            kinds.is_some_and(|k| k.iter().any(|k| k == &kind))
        })
    };
    Package {
        name: text(&value["name"]).to_owned(),
        dir: below(manifest.parent().unwrap_or(root), root),
        deps: value["dependencies"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .map(|d| dep(d, root))
            .collect(),
        bins: of_kind("bin")
            .map(|t| text(&t["name"]).to_owned())
            .collect(),
        cdylib: of_kind("cdylib")
            .map(|t| text(&t["name"]).replace('-', "_"))
            .next(),
    }
}

fn dep(value: &Value, root: &Path) -> Dep {
    Dep {
        name: text(&value["name"]).to_owned(),
        kind: match value["kind"].as_str() {
            Some("dev") => DepKind::Dev,
            Some("build") => DepKind::Build,
            _ => DepKind::Normal,
        },
        dir: value["path"].as_str().map(|p| below(Path::new(p), root)),
    }
}

fn below(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
