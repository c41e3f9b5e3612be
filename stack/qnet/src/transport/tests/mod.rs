//! Two or more transports in virtual time, over links that lose, repeat, reorder, corrupt and fail.

mod chaos;
mod dissector;
mod net;
mod session;

use core::time::Duration;

use net::{Lcg, MS, Net, Wire, config};

use super::*;
use crate::secure::{KnownNodes, Protection, SecretKey, Security};

fn noise(node: usize, protection: Protection) -> Security {
    Security::Noise {
        key: SecretKey([node as u8 + 1; 32]),
        protection,
        known: KnownNodes::default(),
    }
}

const PLAIN: fn(usize) -> Security = |_| Security::None;
const ENCRYPTED: fn(usize) -> Security = |node| noise(node, Protection::Encrypted);
const AUTHENTICATED: fn(usize) -> Security = |node| noise(node, Protection::Authenticated);

fn pair_with(security: fn(usize) -> Security, wires: Vec<Wire>, mtu: usize, seed: u64) -> Net {
    let configs = (0..2).map(|node| config(node, 0, security(node))).collect();
    Net::new(configs, wires, mtu, seed)
}

/// The bytes of message `number` of a conn: its number, and a pattern.
fn pattern(conn: u16, number: u32, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len)
        .map(|at| (at as u32 * 7 + number + u32::from(conn)) as u8)
        .collect();
    let head = number.to_le_bytes();
    let own = head.len().min(len);
    bytes[..own].copy_from_slice(&head[..own]);
    bytes
}

/// Sends messages of many sizes both ways on several conns, and checks that each arrives once, whole and
/// in order.
fn exchange(net: &mut Net, ends: (PeerId, PeerId), messages: u32, longest: u64) {
    let mut sent = Vec::new();
    for number in 0..messages {
        for conn in [0, 1, 77] {
            let mut len = || 4 + net.rng.below(longest) as usize;
            let (there, back) = (pattern(conn, number, len()), pattern(conn, number, len()));
            net.send(0, ends.0, conn, Qos::LoadBalance, there.clone());
            net.send(1, ends.1, conn, Qos::LoadBalance, back.clone());
            sent.push((conn, there, back));
        }
        let pause = Duration::from_micros(net.rng.below(3000));
        net.idle(pause);
    }
    let all = sent.len();
    let done = net.run(Duration::from_secs(600), |net| {
        net.count(0) >= all && net.count(1) >= all || net.down(0).is_some()
    });
    assert!(
        done,
        "{} and {} of {all} arrived",
        net.count(0),
        net.count(1)
    );
    net.idle(Duration::from_secs(1));
    for conn in [0, 1, 77] {
        let wanted = sent.iter().filter(|(on, ..)| *on == conn);
        let (there, back): (Vec<_>, Vec<_>) = wanted
            .map(|(_, there, back)| (&there[..], &back[..]))
            .unzip();
        let got = |node| net.messages(node, conn).into_iter().map(|(_, bytes)| bytes);
        assert!(got(1).eq(there), "conn {conn} there");
        assert!(got(0).eq(back), "conn {conn} back");
    }
}

#[test]
fn messages_arrive_under_each_protection() {
    for security in [PLAIN, ENCRYPTED, AUTHENTICATED] {
        for mtu in [1500, 65_536] {
            let mut net = pair_with(security, vec![Wire::default(); 2], mtu, 5);
            let ends = net.connect(0, 1);
            exchange(&mut net, ends, 10, 100_000);
            assert_eq!(net.down(0), None);
        }
    }
}

#[test]
fn each_arrives_once_and_in_order_whatever_the_links_do() {
    for seed in 0..18 {
        let mut rng = Lcg(seed * 77 + 1);
        let mut wire = || Wire {
            delay: Duration::from_micros(20 + rng.below(2000)),
            jitter: Duration::from_micros(rng.below(3000)),
            loss: rng.below(150),
            duplication: rng.below(100),
            corruption: rng.below(50),
            ..Wire::default()
        };
        let wires = vec![wire(), wire()];
        let security = [PLAIN, ENCRYPTED, AUTHENTICATED][seed as usize % 3];
        let mut net = pair_with(security, wires, 1500, seed);
        let ends = net.connect(0, 1);
        exchange(&mut net, ends, 15, 20_000);
        assert_eq!(net.down(0), None, "seed {seed}");
    }
}

#[test]
fn a_small_round_trip_is_two_frames() {
    let mut net = Net::pair(1);
    let (a, b) = net.connect(0, 1);
    net.idle(20 * MS);
    let frames = |net: &Net| net.nodes[0].stats().tx_frames + net.nodes[1].stats().tx_frames;
    let before = frames(&net);
    let trips = 1000;
    for trip in 1..=trips {
        net.send(0, a, 3, Qos::LoadBalance, vec![1; 64]);
        assert!(net.run(10 * MS, |net| net.count(1) == trip));
        net.send(1, b, 3, Qos::LoadBalance, vec![2; 64]);
        assert!(net.run(10 * MS, |net| net.count(0) == trip));
    }
    let sent = frames(&net) - before;
    assert!(sent >= 2000, "{sent}");
    assert!(
        sent <= 2000 + 1000 / 8,
        "{sent} frames for {trips} round trips"
    );
}

