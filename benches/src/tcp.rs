//! TCP: bulk by iperf3, round trips by our ping-pong.

use crate::congestion::AllAllowed;
use crate::ends::{self, Ends};
use crate::series::{Comparison, Run};
use io_net_e2e::{Lab, Outcome, Program};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Seconds of one iperf3 run.
const BULK_S: u32 = 4;

/// Round trips of one ping-pong run.
const ROUND_TRIPS: u32 = 20_000;

/// A way of joining two ends.
type Join<T> = fn(&Lab, Box<dyn FnOnce(Ends<'_>) -> Outcome<T> + '_>) -> Outcome<T>;

fn peer(bench: &'static str, unit: &'static str) -> Comparison {
    Comparison {
        bench,
        peer: "kernel veth",
        unit,
    }
}

/// `tcp_bulk_*`.
///
/// # Errors
/// A run fails.
pub(crate) fn bulk(lab: &Lab, bench: &'static str, join: Join<Value>) -> Outcome<Value> {
    let all = AllAllowed::new();
    join(
        lab,
        Box::new(|ours| {
            ends::veth(lab, |theirs| {
                all.set_best(theirs, |e| gigabits(lab, e, 2))?;
                all.set_best(ours, |e| gigabits(lab, e, 2))?;
                peer(bench, "Gbit/s").alternate(
                    || gigabits(lab, ours, BULK_S).map(Run::of),
                    || gigabits(lab, theirs, BULK_S).map(Run::of),
                )
            })
        }),
    )
}

/// `tcp_rtt_*`.
///
/// # Errors
/// A run fails.
pub(crate) fn rtt(lab: &Lab, bench: &'static str, join: Join<Value>) -> Outcome<Value> {
    join(
        lab,
        Box::new(|ours| {
            ends::veth(lab, |theirs| {
                peer(bench, "us").alternate(
                    || round_trip_us(lab, ours).map(Run::of),
                    || {
                        let _awake = keep_awake(lab)?;
                        round_trip_us(lab, theirs).map(Run::of)
                    },
                )
            })
        }),
    )
}

/// One iperf3 run, client to server.
fn gigabits(lab: &Lab, ends: Ends<'_>, seconds: u32) -> Outcome<f64> {
    let mut server = ends.server.command("iperf3");
    let mut server = lab.start(server.args(["-s", "-1", "--forceflush"]))?;
    server.wait_printed("listening", Duration::from_secs(10))?;
    let mut client = ends.client.command("iperf3");
    let said = lab.output(client.args(["-J", "-c", ends.address, "-t", &seconds.to_string()]))?;
    let json: Value = serde_json::from_str(&said).map_err(|e| format!("iperf3: {e}"))?;
    let bits = json["end"]["sum_received"]["bits_per_second"].as_f64();
    bits.map(|bits| bits / 1e9)
        .ok_or_else(|| format!("iperf3 told no rate: {said}"))
}

/// The round trip of one ping-pong run.
fn round_trip_us(lab: &Lab, ends: Ends<'_>) -> Outcome<f64> {
    let program = pingpong();
    let mut server = lab.start(
        ends.server
            .command(&program)
            .args(["serve", "0.0.0.0:7000"]),
    )?;
    server.wait_printed("serving", Duration::from_secs(10))?;
    let address = format!("{}:7000", ends.address);
    let mut client = ends.client.command(&program);
    let said = lab.output(client.args(["connect", &address, &ROUND_TRIPS.to_string()]))?;
    let ns = said.trim().parse::<f64>();
    ns.map(|ns| ns / 1e3)
        .map_err(|_| format!("pingpong told no time: {said}"))
}

/// Keeps processor 1 from sleeping, below everything else that wants it.
pub(crate) fn keep_awake(lab: &Lab) -> Outcome<Program> {
    lab.start(
        Command::new("chrt")
            .args(["--idle", "0"])
            .arg(pingpong())
            .args(["awake", "1"]),
    )
}

/// The ping-pong program beside this one.
fn pingpong() -> std::path::PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name("pingpong")
}
