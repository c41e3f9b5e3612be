//! The built driver over a real TAP device, with the kernel at its other end.

use io_net_ddk::abi::{
    ADVERT_LINK_UP, CAP_CSUM, CAP_TSO4, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, DEVCTL_PROMISCUOUS,
    GSO_NONE, GSO_TCPV4, NPKT_BCAST, NPKT_UP, VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_ddk::errno;
use io_net_ddk::pktbuf::{Packet, SharedPacket};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, Sent, built_module, namespace};
use std::net::UdpSocket;
use std::process::Command;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// A driver whose kernel side is 10.0.0.2/24 and knows OURS as 10.0.0.1.
fn start(options: &str) -> Kit {
    let options = format!("name=t0,mac=02:00:00:00:00:77,addr=10.0.0.2/24{options}");
    let kit = Kit::start(built_module("devn-tap"), &options).unwrap();
    ip(&[
        "neigh",
        "add",
        "10.0.0.1",
        "lladdr",
        "02:00:00:00:00:77",
        "dev",
        "t0",
    ]);
    kit
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// The UDP payload of each frame to port 7 that has come up so far.
fn datagrams(kit: &mut Kit) -> Vec<Vec<u8>> {
    kit.turn();
    let to_port_7 = |frame: &[u8]| frame[12..14] == [8, 0] && frame[36..38] == [0, 7];
    let sent = kit.take_sent();
    sent.iter()
        .map(|sent| sent.packet.data())
        .filter(|frame| to_port_7(frame))
        .map(|frame| frame[42..].to_vec())
        .collect()
}

fn kernel_mac() -> [u8; 6] {
    let text = std::fs::read_to_string("/sys/class/net/t0/address");
    // Without a sysfs of the namespace, ask ip.
    let text = text.unwrap_or_else(|_| {
        let output = Command::new("ip")
            .args(["-br", "link", "show", "t0"])
            .output()
            .unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        words.split_whitespace().nth(2).unwrap().to_owned()
    });
    let bytes: Vec<u8> = text
        .trim()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

#[test]
fn frames_cross_both_ways() {
    namespace::run("devn-tap", "frames_cross_both_ways", || {
        let mut kit = start("");
        let advert = kit.adverts()[0];
        assert_eq!(advert.mac[..6], OURS);
        assert_eq!((advert.mtu, advert.flags), (1500, ADVERT_LINK_UP));
        assert_eq!(advert.caps & (CAP_CSUM | CAP_TSO4), CAP_CSUM | CAP_TSO4);
        let socket = UdpSocket::bind("10.0.0.2:9").unwrap();
        socket.set_nonblocking(true).unwrap();
        // From the kernel, of every size up to what its MTU carries in one frame.
        for len in [0, 1, 700, 1471, 1472] {
            socket.send_to(&vec![len as u8; len], "10.0.0.1:7").unwrap();
            let mut got = Vec::new();
            kit.run_until(|kit| {
                got.extend(datagrams(kit));
                !got.is_empty()
            });
            assert_eq!(got, [vec![len as u8; len]]);
        }
        // To the kernel: in one fragment, and in three.
        let frame = |text: &str| {
            let datagram = ipv4(17, &udp(7, 9, text.as_bytes()));
            ethernet(kernel_mac(), OURS, 0x0800, &datagram)
        };
        let one = kit.packet(&frame("one")).unwrap();
        let mut three = kit.packet(&frame("three")[..20]).unwrap();
        three.chain(kit.packet(&frame("three")[20..40]).unwrap());
        three.chain(kit.packet(&frame("three")[40..]).unwrap());
        kit.rx_down(0, 0, vec![one, three]);
        let mut buffer = [0; 100];
        for text in ["one", "three"] {
            let len = socket.recv(&mut buffer).expect(text);
            assert_eq!(&buffer[..len], text.as_bytes());
        }
        assert_eq!(kit.counter("tx_packets"), 2);
        assert_eq!(kit.counter("tx_errors"), 0);
        kit.stop().unwrap();
    });
}

/// Sends `packet` by one driver and returns what another gets, over the kernel's bridge.
fn across_a_bridge(packet: impl FnOnce(&Kit) -> Packet) -> SharedPacket {
    ip(&["link", "add", "br0", "type", "bridge"]);
    let start = |name: &str| {
        let options = format!("name={name},up");
        let kit = Kit::start(built_module("devn-tap"), &options).unwrap();
        ip(&["link", "set", name, "master", "br0"]);
        kit
    };
    let (mut from, mut to) = (start("t1"), start("t2"));
    ip(&["link", "set", "br0", "up"]);
    let packet = packet(&from);
    from.rx_down(0, 0, vec![packet]);
    assert_eq!(from.counter("tx_errors"), 0);
    let mut got = None;
    to.run_until(|kit| {
        kit.turn();
        // The kernel sends frames of its own too, from its own addresses.
        let ours = |sent: &Sent| sent.packet.data()[6..12] == OURS;
        got = kit.take_sent().into_iter().find(ours);
        got.is_some()
    });
    from.stop().unwrap();
    let got = got.unwrap().packet;
    assert_eq!(got.copy().map(|copy| copy.len()), Some(got.len()));
    got
}

#[test]
fn a_tag_beside_the_frame_goes_into_it() {
    namespace::run("devn-tap", "a_tag_beside_the_frame_goes_into_it", || {
        let frame = ethernet([0xff; 6], OURS, 0x88b5, &[7; 100]);
        let got = across_a_bridge(|kit| {
            let mut packet = kit.packet(&frame).unwrap();
            packet.set_vlan_tci(Some(0x6123));
            packet
        });
        let tagged = [&frame[..12], &[0x81, 0x00, 0x61, 0x23], &frame[12..]].concat();
        assert_eq!(got.data(), tagged);
    });
}

#[test]
fn a_super_segment_crosses_whole() {
    namespace::run("devn-tap", "a_super_segment_crosses_whole", || {
        let segment = [
            &[0; 12][..],
            &[0x80, 0x10, 0xff, 0xff],
            &[0; 16],
            &[9; 60_000],
        ]
        .concat();
        let frame = ethernet([0xff; 6], OURS, 0x0800, &ipv4(6, &segment));
        let vnet = VnetHdr {
            flags: VNET_NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        };
        let got = across_a_bridge(|kit| {
            let mut packet = kit.packet(&frame).unwrap();
            *packet.vnet_mut() = vnet;
            packet
        });
        assert_eq!(*got.vnet(), vnet);
        assert!(got.data() == frame, "the bytes are as they were");
    });
}

#[test]
fn an_unfinished_checksum_is_finished_by_the_kernel() {
    namespace::run(
        "devn-tap",
        "an_unfinished_checksum_is_finished_by_the_kernel",
        || {
            let mut kit = start("");
            let socket = UdpSocket::bind("10.0.0.2:9").unwrap();
            socket.set_nonblocking(true).unwrap();
            let frame = ethernet(kernel_mac(), OURS, 0x0800, &ipv4(17, &udp(7, 9, b"sum")));
            let with = |vnet: VnetHdr, sum: [u8; 2]| {
                let mut packet = kit.packet(&frame).unwrap();
                packet.data_mut()[40..42].copy_from_slice(&sum);
                *packet.vnet_mut() = vnet;
                packet
            };
            let needs = VnetHdr {
                flags: VNET_NEEDS_CSUM,
                gso_type: GSO_NONE,
                csum_start: 34,
                csum_offset: 6,
                ..VnetHdr::default()
            };
            // The first says what is missing; the second is plain, and its sum is wrong.
            let packets = vec![
                with(needs, [0x14, 0x20]),
                with(VnetHdr::default(), [0x14, 0x20]),
            ];
            kit.rx_down(0, 0, packets);
            let mut buffer = [0; 100];
            let len = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"sum");
            assert!(socket.recv(&mut buffer).is_err());
            kit.stop().unwrap();
        },
    );
}

#[test]
fn what_comes_up_is_marked() {
    namespace::run("devn-tap", "what_comes_up_is_marked", || {
        let mut kit = start("");
        let socket = UdpSocket::bind("10.0.0.2:9").unwrap();
        socket.set_broadcast(true).unwrap();
        socket.send_to(b"all", "10.0.0.255:7").unwrap();
        socket.send_to(b"you", "10.0.0.1:7").unwrap();
        let mut flags = Vec::new();
        kit.run_until(|kit| {
            kit.turn();
            for sent in kit.take_sent() {
                assert!(sent.up);
                if sent.packet.data()[36..38] == [0, 7] {
                    let vnet = *sent.packet.vnet();
                    assert_eq!((vnet.flags, vnet.csum_start), (VNET_NEEDS_CSUM, 34));
                    flags.push(sent.packet.flags());
                }
            }
            flags.len() == 2
        });
        assert_eq!(flags, [NPKT_UP | NPKT_BCAST, NPKT_UP]);
        // Not promiscuous, it takes nothing that is for somebody else.
        ip(&[
            "neigh",
            "add",
            "10.0.0.3",
            "lladdr",
            "02:00:00:00:00:78",
            "dev",
            "t0",
        ]);
        kit.devctl(0, DEVCTL_PROMISCUOUS, &0u32.to_ne_bytes())
            .unwrap();
        socket.send_to(b"other", "10.0.0.3:7").unwrap();
        kit.run_until(|kit| {
            kit.turn();
            kit.counter("rx_filtered") == 1
        });
        drop(socket);
        kit.stop().unwrap();
    });
}

#[test]
fn a_long_frame_is_one_packet() {
    namespace::run("devn-tap", "a_long_frame_is_one_packet", || {
        let mut kit = start(",mtu=65521");
        let socket = UdpSocket::bind("10.0.0.2:9").unwrap();
        for len in [1622, 1623, 3000, 65_493] {
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            socket.send_to(&payload, "10.0.0.1:7").unwrap();
            let mut got = Vec::new();
            kit.run_until(|kit| {
                got.extend(datagrams(kit));
                !got.is_empty()
            });
            assert!(got == [payload], "{len} bytes arrive as they were sent");
        }
        kit.stop().unwrap();
    });
}

#[test]
fn losses_have_names() {
    namespace::run("devn-tap", "losses_have_names", || {
        let mut kit = start(",queues=2");
        let frame = ethernet(kernel_mac(), OURS, 0x0800, &ipv4(17, &udp(7, 9, b"x")));
        ip(&["link", "set", "t0", "down"]);
        let packet = kit.packet(&frame).unwrap();
        kit.rx_down(0, 0, vec![packet]);
        assert_eq!(kit.counter("tx_link_down"), 1);
        assert_eq!(
            kit.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(),
            0u32.to_ne_bytes()
        );
        ip(&["link", "set", "t0", "up"]);
        assert_eq!(
            kit.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(),
            1u32.to_ne_bytes()
        );
        let mut senseless = kit.packet(&frame).unwrap();
        senseless.vnet_mut().gso_type = 77;
        kit.rx_down(0, 0, vec![senseless]);
        assert_eq!(kit.counter("tx_errors"), 1);
        let stats = kit.devctl(0, DEVCTL_GET_STATS, b"").unwrap();
        assert_eq!(stats[96..104], 1u64.to_ne_bytes());
        // The device is removed: the interface says so once, and the rest is counted.
        ip(&["link", "delete", "t0"]);
        kit.run_until(|kit| {
            kit.turn();
            kit.adverts()
                .last()
                .is_some_and(|advert| advert.flags & ADVERT_LINK_UP == 0)
        });
        assert_eq!(kit.watches(), 0);
        assert_eq!(
            kit.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(),
            0u32.to_ne_bytes()
        );
        let packet = kit.packet(&frame).unwrap();
        kit.rx_down(0, 0, vec![packet]);
        assert_eq!(kit.counter("tx_errors"), 2);
        kit.stop().unwrap();
    });
}

#[test]
fn a_name_in_use_is_refused_and_a_persistent_device_stays() {
    let name = "a_name_in_use_is_refused_and_a_persistent_device_stays";
    namespace::run("devn-tap", name, || {
        let kit = start(",persist");
        let again = Kit::start(built_module("devn-tap"), "name=t0")
            .err()
            .unwrap();
        assert_eq!(again.errno, errno::EBUSY);
        assert!(again.text.contains("another name="), "{again}");
        kit.stop().unwrap();
        ip(&["link", "show", "t0"]);
        let other_kind = Kit::start(built_module("devn-tap"), "name=lo")
            .err()
            .unwrap();
        assert_eq!(other_kind.errno, errno::EINVAL);
        let too_long = Kit::start(built_module("devn-tap"), "name=a23456789012345x");
        assert!(too_long.err().unwrap().text.contains("1 to 15 bytes"));
    });
}
