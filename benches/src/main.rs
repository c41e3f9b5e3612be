//! `io-net-bench [NAME]...`: io-net against its peers, one JSON line a result.
//!
//! Ours and the peer alternate within a run, at least five of each, and medians are compared. How
//! near the processors are is measured beside each run, and runs in which a pinned program had to
//! wait for its processor are thrown away and counted: see `README.md`.
#![forbid(unsafe_code)]

mod congestion;
mod ends;
mod exchange;
mod forward;
mod forward_veth;
mod idle;
mod mount;
mod msg;
mod nodes;
mod qnet;
mod redis;
mod series;
mod spin;
mod tcp;
mod testpmd;
mod waited;

use exchange::Cores;
use io_net_e2e::{Lab, Need, Outcome};
use serde_json::Value;
use std::process::ExitCode;

/// A bench: its name, what it needs beside io-net, and how it runs.
struct Bench {
    name: &'static str,
    needs: &'static [Need],
    run: fn(&Lab, &'static str) -> Outcome<Vec<Value>>,
}

const TESTPMD: &[Need] = &[Need::Stage, Need::Program("dpdk-testpmd"), Need::HugePages];
const TESTPMD_ON_XDP: &[Need] = &[
    Need::Stage,
    Need::Root,
    Need::Program("dpdk-testpmd"),
    Need::HugePages,
];
const IPERF: &[Need] = &[Need::Stage, Need::Program("iperf3")];
const REDIS: &[Need] = &[Need::Stage, Need::Program("redis-benchmark")];
const PLAIN: &[Need] = &[Need::Stage];
const PINNED: &[Need] = &[Need::Program("taskset")];

const BENCHES: &[Bench] = &[
    Bench {
        name: "forward",
        needs: TESTPMD,
        run: |lab, _| one(forward::rate(lab)),
    },
    Bench {
        name: "forward_cycles",
        needs: TESTPMD,
        run: |lab, _| one(forward::cycles(lab)),
    },
    Bench {
        name: "forward_xdp",
        needs: TESTPMD_ON_XDP,
        run: |lab, _| one(forward_veth::rate(lab, &forward_veth::XDP)),
    },
    Bench {
        name: "forward_packet",
        needs: TESTPMD,
        run: |lab, _| one(forward_veth::rate(lab, &forward_veth::PACKET)),
    },
    Bench {
        name: "tcp_bulk_tap_in",
        needs: IPERF,
        run: |lab, name| one(tcp::bulk(lab, name, |lab, then| ends::tap_in(lab, then))),
    },
    Bench {
        name: "tcp_bulk_tap_out",
        needs: IPERF,
        run: |lab, name| one(tcp::bulk(lab, name, |lab, then| ends::tap_out(lab, then))),
    },
    Bench {
        name: "tcp_bulk_pipe",
        needs: IPERF,
        run: |lab, name| one(tcp::bulk(lab, name, |lab, then| ends::pipe(lab, then))),
    },
    Bench {
        name: "tcp_rtt_pipe",
        needs: PLAIN,
        run: |lab, name| one(tcp::rtt(lab, name, |lab, then| ends::pipe(lab, then))),
    },
    Bench {
        name: "tcp_rtt_tap",
        needs: PLAIN,
        run: |lab, name| one(tcp::rtt(lab, name, |lab, then| ends::tap_in(lab, then))),
    },
    Bench {
        name: "redis_p1",
        needs: REDIS,
        run: |lab, name| one(redis::get(lab, name, 1)),
    },
    Bench {
        name: "redis_p16",
        needs: REDIS,
        run: |lab, name| one(redis::get(lab, name, 16)),
    },
    Bench {
        name: "mount",
        needs: PLAIN,
        run: |lab, _| one(mount::cycle(lab)),
    },
    Bench {
        name: "idle",
        needs: PLAIN,
        run: |lab, _| idle::cost(lab),
    },
    Bench {
        name: "msg_rtt_poll",
        needs: PINNED,
        run: |lab, _| one(msg::rtt_poll(lab)),
    },
    Bench {
        name: "msg_rtt_block",
        needs: PINNED,
        run: |lab, _| msg::rtt_block(lab),
    },
    Bench {
        name: "msg_bulk",
        needs: PINNED,
        run: |lab, _| one(msg::bulk(lab)),
    },
    Bench {
        name: "qnet_rtt_veth",
        needs: PLAIN,
        run: qnet::rtt_veth,
    },
    Bench {
        name: "qnet_rtt_pipe",
        needs: PLAIN,
        run: qnet::rtt_pipe,
    },
    Bench {
        name: "qnet_bulk_veth",
        needs: PLAIN,
        run: |lab, name| {
            one(qnet::bulk(lab, name, |lab, then| {
                nodes::veth(lab, Cores::Any, then)
            }))
        },
    },
    Bench {
        name: "qnet_bulk_pipe",
        needs: PLAIN,
        run: |lab, name| {
            one(qnet::bulk(lab, name, |lab, then| {
                nodes::pipe(lab, Cores::Any, then)
            }))
        },
    },
    Bench {
        name: "qnet_loadbalance",
        needs: PLAIN,
        run: |lab, _| one(qnet::loadbalance(lab)),
    },
    Bench {
        name: "qnet_failover",
        needs: PLAIN,
        run: |lab, _| one(qnet::failover(lab)),
    },
];

fn one(result: Outcome<Value>) -> Outcome<Vec<Value>> {
    result.map(|line| vec![line])
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("bench: there is no {name}; there are {}", known.join(" "));
        return ExitCode::FAILURE;
    }
    let chosen = BENCHES
        .iter()
        .filter(|b| names.is_empty() || names.iter().any(|n| n == b.name));
    let failed = chosen.filter(|bench| !run(bench)).count();
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one bench in a laboratory of its own and prints its lines.
fn run(bench: &Bench) -> bool {
    let outcome = match Lab::missing(bench.needs) {
        Some(why) => Err(why),
        None => Lab::new(bench.name).and_then(|lab| (bench.run)(&lab, bench.name)),
    };
    match outcome {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            true
        }
        Err(why) => {
            eprintln!("bench {}: {why}", bench.name);
            false
        }
    }
}
