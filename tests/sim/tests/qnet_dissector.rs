//! Wireshark decodes whatever nodes without security say, none of it malformed.

use std::process::Command;
use std::time::Duration;

use io_net_qnet::transport::LinkAddr;
use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, Weather, World};

/// A world in which everything happens, and its frames.
fn capture() -> World {
    let plot = Plot {
        nodes: 3,
        lans: 2,
        weather: Weather {
            loss: 50,
            reordering: 50,
            delay: Duration::from_micros(200),
            ..Weather::default()
        },
        habits: Habits {
            length_max: 12_000,
            patience: Duration::from_millis(50),
            qos: vec!["", "~preferred:en0", "~exclusive:en1"],
            ..Habits::default()
        },
        ..Plot::default()
    };
    let mut world = World::new(plot, 7);
    world.capture = Some(Vec::new());
    world.run_for(Duration::from_millis(300));
    world.set_server(1, false);
    world.run_for(Duration::from_millis(300));
    world.set_server(1, true);
    world.crash(2);
    world.run_for(Duration::from_millis(100));
    world.start(2);
    world.run_for(Duration::from_millis(500));
    world
}

/// The frames as a file that `tshark` reads (libpcap's format, link type Ethernet).
fn pcap(world: &World) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for sent in world.capture.as_deref().unwrap_or_default() {
        let mut bytes = Vec::new();
        for addr in [sent.to, sent.from] {
            let LinkAddr::Mac(mac) = addr else {
                unreachable!("these are all Ethernets")
            };
            bytes.extend_from_slice(&mac);
        }
        bytes.extend_from_slice(&[0x82, 0x04]);
        bytes.extend_from_slice(&sent.frame);
        bytes.resize(bytes.len().max(60), 0);
        let micros = sent.at.as_nanos() / 1000;
        let len = bytes.len() as u32;
        let time = [micros / 1_000_000, micros % 1_000_000].map(|part| part as u32);
        for word in [time[0], time[1], len, len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&bytes);
    }
    out
}

#[test]
fn none_of_it_is_malformed() {
    let world = capture();
    let name = format!("io-net-sim-qnet-{}.pcap", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, pcap(&world)).expect("a temporary file");
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&file).args([
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-e",
        "_ws.malformed",
        "-e",
        "_ws.col.Info",
        "-e",
        "qnet6.kif.type",
        "-e",
        "qnet6.lr.type",
    ]);
    let output = command.output();
    std::fs::remove_file(&file).expect("it was just written");
    let output = output.expect("tshark is there (Debian: apt install tshark)");
    let text = String::from_utf8(output.stdout).expect("text");
    let frames = world.capture.as_deref().map_or(0, <[_]>::len);
    assert_eq!(text.lines().count(), frames);
    let malformed: Vec<_> = text.lines().filter(|row| !row.starts_with('|')).collect();
    assert!(malformed.is_empty(), "{malformed:?}");
    let count = |what: &str| text.matches(what).count();
    println!("{frames} frames");
    assert!(count("Who is") > 0 && count("is at") > 0);
    // What these programs have to say; the other types are in the tests of stack/qnet.
    let counts: Vec<_> = (0..18)
        .map(|kind| count(&format!("|0x{kind:04x}")))
        .collect();
    println!("KIF types: {counts:?}");
    for kind in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 17] {
        assert!(count(&format!("|0x{kind:04x}")) > 0, "no KIF type {kind}");
    }
}
