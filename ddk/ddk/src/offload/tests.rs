//! Vectors worked out by hand, and: cut pieces put together again are the original.

use super::*;
use io_net_abi::Npkt;
use io_net_pktbuf::{Cache, PacketMemory, Pool, PoolConfig, set_memory};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

static POOL: OnceLock<Arc<Pool>> = OnceLock::new();

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(pool().cache());
}

fn pool() -> &'static Arc<Pool> {
    POOL.get_or_init(|| {
        let config = PoolConfig {
            small: 16384,
            large: 64,
            huge: false,
        };
        Pool::new(config).unwrap()
    })
}

unsafe extern "C" fn alloc(_: *mut c_void, size: u32, pkts: *mut *mut Npkt, n: u32) -> u32 {
    // SAFETY: pktbuf gives room for `n` pointers.
    let out = unsafe { std::slice::from_raw_parts_mut(pkts, n as usize) };
    CACHE.with_borrow_mut(|cache| cache.alloc(size, out))
}

unsafe extern "C" fn tx_done(_: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: pktbuf gives up `n` owned references.
    CACHE.with_borrow_mut(|cache| unsafe {
        cache.release(std::slice::from_raw_parts(pkts, n as usize), |_| {});
    });
}

fn packet(bytes: &[u8]) -> Packet {
    set_memory(PacketMemory { alloc, tx_done });
    let mut packet = alloc_one(bytes.len() as u32).unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet
}

