//! Datagrams, echoes, errors, fragments, loopback and routes (RFC 768, 791, 792, 1122).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use io_net_pkt::*;
use io_net_sim::buffers::Inbox;
use io_net_sim::host::{Host, Sent};
use io_net_sim::segment::{assert_valid, to_wire, transport_checksum};
use io_net_tcpip::{
    Config, Datagram, IfaceAddr, IfaceConfig, IfaceError, Instant, Offload, Ready, Route, RxMeta,
    SocketError, SocketId, SocketRequestError,
};
use io_net_wire::{icmpv4, ipv4, protocol, tcp, udp};

const NOW: Instant = Instant::from_millis(1_000);

fn host() -> Host {
    host_with(Offload::default())
}

fn host_with(offload: Offload) -> Host {
    let iface = IfaceConfig {
        offload,
        ..IfaceConfig::default()
    };
    Host::with_address(Config::default(), 3, STACK.octets(), iface)
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn udp_socket(host: &mut Host, local: &str) -> (SocketId, Inbox) {
    let inbox = Inbox::new(16);
    let id = host.stack.udp_open(inbox.clone()).unwrap();
    host.stack.bind(id, addr(local)).unwrap();
    (id, inbox)
}

fn to(peer: &str, len: usize) -> Datagram {
    Datagram {
        to: Some(addr(peer)),
        len,
        segment: 0,
    }
}

/// A payload that shows where each byte belongs.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn udp_packet(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let len = udp::HEADER_LEN + payload.len();
    let mut packet = vec![0; ipv4::HEADER_LEN + udp::HEADER_LEN];
    ip_header(protocol::UDP, len).emit(&mut packet);
    let header = udp::Header {
        source: from,
        dest: to,
        len: len as u16,
        checksum: 0,
    };
    header.emit(&mut packet[ipv4::HEADER_LEN..]);
    packet.extend(payload);
    let sum = transport_checksum(&packet);
    packet[26..28].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn icmp_packet(header: icmpv4::Header, data: &[u8]) -> Vec<u8> {
    let len = icmpv4::HEADER_LEN + data.len();
    let mut packet = vec![0; ipv4::HEADER_LEN + icmpv4::HEADER_LEN];
    ip_header(protocol::ICMP, len).emit(&mut packet);
    packet.extend(data);
    header.emit(&mut packet[ipv4::HEADER_LEN..]);
    packet
}

fn receive(host: &mut Host, packet: &[u8]) {
    host.receive(NOW, packet, RxMeta::default());
}

fn sent(host: &mut Host) -> Option<Sent> {
    host.env.outbox.pop_front()
}

#[test]
fn datagrams_both_ways() {
    let mut host = host();
    let (id, inbox) = udp_socket(&mut host, "0.0.0.0:53");
    receive(&mut host, &udp_packet(9999, 53, b"query"));
    assert!(host.happened(id).ready.contains(Ready::READABLE));
    let got = inbox.pop().unwrap();
    assert_eq!(
        (got.from, got.to),
        (addr("10.0.0.2:9999"), addr("10.0.0.1:53"))
    );
    assert_eq!(got.payload, b"query");
    let answer = to("10.0.0.2:9999", 6);
    let fill = |out: &mut [u8]| out.copy_from_slice(b"answer");
    host.stack
        .udp_send(NOW, id, answer, fill, &mut host.env)
        .unwrap();
    let packet = sent(&mut host).unwrap();
    assert_eq!(packet.next_hop, IpAddr::from(PEER));
    assert_valid(&packet.bytes);
    assert_eq!(&packet.bytes[28..], b"answer");
    // An empty datagram is one too; a damaged one is none.
    receive(&mut host, &udp_packet(9999, 53, b""));
    assert_eq!(inbox.pop().unwrap().payload, b"");
    let mut bad = udp_packet(9999, 53, b"query");
    bad[30] ^= 1;
    receive(&mut host, &bad);
    assert_eq!((inbox.pop(), host.stat("udp_drop_checksum")), (None, 1));
    // Checksum zero means none.
    bad[26..28].fill(0);
    receive(&mut host, &bad);
    assert!(inbox.pop().is_some());
}

#[test]
fn the_best_socket_gets_the_datagram() {
    let mut host = host();
    let inboxes: Vec<Inbox> = ["0.0.0.0:53", "10.0.0.1:53", "10.0.0.1:53"]
        .map(|local| {
            let inbox = Inbox::new(16);
            let id = host.stack.udp_open(inbox.clone()).unwrap();
            let mut options = host.stack.options(id).unwrap();
            options.reuse_addr = true;
            host.stack.set_options(NOW, id, options).unwrap();
            host.stack.bind(id, addr(local)).unwrap();
            if host.stack.sockets().len() == 3 {
                host.stack
                    .udp_connect(id, Some(addr("10.0.0.2:7")))
                    .unwrap();
            }
            inbox
        })
        .to_vec();
    receive(&mut host, &udp_packet(7, 53, b"connected"));
    receive(&mut host, &udp_packet(8, 53, b"exact"));
    assert_eq!(inboxes[2].pop().unwrap().payload, b"connected");
    assert_eq!(inboxes[1].pop().unwrap().payload, b"exact");
    assert!(inboxes.iter().all(|inbox| inbox.pop().is_none()));
}

#[test]
fn closed_ports_answer_and_answers_are_limited() {
    let mut host = Host::with_address(
        Config {
            icmp_errors_per_s: 5,
            ..Config::default()
        },
        3,
        STACK.octets(),
        IfaceConfig::default(),
    );
    let packet = udp_packet(1, 2, b"anyone?");
    (0..20).for_each(|_| receive(&mut host, &packet));
    assert_eq!(host.env.outbox.len(), 5);
    assert_eq!(host.stat("icmp_limited"), 15);
    let answer = sent(&mut host).unwrap().bytes;
    assert_valid(&answer);
    let header = icmpv4::Header::parse(&answer[20..]).unwrap();
    assert_eq!(
        (header.kind, header.code),
        (icmpv4::UNREACHABLE, icmpv4::CODE_PORT)
    );
    assert_eq!(&answer[28..], &packet);
    // No error about an error, and none about a broadcast.
    let mut host = self::host();
    let header = icmpv4::Header {
        kind: 99,
        code: 0,
        rest: 0,
    };
    receive(&mut host, &icmp_packet(header, b""));
    let mut broadcast = packet;
    broadcast[16..20].copy_from_slice(&[10, 0, 0, 255]);
    broadcast[10..12].fill(0);
    let sum = io_net_wire::checksum::Sum::of(&broadcast[..20]).checksum();
    broadcast[10..12].copy_from_slice(&sum.to_be_bytes());
    broadcast[26..28].fill(0);
    receive(&mut host, &broadcast);
    assert_eq!(host.stat("udp_drop_no_socket"), 1);
    assert!(host.env.outbox.is_empty());
}

#[test]
fn echo_is_answered() {
    let mut host = host();
    let echo = icmpv4::Header {
        kind: icmpv4::ECHO,
        code: 0,
        rest: 0x1234_0007,
    };
    for len in [0, 56, 1472, 1473, 8000] {
        let data = pattern(len);
        let mut packet = icmp_packet(echo, &data);
        packet[0] = 0x45;
        receive(&mut host, &packet);
        let payload = reassemble(&mut host);
        let header = icmpv4::Header::parse(&payload).unwrap();
        assert_eq!((header.kind, header.rest), (icmpv4::ECHO_REPLY, echo.rest));
        assert_eq!(&payload[8..], &data);
    }
}

/// The IP payload of what the host sent, from one packet or from fragments that fit 1500 bytes.
fn reassemble(host: &mut Host) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let packet = sent(host).expect("a packet").bytes;
        assert_valid(&packet);
        let header = ipv4::Header::parse(&packet).unwrap();
        assert!(packet.len() <= 1500);
        assert_eq!(usize::from(header.fragment_offset), payload.len());
        payload.extend(&packet[20..]);
        if !header.more_fragments {
            return payload;
        }
    }
}

