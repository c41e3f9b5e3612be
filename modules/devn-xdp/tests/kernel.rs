//! The built driver over a real pair of interfaces, with the kernel or a second driver at the far end.

mod veth;

use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, DEVCTL_PROMISCUOUS, GSO_TCPV4,
    NPKT_BCAST, NPKT_MSG, NPKT_PROMISC, NPKT_UP, VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_ddk::errno;
use io_net_ddk::pktbuf::{Packet, SharedPacket};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module};
use std::net::UdpSocket;
use std::time::Duration;
use veth::{ip, run};

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
/// Of local experiments (IEEE 802-2014, 9.2.3.1): nothing of the kernel's is among them.
const ETHERTYPE: u16 = 0x88b5;

fn start(options: &str) -> Kit {
    Kit::start(built_module("devn-xdp"), options).unwrap()
}

/// A driver on each end.
fn both() -> (Kit, Kit) {
    (start("if=va,all"), start("if=vb,all"))
}

/// What has come up of our ethertype, directly or behind a tag.
fn arrived(kit: &mut Kit) -> Vec<SharedPacket> {
    kit.turn();
    let kind = ETHERTYPE.to_be_bytes();
    let ours = |frame: &[u8]| frame[12..14] == kind || frame[16..18] == kind;
    let sent = kit.take_sent().into_iter().map(|sent| sent.packet);
    sent.filter(|packet| ours(packet.data())).collect()
}

fn bytes(packet: &SharedPacket) -> Vec<u8> {
    packet.fragments().flatten().copied().collect()
}

/// Waits for `count` frames of our ethertype.
fn wait_for(kit: &mut Kit, count: usize) -> Vec<SharedPacket> {
    let mut got = Vec::new();
    kit.run_until(|kit| {
        got.extend(arrived(kit));
        got.len() >= count
    });
    assert_eq!(got.len(), count);
    got
}

fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    ethernet(to, OURS, ETHERTYPE, &payload)
}

fn send(kit: &mut Kit, frames: &[Vec<u8>]) {
    let packets = frames.iter().map(|bytes| kit.packet(bytes).unwrap());
    let packets: Vec<Packet> = packets.collect();
    kit.rx_down(0, 0, packets);
}

/// Waits until the last advert satisfies `wanted`.
fn advertised(kit: &mut Kit, wanted: impl Fn(&Advert) -> bool) {
    kit.run_until(|kit| {
        kit.turn();
        kit.advance(Duration::from_millis(10));
        drop(kit.take_sent());
        kit.adverts().last().is_some_and(&wanted)
    });
}

fn is_up(advert: &Advert) -> bool {
    advert.flags & ADVERT_LINK_UP != 0
}

fn stop(kits: impl IntoIterator<Item = Kit>) {
    for kit in kits {
        kit.stop().unwrap();
    }
}

#[test]
fn frames_of_every_size_cross_uncopied() {
    run("frames_of_every_size_cross_uncopied", || {
        let (mut a, mut b) = both();
        for len in (46..1500).step_by(37).chain([1500]) {
            let sent = frame(THEIRS, len);
            send(&mut a, std::slice::from_ref(&sent));
            let got = wait_for(&mut b, 1);
            assert!(
                got[0].data() == sent,
                "{len} bytes arrive as they were sent"
            );
            assert_eq!(got[0].flags() & 0xf, NPKT_UP);
        }
        assert_eq!((a.counter("tx_copied"), b.counter("rx_errors")), (0, 0));
        // Longer than the interface allows, and shorter than a header.
        send(&mut a, &[frame(THEIRS, 1501), vec![0; 13]]);
        assert_eq!((a.counter("tx_too_long"), a.counter("tx_errors")), (1, 1));
        // What has been sent does not come back.
        assert!(arrived(&mut a).is_empty());
        stop([a, b]);
    });
}

#[test]
fn jumbo_frames_cross_in_several_buffers() {
    run("jumbo_frames_cross_in_several_buffers", || {
        ip("link set va mtu 9000");
        ip("link set vb mtu 9000");
        let (mut a, mut b) = both();
        assert_eq!(a.adverts().last().unwrap().mtu, 9000);
        for len in [
            46, 1700, 1778, 1779, 1900, 1920, 2048, 3000, 4096, 8999, 9000,
        ] {
            let sent = frame(THEIRS, len);
            send(&mut a, std::slice::from_ref(&sent));
            let got = wait_for(&mut b, 1);
            assert!(
                bytes(&got[0]) == sent,
                "{len} bytes arrive as they were sent"
            );
        }
        // Bursts of them, mixed, in order.
        let sent: Vec<_> = (0..50).map(|n| frame(THEIRS, 60 + n * 160)).collect();
        send(&mut a, &sent);
        let got = wait_for(&mut b, sent.len());
        assert!(got.iter().map(bytes).eq(sent));
        assert_eq!(a.counter("tx_copied"), 0);
        drop(got);
        stop([a, b]);
    });
}

