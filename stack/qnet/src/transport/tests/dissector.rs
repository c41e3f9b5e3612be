//! What Wireshark's own dissector makes of our frames: `tshark` must be installed.

use core::time::Duration;
use std::process::Command;

use super::net::{MS, Net, Wire};
use super::*;

/// A message of the kernel interface that the dissector knows: MsgReply with `len` bytes.
fn msg_reply(len: usize) -> Vec<u8> {
    let mut bytes = vec![9, 0, 20, 0];
    for number in [0, 5, 0, len as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.resize(20 + len, 0x5a);
    bytes
}

/// A capture of all that can happen between two nodes.
fn capture(security: fn(usize) -> Security) -> Net {
    let mut net = pair_with(security, vec![Wire::default(); 2], 1500, 4);
    net.capturing = true;
    let (a, b) = net.connect(0, 1);
    net.idle(50 * MS);
    for len in [0, 64, 1000, 100_000] {
        net.send(0, a, 3, Qos::LoadBalance, msg_reply(len));
        net.send(1, b, 4, Qos::Preferred(LinkId(1)), msg_reply(len));
        net.send(0, a, 5, Qos::Exclusive(LinkId(0)), msg_reply(len));
        net.idle(20 * MS);
    }
    // Gaps, alarms, messages given up.
    net.wires[0].loss = 200;
    net.send(0, a, 3, Qos::LoadBalance, msg_reply(100_000));
    net.idle(200 * MS);
    net.wires[0].up = false;
    net.send(0, a, 5, Qos::Exclusive(LinkId(0)), msg_reply(3000));
    net.idle(Duration::from_secs(1));
    net.wires[0] = Wire::default();
    net.idle(Duration::from_secs(1));
    net.nodes[0].close(net.now, a);
    net.idle(10 * MS);
    // A frame of a session that is gone.
    let late = net
        .capture
        .iter()
        .rfind(|(_, from, _, frame)| *from == 0 && frame[3] == 8);
    let mut late = late.unwrap().3.clone();
    net.nodes[1].handle_frame(net.now, LinkId(0), net::addr(0, 0), &mut late);
    net.idle(10 * MS);
    net
}

/// The captured frames as a file that `tshark` reads (libpcap's format, link type Ethernet).
fn pcap(net: &Net) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (link, from, to, frame) in &net.capture {
        let mut bytes = vec![2, 0, 0, 0, *link, *to as u8, 2, 0, 0, 0, *link, *from as u8];
        bytes.extend_from_slice(&[0x82, 0x04]);
        bytes.extend_from_slice(frame);
        bytes.resize(bytes.len().max(60), 0);
        for word in [0, 0, bytes.len() as u32, bytes.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&bytes);
    }
    out
}

fn dissect(net: &Net, label: &str) -> String {
    let file =
        std::env::temp_dir().join(format!("io-net-lwl4-{label}-{}.pcap", std::process::id()));
    std::fs::write(&file, pcap(net)).unwrap();
    let output = Command::new("tshark")
        .arg("-V")
        .arg("-r")
        .arg(&file)
        .output();
    std::fs::remove_file(&file).unwrap();
    let output = output.expect("tshark is there (Debian: apt install tshark)");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn wireshark_decodes_every_frame() {
    let net = capture(PLAIN);
    let text = dissect(&net, "plain");
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("\nFrame ") + 1, net.capture.len());
    assert_eq!(count("Malformed"), 0, "{text}");
    assert_eq!(count("[incorrect"), 0);
    for kind in [
        "LWL4 TX establishing connection",
        "LWL4 RX node UP",
        "LWL4 TX node UP",
        "LWL4 RX tears connection down",
        "LWL4 Data packet",
        "LWL4 Ack packet",
        "LWL4 Nack packet",
        "LWL4 user data packet",
    ] {
        assert!(count(kind) > 0, "no {kind}");
    }
    assert!(count("[Src_name: node0]") > 0 && count("[Dst_domain: test]") > 0);
    assert!(count("Nbytes: 1000") > 0, "no MsgReply");
    for qos in ["Load balance", "Exclusive", "Preferred link"] {
        assert!(count(qos) > 0, "no {qos}");
    }
    assert!(
        net.capture
            .iter()
            .any(|(.., frame)| frame[3] == lwl4::TYPE_TCS_REM_DOWN)
    );
}

#[test]
fn wireshark_decodes_the_header_of_sealed_frames() {
    for (label, security) in [("encrypted", ENCRYPTED), ("authenticated", AUTHENTICATED)] {
        let net = capture(security);
        let text = dissect(&net, label);
        assert_eq!(text.matches("Malformed").count(), 0, "{text}");
        assert_eq!(text.matches("\nFrame ").count() + 1, net.capture.len());
        let readable = text.matches("Nbytes: 1000").count() > 0;
        assert_eq!(readable, label == "authenticated");
    }
}
