//! VLANs: Open vSwitch against ncm-vlan and nfm-bridge, and ncm-vlan against itself.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, Ovs, holds_within, lab};
use std::time::Duration;

const NEEDS: &[Need] = &[
    Need::Stage,
    Need::Program("ping"),
    Need::Program("ovs-vswitchd"),
];
const HTTP: &[Need] = &[Need::Stage, Need::Program("python3"), Need::Program("curl")];

fn pings(net: &Namespace, address: &str) -> Outcome {
    for size in [56, 1400] {
        let said = net.run(&format!("ping -c 3 -i 0.2 -W 10 -s {size} {address}"))?;
        if !said.contains(" 0% packet loss") {
            return Err(said);
        }
    }
    Ok(())
}

/// Adds a port of the switch's own, in one VLAN, with an address.
fn access_port(ovs: &Ovs<'_>, net: &Namespace, vlan: u16, address: &str) -> Outcome {
    ovs.set(&format!(
        "add-port br0 p{vlan} tag={vlan} -- set interface p{vlan} type=internal"
    ))?;
    net.ip(&format!("addr add {address} dev p{vlan}"))?;
    net.ip(&format!("link set p{vlan} up"))?;
    Ok(())
}

/// Serves a file on one io-net and fetches it on the other.
fn fetch(lab: &Lab, from: &IoNet<'_>, to: &IoNet<'_>, url: &str) -> Outcome {
    let bytes: Vec<u8> = (0..6_000_000_u32).map(|n| (n ^ n >> 9) as u8).collect();
    std::fs::create_dir_all(lab.dir().join("site")).map_err(|e| e.to_string())?;
    lab.file("site/data", &bytes)?;
    let site = lab.dir().join("site").display().to_string();
    let serve = format!("python3 -u -m http.server 8000 --directory {site}");
    let mut server = from.start_on(&serve)?;
    server.wait_printed("Serving", Duration::from_secs(20))?;
    let got = lab.dir().join("got");
    to.run(&format!(
        "curl -sS --max-time 60 -o {} {url}",
        got.display()
    ))?;
    match std::fs::read(&got).map_err(|e| e.to_string())? == bytes {
        true => Ok(()),
        false => Err("other bytes came than were sent".into()),
    }
}

#[test]
fn open_vswitchs_vlans_and_ncm_vlans_are_the_same() {
    lab(NEEDS, |lab| {
        let net = lab.namespace()?;
        let line = "-d tap name=tap0 -n vlan vlan=en0:10,vlan=en0:20 -p tcpip \
                    addr=en0:10.8.0.2/24,addr=en0.10:10.9.0.2/24,addr=en0.20:10.10.0.2/24";
        let ion = lab.io_net(&net, line)?;
        net.ip("link set tap0 up")?;
        let ovs = Ovs::start(lab, &net)?;
        ovs.set("add-port br0 tap0 trunks=0,10,20")?;
        net.ip("addr add 10.8.0.1/24 dev br0")?;
        net.ip("link set br0 up")?;
        access_port(&ovs, &net, 10, "10.9.0.1/24")?;
        access_port(&ovs, &net, 20, "10.10.0.1/24")?;
        for address in ["10.8.0.2", "10.9.0.2", "10.10.0.2"] {
            pings(&net, address)?;
        }
        drop(ovs);
        ion.stop().map(|_| ())
    });
}

/// Asks by ARP in VLAN 30 who 10.11.0.1 is; prints the tag of the answer.
const ASK: &str = r#"
import socket, struct, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("cust", 0))
link.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
link.settimeout(0.5)
mac, asks = bytes.fromhex("020000000030"), socket.inet_aton("10.11.0.2")
arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac, asks, bytes(6), socket.inet_aton("10.11.0.1"))
frame = b"\xff" * 6 + mac + struct.pack("!HHH", 0x8100, 30, 0x806) + arp
end = time.time() + 20
while time.time() < end:
    link.send(frame)
    try:
        got, control, _, _ = link.recvmsg(2048, 256)
    except TimeoutError:
        continue
    tags = [struct.unpack("=IIIHHHH", data[:20])[5] for _, _, data in control]
    if got[12:14] == b"\x08\x06" and got[20:22] == b"\0\x02" and got[28:32] == socket.inet_aton("10.11.0.1"):
        print("answer in VLAN", tags[0] & 0xfff)
        break
