//! Frames through the built converter.

use io_net_ddk::abi::{ADVERT_DYING, ADVERT_LINK_UP, Advert, DEVCTL_LINK_STATE};
use io_net_ddk::advert;
use io_net_testkit::{Kit, built_module, frames};

/// The interface below.
const BELOW: u16 = 40;
/// Registrants of the instance: the interfaces in the order of the options, then the trunk.
const SINGLE: usize = 0;
const DOUBLE: usize = 1;
const TRUNK: usize = 2;

fn below() -> Advert {
    Advert {
        endpoint: BELOW,
        mtu: 1500,
        gso_max: 65535,
        mac_len: 6,
        mac: [2, 0, 0, 0, 0, 1, 0, 0],
        ..advert("en0", "en")
    }
}

fn started() -> Kit {
    let options = "vlan=en0:10,vlan=en0:100.10,priority=3";
    let mut kit = Kit::start(built_module("ncm-vlan"), options).unwrap();
    kit.advertise(&below());
    kit
}

fn frame(n: u8) -> Vec<u8> {
    frames::ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, n], 0x0800, &[n; 46])
}

fn with(tags: &[(u16, u16)], frame: &[u8]) -> Vec<u8> {
    let tags = tags.iter().map(|(kind, control)| {
        let ([a, b], [c, d]) = (kind.to_be_bytes(), control.to_be_bytes());
        [a, b, c, d]
    });
    [
        &frame[..12],
        &tags.collect::<Vec<_>>().concat(),
        &frame[12..],
    ]
    .concat()
}

/// What is sent: whether up, by which interface, which bytes.
fn sent(kit: &mut Kit) -> Vec<(bool, u16, Vec<u8>)> {
    let sent = kit.take_sent();
    let all = sent.iter().map(|sent| {
        let packet = &sent.packet;
        (sent.up, packet.endpoint(), packet.data().to_vec())
    });
    all.collect()
}

/// The interfaces' numbers.
fn endpoints(kit: &Kit) -> (u16, u16) {
    let adverts = kit.adverts();
    let number = |name: &str| {
        let mut found = adverts.iter().rev();
        let found = found.find(|advert| io_net_ddk::advert_name(advert) == name);
        found.unwrap().endpoint
    };
    (number("en0.10"), number("en0.100.10"))
}

#[test]
fn interfaces_are_like_the_one_below() {
    let mut kit = started();
    let shown = kit.adverts();
    let [.., single, double] = &shown[..] else {
        panic!("{shown:?}");
    };
    assert_eq!((single.mtu, double.mtu), (1500, 1496));
    assert_eq!(single.mac[..6], [2, 0, 0, 0, 0, 1]);
    assert_ne!(single.flags & ADVERT_LINK_UP, 0);
    let up = kit.devctl(SINGLE, DEVCTL_LINK_STATE, &[]).unwrap();
    assert_eq!(up, 1_u32.to_ne_bytes());

    let mut dying = below();
    dying.flags = ADVERT_DYING;
    kit.advertise(&dying);
    let shown = kit.adverts();
    assert_eq!(shown.last().unwrap().flags, 0);
    let packet = kit.packet(&frame(1)).unwrap();
    kit.rx_down(SINGLE, 0, vec![packet]);
    assert!(sent(&mut kit).is_empty());
    assert_eq!(kit.counter("tx_no_parent"), 1);
    kit.stop().unwrap();
}

#[test]
fn tagged_frames_go_up_without_their_tags_in_order() {
    let mut kit = started();
    let (single, double) = endpoints(&kit);
    let come = [
        with(&[(0x8100, 0xe00a)], &frame(1)),
        with(&[(0x88a8, 100), (0x8100, 10)], &frame(2)),
        with(&[(0x8100, 10)], &frame(3)),
        with(&[(0x8100, 10), (0x8100, 10)], &frame(4)),
    ];
    let packets = come.iter().map(|bytes| kit.packet(bytes).unwrap());
    let packets = packets.collect();
    kit.rx_up(TRUNK, BELOW, packets);
    assert_eq!(
        sent(&mut kit),
        [
            (true, single, frame(1)),
            (true, single, frame(3)),
            (true, single, with(&[(0x8100, 10)], &frame(4))),
            (true, double, frame(2)),
        ]
    );
    kit.stop().unwrap();
}

#[test]
fn what_is_for_no_interface_here_is_dropped_and_counted() {
    let mut kit = started();
    let strange = [
        with(&[(0x8100, 11)], &frame(1)),
        with(&[(0x8100, 0)], &frame(1)),
        with(&[(0x88a8, 100)], &frame(1)),
        with(&[(0x88a8, 100), (0x88a8, 10)], &frame(1)),
        with(&[(0x88a8, 101), (0x8100, 10)], &frame(1)),
        frame(1),
    ];
    for bytes in &strange {
        for len in [14, 16, 17, 18, 21, bytes.len()] {
            let packet = kit.packet(&bytes[..len]).unwrap();
            kit.rx_up(TRUNK, BELOW, vec![packet]);
        }
    }
    let elsewhere = with(&[(0x8100, 10)], &frame(1));
    let packet = kit.packet(&elsewhere).unwrap();
    kit.rx_up(TRUNK, BELOW + 1, vec![packet]);
    assert!(sent(&mut kit).is_empty());
    assert_eq!(kit.counter("drop_unknown_vlan"), 37);
    kit.stop().unwrap();
}

#[test]
fn frames_go_down_with_their_tags() {
    let mut kit = started();
    let (single, double) = endpoints(&kit);
    for (reg, endpoint) in [(SINGLE, single), (DOUBLE, double)] {
        let packet = kit.packet(&frame(9)).unwrap();
        kit.rx_down(reg, endpoint, vec![packet]);
    }
    assert_eq!(
        sent(&mut kit),
        [
            (false, BELOW, with(&[(0x8100, 0x600a)], &frame(9))),
            (
                false,
                BELOW,
                with(&[(0x88a8, 0x6064), (0x8100, 0x600a)], &frame(9))
            ),
        ]
    );
    let runt = kit.packet(&[2; 5]).unwrap();
    kit.rx_down(SINGLE, single, vec![runt]);
    assert!(sent(&mut kit).is_empty());
    assert_eq!(kit.counter("tx_no_headroom"), 1);
    kit.stop().unwrap();
}

#[test]
fn frames_that_others_hold_are_copied() {
    let mut kit = started();
    let bytes = with(&[(0x8100, 10)], &frame(1));
    let mut packet = kit.packet(&bytes).unwrap();
    packet.set_way(0, BELOW, 0);
    let packet = packet.into();
    let held = kit.share(&packet);
    kit.rx_raw(TRUNK, true, vec![packet]);
    assert_eq!(sent(&mut kit)[0].2, frame(1));
    assert_eq!(held.data(), bytes);
    drop(held);
    kit.stop().unwrap();
}
