//! How peers come, go and come again, and whom they trust.

use core::time::Duration;

use super::net::{Lcg, MS, Net, Wire, addr, config, name};
use super::*;
use crate::secure::{KnownNodes, Protection, SecretKey, Security, TrustPolicy};

#[test]
fn both_may_begin_at_once() {
    for seed in 0..20 {
        for security in [PLAIN, ENCRYPTED] {
            let wire = Wire {
                delay: Duration::from_micros(seed * 40),
                loss: seed * 10,
                ..Wire::default()
            };
            let mut net = pair_with(security, vec![wire; 2], 1500, seed);
            let (a, b) = (net.open(0, 1), net.open(1, 0));
            net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
            net.send(1, b, 0, Qos::LoadBalance, vec![2; 10]);
            let done = net.run(Duration::from_secs(5), |net| {
                net.count(0) == 1 && net.count(1) == 1
            });
            assert!(done, "seed {seed}");
            assert_eq!((net.up(0), net.up(1)), (Some(a), Some(b)));
            assert_eq!((net.down(0), net.down(1)), (None, None));
        }
    }
}

#[test]
fn a_node_that_is_not_there_is_reported() {
    let mut net = Net::pair(1);
    net.wires[0].up = false;
    let peer = net.open(0, 1);
    net.idle(Duration::from_secs(3));
    assert_eq!(net.down(0), Some((peer, DownReason::Unreachable)));
    assert_eq!(net.nodes[0].poll_timeout(), None);
}

#[test]
fn a_partition_ends_the_peer_at_both_ends() {
    for security in [PLAIN, ENCRYPTED] {
        let mut net = pair_with(security, vec![Wire::default(); 2], 1500, 3);
        let (a, b) = net.connect(0, 1);
        net.idle(Duration::from_secs(10));
        assert_eq!((net.down(0), net.down(1)), (None, None));
        for wire in &mut net.wires {
            wire.up = false;
        }
        net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
        net.idle(Duration::from_secs(5));
        assert_eq!(net.down(0), Some((a, DownReason::Unreachable)));
        assert_eq!(net.down(1), Some((b, DownReason::Unreachable)));
        let refused = net.nodes[0].send(net.now, a, Conn(0), Qos::LoadBalance, vec![1].into());
        assert_eq!(refused, Err(SendError::NoPeer));
        // And when it heals, they meet again.
        for wire in &mut net.wires {
            wire.up = true;
        }
        let again = net.open(0, 1);
        assert_ne!(again, a);
        net.send(0, again, 0, Qos::LoadBalance, vec![3; 10]);
        assert!(net.run(Duration::from_secs(2), |net| net.count(1) == 1));
    }
}

#[test]
fn a_restarted_node_is_another_peer() {
    for security in [PLAIN, ENCRYPTED] {
        let mut net = pair_with(security, vec![Wire::default()], 1500, 3);
        let (a, _) = net.connect(0, 1);
        net.idle(100 * MS);
        net.nodes[1] = Transport::new(net.now, config(1, 7, security(1)));
        net.add_links(1, 1500);
        // Noticed by what this node says to it.
        net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
        assert!(net.run(500 * MS, |net| net.down(0).is_some()));
        assert_eq!(net.down(0), Some((a, DownReason::Restarted)));
        assert_eq!(net.count(1), 0);
        let second = net.connect(0, 1).0;
        // Noticed by what it says to this node.
        net.nodes[1] = Transport::new(net.now, config(1, 8, security(1)));
        net.add_links(1, 1500);
        let third = net.open(1, 0);
        net.send(1, third, 0, Qos::LoadBalance, vec![2; 10]);
        assert!(net.run(500 * MS, |net| net.count(0) == 1));
        assert_eq!(net.down(0), Some((second, DownReason::Restarted)));
        assert_eq!(net.down(1), None);
    }
}