/// The plain way to a checksum: 16 bits at a time.
fn plain_sum(chunks: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for chunk in chunks {
        for pair in chunk.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn finished(
    packet: impl Into<SharedPacket>,
    caps: u32,
    mtu: u32,
) -> Result<Vec<Vec<u8>>, Unfinished> {
    let mut frames = Vec::new();
    let mut out = |packet: SharedPacket| {
        assert_eq!(packet.vnet().flags & VNET_NEEDS_CSUM, 0);
        assert_eq!(packet.endpoint(), 9);
        frames.push(packet.data().to_vec());
    };
    finish(packet.into(), caps, mtu, &mut out).map(|()| frames)
}

/// An Ethernet header with `tags` VLAN tags.
fn ethernet(v4: bool, tags: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for tag in 0..tags {
        frame.extend([0x81, 0, 0, 5 + tag as u8]);
    }
    frame.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    frame
}

/// A super-packet and where its parts are.
fn super_packet(v4: bool, tcp: bool, tags: usize, payload: &[u8], size: u16) -> Packet {
    let mut frame = ethernet(v4, tags);
    let l4_len = if tcp { 32 } else { 8 };
    let l3 = frame.len();
    let len = l4_len + payload.len();
    let protocol = if tcp { TCP } else { UDP };
    if v4 {
        frame.extend([0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    } else {
        frame.extend([0x60, 0, 0, 0, 0, 0, protocol, 64]);
        frame.extend((1..=32).collect::<Vec<u8>>());
    }
    let l4 = frame.len();
    frame.extend([0x12, 0x34, 0x00, 0x50]);
    if tcp {
        // Sequence number, acknowledgment, offset 8, CWR|PSH|ACK|FIN, window.
        frame.extend([0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1, 0x80, 0x99, 0x20, 0]);
        frame.extend([0, 0, 0, 0]);
        frame.extend([1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9]);
    } else {
        frame.extend([0, 0, 0, 0]);
    }
    let addresses = if v4 {
        l3 + 12..l3 + 20
    } else {
        l3 + 8..l3 + 40
    };
    let ends = [0, protocol, (len >> 8) as u8, len as u8];
    let pseudo = plain_sum(&[&frame[addresses], &ends]);
    let csum_offset: u16 = if tcp { 16 } else { 6 };
    put(&mut frame, l4 + usize::from(csum_offset), pseudo);
    frame.extend(payload);
    let mut packet = packet(&frame);
    packet.set_way(1, 9, 0);
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: match (tcp, v4) {
            (true, true) => GSO_TCPV4 | GSO_ECN,
            (true, false) => GSO_TCPV6,
            (false, _) => GSO_UDP_L4,
        },
        hdr_len: (l4 + l4_len) as u16,
        gso_size: size,
        csum_start: l4 as u16,
        csum_offset,
    };
    packet
}

#[test]
fn a_checksum_worked_out_by_hand() {
    // UDP from port 1 to port 2, length 10, data "hi", over 10.0.0.1 and 10.0.0.2.
    // Pseudo-header: 0a00+0001+0a00+0002+0011+000a = 141e. Datagram: 0001+0002+000a+6869 = 6876.
    // Sum 7c94, complement 836b.
    let mut frame = ethernet(true, 0);
    frame.extend([
        0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame.extend([0, 1, 0, 2, 0, 10, 0x14, 0x1e, b'h', b'i']);
    let mut packet = packet(&frame);
    packet.set_way(1, 9, 0);
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..VnetHdr::default()
    };
    let frames = finished(packet, 0, 1500).unwrap();
    assert_eq!(frames[0][40..42], [0x83, 0x6b]);
    frame[40..42].copy_from_slice(&[0x83, 0x6b]);
    assert_eq!(frames, [frame]);
}

#[test]
fn a_sum_of_zero_is_sent_as_ones() {
    let mut packet = packet(&[0; 60]);
    packet.set_way(0, 9, 0);
    packet.data_mut()[50..52].copy_from_slice(&[0xff, 0xff]);
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..VnetHdr::default()
    };
    assert_eq!(finished(packet, 0, 1500).unwrap()[0][40..42], [0xff, 0xff]);
}

#[test]
fn a_checksum_over_fragments() {
    let whole = super_packet(true, false, 0, b"hello, world", 1000);
    let mut split = packet(&whole.data()[..45]);
    split.set_way(1, 9, 0);
    *split.vnet_mut() = VnetHdr {
        gso_type: GSO_NONE,
        ..*whole.vnet()
    };
    split.chain(packet(&whole.data()[45..]));
    let frames = finished(split, 0, 1500).unwrap();
    assert_eq!(frames.len(), 1);
    let addresses = &frames[0][26..34];
    let sum = plain_sum(&[addresses, &[0, UDP, 0, 20], &frames[0][34..]]);
    assert_eq!(sum, 0xffff);
}

#[test]
fn a_capable_device_gets_the_packet_itself() {
    let packet = super_packet(true, true, 0, &[1; 5000], 1448);
    let frame = packet.data().to_vec();
    let mut frames = Vec::new();
    let caps = CAP_CSUM | CAP_TSO4;
    assert!(!is_needed(&packet, caps) && is_needed(&packet, CAP_CSUM | CAP_TSO6));
    finish(packet.into(), caps, 1500, &mut |p| {
        frames.push(p.data().to_vec())
    })
    .unwrap();
    assert_eq!(frames, [frame]);
}

#[test]
fn flags_and_numbers_of_three_pieces() {
    let packet = super_packet(true, true, 0, &[7; 2500], 1000);
    let frames = finished(packet, 0, 1500).unwrap();
    assert_eq!(
        frames.iter().map(Vec::len).collect::<Vec<_>>(),
        [1066, 1066, 566]
    );
    let flags: Vec<u8> = frames.iter().map(|frame| frame[47]).collect();
    assert_eq!(flags, [0x90, 0x10, 0x19]);
    let ids: Vec<u16> = frames.iter().map(|frame| get(frame, 18)).collect();
    assert_eq!(ids, [0xfffe, 0xffff, 0]);
    let lens: Vec<u16> = frames.iter().map(|frame| get(frame, 16)).collect();
    assert_eq!(lens, [1052, 1052, 552]);
    let seqs: Vec<[u8; 4]> = frames
        .iter()
        .map(|f| f[38..42].try_into().unwrap())
        .collect();
    assert_eq!(
        seqs,
        [[0xff, 0xff, 0xff, 0], [0, 0, 2, 0xe8], [0, 0, 6, 0xd0]]
    );
}

/// Looks at every field of the pieces of a super-packet, and puts the payload together again.
fn reassembled(frames: &[Vec<u8>], v4: bool, tcp: bool, tags: usize) -> Vec<u8> {
    let l3 = 14 + 4 * tags;
    let l4 = l3 + if v4 { 20 } else { 40 };
    let mut payload = Vec::new();
    for frame in frames {
        let len = frame.len() - l4;
        if v4 {
            assert_eq!(usize::from(get(frame, l3 + 2)), frame.len() - l3);
            assert_eq!(plain_sum(&[&frame[l3..l4]]), 0xffff);
        } else {
            assert_eq!(usize::from(get(frame, l3 + 4)), len);
        }
        let addresses = if v4 {
            &frame[l3 + 12..l3 + 20]
        } else {
            &frame[l3 + 8..l3 + 40]
        };
        let protocol = if tcp { TCP } else { UDP };
        let ends = [0, protocol, (len >> 8) as u8, len as u8];
        assert_eq!(plain_sum(&[addresses, &ends, &frame[l4..]]), 0xffff);
        if tcp {
            let seq = u32::from_be_bytes(frame[l4 + 4..l4 + 8].try_into().unwrap());
            let expected = 0xffff_ff00_u32.wrapping_add(payload.len() as u32);
            assert_eq!(seq, expected);
        } else {
            assert_eq!(usize::from(get(frame, l4 + 4)), len);
        }
        payload.extend(&frame[l4 + if tcp { 32 } else { 8 }..]);
    }
    payload
}

#[test]
fn pieces_put_together_are_the_original() {
    let mut random = 1u64;
    for case in 0..400u32 {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let n = (random >> 33) as usize % if case % 8 == 0 { 64000 } else { 6000 };
        let size = 100 + (random >> 20) as u16 % 1300;
        let payload: Vec<u8> = (0..n)
            .map(|i| ((i as u64).wrapping_mul(random) >> 13) as u8)
            .collect();
        let (v4, tcp, tags) = (case & 1 == 0, case & 2 == 0, case as usize / 4 % 3);
        let packet = super_packet(v4, tcp, tags, &payload, size);
        let frames = finished(packet, 0, 1500).unwrap();
        assert_eq!(frames.len(), n.div_ceil(usize::from(size)).max(1));
        assert_eq!(reassembled(&frames, v4, tcp, tags), payload, "case {case}");
    }
}

#[test]
fn metadata_that_lies_is_refused() {
    type Lie = fn(&mut VnetHdr);
    let lies: [Lie; 9] = [
        |vnet| vnet.csum_start = 65535,
        |vnet| vnet.csum_start -= 4,
        |vnet| vnet.csum_start += 4,
        |vnet| vnet.csum_offset = 2,
        |vnet| vnet.gso_size = 0,
        |vnet| vnet.gso_size = 1,
        |vnet| vnet.gso_type = 77,
        |vnet| vnet.gso_type = GSO_TCPV6,
        |vnet| vnet.flags = 0,
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let mut packet = super_packet(true, true, 0, &[1; 3000], 1000);
        lie(packet.vnet_mut());
        assert_eq!(
            finished(packet, 0, 1500),
            Err(Unfinished::Malformed),
            "lie {index}"
        );
    }
    let packet = super_packet(true, true, 0, &[1; 3000], 1449);
    assert_eq!(finished(packet, 0, 1500), Err(Unfinished::TooLong));
}

#[test]
fn senseless_frames_do_no_harm() {
    let mut random = 7u64;
    let mut refused = 0;
    for _ in 0..5000 {
        let mut next = || {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            random >> 33
        };
        let bytes: Vec<u8> = (0..next() % 120).map(|_| next() as u8).collect();
        let mut packet = packet(&bytes);
        packet.set_way(0, 9, 0);
        *packet.vnet_mut() = VnetHdr {
            flags: 1,
            gso_type: [0, 1, 4, 5, 0x81][next() as usize % 5],
            hdr_len: next() as u16 % 100,
            gso_size: next() as u16 % 100,
            csum_start: next() as u16 % 100,
            csum_offset: next() as u16 % 32,
        };
        refused += usize::from(finished(packet, 0, 1500).is_err());
    }
    assert!(refused > 2500);
}
