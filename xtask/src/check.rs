//! What must hold before a commit; the first thing that the CI runs.

use crate::shell::{self, Outcome};
use crate::{header, layers, style, workspace};

/// Runs every check, the quick ones first.
pub(crate) fn run() -> Outcome {
    cargo(&["fmt", "--all", "--check"], None)?;
    layers::run()?;
    style::run()?;
    header::run(true)?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    cargo(&clippy, None)?;
    let doc = ["doc", "--no-deps", "--workspace"];
    // A public item may point its reader to a private one: the sources are at hand.
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    cargo(&doc, Some(("RUSTDOCFLAGS", flags)))?;
    println!("check: all well");
    Ok(())
}

fn cargo(args: &[&str], env: Option<(&str, &str)>) -> Outcome {
    shell::run(
        shell::cargo()
            .current_dir(workspace::root())
            .args(args)
            .envs(env),
    )
}