#[test]
fn a_megabyte_takes_no_more_frames_than_it_must() {
    let mut net = Net::pair(1);
    let (a, _) = net.connect(0, 1);
    net.idle(20 * MS);
    let before = net.nodes[0].stats().tx_frames;
    net.send(0, a, 0, Qos::LoadBalance, pattern(0, 0, 1 << 20));
    assert!(net.run(Duration::from_secs(1), |net| net.count(1) == 1));
    let least = (1 << 20) / (1500 - FRAME_OVERHEAD_BYTES) as u64 + 1;
    let sent = net.nodes[0].stats().tx_frames - before;
    assert!(sent <= least + least / 50, "{sent} frames, {least} needed");
    assert!(net.nodes[1].stats().tx_acks < least / 8);
}

#[test]
fn a_dead_link_is_left_within_200_ms_and_taken_up_again() {
    for security in [PLAIN, ENCRYPTED] {
        let mut net = pair_with(security, vec![Wire::default(); 2], 1500, 9);
        let (a, _) = net.connect(0, 1);
        net.idle(Duration::from_secs(1));
        let mut number = 0;
        let mut longest = Duration::ZERO;
        for round in 0..6 {
            let dead = round % 3;
            for (link, wire) in net.wires.iter_mut().enumerate() {
                wire.up = dead != link + 1;
            }
            for _ in 0..100 {
                let at = net.now;
                net.send(0, a, 0, Qos::LoadBalance, pattern(0, number, 100));
                number += 1;
                let arrived = net.run(Duration::from_secs(3), |net| {
                    net.count(1) == number as usize
                });
                assert!(arrived);
                longest = longest.max(net.now.since(at));
                net.idle(10 * MS);
            }
        }
        assert!(longest < 200 * MS, "{longest:?}");
        let got: Vec<_> = net.messages(1, 0).iter().map(|(_, m)| m.to_vec()).collect();
        assert!(
            got.iter()
                .enumerate()
                .all(|(at, m)| *m == pattern(0, at as u32, 100))
        );
        assert_eq!(net.down(0), None);
    }
}

#[test]
fn bulk_under_way_survives_a_dead_link() {
    let mut net = Net::pair(2);
    let (a, _) = net.connect(0, 1);
    net.idle(Duration::from_secs(1));
    for wire in &mut net.wires {
        wire.rate = 10_000_000;
    }
    for number in 0..5 {
        net.send(0, a, 0, Qos::LoadBalance, pattern(0, number, 1 << 20));
    }
    net.idle(50 * MS);
    net.wires[0].up = false;
    assert!(net.run(Duration::from_secs(5), |net| net.count(1) == 5));
    let got = net.messages(1, 0);
    assert!((0..5).all(|at| got[at].1 == pattern(0, at as u32, 1 << 20)));
}

#[test]
fn two_links_carry_almost_twice_as_much() {
    let time_with = |links: usize| {
        let mut net = Net::pair(links);
        for wire in &mut net.wires {
            wire.rate = 12_500_000;
            wire.delay = Duration::from_micros(200);
        }
        let (a, _) = net.connect(0, 1);
        net.idle(Duration::from_secs(1));
        let start = net.now;
        for number in 0..20 {
            net.send(0, a, 0, Qos::LoadBalance, pattern(0, number, 1 << 20));
        }
        assert!(net.run(Duration::from_secs(20), |net| net.count(1) == 20));
        net.now.since(start)
    };
    let (one, two) = (time_with(1), time_with(2));
    let ideal = Duration::from_secs_f64((20 << 20) as f64 / 12_500_000.0);
    assert!(one < ideal.mul_f64(1.15), "{one:?}, ideally {ideal:?}");
    assert!(two.mul_f64(1.9) < one, "{two:?} with two, {one:?} with one");
}

#[test]
fn a_preferred_link_is_used_while_it_works() {
    let mut net = Net::pair(2);
    let (a, _) = net.connect(0, 1);
    net.idle(Duration::from_secs(1));
    let preferred = Qos::Preferred(LinkId(1));
    let mut number = 0;
    let mut burst = |net: &mut Net| {
        let before = net.sent_on;
        for _ in 0..50 {
            net.send(0, a, 0, preferred, pattern(0, number, 100));
            number += 1;
            assert!(net.run(Duration::from_secs(1), |net| net.count(1)
                == number as usize));
        }
        [net.sent_on[0] - before[0], net.sent_on[1] - before[1]]
    };
    let [other, own] = burst(&mut net);
    assert!(own >= 50 && other < 10, "{other} {own}");
    net.wires[1].up = false;
    let [other, _] = burst(&mut net);
    assert!(other >= 50);
    net.wires[1].up = true;
    net.idle(Duration::from_secs(2));
    let [other, own] = burst(&mut net);
    assert!(own >= 50 && other < 10, "{other} {own}");
}

