//! nfm-bridge between two interfaces.

use io_net_e2e::{Need, lab};
use std::time::Duration;

#[test]
fn hosts_on_both_ports_and_io_net_itself_reach_each_other() {
    let needs = [Need::Stage, Need::Program("ping"), Need::Program("iperf3")];
    lab(&needs, |lab| {
        let (here, there) = (lab.namespace()?, lab.namespace()?);
        let ion = lab.io_net(
            &here,
            "-d tap name=tap0,addr=10.9.0.1/24 -d tap name=tap1 \
             -f bridge above=en0:en1 -p tcpip addr=10.9.0.2/24",
        )?;
        here.ip(&format!("link set tap1 netns {}", there.pid()))?;
        there.ip("addr add 10.9.0.3/24 dev tap1")?;
        there.ip("link set tap1 up")?;
        for (net, peer) in [
            (&here, "10.9.0.3"),
            (&there, "10.9.0.1"),
            (&here, "10.9.0.2"),
        ] {
            let said = net.run(&format!("ping -c 5 -i 0.01 -W 5 {peer}"))?;
            assert!(said.contains("5 received"), "{peer}: {said}");
        }
        let mut server = there.command("iperf3");
        let mut server = lab.start(server.args(["-s", "-1", "--forceflush"]))?;
        server.wait_printed("listening", Duration::from_secs(20))?;
        let said = here.run("iperf3 -c 10.9.0.3 -t 1")?;
        assert!(said.contains("receiver"), "{said}");
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_veth_behind_a_kernel_bridge_is_one_more_segment() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let (here, there) = (lab.namespace()?, lab.namespace()?);
        let ion = lab.io_net(&here, "-d tap name=tap0 -p tcpip addr=10.9.0.2/24")?;
        here.ip("link add br0 type bridge")?;
        here.ip(&format!(
            "link add veth0 type veth peer name veth0 netns {}",
            there.pid()
        ))?;
        for link in ["br0", "veth0", "tap0"] {
            here.ip(&format!("link set {link} up"))?;
        }
        here.ip("link set veth0 master br0")?;
        here.ip("link set tap0 master br0")?;
        there.ip("addr add 10.9.0.3/24 dev veth0")?;
        there.ip("link set veth0 up")?;
        let said = there.run("ping -c 5 -i 0.01 -W 10 10.9.0.2")?;
        assert!(said.contains("5 received"), "{said}");
        ion.stop().map(|_| ())
    });
}