#[test]
fn long_datagrams_are_fragmented_and_put_together() {
    let mut host = host();
    let (id, inbox) = udp_socket(&mut host, "0.0.0.0:53");
    let data = pattern(60_000);
    let fill = |out: &mut [u8]| out.copy_from_slice(&data);
    let long = to("10.0.0.2:53", 60_000);
    host.stack
        .udp_send(NOW, id, long, fill, &mut host.env)
        .unwrap();
    assert_eq!(host.env.outbox.len(), 41);
    // Back to us, in reverse order.
    let mut packets = Vec::new();
    while let Some(packet) = sent(&mut host) {
        packets.push(packet.bytes);
    }
    for packet in packets.iter_mut().rev() {
        for at in 0..4 {
            packet.swap(12 + at, 16 + at);
        }
        receive(&mut host, packet);
    }
    let got = inbox.pop().expect("the datagram");
    assert!(got.payload == data);
    assert_eq!(host.stat("frag_reassembled"), 1);
    let too_long = to("10.0.0.2:53", 65_508);
    let outcome = host
        .stack
        .udp_send(NOW, id, too_long, |_| (), &mut host.env);
    assert_eq!(outcome, Err(SocketRequestError::TooLong));
}

#[test]
fn segmented_datagrams_out_and_in() {
    let device = Offload {
        checksum: true,
        uso: true,
        ..Offload::default()
    };
    for offload in [Offload::default(), device] {
        let mut host = host_with(offload);
        let (id, inbox) = udp_socket(&mut host, "0.0.0.0:53");
        let data = pattern(2500);
        let datagram = Datagram {
            segment: 1000,
            ..to("10.0.0.2:53", 2500)
        };
        let fill = |out: &mut [u8]| out.copy_from_slice(&data);
        host.stack
            .udp_send(NOW, id, datagram, fill, &mut host.env)
            .unwrap();
        assert_eq!(host.env.outbox.len(), if offload.uso { 1 } else { 3 });
        let mut pieces = Vec::new();
        while let Some(packet) = sent(&mut host) {
            pieces.extend(to_wire(&packet));
        }
        pieces.iter().for_each(|piece| assert_valid(piece));
        let lens: Vec<usize> = pieces.iter().map(|piece| piece.len() - 28).collect();
        assert_eq!(lens, [1000, 1000, 500]);
        let meta = RxMeta {
            gso_type: io_net_tcpip::GSO_UDP_L4,
            gso_size: 1000,
            ..RxMeta::default()
        };
        host.receive(NOW, &udp_packet(53, 53, &data), meta);
        let got: Vec<Vec<u8>> = (0..3).map(|_| inbox.pop().unwrap().payload).collect();
        assert_eq!(got.concat(), data);
        assert_eq!((got[2].len(), inbox.pop()), (500, None));
    }
}

