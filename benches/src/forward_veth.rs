//! 60-byte frames between two veth pairs through nfm-bridge, against testpmd's macswap by DPDK's
//! driver for the same kernel interface.

use crate::series::{Comparison, Run};
use crate::testpmd::{self, HugePages};
use crate::waited::Waited;
use io_net_e2e::{Lab, Namespace, Outcome, Program};
use serde_json::Value;

/// How both forwarders are on the kernel's interfaces.
pub(crate) struct Access {
    bench: &'static str,
    peer: &'static str,
    /// DPDK's driver.
    vdev: &'static str,
    /// Our driver, and its options beside the interface.
    driver: &'static str,
    options: &'static str,
}

/// `forward_xdp`: AF_XDP, everything steered, in copy mode as veth has no other.
pub(crate) const XDP: Access = Access {
    bench: "forward_xdp",
    peer: "testpmd macswap over net_af_xdp",
    vdev: "net_af_xdp",
    driver: "xdp",
    options: "all,promiscuous",
};

/// `forward_packet`: AF_PACKET, past the queueing discipline, which is DPDK's default.
pub(crate) const PACKET: Access = Access {
    bench: "forward_packet",
    peer: "testpmd macswap over net_af_packet",
    vdev: "net_af_packet",
    driver: "packet",
    options: "promiscuous,bypass",
};

/// The generator's driver, the same for both.
const GENERATOR: &str = "net_af_packet";

/// Packets a second that come back.
///
/// # Errors
/// A run fails.
pub(crate) fn rate(lab: &Lab, access: &Access) -> Outcome<Value> {
    let _pages = HugePages::reserve(lab)?;
    let comparison = Comparison {
        bench: access.bench,
        peer: access.peer,
        unit: "packets/s",
    };
    comparison.alternate(|| ours(lab, access), || theirs(lab, access))
}

fn ours(lab: &Lab, access: &Access) -> Outcome<Run> {
    let (here, far) = pairs(lab)?;
    let port = |n| format!("-d {} if=f{n},{}", access.driver, access.options);
    let line = format!(
        "--poll --cpu 0 {} {} -f bridge above=en0:en1",
        port(0),
        port(1)
    );
    let ion = lab.io_net(&here, &line)?;
    measure(lab, &far, ion.program().pid())
}

fn theirs(lab: &Lab, access: &Access) -> Outcome<Run> {
    let (here, far) = pairs(lab)?;
    let mut command = testpmd::over(lab, &here, &vdevs(access.vdev, 'f'), "0@0,1@0", "forwarder");
    let mut forwarder = lab.start(command.arg("--forward-mode=macswap"))?;
    testpmd::wait_up(&mut forwarder)?;
    measure(lab, &far, forwarder.pid())
}

fn measure(lab: &Lab, far: &Namespace, forwarder: u32) -> Outcome<Run> {
    let mut command = testpmd::over(lab, far, &vdevs(GENERATOR, 'g'), "2@1,3@1", "generator");
    let mut generator: Program = lab.start(command.arg("--forward-mode=flowgen"))?;
    let waited = Waited::watch(&[generator.pid(), forwarder]);
    let value = testpmd::rate(&mut generator)?;
    Ok(Run {
        value,
        waited: waited.share(),
    })
}

/// `here` with f0 and f1 for the forwarder, `far` with g0 and g1 at their other ends.
fn pairs(lab: &Lab) -> Outcome<(Namespace, Namespace)> {
    let (here, far) = (lab.namespace()?, lab.namespace()?);
    for n in 0..2 {
        let peer = format!("peer name g{n} netns {}", far.pid());
        here.ip(&format!("link add f{n} type veth {peer}"))?;
        for (net, name) in [(&here, 'f'), (&far, 'g')] {
            // The kernel has nothing to say of its own accord.
            net.ip(&format!("link set {name}{n} addrgenmode none"))?;
            net.ip(&format!("link set {name}{n} up"))?;
        }
    }
    Ok((here, far))
}

fn vdevs(driver: &str, end: char) -> Vec<String> {
    let vdev = |n| format!("{driver}{n},iface={end}{n}");
    (0..2).map(vdev).collect()
}
