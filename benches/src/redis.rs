//! redis-benchmark GET, both ends on the same kind of stack.

use crate::ends::{self, Ends};
use crate::series::{Comparison, Run};
use io_net_e2e::{Lab, Outcome};
use serde_json::Value;
use std::time::Duration;

/// `redis_p1` and `redis_p16`: requests in flight on each of 50 connections.
///
/// # Errors
/// A run fails.
pub(crate) fn get(lab: &Lab, bench: &'static str, pipeline: u32) -> Outcome<Value> {
    let comparison = Comparison {
        bench,
        peer: "kernel veth",
        unit: "requests/s",
    };
    ends::pipe(lab, |ours| {
        ends::veth(lab, |theirs| {
            comparison.alternate(
                || requests(lab, ours, pipeline).map(Run::of),
                || requests(lab, theirs, pipeline).map(Run::of),
            )
        })
    })
}

fn requests(lab: &Lab, ends: Ends<'_>, pipeline: u32) -> Outcome<f64> {
    let mut server = ends.server.command("redis-server");
    server.args([
        "--port",
        "6379",
        "--bind",
        "0.0.0.0",
        "--protected-mode",
        "no",
    ]);
    server.args(["--save", "", "--appendonly", "no"]);
    let mut server = lab.start(&mut server)?;
    server.wait_printed("Ready to accept connections", Duration::from_secs(20))?;
    let mut client = ends.client.command("redis-benchmark");
    client.args([
        "-h",
        ends.address,
        "-p",
        "6379",
        "-t",
        "get",
        "-c",
        "50",
        "--csv",
    ]);
    let count = 150_000 * pipeline.min(8);
    client.args(["-P", &pipeline.to_string(), "-n", &count.to_string()]);
    let said = lab.output(&mut client)?;
    let row = said
        .lines()
        .find_map(|line| line.strip_prefix("\"GET\",\""));
    row.and_then(|rest| rest.split('"').next()?.parse().ok())
        .ok_or_else(|| format!("redis-benchmark told no rate: {said}"))
}
