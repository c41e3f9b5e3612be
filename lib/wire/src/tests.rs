//! Round trips, known answers, and every truncation of every format.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::checksum::{Sum, pseudo_v4, pseudo_v6, update};
use crate::{arp, ethernet, icmpv4, ipv4, ipv6, tcp, udp};

/// The definition in RFC 1071, one 16-bit word at a time.
fn reference_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([word[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A cheap sequence of bytes that looks random.
fn noise(len: usize, mut state: u64) -> Vec<u8> {
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn checksum_agrees_with_its_definition_at_every_length() {
    for len in 0..300 {
        let bytes = noise(len, len as u64);
        assert_eq!(
            Sum::of(&bytes).checksum(),
            reference_checksum(&bytes),
            "length {len}"
        );
    }
    let long = vec![0xff; 65_535];
    assert_eq!(Sum::of(&long).checksum(), reference_checksum(&long));
}

#[test]
fn checksum_of_parts_is_that_of_the_whole() {
    let bytes = noise(1501, 7);
    for cut in (0..1501).step_by(2) {
        let parts = Sum::of(&bytes[..cut]).and(Sum::of(&bytes[cut..]));
        assert_eq!(parts.checksum(), reference_checksum(&bytes));
    }
}

#[test]
fn incremental_update_equals_recomputation() {
    let mut bytes = noise(40, 3);
    for (at, new) in [(0, 0u16), (2, 0xffff), (10, 0x1234), (38, 0)] {
        let before = Sum::of(&bytes).checksum();
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        assert_eq!(update(before, old, new), Sum::of(&bytes).checksum());
    }
}

#[test]
fn pseudo_headers_agree_with_their_bytes() {
    let (a, b) = (
        Ipv4Addr::new(10, 1, 2, 3),
        Ipv4Addr::new(192, 168, 255, 254),
    );
    let mut bytes = [a.octets(), b.octets()].concat();
    bytes.extend([0, 6, 0xfe, 0xdc]);
    assert_eq!(
        pseudo_v4(a, b, 6, 0xfedc).checksum(),
        reference_checksum(&bytes)
    );
    let (a, b) = (
        Ipv6Addr::LOCALHOST,
        "fe80::1:2:ffff".parse::<Ipv6Addr>().unwrap(),
    );
    let mut bytes = [a.octets(), b.octets()].concat();
    bytes.extend([0, 1, 0, 9, 0, 0, 0, 17]);
    assert_eq!(
        pseudo_v6(a, b, 17, 0x10009).checksum(),
        reference_checksum(&bytes)
    );
}

#[test]
fn known_ipv4_header_and_its_checksum() {
    let packet = [
        0x45, 0x00, 0x00, 0x14, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0, 0, 0xac, 0x10, 0x0a, 0x63,
        0xac, 0x10, 0x0a, 0x0c,
    ];
    let header = ipv4::Header::parse(&packet).unwrap();
    let mut out = [0; 20];
    header.emit(&mut out);
    assert_eq!(&out[10..12], &reference_checksum(&packet).to_be_bytes());
    assert!(ipv4::checksum_ok(&out));
    assert!(header.dont_fragment && !header.is_fragment());
    assert_eq!(ipv4::Header::parse(&out), Ok(header));
}

#[test]
fn ipv4_lengths_that_contradict_are_refused() {
    let mut packet = vec![0; 60];
    packet[0] = 0x4f;
    packet[3] = 60;
    assert!(ipv4::Header::parse(&packet).is_ok());
    for (at, value) in [(0, 0x44), (0, 0x6f), (3, 59), (3, 61), (20, 7)] {
        let mut bad = packet.clone();
        bad[at] = value;
        assert!(ipv4::Header::parse(&bad).is_err(), "byte {at} = {value}");
    }
}

#[test]
fn tcp_round_trip_with_all_options() {
    let header = tcp::Header {
        source: 80,
        dest: 40_000,
        seq: 0xdead_beef,
        ack: 0x0102_0304,
        flags: tcp::SYN | tcp::ACK,
        window: 65_535,
        urgent: 0,
    };
    let syn = tcp::Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamp: Some(tcp::Timestamp { value: 1, echo: 2 }),
        ..Default::default()
    };
    let mut sack = tcp::Options {
        timestamp: syn.timestamp,
        ..Default::default()
    };
    assert!(sack.sack.push(1, 2) && sack.sack.push(3, 4) && sack.sack.push(5, 6));
    for options in [syn, sack, tcp::Options::default()] {
        let mut out = [0; tcp::HEADER_LEN_MAX];
        let len = header.emit(&options, &mut out);
        assert_eq!(len, tcp::HEADER_LEN + options.len());
        assert_eq!(tcp::Header::parse(&out[..len]), Ok((header, options, len)));
        assert!(tcp::Header::parse(&out[..len - 1]).is_err());
    }
}

#[test]
fn tcp_options_with_bad_lengths() {
    use tcp::Options;
    assert!(Options::parse(&[2, 0]).is_err());
    assert!(Options::parse(&[2, 1, 0, 0]).is_err());
    assert!(Options::parse(&[8, 10, 0, 0]).is_err());
    assert!(Options::parse(&[2]).is_err());
    assert_eq!(Options::parse(&[254, 2, 1, 0]), Ok(Options::default()));
    assert_eq!(Options::parse(&[2, 3, 9, 0]), Ok(Options::default()));
    assert_eq!(
        Options::parse(&[3, 3, 200, 0]).unwrap().window_scale,
        Some(200)
    );
}

#[test]
fn small_formats_round_trip() {
    let mut out = [0; 64];
    let frame = ethernet::Header {
        dest: ethernet::Mac::BROADCAST,
        source: ethernet::Mac([2, 0, 0, 0, 0, 1]),
        ethertype: ethernet::ETHERTYPE_ARP,
    };
    frame.emit(&mut out);
    assert_eq!(ethernet::Header::parse(&out), Ok(frame));
    assert_eq!(frame.source.to_string(), "02:00:00:00:00:01");
    let tag = ethernet::VlanTag {
        priority: 5,
        drop_eligible: true,
        vlan: 4094,
        ethertype: ethernet::ETHERTYPE_IPV4,
    };
    tag.emit(&mut out);
    assert_eq!(ethernet::VlanTag::parse(&out), Ok(tag));
    let packet = arp::Packet {
        operation: arp::Operation::Reply,
        sender_mac: frame.source,
        sender: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: ethernet::Mac([4; 6]),
        target: Ipv4Addr::new(10, 0, 0, 2),
    };
    packet.emit(&mut out);
    assert_eq!(arp::Packet::parse(&out), Ok(packet));
    let datagram = udp::Header {
        source: 53,
        dest: 1024,
        len: 64,
        checksum: 0xabcd,
    };
    datagram.emit(&mut out);
    assert_eq!(udp::Header::parse(&out), Ok(datagram));
    assert!(udp::Header::parse(&out[..63]).is_err());
    let echo = icmpv4::Header {
        kind: icmpv4::ECHO,
        code: 0,
        rest: 0x0001_0002,
    };
    echo.emit(&mut out);
    assert_eq!(icmpv4::Header::parse(&out), Ok(echo));
    assert_eq!(icmpv4::echo_id_seq(&out), Ok((1, 2)));
    out[60] ^= 1;
    assert!(icmpv4::Header::parse(&out).is_err());
}

#[test]
fn no_bytes_make_a_parser_panic() {
    for seed in 0..2000u64 {
        let mut bytes = noise(100, seed);
        match seed % 4 {
            0 => bytes[0] = 0x40 | bytes[0] & 0xf,
            1 => bytes[0] = 0x60 | bytes[0] & 0xf,
            2 => bytes[2] = 0,
            _ => bytes[12] |= 0x50,
        }
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let _ = ethernet::Header::parse(cut);
            let _ = ethernet::VlanTag::parse(cut);
            let _ = arp::Packet::parse(cut);
            let _ = ipv6::Header::parse(cut);
            let _ = icmpv4::Header::parse(cut);
            if let Ok(header) = ipv4::Header::parse(cut) {
                assert!(usize::from(header.total_len) <= len);
                assert!(u16::from(header.header_len) <= header.total_len);
            }
            if let Ok(header) = udp::Header::parse(cut) {
                assert!(usize::from(header.len) <= len);
            }
            if let Ok((_, _, header_len)) = tcp::Header::parse(cut) {
                assert!(header_len <= len);
            }
        }
    }
}

#[test]
fn ipv6_header_is_read() {
    let mut packet = [0u8; 44];
    packet[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0, 4, 17, 64]);
    packet[23] = 1;
    packet[24] = 0xff;
    let header = ipv6::Header::parse(&packet).unwrap();
    assert_eq!((header.traffic_class, header.flow_label), (0xab, 0x12345));
    assert_eq!((header.next_header, header.hop_limit), (17, 64));
    assert_eq!(header.source, Ipv6Addr::LOCALHOST);
    assert!(ipv6::Header::parse(&packet[..43]).is_err());
}
