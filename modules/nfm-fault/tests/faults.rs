//! What becomes of numbered packets.

use io_net_ddk::abi::{DEVCTL_JSON, GSO_TCPV4, NPKT_MSG, VNET_NEEDS_CSUM, VnetHdr};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module};
use std::time::Duration;

fn start(options: &str) -> Kit {
    Kit::start(built_module("nfm-fault"), options).unwrap()
}

/// A frame of `len` bytes that holds `number`.
fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut payload = vec![0; len - 42];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    ethernet([2; 6], [4; 6], 0x0800, &ipv4(17, &udp(1, 2, &payload)))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[42..46].try_into().unwrap())
}

fn send(kit: &mut Kit, up: bool, numbers: std::ops::Range<u32>) {
    let packets = numbers
        .map(|n| kit.packet(&frame(n, 100)).unwrap())
        .collect();
    match up {
        true => kit.rx_up(0, 0, packets),
        false => kit.rx_down(0, 0, packets),
    }
}

/// The packets that have left, in order.
fn left(kit: &mut Kit) -> Vec<Vec<u8>> {
    let sent = kit.take_sent();
    sent.iter()
        .map(|sent| sent.packet.data().to_vec())
        .collect()
}

fn left_numbers(kit: &mut Kit) -> Vec<u32> {
    left(kit).iter().map(|bytes| number(bytes)).collect()
}

/// 2000 packets through a new filter: the numbers that came out.
fn through(options: &str, up: bool) -> Vec<u32> {
    let mut kit = start(options);
    let mut out = Vec::new();
    for first in (0..2000).step_by(100) {
        send(&mut kit, up, first..first + 100);
        out.extend(left_numbers(&mut kit));
    }
    kit.advance(Duration::from_secs(1));
    out.extend(left_numbers(&mut kit));
    kit.stop().unwrap();
    out
}

#[test]
fn a_clear_line_passes_everything_as_it_comes() {
    assert_eq!(through("", true), Vec::from_iter(0..2000));
    assert_eq!(
        through("direction=up,loss=100%", false),
        Vec::from_iter(0..2000)
    );
    assert!(through("direction=up,loss=100%", true).is_empty());
}

#[test]
fn the_same_seed_repeats_and_directions_differ() {
    for options in [
        "loss=10%",
        "burst-loss=2%:30%",
        "duplicate=10%",
        "reorder=10%",
        "loss=3%,duplicate=3%,reorder=3%",
    ] {
        let options = format!("{options},seed=77");
        let first = through(&options, true);
        assert_ne!(first, Vec::from_iter(0..2000), "{options}");
        assert_eq!(first, through(&options, true), "{options}");
        assert_ne!(first, through(&options, false), "{options}");
        assert_ne!(
            first,
            through(&options.replace("77", "78"), true),
            "{options}"
        );
    }
}

#[test]
fn one_question_does_not_change_the_answer_to_another() {
    let lost = |options: &str| {
        let out = through(options, true);
        (0..2000).filter(|n| !out.contains(n)).collect::<Vec<_>>()
    };
    assert_eq!(
        lost("loss=5%"),
        lost("loss=5%,duplicate=20%,reorder=20%,corrupt=0%")
    );
}

#[test]
fn shares_are_counted() {
    let mut kit = start("loss=10%,duplicate=10%,limit=1000000");
    send(&mut kit, true, 0..2000);
    let out = left_numbers(&mut kit).len() as u64;
    let (lost, doubled) = (kit.counter("up_lost"), kit.counter("up_duplicated"));
    assert!((140..260).contains(&lost) && (120..240).contains(&doubled));
    assert_eq!(out, 2000 - lost + doubled);
    assert_eq!(kit.counter("up_passed"), out);
    kit.stop().unwrap();
}

#[test]
fn so_many_overtake() {
    let out = through("reorder=1%,gap=5", true);
    let mut sorted = out.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, Vec::from_iter(0..2000), "nothing is lost");
    let late: Vec<usize> = (1..out.len()).filter(|&at| out[at] < out[at - 1]).collect();
    assert!((5..60).contains(&late.len()), "{late:?}");
    for at in late {
        let overtaken_by = out[..at].iter().filter(|&&other| other > out[at]).count();
        assert_eq!(overtaken_by, 5);
    }
}

#[test]
fn one_bit_of_a_packet_is_wrong() {
    let mut kit = start("corrupt=100%");
    send(&mut kit, true, 0..200);
    for (n, bytes) in left(&mut kit).iter().enumerate() {
        let wanted = frame(n as u32, 100);
        let wrong: u32 = bytes
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (a ^ b).count_ones())
            .sum();
        assert_eq!(wrong, 1);
    }
    assert_eq!(kit.counter("up_corrupted"), 200);
    kit.stop().unwrap();
}

#[test]
fn an_error_is_not_made_good_by_a_checksum_to_come() {
    let mut kit = start("corrupt=100%");
    let mut packet = kit.packet(&frame(1, 100)).unwrap();
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..VnetHdr::default()
    };
    kit.rx_down(0, 0, vec![packet]);
    let sent = kit.take_sent();
    assert_eq!(*sent[0].packet.vnet(), VnetHdr::default());
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn a_rate_is_kept_to_the_bit() {
    // 100 bytes at 8 Mbit/s: 100 us each.
    let mut kit = start("direction=up,rate=8M");
    send(&mut kit, true, 0..50);
    for passed in 1..=50 {
        kit.advance(Duration::from_micros(99));
        assert!(left(&mut kit).is_empty());
        kit.advance(Duration::from_micros(1));
        assert_eq!(left_numbers(&mut kit), [passed - 1]);
    }
    assert_eq!(kit.timers(), 0);
    kit.stop().unwrap();
}

