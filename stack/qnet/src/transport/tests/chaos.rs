//! Nodes on links that come and go at random, under each QoS: what arrives is in order and arrives once,
//! and what does not arrive is reported.

use std::collections::HashMap;

use core::time::Duration;

use super::net::{Lcg, Net, Wire};
use super::*;

/// A conn's number tells its QoS.
fn qos_of(conn: u16) -> Qos {
    match conn % 4 {
        0 | 1 => Qos::LoadBalance,
        2 => Qos::Preferred(LinkId(1)),
        _ => Qos::Exclusive(LinkId(u8::from(conn > 4))),
    }
}

fn shake(net: &mut Net, rng: &mut Lcg) {
    let links = net.wires.len() as u64;
    let wire = &mut net.wires[rng.below(links) as usize];
    match rng.below(4) {
        0 => wire.up = !wire.up,
        1 => wire.loss = rng.below(300),
        2 => wire.jitter = Duration::from_micros(rng.below(5000)),
        _ => wire.corruption = rng.below(50),
    }
    // All links down for long would end the peer.
    if net.wires.iter().all(|wire| !wire.up) {
        net.wires[rng.below(links) as usize].up = true;
    }
}

/// Checks one direction: numbers of a conn ascend, and none is missing unless its conn or peer failed.
fn check(net: &Net, sent: &HashMap<(usize, u16), u32>, seed: u64) {
    for (&(from, conn), &count) in sent {
        let got: Vec<u32> = net
            .messages(1 - from, conn)
            .iter()
            .map(|(_, bytes)| {
                let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
                assert_eq!(*bytes, pattern(conn, number, bytes.len()));
                number
            })
            .collect();
        assert!(
            got.is_sorted_by(|a, b| a < b),
            "seed {seed}, {from} {conn}: {got:?}"
        );
        let failed = net.events[from].iter().any(|(_, event)| match event {
            Event::ConnFailed { conn: failed, .. } => failed.0 == conn,
            Event::PeerDown { .. } => true,
            _ => false,
        });
        let other_end = net.down(1 - from).is_some();
        assert!(
            failed || other_end || got.len() == count as usize,
            "seed {seed}, {from} {conn}: {} of {count}",
            got.len()
        );
    }
}

fn run(seed: u64, security: fn(usize) -> Security) {
    let mut rng = Lcg(seed * 31 + 7);
    let mut net = pair_with(security, vec![Wire::default(); 2], 1500, seed);
    let ends = net.connect(0, 1);
    net.idle(100 * MS);
    let mut sent: HashMap<(usize, u16), u32> = HashMap::new();
    for _ in 0..60 {
        for _ in 0..rng.below(6) {
            let (from, conn) = (rng.below(2) as usize, rng.below(8) as u16);
            let peer = if from == 0 { ends.0 } else { ends.1 };
            let number = sent.entry((from, conn)).or_default();
            let bytes = pattern(conn, *number, 4 + rng.below(6000) as usize);
            let taken = net.nodes[from].send(net.now, peer, Conn(conn), qos_of(conn), bytes.into());
            *number += u32::from(taken.is_ok());
        }
        if rng.chance(400) {
            shake(&mut net, &mut rng);
        }
        net.idle(Duration::from_micros(rng.below(60_000)));
    }
    net.wires = vec![Wire::default(); 2];
    net.idle(Duration::from_secs(10));
    check(&net, &sent, seed);
}

#[test]
fn nothing_is_lost_or_done_twice_without_a_word() {
    for seed in 0..30 {
        run(seed, [PLAIN, ENCRYPTED][seed as usize % 2]);
    }
}
