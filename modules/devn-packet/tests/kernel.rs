//! The built driver over a real pair of interfaces, with the kernel or a second driver at the far end.

mod veth;

use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, CAP_CSUM, CAP_TSO4, DEVCTL_GET_STATS, DEVCTL_LINK_STATE,
    DEVCTL_PROMISCUOUS, GSO_TCPV4, NPKT_BCAST, NPKT_MCAST, NPKT_MSG, NPKT_PROMISC, NPKT_UP,
    VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_ddk::errno;
use io_net_ddk::pktbuf::{Packet, SharedPacket};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module};
use std::net::UdpSocket;
use veth::{ip, run};

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
/// Of local experiments (IEEE 802-2014, 9.2.3.1): nothing of the kernel's is among them.
const ETHERTYPE: u16 = 0x88b5;

fn start(options: &str) -> Kit {
    Kit::start(built_module("devn-packet"), options).unwrap()
}

/// A driver on each end.
fn both() -> (Kit, Kit) {
    (start("if=va"), start("if=vb"))
}

/// What has come up of our ethertype, directly or behind a tag.
fn arrived(kit: &mut Kit) -> Vec<SharedPacket> {
    kit.turn();
    let kind = ETHERTYPE.to_be_bytes();
    let ours = |frame: &[u8]| frame[12..14] == kind || frame[16..18] == kind;
    let sent = kit.take_sent().into_iter().map(|sent| sent.packet);
    sent.filter(|packet| ours(packet.data())).collect()
}

