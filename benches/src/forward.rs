//! 60-byte frames between two memif ports through nfm-bridge, against testpmd's macswap.

use crate::series::{Comparison, Run};
use crate::testpmd::{self, HugePages};
use crate::waited::Waited;
use io_net_e2e::{IoNet, Lab, Namespace, Outcome, Program};
use serde_json::Value;

/// `forward`: packets a second.
///
/// # Errors
/// A run fails.
pub(crate) fn rate(lab: &Lab) -> Outcome<Value> {
    let _pages = HugePages::reserve(lab)?;
    let comparison = Comparison {
        bench: "forward",
        peer: "testpmd macswap",
        unit: "packets/s",
    };
    comparison.alternate(
        || ours(lab, |_| Ok(())).map(|(run, ())| run),
        || theirs(lab).map(|(run, _)| run),
    )
}

/// `forward_cycles`: processor cycles a packet in bursts that held any.
///
/// # Errors
/// A run fails.
pub(crate) fn cycles(lab: &Lab) -> Outcome<Value> {
    let _pages = HugePages::reserve(lab)?;
    let comparison = Comparison {
        bench: "forward_cycles",
        peer: "testpmd macswap",
        unit: "cycles/packet",
    };
    comparison.alternate(
        || ours(lab, busy_cycles).map(|(run, value)| Run { value, ..run }),
        || theirs(lab).map(|(run, value)| Run { value, ..run }),
    )
}

/// One run of io-net; `look` sees it under load.
fn ours<T>(lab: &Lab, look: impl FnOnce(&IoNet<'_>) -> Outcome<T>) -> Outcome<(Run, T)> {
    let net: Namespace = lab.namespace()?;
    remove_sockets(lab);
    let port = |n| {
        let socket = testpmd::socket(lab.dir(), n);
        format!("-d memif socket={},role=server,id={n}", socket.display())
    };
    let line = format!(
        "--poll --cpu 0 {} {} -f bridge above=en0:en1",
        port(0),
        port(1)
    );
    let ion = lab.io_net(&net, &line)?;
    let mut generator = testpmd::generate(lab)?;
    let run = measure(&mut generator, ion.program().pid())?;
    Ok((run, look(&ion)?))
}

/// One run of testpmd, and the cycles a packet that it counted.
fn theirs(lab: &Lab) -> Outcome<(Run, f64)> {
    remove_sockets(lab);
    let forwarder = testpmd::forward(lab)?;
    let mut generator = testpmd::generate(lab)?;
    let run = measure(&mut generator, forwarder.pid())?;
    // While the generator still runs: the ports' counters go with its connection.
    Ok((run, testpmd::cycles_a_packet(forwarder)?))
}

fn measure(generator: &mut Program, forwarder: u32) -> Outcome<Run> {
    let waited = Waited::watch(&[generator.pid(), forwarder]);
    let value = testpmd::rate(generator)?;
    Ok(Run {
        value,
        waited: waited.share(),
    })
}

fn remove_sockets(lab: &Lab) {
    for n in 0..2 {
        let _ = std::fs::remove_file(testpmd::socket(lab.dir(), n));
    }
}

/// Cycles that the worker spent in turns with work, a packet that the bridge took, over a second.
fn busy_cycles(ion: &IoNet<'_>) -> Outcome<f64> {
    let before = Totals::read(&ion.stats()?)?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let after = Totals::read(&ion.stats()?)?;
    match after.packets - before.packets {
        0 => Err("io-net forwarded nothing".into()),
        packets => Ok((after.cycles - before.cycles) as f64 / packets as f64),
    }
}

/// io-net's own counts.
struct Totals {
    cycles: u64,
    packets: u64,
}

impl Totals {
    fn read(stats: &Value) -> Outcome<Self> {
        let count = |of: &str, name: &str| {
            let value = stats["counters"][of][name].as_u64();
            value.ok_or_else(|| format!("io-net does not count {name} of {of}"))
        };
        Ok(Self {
            cycles: count("io-net", "worker0_busy_cycles")?,
            packets: count("bridge", "packets_in")?,
        })
    }
}
