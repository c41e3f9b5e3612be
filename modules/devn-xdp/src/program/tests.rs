//! The program in the kernel, tried on frames of each kind. Needs root.

use super::*;
use io_net_ddk::Options;
use io_net_os::bpf::{Program, SocketMap};
use io_net_os::xdp::XdpSocket;
use io_net_testkit::frames::{ethernet, ipv4, udp};
use std::net::Ipv6Addr;

const TO_KERNEL: u32 = PASS as u32;
/// `XDP_REDIRECT`.
const TO_US: u32 = 4;

/// A program in the kernel, with a socket for queue 0.
struct Steered {
    program: Program,
    _socket: XdpSocket,
    _map: SocketMap,
}

fn steered(options: &str) -> Steered {
    let steering = Steering::parse(Options::new(options)).unwrap();
    let map = SocketMap::new(1).unwrap();
    let socket = XdpSocket::open().unwrap();
    drop(socket.rings(8).unwrap());
    map.insert(0, &socket).unwrap();
    let code = assemble(&steering, map.number()).unwrap();
    Steered {
        program: Program::load(&code, false).unwrap_or_else(|refused| panic!("{refused}")),
        _socket: socket,
        _map: map,
    }
}

impl Steered {
    #[track_caller]
    fn check(&self, frame: &[u8], expected: u32) {
        let got = self.program.try_on(frame).unwrap();
        assert_eq!(got, expected, "{frame:02x?}");
    }
}

/// Runs `body` where the tests may load programs.
fn as_root(name: &str, body: impl FnOnce()) {
    io_net_testkit::namespace::run_as_root("devn-xdp", &format!("program::tests::{name}"), body);
}

fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], kind, payload)
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x0800, &ipv4(protocol, payload))
}