#[test]
fn errors_reach_connected_sockets() {
    let mut host = host();
    let (id, _inbox) = udp_socket(&mut host, "0.0.0.0:0");
    host.stack
        .udp_connect(id, Some(addr("10.0.0.2:9")))
        .unwrap();
    let datagram = Datagram {
        to: None,
        len: 1,
        segment: 0,
    };
    host.stack
        .udp_send(NOW, id, datagram, |out| out.fill(1), &mut host.env)
        .unwrap();
    let ours = sent(&mut host).unwrap().bytes;
    let error = icmpv4::Header {
        kind: icmpv4::UNREACHABLE,
        code: icmpv4::CODE_PORT,
        rest: 0,
    };
    receive(&mut host, &icmp_packet(error, &ours));
    assert_eq!(host.happened(id).error, Some(SocketError::Refused));
    assert_eq!(host.stack.take_error(id), Some(SocketError::Refused));
    assert_eq!(host.stack.take_error(id), None);
}

/// An ICMP error about the last packet that the script's stack sent.
fn complain(script: &mut Script, code: u8, rest: u32, seq_off: u32) {
    let (local, remote) = (script.port, script.peer_port);
    let isn = script.stack_number(seq_off);
    let mut quote = vec![0; 28];
    let header = ipv4::Header {
        source: STACK,
        dest: PEER,
        ..ip_header(protocol::TCP, 1000)
    };
    header.emit(&mut quote);
    quote[20..22].copy_from_slice(&local.to_be_bytes());
    quote[22..24].copy_from_slice(&remote.to_be_bytes());
    quote[24..28].copy_from_slice(&isn.to_be_bytes());
    let error = icmpv4::Header {
        kind: icmpv4::UNREACHABLE,
        code,
        rest,
    };
    receive_at(script, &icmp_packet(error, &quote));
}

fn receive_at(script: &mut Script, packet: &[u8]) {
    script.host.receive(script.now, packet, RxMeta::default());
}

#[test]
fn path_mtu_shrinks_segments_at_once() {
    let mut script = Script::new(Config::default());
    let peer = script.peer();
    let id = script.host.connect(script.now, peer, 65_536).unwrap();
    script.expect_flags(SYN);
    script.inject(segment(SYN | ACK, 0, 1, b"").mss(1460));
    script.expect_flags(ACK);
    script.write(id, &[1; 2920]);
    script.expect_data(1, 1460);
    script.expect_data(1461, 1460);
    // About something not outstanding: forged.
    complain(&mut script, icmpv4::CODE_FRAG_NEEDED, 1000, 5000);
    script.expect_nothing();
    complain(&mut script, icmpv4::CODE_FRAG_NEEDED, 1000, 1);
    for at in [1, 961, 1921] {
        script.expect_data(at, 960);
    }
    script.expect_data(2881, 40);
    // No value is believed that would make us send crumbs.
    complain(&mut script, icmpv4::CODE_FRAG_NEEDED, 68, 1);
    script.expect_data(1, 512);
}

