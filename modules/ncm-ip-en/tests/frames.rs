//! Packets through the built converter.

use io_net_ddk::abi::{
    Advert, CAP_CSUM, DEVCTL_JSON, GSO_TCPV4, MSG_ADDRESSES, NPKT_MSG, NPKT_NEXT_HOP4,
    VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_ddk::advert;
use io_net_ddk::pktbuf::Packet;
use io_net_testkit::{Kit, Sent, built_module};
use io_net_wire::arp::{self, Operation};
use io_net_wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use io_net_wire::icmpv4;
use io_net_wire::ipv4;
use io_net_wire::ndp::{self, Message};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OURS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const THEIRS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIR_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const ENDPOINT: u16 = 3;

fn en3() -> Advert {
    Advert {
        endpoint: ENDPOINT,
        mtu: 1500,
        caps: CAP_CSUM,
        mac_len: 6,
        mac: [2, 0, 0, 0, 0, 1, 0, 0],
        ..advert("en3", "en")
    }
}

/// A converter over one interface with our address, past its first probe.
fn started(options: &str) -> Kit {
    let mut kit = Kit::start(built_module("ncm-ip-en"), options).unwrap();
    kit.advertise(&en3());
    let mut message = kit.packet(&addresses()).unwrap();
    message.set_flags(NPKT_MSG, 0);
    kit.rx_down(0, ENDPOINT, vec![message]);
    drop(kit.take_sent());
    kit
}

/// The message `MSG_ADDRESSES`: `OURS`, of a network of 24 bits, and `OURS6`, of one of 64.
fn addresses() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(MSG_ADDRESSES.to_ne_bytes());
    bytes.extend(2u32.to_ne_bytes());
    bytes.extend(4u16.to_ne_bytes());
    bytes.extend(24u16.to_ne_bytes());
    bytes.extend(OURS.octets());
    bytes.extend([0; 12]);
    bytes.extend(6u16.to_ne_bytes());
    bytes.extend(64u16.to_ne_bytes());
    bytes.extend(OURS6.octets());
    bytes
}

fn frame(to: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    let (dest, source) = (to, THEIR_MAC);
    let header = ethernet::Header {
        dest,
        source,
        ethertype,
    };
    header.emit(&mut frame);
    frame.extend(payload);
    frame
}

fn arp_frame(operation: Operation, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut payload = [0; arp::PACKET_LEN];
    let packet = arp::Packet {
        operation,
        sender_mac: THEIR_MAC,
        sender,
        target_mac: OUR_MAC,
        target,
    };
    packet.emit(&mut payload);
    frame(OUR_MAC, ETHERTYPE_ARP, &payload)
}

/// A packet of UDP from us to `THEIRS`.
fn ip_packet(kit: &Kit) -> Packet {
    let mut bytes = [0xaa; 40];
    ipv4::Header {
        header_len: 20,
        tos: 0,
        total_len: 40,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: 17,
        source: OURS,
        dest: THEIRS,
    }
    .emit(&mut bytes);
    let mut packet = kit.packet(&bytes).unwrap();
    packet.set_next_hop4(THEIRS);
    packet
}

fn arps(sent: &[Sent]) -> Vec<(Mac, arp::Packet)> {
    let parse = |sent: &Sent| {
        let header = ethernet::Header::parse(sent.packet.data()).ok()?;
        let payload = &sent.packet.data()[ethernet::HEADER_LEN..];
        let packet = (header.ethertype == ETHERTYPE_ARP).then(|| arp::Packet::parse(payload));
        Some((header.dest, packet?.ok()?))
    };
    sent.iter().filter_map(parse).collect()
}

#[test]
fn up_the_header_goes_and_offsets_follow() {
    let mut kit = started("");
    let mut packet = kit
        .packet(&frame(OUR_MAC, ETHERTYPE_IPV4, &[7; 50]))
        .unwrap();
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    kit.rx_up(0, ENDPOINT, vec![packet]);
    let sent = kit.take_sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].up);
    assert_eq!(sent[0].packet.data(), [7; 50]);
    let vnet = sent[0].packet.vnet();
    assert_eq!((vnet.csum_start, vnet.hdr_len), (20, 40));
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn frames_for_others_and_rubbish_are_counted() {
    let mut kit = started("");
    let other = frame(Mac([2, 0, 0, 0, 0, 9]), ETHERTYPE_IPV4, &[7; 50]);
    let mut lies = kit
        .packet(&frame(OUR_MAC, ETHERTYPE_IPV4, &[7; 50]))
        .unwrap();
    lies.vnet_mut().flags = VNET_NEEDS_CSUM;
    let rest = [&other[..], &[0; 5], &frame(OUR_MAC, ETHERTYPE_ARP, &[1; 9])];
    let mut packets: Vec<_> = rest.iter().filter_map(|b| kit.packet(b)).collect();
    packets.push(lies);
    kit.rx_up(0, ENDPOINT, packets);
    assert!(kit.take_sent().is_empty());
    assert_eq!(kit.counter("drop_not_ours"), 1);
    assert_eq!(kit.counter("drop_malformed"), 2);
    assert_eq!(kit.counter("drop_arp_malformed"), 1);
    kit.stop().unwrap();
}

