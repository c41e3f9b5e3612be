//! Builds everything and lays it out in `target/stage` as it is installed.
//!
//! ```text
//! bin/            io-net, io-net-run, io-netctl and its other names (mount, nicinfo, ...)
//! lib/            libio-net-msg.so, which programs link
//! lib/io-net/     modules as the user types them (devn-tap.so), libio_net_preload.so
//! include/io_net/ ddk.h
//! include/        headers of message passing (sys/neutrino.h, ...)
//! share/man/      manual pages
//! ```

use crate::shell::{self, Outcome};
use crate::workspace::{self, Package};
use std::path::{Path, PathBuf};

/// Directories whose packages are shipped.
const SHIPPED: &[&str] = &["manager/", "modules/", "client/", "utils/"];

/// What a module's name begins with; the template has none and is not staged.
const PREFIXES: &[&str] = &["devn-", "nfm-", "ncm-", "npm-"];

/// The library that programs link, as cargo calls it, and as it is called for `-l`.
const LINKED: (&str, &str) = ("io_net_msg", "libio-net-msg.so");

/// Names under which io-netctl is called directly.
const FRONT_ENDS: &[&str] = &["mount", "umount", "nicinfo", "mount.io-net"];

/// Builds and lays out, and says where.
pub(crate) fn run(debug: bool) -> Outcome {
    let stage = build(debug)?;
    println!("staged in {}", stage.display());
    Ok(())
}

/// Builds and lays out; returns the stage's directory.
pub(crate) fn build(debug: bool) -> Outcome<PathBuf> {
    let packages: Vec<Package> = workspace::packages()?
        .into_iter()
        .filter(|p| SHIPPED.iter().any(|s| p.dir.starts_with(s)))
        .collect();
    compile(&packages, debug)?;
    let built = workspace::target_dir().join(if debug { "debug" } else { "release" });
    let stage = workspace::target_dir().join("stage");
    lay_out(&packages, &built, &stage)?;
    Ok(stage)
}

fn compile(packages: &[Package], debug: bool) -> Outcome {
    let mut cargo = shell::cargo();
    cargo
        .current_dir(workspace::root())
        .args(["build", "--quiet"]);
    if !debug {
        cargo.arg("--release");
    }
    for package in packages {
        cargo.args(["-p", &package.name]);
    }
    shell::run(&mut cargo)
}

fn lay_out(packages: &[Package], built: &Path, stage: &Path) -> Outcome {
    let _ = std::fs::remove_dir_all(stage);
    let bin = stage.join("bin");
    let lib = stage.join("lib/io-net");
    let include = stage.join("include/io_net");
    for dir in [&bin, &lib, &include] {
        shell::make_dir(dir)?;
    }
    for package in packages {
        for program in &package.bins {
            shell::copy(&built.join(program), &bin.join(program))?;
        }
        if let Some(name) = &package.cdylib
            && let Some(place) = library_place(&package.dir, name)
        {
            let to = stage.join("lib").join(place);
            shell::copy(&built.join(format!("lib{name}.so")), &to)?;
        }
    }
    front_ends(&bin)?;
    let root = workspace::root();
    shell::copy(
        &root.join("ddk/abi/include/io_net/ddk.h"),
        &include.join("ddk.h"),
    )?;
    headers(&root.join("client/msg/include"), &stage.join("include"))?;
    manual(&root.join("docs/man"), &stage.join("share/man"))
}

/// Where a shared object is in the stage's `lib`, or nothing where it is not shipped.
fn library_place(dir: &str, cdylib: &str) -> Option<String> {
    if cdylib == LINKED.0 {
        return Some(LINKED.1.to_owned());
    }
    let name = match dir.strip_prefix("modules/") {
        None => format!("lib{cdylib}.so"),
        Some(module) if PREFIXES.iter().any(|prefix| module.starts_with(prefix)) => {
            format!("{module}.so")
        }
        Some(_) => return None,
    };
    Some(format!("io-net/{name}"))
}

/// Copies a directory of headers with its directories.
fn headers(from: &Path, to: &Path) -> Outcome {
    shell::make_dir(to)?;
    let entries =
        std::fs::read_dir(from).map_err(|e| format!("cannot read {}: {e}", from.display()))?;
    for entry in entries.flatten().map(|e| e.path()) {
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            headers(&entry, &target)?;
        } else {
            shell::copy(&entry, &target)?;
        }
    }
    Ok(())
}

/// Links the other names of the multi-call program.
fn front_ends(bin: &Path) -> Outcome {
    for name in FRONT_ENDS {
        let link = bin.join(name);
        std::os::unix::fs::symlink("io-netctl", &link)
            .map_err(|e| format!("cannot link {}: {e}", link.display()))?;
    }
    Ok(())
}

/// Copies `NAME.N` to `manN/NAME.N`.
fn manual(from: &Path, to: &Path) -> Outcome {
    shell::make_dir(to)?;
    let Ok(pages) = std::fs::read_dir(from) else {
        return Ok(());
    };
    for page in pages.flatten().map(|e| e.path()) {
        let section = page
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if section.len() == 1 && section.bytes().all(|b| b.is_ascii_digit()) {
            let dir = to.join(format!("man{section}"));
            shell::make_dir(&dir)?;
            shell::copy(&page, &dir.join(page.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_typed() {
        let place = |dir, lib| library_place(dir, lib);
        assert_eq!(
            place("modules/devn-tap", "devn_tap").as_deref(),
            Some("io-net/devn-tap.so")
        );
        assert_eq!(place("modules/template", "template"), None);
        assert_eq!(
            place("client/preload", "io_net_preload").as_deref(),
            Some("io-net/libio_net_preload.so")
        );
        assert_eq!(
            place("client/msg", "io_net_msg").as_deref(),
            Some("libio-net-msg.so")
        );
    }
}
