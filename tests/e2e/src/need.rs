//! What a test needs of the machine, and whether it is there.

use crate::Stage;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that a machine has or lacks.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// `cargo xtask stage` has run.
    Stage,
    /// User id 0 outside all namespaces.
    Root,
    /// A program in the search path (or in `/usr/sbin`).
    Program(&'static str),
    /// Huge pages of 2 MiB can be had.
    HugePages,
}

impl Need {
    /// Why it is missing, or nothing.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Stage => (!Stage::find().is_built())
                .then(|| "nothing is staged (cargo xtask stage)".to_owned()),
            Self::Root => (!is_root()).then(|| "needs root".to_owned()),
            Self::Program(name) => find_program(name)
                .is_none()
                .then(|| format!("no program {name}")),
            Self::HugePages => {
                let there = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists();
                (!(there && is_root()))
                    .then(|| "needs huge pages, and root to have them".to_owned())
            }
        }
    }
}

/// The first of `needs` that is missing, or that namespaces are.
pub(crate) fn first_missing(needs: &[Need]) -> Option<String> {
    needs
        .iter()
        .find_map(|need| need.missing())
        .or_else(no_namespaces)
}

/// Whether this process is root outside all user namespaces that it could make.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// Arguments of `unshare` that make a private network and mount namespace, with or without root.
pub(crate) fn unshare_args() -> &'static [&'static str] {
    if is_root() {
        &["--net", "--mount"]
    } else {
        &["--user", "--map-root-user", "--net", "--mount"]
    }
}

fn no_namespaces() -> Option<String> {
    let probe = Command::new("unshare")
        .args(unshare_args())
        .arg("true")
        .output();
    match probe {
        Ok(out) if out.status.success() => None,
        Ok(out) => Some(format!(
            "no private namespaces here ({}); as root, or after \
             `sysctl kernel.unprivileged_userns_clone=1 \
             kernel.apparmor_restrict_unprivileged_userns=0`, there are",
            String::from_utf8_lossy(&out.stderr).trim()
        )),
        Err(e) => Some(format!("no program unshare ({e}); it is in util-linux")),
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
