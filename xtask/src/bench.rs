//! Measures io-net against its peers; the harness and its benches are in `benches/`.

use crate::shell::{self, Outcome};
use crate::{packages, stage, workspace};
use std::path::PathBuf;
use std::process::Command;

/// Benches whose peers are in `benches/peers`, which takes a while to build.
const WITH_PEERS: &[&str] = &["msg_rtt_poll", "qnet_rtt_veth"];

/// Stages, builds the harness and hands it the names.
pub(crate) fn run(names: &[String]) -> Outcome {
    packages::install()?;
    if names.is_empty() || names.iter().any(|name| WITH_PEERS.contains(&&**name)) {
        build_peers()?;
    }
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
    shell::run(
        Command::new(program)
            .args(names)
            .env("IO_NET_STAGE", stage)
            .env("IO_NET_PEERS", peers_dir().join("release")),
    )
}

fn peers_dir() -> PathBuf {
    workspace::target_dir().join("peers")
}

fn build_peers() -> Outcome {
    let build = ["build", "--quiet", "--release", "--locked", "--target-dir"];
    let dir = workspace::root().join("benches/peers");
    shell::run(shell::cargo().current_dir(dir).args(build).arg(peers_dir()))
}
