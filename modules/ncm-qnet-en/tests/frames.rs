//! Packets through the built converter.

use io_net_ddk::abi::{ADVERT_DYING, Advert, NPKT_BCAST, NPKT_LINK_ADDR};
use io_net_ddk::advert;
use io_net_testkit::{Kit, built_module};
use io_net_wire::ethernet::{self, ETHERTYPE_QNET, Mac};

const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIR_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const ENDPOINT: u16 = 3;

fn en3() -> Advert {
    Advert {
        endpoint: ENDPOINT,
        mtu: 1500,
        mac_len: 6,
        mac: [2, 0, 0, 0, 0, 1, 0, 0],
        ..advert("en3", "en")
    }
}

fn started() -> Kit {
    let mut kit = Kit::start(built_module("ncm-qnet-en"), "").unwrap();
    kit.advertise(&en3());
    kit
}

fn frame(dest: Mac, source: Mac, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    let header = ethernet::Header {
        dest,
        source,
        ethertype: ETHERTYPE_QNET,
    };
    header.emit(&mut frame);
    frame.extend(rest);
    frame
}

fn padded(mac: Mac) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[..6].copy_from_slice(&mac.0);
    addr
}

#[test]
fn the_interface_is_shown_as_qnet() {
    let kit = started();
    let adverts = kit.adverts();
    assert_eq!(adverts.len(), 1);
    assert_eq!(adverts[0].up_type[..5], *b"qnet\0");
    assert_eq!((adverts[0].mtu, adverts[0].endpoint), (1500, ENDPOINT));
    kit.stop().unwrap();
}

#[test]
fn up_the_sender_is_in_the_descriptor() {
    let mut kit = started();
    for (dest, group) in [(OUR_MAC, 0), (Mac::BROADCAST, NPKT_BCAST)] {
        let bytes = frame(dest, THEIR_MAC, &[7, 8, 9]);
        let packet = kit.packet(&bytes).unwrap();
        kit.rx_up(0, ENDPOINT, vec![packet]);
        let sent = kit.take_sent();
        assert_eq!((sent.len(), sent[0].up), (1, true));
        let packet = &sent[0].packet;
        assert_eq!(packet.data(), [7, 8, 9]);
        assert_eq!(packet.link_addr(), Some(padded(THEIR_MAC)));
        assert_eq!(packet.flags() & NPKT_BCAST, group);
    }
    kit.stop().unwrap();
}

#[test]
fn frames_that_are_not_for_us_are_counted() {
    let mut kit = started();
    let frames = [
        frame(Mac([2, 0, 0, 0, 0, 9]), THEIR_MAC, &[0; 40]),
        frame(OUR_MAC, OUR_MAC, &[0; 40]),
        frame(OUR_MAC, Mac::BROADCAST, &[0; 40]),
        vec![0; 5],
    ];
    let packets = frames.iter().filter_map(|f| kit.packet(f)).collect();
    kit.rx_up(0, ENDPOINT, packets);
    let astray = kit.packet(&frames[0]).unwrap();
    kit.rx_up(0, ENDPOINT + 1, vec![astray]);
    assert!(kit.take_sent().is_empty());
    let counts = ["drop_not_ours", "drop_own", "drop_malformed", "drop_iface"];
    assert_eq!(counts.map(|name| kit.counter(name)), [1, 1, 2, 1]);
    kit.stop().unwrap();
}

#[test]
fn down_the_header_names_the_station() {
    let mut kit = started();
    let mut packet = kit.packet(&[7; 50]).unwrap();
    packet.set_link_addr(padded(THEIR_MAC));
    kit.rx_down(0, ENDPOINT, vec![packet]);
    let sent = kit.take_sent();
    assert_eq!((sent.len(), sent[0].up), (1, false));
    let expected = frame(THEIR_MAC, OUR_MAC, &[7; 50]);
    assert_eq!(sent[0].packet.data(), expected);
    assert_eq!(sent[0].packet.flags() & NPKT_LINK_ADDR, 0);
    drop(sent);
    let nowhere = kit.packet(&[7; 50]).unwrap();
    kit.rx_down(0, ENDPOINT, vec![nowhere]);
    assert_eq!(kit.counter("drop_no_address"), 1);
    kit.stop().unwrap();
}

#[test]
fn a_dying_interface_takes_nothing_any_more() {
    let mut kit = started();
    kit.advertise(&Advert {
        flags: ADVERT_DYING,
        ..en3()
    });
    let mut late = kit.packet(&[7; 50]).unwrap();
    late.set_link_addr(padded(THEIR_MAC));
    kit.rx_down(0, ENDPOINT, vec![late]);
    assert_eq!(kit.counter("drop_iface"), 1);
    assert_eq!(kit.adverts().len(), 2);
    kit.stop().unwrap();
}