#[test]
fn a_peer_without_links_goes_down() {
    let mut net = Net::pair(2);
    let (a, _) = net.connect(0, 1);
    net.idle(Duration::from_secs(1));
    net.nodes[0].remove_link(net.now, LinkId(0));
    net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
    assert!(net.run(100 * MS, |net| net.count(1) == 1));
    net.nodes[0].remove_link(net.now, LinkId(1));
    net.idle(Duration::from_secs(5));
    assert_eq!(net.down(0), Some((a, DownReason::Unreachable)));
}

#[test]
fn goodbye_is_understood() {
    for security in [PLAIN, ENCRYPTED] {
        let mut net = pair_with(security, vec![Wire::default()], 1500, 3);
        let (a, b) = net.connect(0, 1);
        net.nodes[0].close(net.now, a);
        net.idle(10 * MS);
        assert_eq!(net.down(0), Some((a, DownReason::Closed)));
        assert_eq!(net.down(1), Some((b, DownReason::ClosedByPeer)));
    }
}

#[test]
fn a_changed_key_is_refused_at_either_end() {
    for from in [0, 1] {
        let mut net = pair_with(ENCRYPTED, vec![Wire::default()], 1500, 3);
        net.connect(0, 1);
        let key = SecretKey([2; 32]).public();
        let pinned = Event::Pinned { node: name(1), key };
        assert!(net.events[0].iter().any(|(_, event)| *event == pinned));
        // Node 1 is set up anew.
        net.nodes[1] = Transport::new(net.now, config(1, 7, noise(5, Protection::Encrypted)));
        net.add_links(1, 1500);
        net.idle(Duration::from_secs(10));
        let peer = net.open(from, 1 - from);
        net.idle(Duration::from_secs(3));
        assert_eq!(net.down(from), Some((peer, DownReason::Refused)));
        let refused = Event::Refused {
            node: name(1),
            from: addr(0, 1),
            reason: RefusedReason::KeyChanged,
        };
        assert!(net.events[0].iter().any(|(_, event)| *event == refused));
        assert!(net.nodes[0].stats().drop_untrusted > 0);
    }
}