#[test]
fn an_exclusive_link_fails_alone_and_recovers() {
    let mut net = Net::pair(2);
    let (a, _) = net.connect(0, 1);
    net.idle(Duration::from_secs(1));
    let exclusive = Qos::Exclusive(LinkId(1));
    net.send(0, a, 1, exclusive, pattern(1, 0, 5000));
    net.send(0, a, 2, Qos::LoadBalance, pattern(2, 0, 5000));
    net.idle(100 * MS);
    assert_eq!(net.count(1), 2);
    net.wires[1].up = false;
    for number in 1..4 {
        net.send(0, a, 1, exclusive, pattern(1, number, 5000));
        net.send(0, a, 2, Qos::LoadBalance, pattern(2, number, 5000));
    }
    let failed = Event::ConnFailed {
        peer: a,
        conn: Conn(1),
    };
    let told = |net: &Net| net.events[0].iter().any(|(_, event)| *event == failed);
    assert!(net.run(Duration::from_secs(1), told));
    let refused = net.nodes[0].send(net.now, a, Conn(1), exclusive, vec![1].into());
    assert_eq!(refused, Err(SendError::LinkDown));
    assert_eq!(net.messages(1, 1).len(), 1);
    assert_eq!(net.messages(1, 2).len(), 4);
    net.wires[1].up = true;
    net.events[0].clear();
    let path_up = Event::PathUp {
        peer: a,
        link: LinkId(1),
    };
    let up = |net: &Net| net.events[0].iter().any(|(_, event)| *event == path_up);
    assert!(net.run(Duration::from_secs(2), up));
    net.send(0, a, 1, exclusive, pattern(1, 9, 5000));
    assert!(net.run(Duration::from_secs(1), |net| net.messages(1, 1).len() == 2));
    assert_eq!(net.messages(1, 1)[1].1, pattern(1, 9, 5000));
}

#[test]
fn small_messages_overtake_large_ones_of_other_conns() {
    let mut net = Net::pair(1);
    net.wires[0].rate = 12_500_000;
    let (a, _) = net.connect(0, 1);
    net.send(0, a, 0, Qos::LoadBalance, pattern(0, 0, 8 << 20));
    net.idle(20 * MS);
    net.send(0, a, 1, Qos::LoadBalance, pattern(1, 0, 64));
    let start = net.now;
    assert!(net.run(Duration::from_secs(5), |net| net.messages(1, 1).len() == 1));
    assert!(
        net.now.since(start) < 100 * MS,
        "{:?}",
        net.now.since(start)
    );
    assert_eq!(net.messages(1, 0).len(), 0);
}

#[test]
fn a_settled_message_is_not_read_again() {
    struct Flagged(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Source for Flagged {
        fn len(&self) -> usize {
            100
        }
        fn read(&self, _offset: usize, out: &mut [u8]) {
            assert!(!self.0.load(std::sync::atomic::Ordering::Relaxed));
            out.fill(5);
        }
    }
    let mut net = Net::pair(1);
    let (a, _) = net.connect(0, 1);
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let message = Message::with_source(vec![1, 2], std::sync::Arc::new(Flagged(gone.clone())));
    let id = net.nodes[0].send(net.now, a, Conn(0), Qos::LoadBalance, message);
    assert!(net.run(MS, |net| net.count(1) == 1));
    net.nodes[0].settle(net.now, id.unwrap());
    gone.store(true, std::sync::atomic::Ordering::Relaxed);
    net.wires[0].up = false;
    net.idle(100 * MS);
    assert_eq!(std::sync::Arc::strong_count(&gone), 1);
}

#[test]
fn limits_of_what_may_be_sent_hold() {
    let mut net = Net::pair(1);
    let (a, _) = net.connect(0, 1);
    let now = net.now;
    let mut send = |conn, len: usize| {
        let message = Message::from(vec![0; len]);
        net.nodes[0].send(now, a, Conn(conn), Qos::LoadBalance, message)
    };
    assert_eq!(send(4096, 1).unwrap_err(), SendError::BadConn);
    assert_eq!(send(0, 0).unwrap_err(), SendError::BadLength);
    assert_eq!(send(0, (64 << 20) + 1).unwrap_err(), SendError::BadLength);
    for _ in 0..4 {
        assert!(send(0, 64 << 20).is_ok());
    }
    assert_eq!(send(0, 1).unwrap_err(), SendError::Full);
}
