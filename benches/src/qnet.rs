//! Message passing between two nodes, against the kernel's TCP, ZeroMQ and gRPC.

use crate::congestion::AllAllowed;
use crate::ends::{self, End, Ends};
use crate::exchange::{Cores, measure, peer, program, serve};
use crate::msg::{gigabytes, micros};
use crate::nodes::{self, Nodes};
use crate::series::{Comparison, Run, median};
use crate::tcp;
use io_net_e2e::{Lab, Outcome};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Round trips of a run.
const ROUND_TRIPS: &str = "20000";

/// Messages of 1 MiB of each thread in a run.
const LARGE: &str = "500";

/// Messages of 1 MiB in a run of the peer's.
const POURED: &str = "4000";

/// Threads that send them, so that the wire never waits for a reply.
const THREADS: &str = "4";

/// A way of joining two nodes.
type Join<T> = fn(&Lab, Box<dyn FnOnce(Nodes<'_>) -> Outcome<T> + '_>) -> Outcome<T>;

/// `qnet_rtt_veth`: a core is kept awake for all.
///
/// # Errors
/// A run fails.
pub(crate) fn rtt_veth(lab: &Lab, bench: &'static str) -> Outcome<Vec<Value>> {
    nodes::veth(lab, Cores::Crosswise, |nodes| {
        let _server = nodes.serve()?;
        ends::veth(lab, |theirs| {
            let kernel = || kernel_us(lab, theirs);
            let verbs = ["serve", "rtt"];
            let zeromq = peer("peer-zeromq");
            let zeromq = || peer_us(lab, theirs, &zeromq, verbs, "tcp://10.77.0.1:7001");
            let grpc = peer("peer-grpc");
            let grpc = || peer_us(lab, theirs, &grpc, verbs, "10.77.0.1:7002");
            let ours = || {
                let _awake = tcp::keep_awake(lab)?;
                round_trip_us(lab, nodes)
            };
            let compare = |peer| rtt(bench, peer);
            Ok(vec![
                compare("kernel veth").alternate(ours, kernel)?,
                compare("ZeroMQ").alternate(ours, zeromq)?,
                compare("gRPC").alternate(ours, grpc)?,
            ])
        })
    })
}

/// `qnet_rtt_pipe`, against the kernel, and against what handing over alone takes.
///
/// # Errors
/// A run fails.
pub(crate) fn rtt_pipe(lab: &Lab, bench: &'static str) -> Outcome<Vec<Value>> {
    nodes::pipe(lab, Cores::Crosswise, |nodes| {
        let _server = nodes.serve()?;
        let ours = || round_trip_us(lab, nodes);
        ends::veth(lab, |theirs| {
            let compare = |peer| rtt(bench, peer);
            Ok(vec![
                compare("kernel veth").alternate(ours, || kernel_us(lab, theirs))?,
                compare("relay").alternate(ours, || relay_us(lab))?,
            ])
        })
    })
}

/// `qnet_bulk_*`.
///
/// # Errors
/// A run fails.
pub(crate) fn bulk(lab: &Lab, bench: &'static str, join: Join<Value>) -> Outcome<Value> {
    let comparison = Comparison {
        bench,
        peer: "kernel veth",
        unit: "GB/s",
    };
    join(
        lab,
        Box::new(|nodes| {
            let _server = nodes.serve()?;
            ends::veth(lab, |theirs| {
                let all = AllAllowed::new();
                all.set_best(theirs, |ends| pour(lab, ends, "2000").map(|run| run.value))?;
                comparison.alternate(
                    || send_large(lab, nodes, LARGE, ""),
                    || pour(lab, theirs, POURED),
                )
            })
        }),
    )
}

/// `qnet_loadbalance`: messages of 1 MiB over two links of 100 Mbit/s each, which no processor here
/// limits; the peer's value is the same over one of them alone.
///
/// # Errors
/// A run fails.
pub(crate) fn loadbalance(lab: &Lab) -> Outcome<Value> {
    let comparison = Comparison {
        bench: "qnet_loadbalance",
        peer: "one link",
        unit: "GB/s",
    };
    nodes::two_links(lab, |nodes, middle| {
        let _server = nodes.serve()?;
        middle.limit(100)?;
        let send = |quality| send_large(lab, nodes, "10", quality);
        comparison.alternate(|| send(""), || send("~exclusive:en0"))
    })
}

/// `qnet_failover`: the longest time between two answers while a link dies unannounced, the median
/// of several; the peer's value is the limit.
///
/// # Errors
/// A message is lost or executed twice, or a run fails.
pub(crate) fn failover(lab: &Lab) -> Outcome<Value> {
    const TIMES: usize = 5;
    let comparison = Comparison {
        bench: "qnet_failover",
        peer: "limit",
        unit: "ms",
    };
    nodes::two_links(lab, |nodes, middle| {
        let _server = nodes.serve()?;
        let mut gaps = Vec::new();
        for _ in 0..TIMES {
            let mut client = lab.start(nodes.client("gap", "~preferred:en0").arg("3"))?;
            std::thread::sleep(Duration::from_secs(1));
            middle.cut()?;
            let said = client.finish(Duration::from_secs(20))?;
            gaps.push(figure(&said)?);
            middle.mend()?;
            // Until it carries again.
            std::thread::sleep(Duration::from_secs(15));
        }
        Ok(Value::Object(comparison.line(median(gaps), 200.0)))
    })
}

fn rtt(bench: &'static str, peer: &'static str) -> Comparison {
    Comparison {
        bench,
        peer,
        unit: "us",
    }
}

fn round_trip_us(lab: &Lab, nodes: Nodes<'_>) -> Outcome<Run> {
    figure(&lab.output(nodes.client("rtt", "").arg(ROUND_TRIPS))?).map(|ns| micros(Run::of(ns)))
}

fn send_large(lab: &Lab, nodes: Nodes<'_>, count: &str, quality: &str) -> Outcome<Run> {
    let mut client = nodes.client("bulk", quality);
    figure(&lab.output(client.args([count, THREADS]))?).map(|rate| gigabytes(Run::of(rate)))
}

fn kernel_us(lab: &Lab, ends: Ends<'_>) -> Outcome<Run> {
    let verbs = ["serve", "connect"];
    peer_us(lab, ends, &program("pingpong"), verbs, "10.77.0.1:7000")
}

/// Round trips of processes that do nothing but hand over.
fn relay_us(lab: &Lab) -> Outcome<Run> {
    let file = lab.dir().join("relay");
    let part = |role: &str| {
        let mut command = program("relay");
        command.arg(role).arg(&file);
        command
    };
    let serving = |role| serve(lab, Cores::Any, &part(role));
    let (_near, _far) = (serving("near")?, serving("far")?);
    let server = serving("server")?;
    let run = measure(lab, Cores::Any, &server, part("rtt").arg(ROUND_TRIPS))?;
    let _ = std::fs::remove_file(&file);
    Ok(micros(run))
}

/// Round trips of a program of the peer's over `ends`, a core kept awake.
fn peer_us(
    lab: &Lab,
    ends: Ends<'_>,
    program: &Command,
    [serves, asks]: [&str; 2],
    address: &str,
) -> Outcome<Run> {
    let _awake = tcp::keep_awake(lab)?;
    let mut server = ends.server.command(program.get_program());
    let server = serve(lab, Cores::Any, server.args([serves, address]))?;
    let mut client = ends.client.command(program.get_program());
    let client = client.args([asks, address, ROUND_TRIPS]);
    measure(lab, Cores::Any, &server, client).map(micros)
}

fn pour(lab: &Lab, ends: Ends<'_>, count: &str) -> Outcome<Run> {
    let address = format!("{}:7001", ends.address);
    let command = |end: End<'_>, verb: &str| {
        let mut command = end.command(program("pingpong").get_program());
        command.args([verb, &address]);
        command
    };
    let server = serve(lab, Cores::Any, &command(ends.server, "drain"))?;
    let mut client = command(ends.client, "pour");
    measure(lab, Cores::Any, &server, client.arg(count)).map(gigabytes)
}

/// The number that a program has printed.
fn figure(said: &str) -> Outcome<f64> {
    said.trim()
        .parse()
        .map_err(|_| format!("no figure: {said}"))
}
