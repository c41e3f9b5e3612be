//! What the built filter writes.

use io_net_ddk::abi::{Advert, GSO_TCPV4, VNET_NEEDS_CSUM, VnetHdr};
use io_net_os::fifo;
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A file that is gone with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let name = format!("nfm-capture-{name}-{}", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }

    fn start(&self, more: &str) -> Kit {
        let options = format!("file={}{more}", self.0.display());
        Kit::start(built_module("nfm-capture"), &options).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn frame(text: &[u8]) -> Vec<u8> {
    ethernet(
        [2, 0, 0, 0, 0, 2],
        [2, 0, 0, 0, 0, 1],
        0x0800,
        &ipv4(17, &udp(1, 7, text)),
    )
}

fn advert(name: &str, up_type: &str, cell: u16, endpoint: u16) -> Advert {
    let mut advert = io_net_ddk::advert(name, up_type);
    (advert.cell, advert.endpoint) = (cell, endpoint);
    advert
}

/// Packet blocks as (interface, original length, captured bytes), and interface blocks as
/// (link type, name).
type Blocks = (Vec<(u32, u32, Vec<u8>)>, Vec<(u16, String)>);

fn blocks(mut bytes: &[u8]) -> Blocks {
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes[..4].try_into().unwrap());
    let (mut packets, mut interfaces) = (Vec::new(), Vec::new());
    assert_eq!(word(bytes), 0x0a0d_0d0a, "a section comes first");
    while !bytes.is_empty() {
        let len = word(&bytes[4..]) as usize;
        assert_eq!(word(&bytes[len - 4..]) as usize, len);
        match word(bytes) {
            1 => {
                let link_type = u16::from_ne_bytes([bytes[8], bytes[9]]);
                let name_len = usize::from(u16::from_ne_bytes([bytes[18], bytes[19]]));
                let name = String::from_utf8(bytes[20..20 + name_len].to_vec()).unwrap();
                interfaces.push((link_type, name));
            }
            6 => {
                let kept = word(&bytes[20..]) as usize;
                let data = bytes[28..28 + kept].to_vec();
                packets.push((word(&bytes[8..]), word(&bytes[24..]), data));
                let known = interfaces.len() as u32;
                assert!(
                    word(&bytes[8..]) < known,
                    "its interface has been described"
                );
            }
            _ => {}
        }
        bytes = &bytes[len..];
    }
    (packets, interfaces)
}

#[test]
fn packets_are_written_and_passed_on() {
    let file = Temporary::new("all");
    let mut kit = file.start("");
    kit.advertise(&advert("en0", "en", 0, 0));
    kit.advertise(&advert("en0", "ip", 1, 0));
    let up = kit.packet(&frame(b"up")).unwrap();
    kit.rx_up(0, 0, vec![up]);
    let mut down = kit.packet(&frame(b"down")[..30]).unwrap();
    down.chain(kit.packet(&frame(b"down")[30..]).unwrap());
    down.set_vlan_tci(Some(0x0064));
    kit.rx_down(0, 3, vec![down]);
    let mut ip = kit.packet(&ipv4(17, &udp(1, 2, b"ip"))).unwrap();
    ip.set_way(1, 0, 0);
    kit.rx_raw(0, true, vec![ip.into()]);
    assert_eq!(kit.take_sent().len(), 3);
    kit.run_until(|kit| {
        kit.advance(Duration::from_millis(60));
        kit.counter("captured") == 3
    });
    assert_eq!(kit.timers(), 0, "it has nothing more to do");
    kit.stop().unwrap();
    let (packets, interfaces) = blocks(&std::fs::read(&file.0).unwrap());
    let names: Vec<_> = interfaces
        .iter()
        .map(|(kind, name)| (*kind, name.as_str()))
        .collect();
    assert_eq!(names, [(1, "en0"), (1, "endpoint 3"), (101, "en0")]);
    let tagged = [
        &frame(b"down")[..12],
        &[0x81, 0, 0, 0x64],
        &frame(b"down")[12..],
    ]
    .concat();
    assert_eq!(packets[0], (0, 44, frame(b"up")));
    assert_eq!(packets[1], (1, 50, tagged));
    assert_eq!(packets[2], (2, 30, ipv4(17, &udp(1, 2, b"ip"))));
}