/// Waits for one frame of our ethertype.
fn one(kit: &mut Kit) -> SharedPacket {
    let mut got = Vec::new();
    kit.run_until(|kit| {
        got.extend(arrived(kit));
        !got.is_empty()
    });
    assert_eq!(got.len(), 1);
    got.remove(0)
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

/// A TCP segment of `len` bytes that is to be cut, which no MTU limits.
fn segment(kit: &Kit, len: usize) -> Packet {
    let header = [&[0; 12][..], &[0x80, 0x10, 0xff, 0xff], &[0; 16]].concat();
    let segment = [&header[..], &vec![9; len]].concat();
    let frame = ethernet(THEIRS, OURS, 0x0800, &ipv4(6, &segment));
    let mut packet = kit.packet(&frame).unwrap();
    *packet.vnet_mut() = SEGMENT;
    packet
}

const SEGMENT: VnetHdr = VnetHdr {
    flags: VNET_NEEDS_CSUM,
    gso_type: GSO_TCPV4,
    hdr_len: 66,
    gso_size: 1448,
    csum_start: 34,
    csum_offset: 16,
};

/// Lengths of the frames of ours that have come up.
fn lengths(kit: &mut Kit) -> Vec<usize> {
    kit.turn();
    let sent = kit.take_sent().into_iter().map(|sent| sent.packet);
    sent.filter(|packet| packet.data()[6..12] == OURS)
        .map(|packet| packet.len())
        .collect()
}

/// Waits until the last advert satisfies `wanted`.
fn advertised(kit: &mut Kit, wanted: impl Fn(&Advert) -> bool) {
    kit.run_until(|kit| {
        kit.turn();
        drop(kit.take_sent());
        kit.adverts().last().is_some_and(&wanted)
    });
}

fn is_up(advert: &Advert) -> bool {
    advert.flags & ADVERT_LINK_UP != 0
}

#[test]
fn frames_of_every_size_cross() {
    run("frames_of_every_size_cross", || {
        ip("link set va mtu 65535");
        ip("link set vb mtu 65535");
        let (mut a, mut b) = both();
        assert_eq!(a.adverts().last().unwrap().mtu, 65_535);
        // Around what a place in the ring and a small packet hold, and the largest of all.
        let edges = [46, 1500, 1650, 1651, 1900, 1950, 2048, 9000, 65_534, 65_535];
        for len in edges.into_iter().chain(1920..1990) {
            let sent = frame(THEIRS, len);
            send(&mut a, std::slice::from_ref(&sent));
            let got = one(&mut b);
            assert!(got.data() == sent, "{len} bytes arrive as they were sent");
            assert_eq!(got.flags() & 0xf, NPKT_UP);
            assert!(got.tstamp_ns().is_some());
        }
        assert_eq!(b.counter("rx_errors"), 0);
        // What has been sent does not come back.
        assert!(arrived(&mut a).is_empty());
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn long_and_short_frames_keep_their_order() {
    run("long_and_short_frames_keep_their_order", || {
        let (mut a, mut b) = both();
        // Some go by the ring and some by the queue.
        for n in 0..400 {
            let packets = [(1, 60 + n), (n % 3, 20_000 + n), (n % 2, 1000 + n)];
            let packets = packets.into_iter().filter(|(times, _)| *times > 0);
            let packets: Vec<_> = packets
                .map(|(_, len)| match len {
                    20_000.. => segment(&a, len),
                    _ => a.packet(&frame(THEIRS, len)).unwrap(),
                })
                .collect();
            let wanted: Vec<_> = packets.iter().map(|packet| packet.len()).collect();
            a.rx_down(0, 0, packets);
            let mut got = Vec::new();
            b.run_until(|kit| {
                got.extend(lengths(kit));
                got.len() >= wanted.len()
            });
            assert_eq!(got, wanted);
        }
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn a_burst_of_all_sorts_goes_in_order() {
    run("a_burst_of_all_sorts_goes_in_order", || {
        let (mut a, mut b) = both();
        let sent: Vec<_> = (0..200).map(|n| frame(THEIRS, 100 + n)).collect();
        let packets = sent.iter().enumerate().map(|(n, bytes)| {
            // Every seventh in pieces, and messages of io-net's own in between.
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
        let mut got = Vec::new();
        b.run_until(|kit| {
            got.extend(arrived(kit).into_iter().map(|p| p.data().to_vec()));
            got.len() >= sent.len()
        });
        assert!(got == sent);
        assert_eq!((a.counter("tx_packets"), a.counter("tx_errors")), (200, 0));
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn a_super_segment_crosses_whole() {
    run("a_super_segment_crosses_whole", || {
        let (mut a, mut b) = both();
        for tag in [None, Some(0x6123)] {
            let mut packet = segment(&a, 60_000);
            let frame = packet.data().to_vec();
            packet.set_vlan_tci(tag);
            a.rx_down(0, 0, vec![packet]);
            let mut got = None;
            b.run_until(|kit| {
                kit.turn();
                let mut sent = kit.take_sent().into_iter();
                got = sent.find(|sent| sent.packet.len() > 60_000);
                got.is_some()
            });
            let got = got.unwrap().packet;
            let shift = if tag.is_some() { 4 } else { 0 };
            let (head, tail) = frame.split_at(12);
            let inserted: &[u8] = if tag.is_some() {
                &[0x81, 0, 0x61, 0x23]
            } else {
                &[]
            };
            assert!(got.data() == [head, inserted, tail].concat());
            let shifted = VnetHdr {
                hdr_len: 66 + shift,
                csum_start: 34 + shift,
                ..SEGMENT
            };
            assert_eq!(*got.vnet(), shifted);
        }
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn tags_that_the_kernel_takes_out_are_put_back() {
    run("tags_that_the_kernel_takes_out_are_put_back", || {
        let (mut a, mut b) = both();
        for tag in [[0x81, 0, 0x60, 5], [0x88, 0xa8, 0xef, 0xff]] {
            for len in [46, 1496] {
                let plain = frame([0xff; 6], len);
                let tagged = [&plain[..12], &tag, &plain[12..]].concat();
                send(&mut a, std::slice::from_ref(&tagged));
                let got = one(&mut b);
                assert!(got.data() == tagged, "{len} bytes");
                assert_eq!(
                    (got.flags() & NPKT_BCAST, got.vlan_tci()),
                    (NPKT_BCAST, None)
                );
            }
        }
        // Beside the frame on the way down, in it on the way up.
        let plain = frame(THEIRS, 100);
        let mut packet = a.packet(&plain).unwrap();
        packet.set_vlan_tci(Some(0x6005));
        a.rx_down(0, 0, vec![packet]);
        let tagged = [&plain[..12], &[0x81, 0, 0x60, 5], &plain[12..]].concat();
        assert_eq!(one(&mut b).data(), tagged);
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn the_kernel_and_io_net_finish_each_others_checksums() {
    run("the_kernel_and_io_net_finish_each_others_checksums", || {
        let mut kit = start("if=va");
        let advert = *kit.adverts().last().unwrap();
        assert_eq!(
            (advert.mac[..6].to_vec(), advert.mtu),
            (OURS.to_vec(), 1500)
        );
        assert_eq!(advert.caps & (CAP_CSUM | CAP_TSO4), CAP_CSUM | CAP_TSO4);
        ip("neigh add 10.0.0.1 lladdr 02:00:00:00:00:0a dev vb");
        let socket = UdpSocket::bind("10.0.0.2:9").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.send_to(b"from the kernel", "10.0.0.1:7").unwrap();
        let mut got = None;
        kit.run_until(|kit| {
            kit.turn();
            let to_port_7 = |frame: &[u8]| frame[12..14] == [8, 0] && frame[36..38] == [0, 7];
            let mut sent = kit.take_sent().into_iter();
            got = sent.find(|sent| to_port_7(sent.packet.data()));
            got.is_some()
        });
        let got = got.unwrap().packet;
        assert_eq!(&got.data()[42..], b"from the kernel");
        let vnet = got.vnet();
        assert_eq!((vnet.flags, vnet.csum_start), (VNET_NEEDS_CSUM, 34));
        // The first says what is missing; the second is plain, and its sum is wrong.
        let bytes = ethernet(THEIRS, OURS, 0x0800, &ipv4(17, &udp(7, 9, b"sum")));
        let needs = VnetHdr {
            flags: VNET_NEEDS_CSUM,
            csum_start: 34,
            csum_offset: 6,
            ..VnetHdr::default()
        };
        let packets = [needs, VnetHdr::default()].map(|vnet| {
            let mut packet = kit.packet(&bytes).unwrap();
            packet.data_mut()[40..42].copy_from_slice(&[0x14, 0x20]);
            *packet.vnet_mut() = vnet;
            packet
        });
        kit.rx_down(0, 0, packets.into());
        let mut buffer = [0; 100];
        kit.run_until(|_| socket.recv(&mut buffer).is_ok());
        assert_eq!(&buffer[..3], b"sum");
        assert!(socket.recv(&mut buffer).is_err());
        kit.stop().unwrap();
    });
}

#[test]
fn what_comes_up_is_marked_and_filtered() {
    run("what_comes_up_is_marked_and_filtered", || {
        let mut a = start("if=vb");
        let mut b = start("if=va,mac=02:00:00:00:00:77");
        let to = [
            ([2, 0, 0, 0, 0, 0x77], NPKT_UP),
            ([0xff; 6], NPKT_UP | NPKT_BCAST),
            ([0x33, 0x33, 0, 0, 0, 9], NPKT_UP | NPKT_MCAST),
            ([1, 0, 0x5e, 0, 0, 9], NPKT_UP | NPKT_MCAST),
        ];
        for (address, flags) in to {
            send(&mut a, &[frame(address, 60)]);
            assert_eq!(one(&mut b).flags() & 0xf, flags, "{address:02x?}");
        }
        let filtered = b.counter("rx_filtered");
        send(&mut a, &[frame(OURS, 60)]);
        b.run_until(|kit| {
            assert!(arrived(kit).is_empty());
            kit.counter("rx_filtered") == filtered + 1
        });
        b.devctl(0, DEVCTL_PROMISCUOUS, &1u32.to_ne_bytes())
            .unwrap();
        b.devctl(0, DEVCTL_PROMISCUOUS, &1u32.to_ne_bytes())
            .unwrap();
        send(&mut a, &[frame(OURS, 60)]);
        assert_eq!(one(&mut b).flags() & 0xf, NPKT_UP | NPKT_PROMISC);
        b.devctl(0, DEVCTL_PROMISCUOUS, &0u32.to_ne_bytes())
            .unwrap();
        let wrong = b.devctl(0, DEVCTL_PROMISCUOUS, b"").unwrap_err();
        assert_eq!(wrong.errno, errno::EINVAL);
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn several_queues_get_each_frame_once() {
    run("several_queues_get_each_frame_once", || {
        let mut a = start("if=vb");
        let mut b = start("if=va,queues=4");
        let flow = |port: u16| ethernet(OURS, THEIRS, 0x0800, &ipv4(17, &udp(port, 9, b"flow")));
        let sent: Vec<_> = (1000..1200).map(flow).collect();
        send(&mut a, &sent);
        let mut got = Vec::new();
        b.run_until(|kit| {
            kit.turn();
            let frames = kit
                .take_sent()
                .into_iter()
                .map(|sent| sent.packet.data().to_vec());
            got.extend(frames.filter(|frame| frame.len() > 45 && frame[36..38] == [0, 9]));
            got.len() >= sent.len()
        });
        b.turn();
        got.sort();
        assert!(got == sent);
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn changes_of_the_interface_are_told() {
    run("changes_of_the_interface_are_told", || {
        let (mut a, mut b) = both();
        ip("link set va mtu 9000");
        advertised(&mut a, |advert| advert.mtu == 9000 && is_up(advert));
        ip("link set vb mtu 9000");
        advertised(&mut b, |advert| advert.mtu == 9000 && is_up(advert));
        send(&mut b, &[frame(OURS, 9000)]);
        assert_eq!(one(&mut a).len(), 9014);
        ip("link set va address 02:00:00:00:00:33");
        advertised(&mut a, |advert| advert.mac[5] == 0x33);
        // The carrier goes with the other end.
        ip("link set vb down");
        advertised(&mut a, |advert| !is_up(advert));
        advertised(&mut b, |advert| !is_up(advert));
        assert_eq!(a.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(), [0; 4]);
        send(&mut b, &[frame(THEIRS, 60), frame(THEIRS, 60)]);
        assert_eq!(b.counter("tx_link_down"), 2);
        ip("link set vb up");
        advertised(&mut a, is_up);
        advertised(&mut b, is_up);
        send(&mut a, &[frame(THEIRS, 60)]);
        one(&mut b);
        let adverts = a.adverts().len();
        a.turn();
        assert_eq!(a.adverts().len(), adverts, "nothing new, nothing told");
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn an_interface_may_go_and_come_back() {
    run("an_interface_may_go_and_come_back", || {
        for queues in [1, 3] {
            let mut kit = start(&format!("if=va,promiscuous,mtu=1400,queues={queues}"));
            for round in 1..4 {
                ip("link delete va");
                advertised(&mut kit, |advert| !is_up(advert));
                assert_eq!(kit.watches(), 1, "only for its coming back");
                send(&mut kit, &[frame(THEIRS, 60)]);
                assert_eq!(kit.counter("tx_link_down"), round);
                veth::make();
                advertised(&mut kit, |advert| is_up(advert) && advert.mtu == 1400);
                let mut other = start("if=vb");
                send(&mut kit, &[frame(THEIRS, 60)]);
                one(&mut other);
                send(&mut other, &[frame([2; 6], 60)]);
                assert_eq!(one(&mut kit).flags() & NPKT_PROMISC, NPKT_PROMISC);
                other.stop().unwrap();
            }
            // Renamed, it is another's.
            ip("link set va down");
            ip("link set va name vc");
            advertised(&mut kit, |advert| !is_up(advert));
            kit.stop().unwrap();
            ip("link delete vc");
            veth::make();
        }
    });
}

#[test]
fn losses_have_names() {
    run("losses_have_names", || {
        let (mut a, mut b) = both();
        send(&mut a, &[frame(THEIRS, 1505), frame(THEIRS, 60)]);
        assert_eq!(a.counter("tx_too_long"), 1);
        one(&mut b);
        let mut senseless = [77, GSO_TCPV4, 0x85].map(|kind| {
            let mut packet = a.packet(&frame(THEIRS, 60)).unwrap();
            packet.vnet_mut().gso_type = kind;
            packet
        });
        (
            senseless[1].vnet_mut().flags,
            senseless[1].vnet_mut().csum_start,
        ) = (1, u16::MAX);
        a.rx_down(0, 0, senseless.into());
        assert_eq!(a.counter("tx_errors"), 3);
        send(&mut a, &[vec![], vec![1; 5]]);
        assert_eq!(a.counter("tx_errors"), 5);
        // More than the ring holds, while nobody looks; and the same with long frames.
        let received = b.counter("rx_packets");
        for _ in 0..50 {
            send(&mut a, &vec![frame(THEIRS, 60); 60]);
        }
        b.devctl(0, DEVCTL_GET_STATS, b"").unwrap();
        let dropped = b.counter("rx_kernel_drops");
        b.run_until(|kit| {
            kit.turn();
            drop(kit.take_sent());
            kit.counter("rx_packets") + dropped >= received + 3000
        });
        assert!(dropped > 500, "{dropped}");
        send(&mut a, &[frame(THEIRS, 60)]);
        one(&mut b);
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn long_frames_without_room_are_lost_alone() {
    run("long_frames_without_room_are_lost_alone", || {
        let (mut a, mut b) = both();
        // 64 MiB, which is more than the socket holds; then a short one.
        for _ in 0..64 {
            let packets = (0..16).map(|_| segment(&a, 64_000)).collect();
            a.rx_down(0, 0, packets);
        }
        send(&mut a, &[frame(THEIRS, 60)]);
        let mut got = Vec::new();
        b.run_until(|kit| {
            got.extend(lengths(kit));
            got.last() == Some(&74)
        });
        let lost = b.counter("rx_kernel_drops") as usize;
        assert!(lost > 0);
        assert_eq!(got, [&vec![64_066; 1024 - lost][..], &[74]].concat());
        assert_eq!(b.counter("rx_errors"), 0);
        // Packets that the pool has none for are lost alone, too.
        let hoard: Vec<_> = std::iter::from_fn(|| b.packet(&[0; 9000])).collect();
        let packets = vec![segment(&a, 64_000), a.packet(&frame(THEIRS, 60)).unwrap()];
        a.rx_down(0, 0, packets);
        assert_eq!(one(&mut b).len(), 74);
        assert_eq!(b.counter("rx_no_buffer"), 1);
        drop(hoard);
        let packets = vec![segment(&a, 50_000)];
        a.rx_down(0, 0, packets);
        b.run_until(|kit| lengths(kit) == [50_066]);
        a.stop().unwrap();
        b.stop().unwrap();
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    run("what_cannot_be_opened_says_why", || {
        ip("tuntap add name tun0 mode tun");
        let failure = |options: &str| {
            let kit = Kit::start(built_module("devn-packet"), options);
            kit.err().unwrap()
        };
        let absent = failure("if=nothing");
        assert_eq!(absent.errno, errno::ENODEV);
        assert!(absent.text.contains("no such interface"), "{absent}");
        assert!(failure("if=lo").text.contains("loopback"));
        assert!(failure("if=tun0").text.contains("no Ethernet interface"));
        assert!(failure("if=va,mtu=1501").text.contains("mtu=1501"));
        assert!(
            failure("if=a-name-too-long-for-any")
                .text
                .contains("1 to 15 bytes")
        );
        // One that is down is there all the same.
        ip("link set va down");
        let mut kit = start("if=va");
        assert!(!is_up(kit.adverts().last().unwrap()));
        ip("link set va up");
        advertised(&mut kit, is_up);
        kit.stop().unwrap();
    });
}