#[test]
fn strangers_stay_out_of_a_list() {
    let listed = |node| match noise(node, Protection::Authenticated) {
        Security::Noise {
            key, protection, ..
        } => Security::Noise {
            key,
            protection,
            known: KnownNodes {
                policy: TrustPolicy::AllowList,
                keys: [(name(1), SecretKey([2; 32]).public())].into(),
            },
        },
        none => none,
    };
    let configs = vec![
        config(0, 0, listed(0)),
        config(1, 0, ENCRYPTED(1)),
        config(2, 0, ENCRYPTED(2)),
        config(3, 0, Security::None),
    ];
    let mut net = Net::new(configs, vec![Wire::default()], 1500, 1);
    net.connect(1, 0);
    let stranger = net.open(2, 0);
    let plain = net.open(3, 0);
    net.idle(Duration::from_secs(3));
    assert_eq!(net.down(2), Some((stranger, DownReason::Refused)));
    assert_eq!(net.down(3), Some((plain, DownReason::Unreachable)));
    let reasons: Vec<_> = net.events[0]
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Refused { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    assert!(reasons.contains(&RefusedReason::NotAllowed));
    assert!(reasons.contains(&RefusedReason::SecurityMismatch));
}

/// Frames that node 0 sends to node 1 while they connect and exchange a message.
fn recorded(security: fn(usize) -> Security) -> (Net, PeerId, Vec<Vec<u8>>) {
    let mut net = pair_with(security, vec![Wire::default()], 1500, 3);
    net.capturing = true;
    let (a, _) = net.connect(0, 1);
    net.send(0, a, 0, Qos::LoadBalance, pattern(0, 0, 3000));
    assert!(net.run(100 * MS, |net| net.count(1) == 1));
    net.idle(20 * MS);
    net.capturing = false;
    let frames = net.capture.iter().filter(|(_, from, ..)| *from == 0);
    let frames = frames.map(|(.., bytes)| bytes.clone()).collect();
    (net, a, frames)
}

#[test]
fn replayed_frames_do_nothing() {
    for security in [PLAIN, ENCRYPTED, AUTHENTICATED] {
        let (mut net, a, frames) = recorded(security);
        for _ in 0..3 {
            for frame in &frames {
                let mut frame = frame.clone();
                net.nodes[1].handle_frame(net.now, LinkId(0), addr(0, 0), &mut frame);
            }
            net.idle(5 * MS);
        }
        net.idle(Duration::from_secs(5));
        assert_eq!((net.count(1), net.down(0), net.down(1)), (1, None, None));
        net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
        assert!(net.run(100 * MS, |net| net.count(1) == 2));
    }
}

#[test]
fn forged_frames_change_nothing_under_security() {
    for security in [ENCRYPTED, AUTHENTICATED] {
        let (mut net, a, frames) = recorded(security);
        let mut rng = Lcg(99);
        for round in 0..10_000 {
            let mut frame = frames[rng.below(frames.len() as u64) as usize].clone();
            // Always a change that counts, mostly in the header.
            for _ in 0..1 + rng.below(3) {
                let limit = if round % 3 == 0 { frame.len() } else { 60 };
                let at = 2 + rng.below(limit.min(frame.len()) as u64 - 2) as usize;
                frame[at] ^= 1 + rng.below(255) as u8;
            }
            let to = rng.below(2) as usize;
            net.nodes[to].handle_frame(net.now, LinkId(0), addr(0, 1 - to), &mut frame);
            if round % 500 == 0 {
                net.idle(5 * MS);
            }
        }
        net.idle(Duration::from_secs(3));
        assert_eq!((net.count(0), net.count(1)), (0, 1));
        assert_eq!((net.down(0), net.down(1)), (None, None));
        net.send(0, a, 0, Qos::LoadBalance, vec![1; 10]);
        assert!(net.run(Duration::from_secs(1), |net| net.count(1) == 2));
    }
}

#[test]
fn no_bytes_make_it_panic_or_grow() {
    for security in [PLAIN, ENCRYPTED] {
        let (mut net, _, frames) = recorded(security);
        let mut rng = Lcg(5);
        for round in 0..20_000 {
            let mut frame = match round % 3 {
                0 => (0..rng.below(200)).map(|_| rng.next() as u8).collect(),
                _ => frames[rng.below(frames.len() as u64) as usize].clone(),
            };
            for _ in 0..rng.below(6) {
                let at = rng.below(frame.len().max(1) as u64) as usize;
                if let Some(byte) = frame.get_mut(at) {
                    *byte = rng.next() as u8;
                }
            }
            if frame.len() > FRAME_OVERHEAD_BYTES {
                // So that the checksum stops nothing, and the length rarely does.
                frame[2] = 0x2a;
                let length = (frame.len() - FRAME_OVERHEAD_BYTES) as u32;
                if rng.chance(900) {
                    frame[30..34].copy_from_slice(&length.to_le_bytes());
                }
                if Header::parse(&frame).is_ok() {
                    frame[4] |= lwl4::FLAG_CRC;
                    lwl4::write_crc(&mut frame);
                }
            }
            let to = rng.below(2) as usize;
            net.nodes[to].handle_frame(net.now, LinkId(0), addr(0, 1 - to), &mut frame);
            if round % 100 == 0 {
                net.idle(Duration::from_millis(rng.below(50)));
                net.events.iter_mut().for_each(Vec::clear);
            }
        }
        net.idle(Duration::from_secs(20));
        // It still works: with a node that it has never met.
        for node in 0..2 {
            assert!(net.nodes[node].origins.is_empty());
        }
        net.events.iter_mut().for_each(Vec::clear);
        let peer = net.open(0, 1);
        net.send(0, peer, 0, Qos::LoadBalance, vec![1; 10]);
        assert!(net.run(Duration::from_secs(5), |net| net.count(1) > 0));
    }
}

#[test]
fn a_flood_of_handshakes_is_bounded_and_lets_honest_ones_through() {
    for security in [PLAIN, ENCRYPTED] {
        let configs = (0..2)
            .map(|node| Config {
                half_open_max: 16,
                handshakes_per_s: 100_000,
                ..config(node, 0, security(node))
            })
            .collect();
        let mut net = Net::new(configs, vec![Wire::default()], 1500, 3);
        net.capturing = true;
        net.open(0, 1);
        net.run(MS, |net| !net.capture.is_empty());
        let init = net.capture[0].3.clone();
        let mut rng = Lcg(8);
        let mut flood = |net: &mut Net| {
            for _ in 0..200 {
                let mut frame = init.clone();
                frame[10..14].copy_from_slice(&(rng.next() as u32).to_le_bytes());
                frame[FRAME_OVERHEAD_BYTES + 12] = b'a' + rng.below(26) as u8;
                lwl4::write_crc(&mut frame);
                let from = LinkAddr::Mac([2, 9, 9, 9, 9, 9]);
                net.nodes[1].handle_frame(net.now, LinkId(0), from, &mut frame);
                assert!(net.nodes[1].origins.len() <= 16);
            }
        };
        flood(&mut net);
        net.nodes[0] = Transport::new(net.now, config(0, 9, security(0)));
        net.add_links(0, 1500);
        net.events[0].clear();
        let peer = net.open(0, 1);
        net.send(0, peer, 0, Qos::LoadBalance, vec![1; 10]);
        for _ in 0..20 {
            flood(&mut net);
            net.idle(10 * MS);
        }
        assert!(net.run(Duration::from_secs(1), |net| net.count(1) == 1));
        assert!(net.nodes[1].stats().drop_cookie > 0);
    }
}

#[test]
fn datagrams_pass_by_all_sessions() {
    let mut net = Net::pair(2);
    net.nodes[0].send_datagram(LinkId(1), addr(1, 1), lwl4::LAYER_LAN_RESOLVER, b"who is");
    net.idle(MS);
    let wanted = Event::Datagram {
        link: LinkId(1),
        from: addr(1, 0),
        layer: lwl4::LAYER_LAN_RESOLVER,
        big_endian: false,
        bytes: b"who is".to_vec(),
    };
    assert_eq!(net.events[1].last().map(|(_, event)| event), Some(&wanted));
    net.nodes[0].send_datagram(LinkId(1), addr(1, 1), 2, &[0; 1500]);
    assert_eq!(net.nodes[0].stats().drop_datagram_tx, 1);
}

#[test]
fn a_header_may_be_big_endian() {
    let configs = (0..2).map(|node| Config {
        crc: false,
        ..config(node, 0, Security::None)
    });
    let mut net = Net::new(configs.collect(), vec![Wire::default()], 1500, 1);
    let (a, _) = net.connect(0, 1);
    net.idle(20 * MS);
    net.capturing = true;
    net.wires[0].up = false;
    net.send(0, a, 3, Qos::LoadBalance, pattern(3, 0, 500));
    net.run(MS, |net| !net.capture.is_empty());
    let mut frame = net.capture[0].3.clone();
    frame[2] = 0xaa;
    for (at, len) in [
        (6, 2),
        (8, 2),
        (10, 4),
        (14, 4),
        (18, 4),
        (22, 2),
        (24, 2),
        (26, 4),
        (30, 4),
    ] {
        frame[at..at + len].reverse();
    }
    net.nodes[1].handle_frame(net.now, LinkId(0), addr(0, 0), &mut frame);
    net.wires[0].up = true;
    net.idle(Duration::from_secs(1));
    assert_eq!(net.messages(1, 3).len(), 1);
    assert_eq!(net.messages(1, 3)[0].1, pattern(3, 0, 500));
    assert_eq!(net.down(0), None);
}