#[test]
fn a_burst_passes_at_once() {
    let mut kit = start("rate=8M,burst=1k");
    send(&mut kit, true, 0..12);
    assert_eq!(left_numbers(&mut kit), Vec::from_iter(0..10));
    kit.advance(Duration::from_micros(200));
    assert_eq!(left_numbers(&mut kit), [10, 11]);
    kit.stop().unwrap();
}

#[test]
fn delay_and_jitter_keep_the_order() {
    let mut kit = start("delay=10ms,jitter=5ms");
    for first in (0..500).step_by(10) {
        send(&mut kit, true, first..first + 10);
        kit.advance(Duration::from_micros(300));
    }
    let early = left_numbers(&mut kit);
    kit.advance(Duration::from_millis(15));
    let out = [early, left_numbers(&mut kit)].concat();
    assert_eq!(out, Vec::from_iter(0..500));
    kit.stop().unwrap();
}

#[test]
fn so_many_wait_and_no_more() {
    let mut kit = start("delay=1ms,limit=10");
    send(&mut kit, true, 0..25);
    assert_eq!(kit.counter("up_queue_full"), 15);
    let shown = kit.devctl(0, DEVCTL_JSON, br#"{"cmd":"show"}"#).unwrap();
    assert!(String::from_utf8(shown).unwrap().contains("\"waiting\":10"));
    kit.advance(Duration::from_millis(1));
    assert_eq!(left_numbers(&mut kit), Vec::from_iter(0..10));
    kit.stop().unwrap();
}

#[test]
fn what_waits_goes_on_when_the_filter_leaves() {
    let mut kit = start("delay=1s,reorder=100%");
    send(&mut kit, true, 0..20);
    send(&mut kit, false, 20..40);
    assert!(left(&mut kit).is_empty());
    kit.quiesce();
    let mut out = left_numbers(&mut kit);
    out.sort_unstable();
    assert_eq!(out, Vec::from_iter(0..40));
    kit.stop().unwrap();
}

#[test]
fn options_change_while_packets_pass() {
    let mut kit = start("");
    send(&mut kit, true, 0..10);
    let set = br#"{"cmd":"set","direction":"up","options":"loss=100%"}"#;
    kit.devctl(0, DEVCTL_JSON, set).unwrap();
    send(&mut kit, true, 10..20);
    send(&mut kit, false, 20..30);
    kit.devctl(0, DEVCTL_JSON, br#"{"cmd":"set","options":"delay=5ms"}"#)
        .unwrap();
    send(&mut kit, true, 30..40);
    kit.devctl(0, DEVCTL_JSON, br#"{"cmd":"set","options":""}"#)
        .unwrap();
    send(&mut kit, true, 40..50);
    kit.advance(Duration::from_millis(5));
    let wanted: Vec<u32> = (0..10).chain(20..50).collect();
    assert_eq!(
        left_numbers(&mut kit),
        wanted,
        "those of after wait for those of before"
    );
    for bad in [
        &br#"{"cmd":"set","options":"loss=1"}"#[..],
        br#"{"cmd":"set","options":"lost=1%"}"#,
        br#"{"cmd":"set","direction":"x","options":""}"#,
        br#"{"cmd":"set"}"#,
        br#"[]"#,
        b"\xff",
    ] {
        assert!(kit.devctl(0, DEVCTL_JSON, bad).is_err());
    }
    kit.stop().unwrap();
}

#[test]
fn a_super_packet_is_the_packets_that_it_stands_for() {
    let tcp: Vec<u8> = [&[0_u8; 12][..], &[0x50, 0x10, 0, 0, 0, 0, 0, 0], &[7; 1000]].concat();
    let bytes = ethernet([2; 6], [4; 6], 0x0800, &ipv4(6, &tcp));
    let vnet = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 100,
        csum_start: 34,
        csum_offset: 16,
    };
    for (options, pieces) in [("delay=1ms", 1), ("loss=0.000001%", 10)] {
        let mut kit = start(options);
        let mut packet = kit.packet(&bytes).unwrap();
        *packet.vnet_mut() = vnet;
        kit.rx_up(0, 0, vec![packet]);
        kit.advance(Duration::from_millis(1));
        let sent = kit.take_sent();
        assert_eq!(sent.len(), pieces, "{options}");
        drop(sent);
        let mut broken = kit.packet(&bytes[..50]).unwrap();
        *broken.vnet_mut() = vnet;
        kit.rx_up(0, 0, vec![broken]);
        assert_eq!(kit.counter("up_malformed"), u64::from(pieces > 1));
        kit.stop().unwrap();
    }
}

#[test]
fn messages_are_not_lost_but_stay_in_order() {
    let mut kit = start("loss=100%,delay=1ms");
    let mut message = kit.packet(&[0; 60]).unwrap();
    message.set_flags(NPKT_MSG, 0);
    kit.rx_down(0, 0, vec![message]);
    kit.advance(Duration::from_millis(1));
    assert_eq!(left(&mut kit).len(), 1);
    kit.stop().unwrap();
}