#[test]
fn limits_hold() {
    let file = Temporary::new("limits");
    let mut kit = file.start(",snaplen=20,count=3,direction=down");
    for number in 0..5 {
        let (up, down) = (kit.packet(&frame(b"up")), kit.packet(&frame(&[number])));
        kit.rx_up(0, 0, vec![up.unwrap()]);
        kit.rx_down(0, 0, vec![down.unwrap()]);
    }
    assert_eq!(kit.take_sent().len(), 10);
    // It is whole as soon as the limit is reached.
    let start = Instant::now();
    let packets = loop {
        let bytes = std::fs::read(&file.0).unwrap();
        if !bytes.is_empty() && blocks(&bytes).0.len() == 3 {
            break blocks(&bytes).0;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    };
    assert_eq!(packets[2], (0, 43, frame(&[2])[..20].to_vec()));
    kit.stop().unwrap();
}

#[test]
fn a_fifo_gets_whole_captures_and_holds_nothing_up() {
    let pipe = Temporary::new("fifo");
    fifo::make(&pipe.0).unwrap();
    let mut kit = pipe.start("");
    // Nobody reads: packets pass, and are counted.
    let packet = kit.packet(&frame(b"early")).unwrap();
    kit.rx_up(0, 0, vec![packet]);
    kit.run_until(|kit| {
        kit.advance(Duration::from_millis(60));
        kit.counter("dropped") == 1
    });
    for reader in 1..=2_u64 {
        let path = pipe.0.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut file = File::open(path).unwrap();
            let mut bytes = vec![0; 400];
            file.read_exact(&mut bytes[..160]).unwrap();
            ready.send(()).unwrap();
            bytes.truncate(160);
            bytes
        });
        let text = [b'a' + reader as u8];
        kit.run_until(|kit| {
            let packet = kit.packet(&frame(&text)).unwrap();
            kit.rx_up(0, 0, vec![packet]);
            kit.advance(Duration::from_millis(60));
            drop(kit.take_sent());
            is_ready.try_recv().is_ok()
        });
        let bytes = reading.join().unwrap();
        assert_eq!(bytes[..4], 0x0a0d_0d0a_u32.to_ne_bytes(), "reader {reader}");
        let interface = bytes.windows(3).any(|window| window == *b"end");
        assert!(interface, "reader {reader} is told of the interface");
        // The next reader begins anew once the writer has seen that this one has gone.
        let dropped = kit.counter("dropped");
        kit.run_until(|kit| {
            let packet = kit.packet(&frame(&text)).unwrap();
            kit.rx_up(0, 0, vec![packet]);
            kit.advance(Duration::from_millis(60));
            drop(kit.take_sent());
            kit.counter("dropped") > dropped
        });
    }
    kit.stop().unwrap();
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let pipe = Temporary::new("stuck");
    fifo::make(&pipe.0).unwrap();
    let path = pipe.0.clone();
    let opening = std::thread::spawn(move || File::open(path).unwrap());
    let mut kit = pipe.start("");
    kit.run_until(|kit| {
        let packets = (0..64)
            .filter_map(|_| kit.packet(&frame(&[9; 1400])))
            .collect();
        kit.rx_up(0, 0, packets);
        kit.advance(Duration::from_millis(60));
        drop(kit.take_sent());
        kit.counter("dropped") > 1000
    });
    let start = Instant::now();
    kit.stop().unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    drop(opening.join().unwrap());
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    for path in ["/", "/nonexistent/x"] {
        let options = format!("file={path}");
        let failure = Kit::start(built_module("nfm-capture"), &options)
            .err()
            .unwrap();
        assert!(failure.text.contains("another file="), "{failure}");
    }
}

#[test]
fn a_full_disk_is_told_once() {
    let mut kit = Kit::start(built_module("nfm-capture"), "file=/dev/full").unwrap();
    for _ in 0..3 {
        let packet = kit.packet(&frame(b"x")).unwrap();
        kit.rx_up(0, 0, vec![packet]);
        kit.advance(Duration::from_millis(60));
    }
    kit.run_until(|kit| {
        kit.advance(Duration::from_millis(60));
        kit.counter("dropped") == 3
    });
    assert_eq!(kit.logs().len(), 1);
    kit.stop().unwrap();
}

#[test]
fn tshark_finds_nothing_malformed() {
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "no tshark");
        println!("skipped: tshark is not installed");
        return;
    }
    let file = Temporary::new("tshark");
    let mut kit = file.start("");
    kit.advertise(&advert("en0", "en", 0, 0));
    kit.advertise(&advert("en0", "ip", 1, 0));
    let plain = kit.packet(&frame(b"plain")).unwrap();
    let segment = [
        &[
            0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 1, 0, 0, 0, 0,
        ][..],
        &[7; 60_000],
    ];
    let segment = ethernet([2; 6], [4; 6], 0x0800, &ipv4(6, &segment.concat()));
    let mut segment = kit.packet(&segment).unwrap();
    *segment.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    kit.rx_up(0, 0, vec![plain, segment]);
    let mut ip = kit.packet(&ipv4(17, &udp(1, 9, b"ip"))).unwrap();
    ip.set_way(1, 0, 0);
    kit.rx_raw(0, false, vec![ip.into()]);
    kit.stop().unwrap();
    let fields = [
        "frame.len",
        "frame.interface_name",
        "frame.comment",
        "frame.protocols",
    ];
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-r"]).arg(&file.0);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(!text.contains("malformed"), "{text}");
    assert!(
        lines[0].starts_with("47\ten0\t\teth:ethertype:ip:udp"),
        "{text}"
    );
    assert!(lines[1].starts_with("60054\ten0\tsuper-segment"), "{text}");
    assert!(lines[2].contains("raw:ip:udp"), "{text}");
}