"#;

#[test]
fn two_tags_pass_a_provider_of_open_vswitchs() {
    let needs = [NEEDS, &[Need::Program("python3")]].concat();
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let line = "-d tap name=tap0 -n vlan vlan=en0:100.30 -p tcpip addr=en0.100.30:10.11.0.1/24";
        let ion = lab.io_net(&net, line)?;
        net.ip("link set tap0 up")?;
        let ovs = Ovs::start(lab, &net)?;
        ovs.set("add-port br0 tap0 trunks=100")?;
        // What comes from the customer's port gets a tag 100 before its own.
        ovs.set(
            "add-port br0 cust tag=100 vlan_mode=dot1q-tunnel other_config:qinq-ethtype=802.1ad \
             -- set interface cust type=internal",
        )?;
        net.ip("link set cust up")?;
        let ask = lab.file("ask.py", ASK)?;
        let said = net.run(&format!("python3 {}", ask.display()))?;
        assert_eq!(said.trim(), "answer in VLAN 30");
        drop(ovs);
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_transfer_over_a_vlan_uses_the_offloads_below() {
    lab(HTTP, |lab| {
        let net = lab.namespace()?;
        let line = |tap: u8| {
            format!("-d tap name=tap{tap} -n vlan vlan=en0:10 -p tcpip addr=en0.10:10.9.0.{tap}/24")
        };
        let (one, two) = (lab.io_net(&net, &line(1))?, lab.io_net(&net, &line(2))?);
        net.ip("link add br0 type bridge")?;
        for link in ["br0", "tap1", "tap2"] {
            net.ip(&format!("link set {link} up"))?;
        }
        net.ip("link set tap1 master br0")?;
        net.ip("link set tap2 master br0")?;
        fetch(lab, &one, &two, "http://10.9.0.1:8000/data")?;
        let stats = two.stats()?;
        let counters = &stats["counters"]["en0.10"];
        let count = |name: &str| counters[name].as_u64().unwrap_or(0);
        let mean = count("rx_bytes") / count("rx_packets").max(1);
        assert!(mean > 1600, "segments of {mean} bytes: {counters}");
        two.stop()?;
        one.stop().map(|_| ())
    });
}

#[test]
fn the_bridge_carries_a_vlan_from_an_access_port_to_a_trunk() {
    lab(NEEDS, |lab| {
        let (net, there) = (lab.namespace()?, lab.namespace()?);
        let line = "-d tap name=tap0 -d tap name=tap1 -f bridge \
                    above=en0:en1,access=en0:10,trunk=en1:10+20,loop_guard=30";
        let ion = lab.io_net(&net, line)?;
        net.ip(&format!("link set tap1 netns {}", there.pid()))?;
        net.ip("addr add 10.9.0.1/24 dev tap0")?;
        net.ip("link set tap0 up")?;
        there.ip("link set tap1 up")?;
        // An interface answers for its own addresses only, or VLAN 10's would answer for 20's.
        there.run("sysctl -qw net.ipv4.conf.all.arp_ignore=1")?;
        let ovs = Ovs::start(lab, &there)?;
        ovs.set("add-port br0 tap1 trunks=10,20")?;
        access_port(&ovs, &there, 10, "10.9.0.2/24")?;
        access_port(&ovs, &there, 20, "10.9.0.3/24")?;
        pings(&net, "10.9.0.2")?;
        let other = net.run("ping -c 2 -i 0.2 -W 1 10.9.0.3");
        assert!(other.is_err(), "VLAN 20 leads to 10: {other:?}");
        drop(ovs);
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_loop_is_cut() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let line = "-d tap name=tap0 -d tap name=tap1 -f bridge above=en0:en1,loop_guard=60";
        let ion = lab.io_net(&net, line)?;
        // The kernel's bridge joins the two TAPs: what goes out of one comes back by the other.
        net.ip("link add br0 type bridge")?;
        for tap in ["tap0", "tap1"] {
            net.ip(&format!("link set {tap} master br0"))?;
            net.ip(&format!("link set {tap} up"))?;
        }
        net.ip("link set br0 up")?;
        holds_within(Duration::from_secs(30), "the loop to be found", || {
            let stats = ion.stats().unwrap_or_default();
            stats["counters"]["bridge"]["loops"].as_u64() > Some(0)
        })?;
        ion.stop().map(|_| ())
    });
}