#[test]
fn a_growing_mtu_is_followed() {
    run("a_growing_mtu_is_followed", || {
        let (mut a, mut b) = both();
        send(&mut a, &[frame(THEIRS, 1500)]);
        drop(wait_for(&mut b, 1));
        ip("link set va mtu 4000");
        ip("link set vb mtu 4000");
        advertised(&mut a, |advert| advert.mtu == 4000 && is_up(advert));
        advertised(&mut b, |advert| advert.mtu == 4000 && is_up(advert));
        let sent = frame(THEIRS, 4000);
        send(&mut a, std::slice::from_ref(&sent));
        let got = wait_for(&mut b, 1);
        assert!(bytes(&got[0]) == sent);
        drop(got);
        ip("link set va mtu 1400");
        advertised(&mut a, |advert| advert.mtu == 1400);
        send(&mut a, &[frame(THEIRS, 1500)]);
        assert_eq!(a.counter("tx_too_long"), 1);
        stop([a, b]);
    });
}

#[test]
fn bursts_of_all_sorts_go_in_order() {
    run("bursts_of_all_sorts_go_in_order", || {
        let (mut a, mut b) = both();
        let sent: Vec<_> = (0..200).map(|n| frame(THEIRS, 100 + n)).collect();
        let packets = sent.iter().enumerate().map(|(n, bytes)| {
            // Every seventh in pieces.
            if n % 7 != 3 {
                return a.packet(bytes).unwrap();
            }
            let mut packet = a.packet(&bytes[..9]).unwrap();
            for piece in bytes[9..].chunks(8) {
                packet.chain(a.packet(piece).unwrap());
            }
            packet
        });
        let mut packets: Vec<Packet> = packets.collect();
        let mut message = a.packet(b"not a frame at all").unwrap();
        message.set_flags(NPKT_MSG, 0);
        packets.insert(77, message);
        a.rx_down(0, 0, packets);
        let got = wait_for(&mut b, sent.len());
        assert!(got.iter().map(bytes).eq(sent));
        assert_eq!((a.counter("tx_packets"), a.counter("tx_errors")), (200, 0));
        drop(got);
        stop([a, b]);
    });
}

#[test]
fn one_packet_many_times_is_sent_as_often() {
    run("one_packet_many_times_is_sent_as_often", || {
        let (mut a, mut b) = both();
        let packet = SharedPacket::from(a.packet(&frame(THEIRS, 300)).unwrap());
        let mut burst: Vec<_> = (0..9).map(|_| a.share(&packet)).collect();
        burst.push(packet);
        a.rx_raw(0, false, burst);
        assert_eq!(wait_for(&mut b, 10).len(), 10);
        assert_eq!((a.counter("tx_copied"), a.counter("tx_packets")), (9, 10));
        stop([a, b]);
    });
}

#[test]
fn a_super_segment_is_cut_and_summed() {
    run("a_super_segment_is_cut_and_summed", || {
        let (mut a, mut b) = both();
        for tag in [None, Some(0x6123)] {
            let header = [&[0; 12][..], &[0x80, 0x10, 0xff, 0xff], &[0; 16]].concat();
            let segment = [&header[..], &vec![9; 20_000]].concat();
            let frame = ethernet(THEIRS, OURS, 0x0800, &ipv4(6, &segment));
            let mut packet = a.packet(&frame).unwrap();
            *packet.vnet_mut() = VnetHdr {
                flags: VNET_NEEDS_CSUM,
                gso_type: GSO_TCPV4,
                hdr_len: 66,
                gso_size: 1448,
                csum_start: 34,
                csum_offset: 16,
            };
            packet.set_vlan_tci(tag);
            a.rx_down(0, 0, vec![packet]);
            let mut payload = 0;
            let before = if tag.is_some() { 70 } else { 66 };
            b.run_until(|kit| {
                kit.turn();
                for sent in kit.take_sent() {
                    let packet = sent.packet;
                    if packet.data()[6..12] == OURS {
                        assert_eq!(packet.data()[12..14] == [0x81, 0], tag.is_some());
                        payload += packet.len() - before;
                    }
                }
                payload >= 20_000
            });
            assert_eq!(payload, 20_000);
        }
        assert_eq!(a.counter("tx_packets"), 28);
        stop([a, b]);
    });
}

#[test]
fn the_kernel_keeps_what_no_rule_names() {
    run("the_kernel_keeps_what_no_rule_names", || {
        ip("addr add 10.0.0.1/24 dev va");
        let kernel = UdpSocket::bind("10.0.0.1:9").unwrap();
        kernel
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut kit = start("if=va,port=7");
        // In one namespace the kernel would not send to itself by the wire: a second driver does.
        let mut far = start("if=vb,ethertype=0x88b6");
        let to = |port| ethernet(OURS, THEIRS, 0x0800, &at_ours(&udp(1, port, b"hello")));
        send(&mut far, &[to(9), to(7), to(9)]);
        let mut got = Vec::new();
        kit.run_until(|kit| {
            kit.turn();
            got.extend(kit.take_sent().into_iter().map(|sent| bytes(&sent.packet)));
            !got.is_empty()
        });
        assert_eq!(got, [to(7)]);
        let mut buffer = [0; 64];
        for _ in 0..2 {
            assert_eq!(kernel.recv(&mut buffer).unwrap(), 5);
        }
        stop([kit, far]);
    });
}