#[test]
fn unreachable_ends_an_attempt_but_not_a_connection() {
    let mut script = Script::new(Config::default());
    let peer = script.peer();
    let id = script.host.connect(script.now, peer, 4096).unwrap();
    script.expect_flags(SYN);
    complain(&mut script, icmpv4::CODE_HOST, 0, 0);
    assert_eq!(
        script.host.happened(id).error,
        Some(SocketError::HostUnreachable)
    );
    script.peer_port += 1;
    let id = script.connected();
    script.write(id, b"x");
    script.expect_data(1, 1);
    complain(&mut script, icmpv4::CODE_PORT, 0, 1);
    assert_eq!(script.host.happened(id).error, None);
    assert_eq!(script.host.stack.take_error(id), Some(SocketError::Refused));
}

#[test]
fn loopback_never_leaves() {
    let mut host = host();
    for (index, ip) in ["127.0.0.1", "10.0.0.1"].into_iter().enumerate() {
        let at = addr(&format!("{ip}:{}", 80 + index));
        let listener = host.listen(at, 1);
        let client = host.connect(NOW, at, 100_000).unwrap();
        host.poll(NOW);
        let server = host.stack.tcp_accept(listener).expect("at once").socket;
        let data = pattern(65_536);
        host.write(NOW, client, &data);
        // The window is a little less than the buffer: two reads, and no time passes between.
        let mut got = host.read(NOW, server, usize::MAX);
        got.extend(host.read(NOW, server, usize::MAX));
        assert!(got == data);
        assert_eq!(host.stack.peer_addr(server), host.stack.local_addr(client));
    }
    let (id, inbox) = udp_socket(&mut host, "127.0.0.1:53");
    let fill = |out: &mut [u8]| out.fill(9);
    host.stack
        .udp_send(NOW, id, to("127.0.0.1:53", 20_000), fill, &mut host.env)
        .unwrap();
    host.stack.flush(NOW, &mut host.env);
    assert_eq!(inbox.pop().unwrap().payload.len(), 20_000);
    assert!(host.env.outbox.is_empty());
    assert_eq!(host.stat("ip_drop_martian"), 0);
}

#[test]
fn martians_and_strangers_are_dropped() {
    let mut host = host();
    let cases = [
        ([127, 0, 0, 1], STACK.octets(), "ip_drop_martian"),
        ([10, 0, 0, 1], STACK.octets(), "ip_drop_martian"),
        ([224, 0, 0, 1], STACK.octets(), "ip_drop_martian"),
        ([10, 0, 0, 255], STACK.octets(), "ip_drop_martian"),
        ([0, 0, 0, 0], STACK.octets(), "ip_drop_martian"),
        ([10, 0, 0, 2], [127, 0, 0, 1], "ip_drop_martian"),
        ([10, 0, 0, 2], [10, 0, 0, 7], "ip_drop_not_ours"),
        ([10, 0, 0, 2], [224, 0, 0, 1], "ip_drop_not_ours"),
    ];
    for (source, dest, counter) in cases {
        let before = host.stat(counter);
        let mut packet = vec![0; 28];
        let header = ipv4::Header {
            source: Ipv4Addr::from(source),
            dest: Ipv4Addr::from(dest),
            ..ip_header(protocol::UDP, 8)
        };
        header.emit(&mut packet);
        receive(&mut host, &packet);
        assert_eq!(host.stat(counter), before + 1, "{source:?} to {dest:?}");
    }
    assert!(host.env.outbox.is_empty());
}

#[test]
fn unknown_protocols_are_answered() {
    let mut host = host();
    let mut packet = vec![0; 24];
    ip_header(200, 4).emit(&mut packet);
    receive(&mut host, &packet);
    let answer = sent(&mut host).unwrap().bytes;
    let header = icmpv4::Header::parse(&answer[20..]).unwrap();
    assert_eq!(header.code, icmpv4::CODE_PROTOCOL);
}