#[test]
fn down_the_neighbour_is_asked_for_and_then_known() {
    let mut kit = started("");
    let packet = ip_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![packet]);
    let asked = kit.take_sent();
    let [(to, request)] = arps(&asked)[..] else {
        panic!("one request, no packet yet: {}", asked.len());
    };
    assert_eq!(
        (to, request.operation),
        (Mac::BROADCAST, Operation::Request)
    );
    assert_eq!((request.sender, request.target), (OURS, THEIRS));
    drop(asked);
    assert_eq!(kit.held_by_module(), 1);
    let reply = kit
        .packet(&arp_frame(Operation::Reply, THEIRS, OURS))
        .unwrap();
    kit.rx_up(0, ENDPOINT, vec![reply]);
    let sent = kit.take_sent();
    assert_eq!((sent.len(), sent[0].up), (1, false));
    let header = ethernet::Header::parse(sent[0].packet.data()).unwrap();
    assert_eq!((header.dest, header.source), (THEIR_MAC, OUR_MAC));
    assert_eq!(header.ethertype, ETHERTYPE_IPV4);
    assert_eq!(sent[0].packet.flags() & NPKT_NEXT_HOP4, 0);
    drop(sent);
    let mut next = ip_packet(&kit);
    next.vnet_mut().flags = VNET_NEEDS_CSUM;
    next.vnet_mut().csum_start = 20;
    kit.rx_down(0, ENDPOINT, vec![next]);
    let sent = kit.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].packet.vnet().csum_start, 34);
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn a_neighbour_that_does_not_answer_is_reported() {
    let mut kit = started("");
    let packet = ip_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![packet]);
    kit.advance(Duration::from_millis(3500));
    let sent = kit.take_sent();
    let requests = arps(&sent);
    let asked = requests.iter().filter(|(_, a)| a.target == THEIRS).count();
    assert_eq!(asked, 3);
    let up: Vec<_> = sent.iter().filter(|sent| sent.up).collect();
    let [report] = up[..] else {
        panic!("{} reports", up.len());
    };
    let data = report.packet.data();
    let header = ipv4::Header::parse(data).unwrap();
    assert!(ipv4::checksum_ok(&data[..20]));
    assert_eq!((header.source, header.dest), (THEIRS, OURS));
    let icmp = icmpv4::Header::parse(&data[20..]).unwrap();
    assert_eq!((icmp.kind, icmp.code), (3, 1));
    let quoted = ipv4::Header::parse_quoted(&data[28..]).unwrap();
    assert_eq!((quoted.source, quoted.dest), (OURS, THEIRS));
    assert_eq!(kit.counter("drop_unresolved"), 1);
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn our_address_is_claimed_and_answered_for() {
    let mut kit = started("");
    kit.advance(Duration::from_secs(10));
    let sent = kit.take_sent();
    let claims = arps(&sent);
    let probes = claims
        .iter()
        .filter(|(_, a)| a.sender.is_unspecified())
        .count();
    let announced = claims.iter().filter(|(_, a)| a.sender == OURS).count();
    assert_eq!(
        (probes, announced),
        (2, 2),
        "the first probe went out before"
    );
    drop(sent);
    let request = kit
        .packet(&arp_frame(Operation::Request, THEIRS, OURS))
        .unwrap();
    kit.rx_up(0, ENDPOINT, vec![request]);
    let sent = kit.take_sent();
    let [(to, reply)] = arps(&sent)[..] else {
        panic!("no reply");
    };
    assert_eq!((to, reply.operation), (THEIR_MAC, Operation::Reply));
    assert_eq!((reply.sender, reply.sender_mac), (OURS, OUR_MAC));
    drop(sent);
    let conflict = kit
        .packet(&arp_frame(Operation::Reply, OURS, OURS))
        .unwrap();
    kit.rx_up(0, ENDPOINT, vec![conflict]);
    assert_eq!(kit.counter("arp_conflicts"), 1);
    assert!(kit.logs().iter().any(|(_, text)| text.contains("10.0.0.1")));
    kit.stop().unwrap();
}

#[test]
fn a_dying_interface_takes_its_packets_along() {
    let mut kit = started("static=10.0.0.9=02:00:00:00:00:09");
    let list = kit
        .devctl(0, DEVCTL_JSON, br#"{"cmd":"arp-list"}"#)
        .unwrap();
    let list = String::from_utf8(list).unwrap();
    assert!(
        list.contains("10.0.0.9") && list.contains("static"),
        "{list}"
    );
    let packet = ip_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![packet]);
    drop(kit.take_sent());
    let dying = Advert {
        flags: io_net_ddk::abi::ADVERT_DYING,
        ..en3()
    };
    kit.advertise(&dying);
    assert_eq!(kit.held_by_module(), 0);
    let late = ip_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![late]);
    assert_eq!(kit.counter("drop_iface"), 1);
    let ip = kit.adverts();
    assert_eq!(ip.len(), 2);
    assert_eq!(ip[0].up_type[..3], *b"ip\0");
    assert_eq!((ip[0].mtu, ip[0].caps), (1500, CAP_CSUM));
    kit.stop().unwrap();
}

