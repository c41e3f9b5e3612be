//! The built driver over files: against what io-net expects of every module, and what it replays and
//! records.

use io_net_ddk::abi::{DEVCTL_LINK_STATE, NPKT_BCAST, NPKT_UP, VnetHdr};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module, conformance};
use std::path::PathBuf;
use std::time::Duration;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 7];
const DELAY: Duration = Duration::from_millis(100);

/// A file of the test's own, which goes with it.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("io-net-pcap-{}-{name}", std::process::id());
        File(std::env::temp_dir().join(name))
    }

    /// A capture of `frames`, each with its time in microseconds, of link type `link`.
    fn capture(name: &str, link: u32, frames: &[(u64, Vec<u8>)]) -> Self {
        let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
        bytes.extend(link.to_le_bytes());
        for (us, frame) in frames {
            let len = frame.len() as u32;
            let numbers = [(us / 1_000_000) as u32, (us % 1_000_000) as u32, len, len];
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            bytes.extend(frame);
        }
        let file = Self::new(name);
        std::fs::write(&file.0, bytes).unwrap();
        file
    }

    fn option(&self, name: &str) -> String {
        format!("{name}={}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn frame(n: u8, len: usize) -> Vec<u8> {
    ethernet(OURS, [2; 6], 0x88b5, &vec![n; len])
}

fn start(options: &str) -> Kit {
    Kit::start(built_module("devn-pcap"), options).unwrap()
}

/// The first payload byte of each frame that has come up.
fn came(kit: &mut Kit) -> Vec<u8> {
    let sent = kit.take_sent();
    sent.iter().map(|sent| sent.packet.data()[14]).collect()
}

/// Runs until `n` frames have come up.
fn come(kit: &mut Kit, n: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    kit.run_until(|kit| {
        kit.turn();
        let sent = kit.take_sent().into_iter();
        got.extend(sent.map(|sent| sent.packet.data().to_vec()));
        got.len() >= n
    });
    assert_eq!(got.len(), n);
    got
}

fn ended(kit: &mut Kit) -> bool {
    kit.logs()
        .iter()
        .any(|(_, text)| text.contains("the replay has ended"))
}

#[test]
fn it_conforms() {
    let frames: Vec<_> = (0..20).map(|n| (n * 1000, frame(n as u8, 60))).collect();
    let read = File::capture("conform", 1, &frames);
    let write = File::new("conform-out");
    let options = format!("{},{}", read.option("read"), write.option("write"));
    conformance::run(built_module("devn-pcap"), &options);
}

#[test]
fn frames_come_as_they_were_recorded() {
    let frames = [
        (5_000_000, 1),
        (5_000_000, 2),
        (5_000_700, 3),
        (7_000_700, 4),
        (100, 5),
    ];
    let frames: Vec<_> = frames.map(|(us, n)| (us, frame(n, 60))).to_vec();
    let file = File::capture("recorded", 1, &frames);
    let mut kit = start(&file.option("read"));
    kit.turn();
    assert_eq!(
        came(&mut kit),
        [0; 0],
        "those who take frames are to be there first"
    );
    kit.advance(DELAY);
    kit.run_until(|kit| kit.counter("rx_packets") == 2);
    assert_eq!(came(&mut kit), [1, 2]);
    kit.advance(Duration::from_micros(699));
    assert_eq!(came(&mut kit), [0; 0]);
    kit.advance(Duration::from_micros(1));
    assert_eq!(came(&mut kit), [3]);
    kit.advance(Duration::from_millis(1999));
    assert_eq!(came(&mut kit), [0; 0]);
    // The clock had been set back before the last.
    kit.advance(Duration::from_millis(1));
    kit.run_until(ended);
    assert_eq!(came(&mut kit), [4, 5]);
    assert_eq!(
        kit.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(),
        1u32.to_ne_bytes()
    );
    assert_eq!(kit.timers(), 0);
    kit.stop().unwrap();
}

#[test]
fn at_a_rate_and_again() {
    let frames: Vec<_> = (0..3).map(|n| (0, frame(n, 60))).collect();
    let file = File::capture("rate", 1, &frames);
    let mut kit = start(&format!("{},pps=1000,repeat=2", file.option("read")));
    kit.advance(DELAY);
    kit.run_until(|kit| kit.counter("rx_packets") == 1);
    for n in 1..6 {
        assert_eq!(came(&mut kit), [(n - 1) % 3]);
        kit.advance(Duration::from_millis(1));
        kit.run_until(|kit| kit.counter("rx_packets") == u64::from(n) + 1);
    }
    kit.run_until(ended);
    assert_eq!(came(&mut kit), [2]);
    kit.stop().unwrap();
}

#[test]
fn at_full_speed_nothing_is_lost() {
    let frames: Vec<_> = (0..5000_u64)
        .map(|n| (n * 1_000_000, frame(n as u8, 60 + n as usize % 1400)))
        .collect();
    let file = File::capture("full", 1, &frames);
    let mut kit = start(&format!("{},speed=full,repeat=3", file.option("read")));
    kit.advance(DELAY);
    let got = come(&mut kit, 15_000);
    let expected = frames.iter().map(|(_, frame)| frame);
    assert!(
        got.iter()
            .eq(expected.clone().chain(expected.clone()).chain(expected))
    );
    kit.run_until(ended);
    kit.stop().unwrap();
    // And for ever, it ends when it is told to.
    let mut kit = start(&format!("{},speed=full,repeat=0", file.option("read")));
    kit.advance(DELAY);
    kit.run_until(|kit| {
        drop(kit.take_sent());
        kit.counter("rx_packets") > 20_000
    });
    kit.stop().unwrap();
}

#[test]
fn what_is_recorded_can_be_replayed() {
    let file = File::new("again");
    let mut kit = start(&format!("{},mtu=1500", file.option("write")));
    let segment = udp(7, 9, &[3; 4000]);
    let long = ethernet([0xff; 6], OURS, 0x0800, &ipv4(17, &segment));
    let mut run = kit.packet(&long).unwrap();
    *run.vnet_mut() = VnetHdr {
        flags: 1,
        gso_type: 5,
        hdr_len: 42,
        gso_size: 1000,
        csum_start: 34,
        csum_offset: 6,
    };
    let mut tagged = kit.packet(&frame(2, 60)[..30]).unwrap();
    tagged.chain(kit.packet(&frame(2, 60)[30..]).unwrap());
    tagged.set_vlan_tci(Some(9));
    let too_long = kit.packet(&frame(3, 1505)).unwrap();
    let plain = kit.packet(&frame(1, 60)).unwrap();
    kit.rx_down(0, 0, vec![plain, run, tagged, too_long]);
    assert_eq!(
        (kit.counter("tx_packets"), kit.counter("tx_too_long")),
        (6, 1)
    );
    kit.advance(Duration::from_secs(1));
    assert_eq!(kit.timers(), 0);
    kit.stop().unwrap();
    let mut kit = start(&file.option("read"));
    kit.advance(DELAY);
    let got = come(&mut kit, 6);
    assert_eq!(got[0], frame(1, 60));
    for piece in &got[1..5] {
        assert_eq!((piece.len(), &piece[42..]), (1042, &[3; 1000][..]));
    }
    assert_eq!(
        got[5],
        [&frame(2, 60)[..12], &[0x81, 0, 0, 9], &frame(2, 60)[12..]].concat()
    );
    kit.stop().unwrap();
}

#[test]
fn what_cannot_be_replayed_is_counted_or_refused() {
    let odd = [frame(1, 60), vec![2; 13], frame(3, 70_000), frame(4, 60)];
    let odd: Vec<_> = odd.into_iter().map(|frame| (0, frame)).collect();
    let file = File::capture("odd", 1, &odd);
    // The last record is cut off.
    let bytes = std::fs::read(&file.0).unwrap();
    std::fs::write(&file.0, &bytes[..bytes.len() - 1]).unwrap();
    let mut kit = start(&file.option("read"));
    kit.advance(DELAY);
    kit.run_until(|kit| {
        kit.logs()
            .iter()
            .any(|(_, text)| text.contains("breaks off"))
    });
    assert_eq!(came(&mut kit), [1]);
    assert_eq!(
        (kit.counter("rx_errors"), kit.counter("rx_no_buffer")),
        (1, 1)
    );
    let packet = kit.packet(&frame(1, 60)).unwrap();
    kit.rx_down(0, 0, vec![packet]);
    assert_eq!(kit.counter("tx_unrecorded"), 1);
    kit.stop().unwrap();
    let raw = File::capture("raw", 101, &[(0, vec![0x45; 60])]);
    let mut kit = start(&raw.option("read"));
    kit.advance(DELAY);
    kit.run_until(ended);
    assert_eq!(kit.counter("rx_other_link"), 1);
    kit.stop().unwrap();
    let refused = |options: &str| {
        let kit = Kit::start(built_module("devn-pcap"), options);
        kit.err().unwrap().text
    };
    assert!(refused("read=/no/such/file").contains("No such file"));
    assert!(refused("read=/dev/null").contains("no plain file"));
    assert!(refused("write=/no/such/dir/x").contains("cannot write"));
    std::fs::write(&file.0, "not a capture at all").unwrap();
    assert!(refused(&file.option("read")).contains("neither pcap nor pcapng"));
}

#[test]
fn frames_for_all_are_marked() {
    let all = ethernet([0xff; 6], [2; 6], 0x88b5, &[1; 60]);
    let file = File::capture("all", 1, &[(0, all)]);
    let mut kit = start(&format!("{},mac=02:00:00:00:00:07", file.option("read")));
    kit.advance(DELAY);
    let mut flags = None;
    kit.run_until(|kit| {
        kit.turn();
        flags = kit.take_sent().first().map(|sent| sent.packet.flags());
        flags.is_some()
    });
    assert_eq!(flags.map(|flags| flags & 0xf), Some(NPKT_UP | NPKT_BCAST));
    kit.stop().unwrap();
}