/// An IPv4 packet from 10.0.0.7 to 10.0.0.1 with `datagram`.
fn at_ours(datagram: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(17, datagram);
    // The sum stays right: what one address loses, the other gains, and 6 more.
    (packet[15], packet[19]) = (7, 1);
    let sum = u16::from_be_bytes([packet[10], packet[11]]);
    packet[10..12].copy_from_slice(&(sum - 5).to_be_bytes());
    packet
}

#[test]
fn only_what_is_ours_comes_up_unless_promiscuous() {
    run("only_what_is_ours_comes_up_unless_promiscuous", || {
        let (mut a, mut b) = both();
        let other = [2, 0, 0, 0, 0, 0x77];
        send(&mut a, &[frame(other, 60), frame([0xff; 6], 60)]);
        let got = wait_for(&mut b, 1);
        assert_eq!(got[0].flags() & 0xf, NPKT_UP | NPKT_BCAST);
        assert_eq!(b.counter("rx_filtered"), 1);
        b.devctl(0, DEVCTL_PROMISCUOUS, &1_u32.to_ne_bytes())
            .unwrap();
        send(&mut a, &[frame(other, 60)]);
        let got = wait_for(&mut b, 1);
        assert_eq!(got[0].flags() & 0xf, NPKT_UP | NPKT_PROMISC);
        drop(got);
        stop([a, b]);
    });
}

#[test]
fn an_interface_that_goes_and_comes_back_is_served_again() {
    run(
        "an_interface_that_goes_and_comes_back_is_served_again",
        || {
            let (mut a, b) = both();
            ip("link set vb down");
            advertised(&mut a, |advert| !is_up(advert));
            assert_eq!(a.devctl(0, DEVCTL_LINK_STATE, &[]).unwrap(), [0; 4]);
            send(&mut a, &[frame(THEIRS, 60)]);
            assert_eq!(a.counter("tx_link_down"), 1);
            ip("link set vb up");
            advertised(&mut a, is_up);
            b.stop().unwrap();
            // Under way: some of them are in the rings when it goes.
            for _ in 0..20 {
                send(&mut a, &vec![frame(THEIRS, 900); 100]);
            }
            ip("link delete va");
            advertised(&mut a, |advert| !is_up(advert));
            send(&mut a, &[frame(THEIRS, 60)]);
            veth::make();
            advertised(&mut a, is_up);
            let mut b = start("if=vb,all");
            send(&mut a, &[frame(THEIRS, 60)]);
            drop(wait_for(&mut b, 1));
            stop([a, b]);
        },
    );
}

#[test]
fn a_full_ring_is_counted_and_nothing_leaks() {
    run("a_full_ring_is_counted_and_nothing_leaks", || {
        let (mut a, mut b) = both();
        // Nobody takes them: b is not polled.
        for _ in 0..60 {
            send(&mut a, &vec![frame(THEIRS, 60); 100]);
        }
        b.devctl(0, DEVCTL_GET_STATS, &[]).unwrap();
        let lost =
            b.counter("rx_ring_full") + b.counter("rx_dropped") + b.counter("fill_ring_empty");
        assert!(lost > 0, "{:?}", b.counters());
        b.turn();
        drop(b.take_sent());
        stop([a, b]);
    });
}

#[test]
fn several_interfaces_and_queues_are_opened_as_asked() {
    run("several_interfaces_and_queues_are_opened_as_asked", || {
        let failed = |options: &str| Kit::start(built_module("devn-xdp"), options).err().unwrap();
        let failure = failed("if=va,all,queues=3");
        assert!(failure.text.contains("no queue 2"), "{failure}");
        let failure = failed("if=va,all,mode=zerocopy");
        assert!(failure.text.contains("mode=copy"), "{failure}");
        let failure = failed("if=nothing,all");
        assert_eq!(failure.errno, errno::ENODEV);
        let kit = start("if=va,all,queues=1,generic");
        assert!(
            kit.logs()
                .iter()
                .any(|(_, said)| said.contains("behind its driver"))
        );
        // The other queue is free, but the interface has its program.
        let failure = failed("if=va,all");
        assert!(failure.text.contains("queue 0"), "{failure}");
        kit.stop().unwrap();
        let kit = start("if=va,all");
        assert!(
            kit.logs()
                .iter()
                .any(|(_, said)| said.contains("2 queue(s)"))
        );
        kit.stop().unwrap();
    });
}
