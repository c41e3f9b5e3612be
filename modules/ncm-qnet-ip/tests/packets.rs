//! Packets through the built converter.

use io_net_ddk::abi::{Advert, NPKT_LINK_ADDR};
use io_net_ddk::{advert, read_addresses};
use io_net_testkit::{Kit, built_module};
use io_net_wire::ipv4::{self, Header};
use std::net::Ipv4Addr;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const ENDPOINT: u16 = 3;
const QNET: u8 = 106;

fn started(options: &str) -> Kit {
    let mut kit = Kit::start(built_module("ncm-qnet-ip"), options).unwrap();
    kit.advertise(&Advert {
        endpoint: ENDPOINT,
        mtu: 1500,
        ..advert("en3", "ip")
    });
    kit
}

fn padded(address: Ipv4Addr) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[..4].copy_from_slice(&address.octets());
    addr
}

fn packet(source: Ipv4Addr, dest: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ipv4::HEADER_LEN];
    let header = Header {
        header_len: 20,
        tos: 0,
        total_len: (ipv4::HEADER_LEN + payload.len()) as u16,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: QNET,
        source,
        dest,
    };
    header.emit(&mut bytes);
    bytes.extend(payload);
    bytes
}

#[test]
fn the_interface_is_shown_with_its_address_and_the_layer_below_is_told() {
    let mut kit = started("addr=en3:10.0.0.1/24");
    let adverts = kit.adverts();
    assert_eq!(adverts.len(), 1);
    assert_eq!(adverts[0].up_type[..5], *b"qnet\0");
    assert_eq!((adverts[0].mtu, adverts[0].mac_len), (1480, 4));
    assert_eq!(adverts[0].mac[..4], OURS.octets());
    let sent = kit.take_sent();
    let told = read_addresses(&sent[0].packet).unwrap();
    assert_eq!((told[0].address, told[0].prefix), (OURS.into(), 24));
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn an_interface_without_an_address_is_not_shown() {
    let mut kit = started("addr=en7:10.0.0.1/24");
    assert!(kit.adverts().is_empty() && kit.take_sent().is_empty());
    assert!(kit.logs().iter().any(|(_, text)| text.contains("en3")));
    kit.stop().unwrap();
}

#[test]
fn up_the_sender_is_in_the_descriptor() {
    let mut kit = started("addr=10.0.0.1/24");
    drop(kit.take_sent());
    let mut bytes = packet(THEIRS, OURS, &[7, 8, 9]);
    bytes.extend([0; 30]);
    let good = kit.packet(&bytes).unwrap();
    kit.rx_up(0, ENDPOINT, vec![good]);
    let sent = kit.take_sent();
    assert_eq!((sent.len(), sent[0].up), (1, true));
    assert_eq!(sent[0].packet.data(), [7, 8, 9]);
    assert_eq!(sent[0].packet.link_addr(), Some(padded(THEIRS)));
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn what_is_not_for_us_is_counted() {
    let mut kit = started("addr=10.0.0.1/24");
    drop(kit.take_sent());
    let mut wrong_sum = packet(THEIRS, OURS, &[0; 40]);
    wrong_sum[10] ^= 1;
    let mut piece = packet(THEIRS, OURS, &[0; 40]);
    piece[6] = 0x20;
    piece[10..12].fill(0);
    let sum = io_net_wire::checksum::Sum::of(&piece[..20]).checksum();
    piece[10..12].copy_from_slice(&sum.to_be_bytes());
    let packets = [
        packet(THEIRS, FAR, &[0; 40]),
        wrong_sum,
        packet(Ipv4Addr::BROADCAST, OURS, &[0; 40]),
        piece,
        vec![0x45; 9],
    ];
    let packets = packets.iter().filter_map(|p| kit.packet(p)).collect();
    kit.rx_up(0, ENDPOINT, packets);
    let astray = kit.packet(&packet(THEIRS, OURS, &[0; 40])).unwrap();
    kit.rx_up(0, ENDPOINT + 1, vec![astray]);
    assert!(kit.take_sent().is_empty());
    let names = [
        "drop_not_ours",
        "drop_malformed",
        "drop_fragment",
        "drop_iface",
    ];
    assert_eq!(names.map(|name| kit.counter(name)), [1, 3, 1, 1]);
    kit.stop().unwrap();
}

#[test]
fn down_the_way_leads_to_the_host_or_the_router() {
    let mut kit = started("addr=10.0.0.1/24,gw=10.0.0.254");
    drop(kit.take_sent());
    for (host, hop) in [(THEIRS, THEIRS), (FAR, ROUTER)] {
        let mut down = kit.packet(&[7; 50]).unwrap();
        down.set_link_addr(padded(host));
        kit.rx_down(0, ENDPOINT, vec![down]);
        let sent = kit.take_sent();
        assert_eq!((sent.len(), sent[0].up), (1, false));
        assert_eq!(sent[0].packet.data(), packet(OURS, host, &[7; 50]));
        assert_eq!(sent[0].packet.next_hop4(), Some(hop));
        assert_eq!(sent[0].packet.flags() & NPKT_LINK_ADDR, 0);
    }
    let nowhere = kit.packet(&[7; 50]).unwrap();
    let mut to_all = kit.packet(&[7; 50]).unwrap();
    to_all.set_link_addr([0xff; 16]);
    kit.rx_down(0, ENDPOINT, vec![nowhere, to_all]);
    assert_eq!(kit.counter("drop_no_address"), 2);
    kit.stop().unwrap();
}

#[test]
fn without_a_router_other_networks_are_out_of_reach() {
    let mut kit = started("addr=10.0.0.1/24");
    drop(kit.take_sent());
    let mut down = kit.packet(&[7; 50]).unwrap();
    down.set_link_addr(padded(FAR));
    kit.rx_down(0, ENDPOINT, vec![down]);
    assert_eq!(kit.counter("drop_no_route"), 1);
    kit.stop().unwrap();
}
