//! Message passing between two processes of one node.

use crate::exchange::{self, Cores, measure, peer, program, serve};
use crate::series::{Comparison, Run};
use io_net_e2e::{Lab, Outcome};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Round trips of a run in which both poll.
const POLLED: &str = "2000000";

/// Round trips of a run in which both sleep.
const SLEPT: &str = "100000";

/// Messages of 1 MiB in a run.
const LARGE: &str = "20000";

/// `msg_rtt_poll`.
///
/// # Errors
/// A run fails.
pub(crate) fn rtt_poll(lab: &Lab) -> Outcome<Value> {
    let comparison = Comparison {
        bench: "msg_rtt_poll",
        peer: "iceoryx2",
        unit: "us",
    };
    comparison.alternate(
        || ours(lab, Cores::Apart, "poll", &["rtt", "bench", POLLED]).map(micros),
        || iceoryx2(lab).map(micros),
    )
}

/// `msg_rtt_block`, against a futex ping-pong and against a Unix socket.
///
/// # Errors
/// A run fails.
pub(crate) fn rtt_block(lab: &Lab) -> Outcome<Vec<Value>> {
    let comparison = |peer| Comparison {
        bench: "msg_rtt_block",
        peer,
        unit: "us",
    };
    let ours = || ours(lab, Cores::Together, "block", &["rtt", "bench", SLEPT]).map(micros);
    Ok(vec![
        comparison("futex").alternate(ours, || futex(lab).map(micros))?,
        comparison("Unix socket").alternate(ours, || {
            unix(lab, Cores::Together, ["serve", "connect", SLEPT]).map(micros)
        })?,
    ])
}

/// `msg_bulk`.
///
/// # Errors
/// A run fails.
pub(crate) fn bulk(lab: &Lab) -> Outcome<Value> {
    let comparison = Comparison {
        bench: "msg_bulk",
        peer: "Unix stream",
        unit: "GB/s",
    };
    comparison.alternate(
        || ours(lab, Cores::Apart, "block", &["bulk", "bench", LARGE, "1"]).map(gigabytes),
        || unix(lab, Cores::Apart, ["drain", "pour", LARGE]).map(gigabytes),
    )
}

pub(crate) fn micros(run: Run) -> Run {
    Run {
        value: run.value / 1e3,
        ..run
    }
}

pub(crate) fn gigabytes(run: Run) -> Run {
    Run {
        value: run.value / 1e9,
        ..run
    }
}

fn ours(lab: &Lab, cores: Cores, how: &str, what: &[&str]) -> Outcome<Run> {
    let msg = || {
        let mut command = program("msg");
        command.env("SOCK", lab.dir());
        command
    };
    let server = serve(lab, cores, msg().args(["serve", how]))?;
    measure(lab, cores, &server, msg().args(what))
}

fn iceoryx2(lab: &Lab) -> Outcome<Run> {
    let dir = lab.dir();
    let server = serve(
        lab,
        Cores::Apart,
        peer("peer-iceoryx2").arg("serve").arg(dir),
    )?;
    let mut client = peer("peer-iceoryx2");
    let client = client.arg("rtt").arg(dir).arg(POLLED);
    measure(lab, Cores::Apart, &server, client)
}

fn futex(lab: &Lab) -> Outcome<Run> {
    pair(lab, Cores::Together, "futex", ["serve", "rtt", SLEPT])
}

fn unix(lab: &Lab, cores: Cores, words: [&str; 3]) -> Outcome<Run> {
    pair(lab, cores, "pingpong", words)
}

/// A program that meets itself at a file: the server's verb, the client's, and its count.
fn pair(lab: &Lab, cores: Cores, name: &str, words: [&str; 3]) -> Outcome<Run> {
    let [serves, asks, count] = words;
    let file: PathBuf = lab.dir().join("meet");
    let _ = std::fs::remove_file(&file);
    let command = |verb: &str| -> Command {
        let mut command = exchange::program(name);
        command.arg(verb).arg(&file);
        command
    };
    let server = serve(lab, cores, &command(serves))?;
    measure(lab, cores, &server, command(asks).arg(count))
}