/// A packet of neighbour discovery from `THEIR_MAC`, in its frame.
fn ndp_frame(to: Mac, dest: Ipv6Addr, target: Ipv6Addr, message: Message) -> Vec<u8> {
    let packet = ndp::Packet {
        source: THEIRS6,
        dest,
        target,
        mac: Some(THEIR_MAC),
        message,
    };
    let mut payload = vec![0; packet.packet_len()];
    packet.emit(&mut payload);
    frame(to, ethernet::ETHERTYPE_IPV6, &payload)
}

fn ndps(sent: &[Sent]) -> Vec<(Mac, ndp::Packet)> {
    let parse = |sent: &Sent| {
        let header = ethernet::Header::parse(sent.packet.data()).ok()?;
        let payload = &sent.packet.data()[ethernet::HEADER_LEN..];
        let is_ndp = header.ethertype == ethernet::ETHERTYPE_IPV6 && ndp::is_for(payload);
        is_ndp.then(|| (header.dest, ndp::Packet::parse(payload).unwrap()))
    };
    sent.iter().filter_map(parse).collect()
}

/// A packet of UDP over IPv6 from us to `THEIRS6`.
fn ip6_packet(kit: &Kit) -> Packet {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 20, 17, 64];
    bytes.extend(OURS6.octets());
    bytes.extend(THEIRS6.octets());
    bytes.extend([0xbb; 20]);
    let mut packet = kit.packet(&bytes).unwrap();
    packet.set_next_hop6(THEIRS6);
    packet
}

#[test]
fn ipv6_neighbours_are_found_and_packets_follow() {
    let mut kit = started("");
    let packet = ip6_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![packet]);
    let sent = kit.take_sent();
    let group = ndp::solicited_node(THEIRS6);
    let [(to, question)] = ndps(&sent)[..] else {
        panic!("one solicitation was due");
    };
    assert_eq!((to, question.dest), (ndp::multicast_mac(group), group));
    assert_eq!((question.source, question.target), (OURS6, THEIRS6));
    drop(sent);

    let solicited = Message::Advertisement {
        solicited: true,
        overrides: true,
    };
    let answer = ndp_frame(OUR_MAC, OURS6, THEIRS6, solicited);
    let answer = kit.packet(&answer).unwrap();
    kit.rx_up(0, ENDPOINT, vec![answer]);
    let sent = kit.take_sent();
    let data = sent[0].packet.data();
    assert_eq!(data[..6], THEIR_MAC.0);
    assert_eq!((data[12..14].to_vec(), data.len()), (vec![0x86, 0xdd], 74));
    drop(sent);
    let list = kit
        .devctl(0, DEVCTL_JSON, br#"{"cmd":"arp-list"}"#)
        .unwrap();
    assert!(String::from_utf8_lossy(&list).contains("fd00::2"));
    kit.stop().unwrap();
}

#[test]
fn solicitations_for_us_are_answered_and_other_ipv6_goes_up() {
    let mut kit = started("");
    let group = ndp::solicited_node(OURS6);
    let ask = ndp_frame(
        ndp::multicast_mac(group),
        group,
        OURS6,
        Message::Solicitation,
    );
    let harmed: Vec<u8> = ask
        .iter()
        .rev()
        .skip(1)
        .rev()
        .copied()
        .chain([0x55])
        .collect();
    let up = frame(OUR_MAC, ethernet::ETHERTYPE_IPV6, &[0x60; 60]);
    let packets = [&ask, &harmed, &up].map(|bytes| kit.packet(bytes).unwrap());
    kit.rx_up(0, ENDPOINT, packets.into());
    let sent = kit.take_sent();
    let [(to, answer)] = ndps(&sent)[..] else {
        panic!("one advertisement was due");
    };
    assert_eq!(
        (to, answer.target, answer.mac),
        (THEIR_MAC, OURS6, Some(OUR_MAC))
    );
    let went_up: Vec<_> = sent.iter().filter(|sent| sent.up).collect();
    assert_eq!(
        (went_up.len(), went_up[0].packet.data()),
        (1, &[0x60; 60][..])
    );
    assert_eq!(kit.counter("drop_ndp_malformed"), 1);
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn an_ipv6_neighbour_that_does_not_answer_is_reported() {
    let mut kit = started("");
    let packet = ip6_packet(&kit);
    kit.rx_down(0, ENDPOINT, vec![packet]);
    kit.take_sent();
    for _ in 0..4 {
        kit.advance(Duration::from_secs(1));
    }
    let sent = kit.take_sent();
    let report = sent.iter().find(|sent| sent.up).unwrap().packet.data();
    assert_eq!((report[6], report[40], report[41]), (58, 1, 3));
    assert_eq!(report[24..40], OURS6.octets());
    assert_eq!(report[48..56], [0x60, 0, 0, 0, 0, 20, 17, 64]);
    drop(sent);
    kit.stop().unwrap();
}