#[test]
fn qnet_beside_the_stack_is_not_complained_about() {
    let mut host = host();
    let mut packet = vec![0; 24];
    ip_header(protocol::QNET, 4).emit(&mut packet);
    receive(&mut host, &packet);
    assert!(host.env.outbox.is_empty());
    assert_eq!(host.stat("ip_in_qnet"), 1);
}

#[test]
fn routes_choose_the_neighbour() {
    let mut host = host();
    let route = |dest: [u8; 4], prefix, gateway: [u8; 4]| Route {
        dest: IpAddr::from(dest),
        prefix,
        gateway: Some(IpAddr::from(gateway)),
        iface: 0,
        metric: 0,
    };
    let default = route([0; 4], 0, [10, 0, 0, 254]);
    host.stack.add_route(default).unwrap();
    host.stack
        .add_route(route([172, 16, 0, 0], 12, [10, 0, 0, 253]))
        .unwrap();
    let far = host.stack.add_route(route([8; 4], 32, [11, 0, 0, 1]));
    assert_eq!(far, Err(IfaceError::Gateway));
    let (id, _inbox) = udp_socket(&mut host, "0.0.0.0:53");
    let next_hop = |host: &mut Host, dest: &str| {
        let outcome = host
            .stack
            .udp_send(NOW, id, to(dest, 1), |out| out.fill(0), &mut host.env);
        outcome.map(|()| sent(host).unwrap().next_hop.to_string())
    };
    assert_eq!(next_hop(&mut host, "10.0.0.77:1").unwrap(), "10.0.0.77");
    assert_eq!(next_hop(&mut host, "172.17.0.1:1").unwrap(), "10.0.0.253");
    assert_eq!(next_hop(&mut host, "8.8.8.8:1").unwrap(), "10.0.0.254");
    assert_eq!(
        next_hop(&mut host, "10.0.0.255:1"),
        Err(SocketRequestError::Broadcast)
    );
    host.stack.remove_route(&default).unwrap();
    assert_eq!(
        next_hop(&mut host, "8.8.8.8:1"),
        Err(SocketRequestError::NoRoute)
    );
    let down = IfaceConfig {
        up: false,
        ..IfaceConfig::default()
    };
    host.stack.update_iface(0, down).unwrap();
    assert_eq!(
        next_hop(&mut host, "10.0.0.77:1"),
        Err(SocketRequestError::NoRoute)
    );
    host.stack.remove_iface(0).unwrap();
    assert!(host.stack.routes().is_empty() && host.stack.ifaces().is_empty());
}

#[test]
fn addresses_come_and_go_with_their_routes() {
    let mut host = Host::new(Config::default(), 1);
    host.stack.add_iface(3, IfaceConfig::default()).unwrap();
    let own = |last, prefix| IfaceAddr {
        addr: IpAddr::from([10, 0, 0, last]),
        prefix,
    };
    host.stack.add_address(3, own(1, 24)).unwrap();
    host.stack.add_address(3, own(2, 24)).unwrap();
    assert_eq!(
        host.stack.add_address(3, own(2, 24)),
        Err(IfaceError::Exists)
    );
    assert_eq!(
        host.stack.add_address(3, own(9, 33)),
        Err(IfaceError::Address)
    );
    assert_eq!(host.stack.routes().len(), 1);
    host.stack.remove_address(3, own(1, 24).addr).unwrap();
    assert_eq!(host.stack.routes().len(), 1);
    host.stack.remove_address(3, own(2, 24).addr).unwrap();
    assert_eq!(host.stack.routes().len(), 0);
    assert_eq!(
        host.stack.add_iface(3, IfaceConfig::default()),
        Err(IfaceError::Exists)
    );
    let tiny = IfaceConfig {
        mtu: 67,
        ..IfaceConfig::default()
    };
    assert_eq!(host.stack.add_iface(4, tiny), Err(IfaceError::Mtu));
}

#[test]
fn segments_follow_a_changed_mtu() {
    let mut script = Script::new(Config::default());
    let id = script.connected();
    script.write(id, &[1; 1000]);
    script.expect_data(1, 1000);
    let small = IfaceConfig {
        mtu: 640,
        ..IfaceConfig::default()
    };
    script.host.stack.update_iface(0, small).unwrap();
    script.inject(segment(ACK, 1, 1001, b""));
    script.write(id, &[1; 1000]);
    script.expect_data(1001, 600);
    assert_eq!(tcp::HEADER_LEN + ipv4::HEADER_LEN + 600, 640);
}