fn tagged(kinds: &[u16], frame: &[u8]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for kind in kinds {
        tagged.extend(kind.to_be_bytes());
        tagged.extend([0x20, 7]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

const OURS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const THEIRS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The group that [`OURS`] is asked for at (RFC 4291, 2.7.1).
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);

fn v6(to: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(THEIRS.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    frame(0x86dd, &packet)
}

/// An extension header of `words` eights of bytes.
fn extension(next: u8, words: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(words) * 8];
    (header[0], header[1]) = (next, words - 1);
    header
}

fn arp(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2];
    packet.extend(from);
    packet.extend([0; 6]);
    packet.extend(to);
    frame(0x0806, &packet)
}

#[test]
fn types_are_seen_behind_tags() {
    as_root("types_are_seen_behind_tags", || {
        let steered = steered("ethertype=0x88b5,ethertype=0x8204");
        let ours = frame(0x88b5, &[0; 46]);
        steered.check(&ours, TO_US);
        steered.check(&frame(0x8204, &[]), TO_US);
        steered.check(&frame(0x88b6, &[0; 46]), TO_KERNEL);
        steered.check(&tagged(&[0x8100], &ours), TO_US);
        steered.check(&tagged(&[0x88a8, 0x8100], &ours), TO_US);
        // Deeper than is looked.
        steered.check(&tagged(&[0x88a8, 0x8100, 0x8100], &ours), TO_KERNEL);
        steered.check(&v4(17, &udp(1, 80, b"x")), TO_KERNEL);
        // A tag that ends the frame.
        steered.check(&tagged(&[0x8100], &ours)[..16], TO_KERNEL);
        steered.check(&frame(0x8100, &[]), TO_KERNEL);
    });
}

#[test]
fn everything_is_everything() {
    as_root("everything_is_everything", || {
        let steered = steered("all");
        steered.check(&frame(0x88b5, &[]), TO_US);
        steered.check(&arp([10, 0, 0, 1], [10, 0, 0, 9]), TO_US);
        steered.check(&[0xff; 60], TO_US);
    });
}

#[test]
fn ports_are_found_where_they_are() {
    as_root("ports_are_found_where_they_are", || {
        let steered = steered("port=80,port=8000-8080");
        for (port, expected) in [
            (79, TO_KERNEL),
            (80, TO_US),
            (81, TO_KERNEL),
            (7999, TO_KERNEL),
            (8000, TO_US),
            (8080, TO_US),
            (8081, TO_KERNEL),
        ] {
            let datagram = udp(80, port, b"payload");
            for protocol in [6, 17, 132] {
                steered.check(&v4(protocol, &datagram), expected);
                steered.check(&v6(OURS, protocol, &datagram), expected);
                let behind = [extension(60, 1), extension(protocol, 3), datagram.clone()];
                steered.check(&v6(OURS, 0, &behind.concat()), expected);
            }
            steered.check(&tagged(&[0x8100], &v4(6, &datagram)), expected);
        }
        // What has no ports has not got this one, and what hides them keeps them.
        steered.check(&v4(1, &udp(80, 80, b"")), TO_KERNEL);
        steered.check(&v6(OURS, 58, &udp(80, 80, &[0; 40])), TO_KERNEL);
        let deep = [
            extension(0, 1),
            extension(0, 1),
            extension(0, 1),
            extension(0, 1),
        ];
        let deep = [deep.concat(), extension(17, 1), udp(80, 80, b"")].concat();
        steered.check(&v6(OURS, 0, &deep), TO_KERNEL);
        steered.check(&arp([10, 0, 0, 1], [10, 0, 0, 2]), TO_KERNEL);
    });
}

#[test]
fn options_of_ipv4_are_passed_over() {
    as_root("options_of_ipv4_are_passed_over", || {
        let steered = steered("port=80");
        for words in 0..=10_u8 {
            let mut packet = ipv4(17, &[]);
            packet[0] = 0x45 + words;
            packet.extend(vec![1; usize::from(words) * 4]);
            packet.extend(udp(1, 80, b"x"));
            steered.check(&frame(0x0800, &packet), TO_US);
        }
        for first in [0x44, 0x40, 0x55, 0x00, 0x65] {
            let mut packet = ipv4(17, &udp(1, 80, b"x"));
            packet[0] = first;
            steered.check(&frame(0x0800, &packet), TO_KERNEL);
        }
    });
}

#[test]
fn all_fragments_of_a_packet_go_the_same_way() {
    as_root("all_fragments_of_a_packet_go_the_same_way", || {
        let by_port = steered("port=80");
        let by_protocol = steered("proto=udp");
        let by_address = steered("addr=10.0.0.2,addr=fd00::2");
        for bits in [0x2000_u16, 0x2001, 0x0001, 0x1fff] {
            let mut packet = ipv4(17, &udp(1, 80, b"x"));
            packet[6..8].copy_from_slice(&bits.to_be_bytes());
            let v4 = frame(0x0800, &packet);
            let header = [17, 0, (bits >> 8) as u8, bits as u8, 0, 0, 0, 1];
            let v6 = v6(OURS, 44, &[&header[..], &udp(1, 80, b"x")].concat());
            for fragment in [v4, v6] {
                by_port.check(&fragment, TO_KERNEL);
                by_protocol.check(&fragment, TO_US);
                by_address.check(&fragment, TO_US);
            }
        }
        // Not to be cut is no fragment.
        let mut packet = ipv4(17, &udp(1, 80, b"x"));
        packet[6] = 0x40;
        by_port.check(&frame(0x0800, &packet), TO_US);
    });
}

#[test]
fn an_address_comes_with_what_finds_it() {
    as_root("an_address_comes_with_what_finds_it", || {
        let steered = steered("addr=10.0.0.2,addr=fd00::2");
        steered.check(&v4(6, &[0; 20]), TO_US);
        steered.check(&v4(47, &[]), TO_US);
        let mut other = v4(6, &[0; 20]);
        other[14 + 19] = 3;
        steered.check(&other, TO_KERNEL);
        steered.check(&arp([10, 0, 0, 1], [10, 0, 0, 2]), TO_US);
        steered.check(&arp([10, 0, 0, 2], [10, 0, 0, 1]), TO_KERNEL);
        steered.check(&v6(OURS, 6, &[0; 20]), TO_US);
        steered.check(&v6(THEIRS, 6, &[0; 20]), TO_KERNEL);
        let ask = |kind: u8, target: Ipv6Addr| {
            let head = [kind, 0, 0, 0, 0, 0, 0, 0];
            v6(GROUP, 58, &[&head[..], &target.octets()].concat())
        };
        steered.check(&ask(135, OURS), TO_US);
        steered.check(&ask(135, THEIRS), TO_KERNEL);
        steered.check(&ask(136, OURS), TO_KERNEL);
        // The first bytes of an IPv6 address are not an IPv4 address.
        let like = Ipv6Addr::new(0x0a00, 2, 0, 0, 0, 0, 0, 0);
        steered.check(&v6(like, 6, &[0; 20]), TO_KERNEL);
    });
}

#[test]
fn a_flow_is_all_of_its_parts() {
    as_root("a_flow_is_all_of_its_parts", || {
        let one = steered("flow=udp/10.0.0.1/7/10.0.0.2/80");
        one.check(&v4(17, &udp(7, 80, b"x")), TO_US);
        one.check(&v4(6, &udp(7, 80, b"x")), TO_KERNEL);
        one.check(&v4(17, &udp(8, 80, b"x")), TO_KERNEL);
        one.check(&v4(17, &udp(7, 81, b"x")), TO_KERNEL);
        let mut other = v4(17, &udp(7, 80, b"x"));
        other[14 + 15] = 9;
        one.check(&other, TO_KERNEL);
        let any = steered("flow=udp/*/*/*/53,flow=tcp/fd00::1/*/*/*");
        any.check(&v4(17, &udp(7, 53, b"x")), TO_US);
        any.check(&v6(OURS, 17, &udp(7, 53, b"x")), TO_US);
        any.check(&v6(OURS, 6, &udp(7, 9, b"x")), TO_US);
        any.check(&v4(6, &udp(7, 9, b"x")), TO_KERNEL);
    });
}

#[test]
fn frames_cut_anywhere_are_the_kernels() {
    as_root("frames_cut_anywhere_are_the_kernels", || {
        let steered = steered("port=80,addr=fd00::2,flow=tcp/*/*/10.0.0.2/80");
        let whole = [
            (v4(17, &udp(1, 80, b"")), 14 + 20 + 4),
            (tagged(&[0x8100], &v4(17, &udp(1, 80, b""))), 18 + 20 + 4),
            (v6(OURS, 17, &udp(1, 80, b"")), 14 + 40),
            (
                v6(OURS, 0, &[extension(17, 2), udp(1, 80, b"")].concat()),
                14 + 40 + 8,
            ),
        ];
        for (frame, enough) in whole {
            for len in 14..frame.len() {
                let got = steered.program.try_on(&frame[..len]).unwrap();
                assert!(got == TO_KERNEL || len >= enough, "{len} of {frame:02x?}");
            }
            steered.check(&frame, TO_US);
        }
    });
}

#[test]
fn as_many_rules_as_there_may_be_are_verified() {
    as_root("as_many_rules_as_there_may_be_are_verified", || {
        let flow = |n| format!("flow=tcp/fd00::{n}/*/fd00::1/{n}");
        let rules: Vec<String> = (1..=64).map(flow).collect();
        let steered = steered(&rules.join(","));
        steered.check(&v4(6, &udp(7, 9, b"x")), TO_KERNEL);
        // From fd00::1.
        steered.check(&v6(THEIRS, 6, &udp(7, 1, b"x")), TO_US);
    });
}

#[test]
fn what_the_verifier_refuses_is_told_with_its_words() {
    as_root("what_the_verifier_refuses_is_told_with_its_words", || {
        let mut a = Assembler::default();
        a.load(Width::Four, R0, R7, 0);
        a.exit();
        let refused = Program::load(&a.finish().unwrap(), false).unwrap_err();
        assert!(refused.log.contains("R7"), "{refused}");
    });
}

#[test]
fn a_queue_without_a_socket_is_the_kernels() {
    as_root("a_queue_without_a_socket_is_the_kernels", || {
        let map = SocketMap::new(1).unwrap();
        let steering = Steering::parse(Options::new("all")).unwrap();
        let code = assemble(&steering, map.number()).unwrap();
        let program = Program::load(&code, false).unwrap();
        assert_eq!(program.try_on(&[0; 60]).unwrap(), TO_KERNEL);
    });
}
