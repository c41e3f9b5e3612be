//! Measures io-net against its peers; the harness and its benches are in `benches/`.

use crate::shell::{self, Outcome};
use crate::{packages, stage, workspace};
use std::process::Command;

/// Stages, builds the harness and hands it the names.
pub(crate) fn run(names: &[String]) -> Outcome {
    packages::install()?;
    // What is measured goes to standard output, and nothing else.
    let stage = stage::build(false)?;
    let build = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "io-net-benches",
    ];
    shell::run(shell::cargo().current_dir(workspace::root()).args(build))?;
    let program = workspace::target_dir().join("release/io-net-bench");
    shell::run(Command::new(program).args(names).env("IO_NET_STAGE", stage))
}
