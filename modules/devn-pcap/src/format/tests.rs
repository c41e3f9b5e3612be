use super::*;
use crate::pcap;

fn read_all(bytes: &[u8]) -> Result<Vec<(Record, Vec<u8>)>, Unreadable> {
    let mut capture = Capture::open(bytes)?;
    let mut all = Vec::new();
    loop {
        let mut frame = Vec::new();
        match capture.next(&mut frame)? {
            Some(record) => all.push((record, frame)),
            None => return Ok(all),
        }
    }
}

fn written(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pcap::write_header(&mut bytes);
    for (n, frame) in frames.iter().enumerate() {
        let time_ns = 1_700_000_000_123_456_789 + n as u64;
        bytes.extend(pcap::record_header(time_ns, frame.len()));
        bytes.extend(*frame);
    }
    bytes
}

#[test]
fn what_is_written_is_read() {
    let all = read_all(&written(&[b"one", b"", &[7; 70_000]])).unwrap();
    let frames: Vec<usize> = all.iter().map(|(_, frame)| frame.len()).collect();
    assert_eq!(frames, [3, 0, 70_000]);
    assert_eq!(all[0].1, b"one");
    let expected = Record {
        time_ns: 1_700_000_000_123_456_790,
        is_ethernet: true,
        is_whole: true,
    };
    assert_eq!(all[1].0, expected);
}

/// A big-endian pcap with microseconds, of raw IP packets, one of them cut.
#[test]
fn the_other_byte_order_and_a_cut_frame() {
    let mut bytes = 0xa1b2_c3d4_u32.to_be_bytes().to_vec();
    bytes.extend([
        0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 101,
    ]);
    bytes.extend([0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 9, 0xab, 0xcd]);
    let all = read_all(&bytes).unwrap();
    let expected = Record {
        time_ns: 5_000_006_000,
        is_ethernet: false,
        is_whole: false,
    };
    assert_eq!(all, [(expected, vec![0xab, 0xcd])]);
}

/// A block with numbers in `order`'s bytes.
fn block(kind: u32, body: &[u8], number: impl Fn(u32) -> [u8; 4]) -> Vec<u8> {
    let len = body.len() as u32 + 12;
    [&number(kind), &number(len), body, &number(len)]
        .map(<[u8]>::to_vec)
        .concat()
}

fn pcapng(number: impl Fn(u32) -> [u8; 4] + Copy, short: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    let section = [&number(0x1a2b_3c4d)[..], &short(1), &short(0), &[0xff; 8]].concat();
    let resolution = [
        &short(9)[..],
        &short(1),
        &[3, 0, 0, 0],
        &short(0),
        &short(0),
    ]
    .concat();
    let interface = [&short(1)[..], &short(0), &number(0), &resolution].concat();
    let plain = [&short(113)[..], &short(0), &number(2)].concat();
    let packet = |interface: u32, bytes: &[u8], len: u32| {
        let kept = bytes.len() as u32;
        let head = [interface, 1, 500, kept, len].map(number).concat();
        let padding = vec![0; bytes.len().next_multiple_of(4) - bytes.len()];
        [&head[..], bytes, &padding].concat()
    };
    [
        block(0x0a0d_0d0a, &section, number),
        block(1, &interface, number),
        block(1, &plain, number),
        block(99, &[1; 400], number),
        block(6, &packet(0, b"frame", 5), number),
        block(6, &packet(1, b"xy", 3), number),
        block(3, &[&number(3)[..], b"abc\0"].concat(), number),
    ]
    .concat()
}

#[test]
fn pcapng_in_both_byte_orders() {
    for bytes in [
        pcapng(u32::to_le_bytes, u16::to_le_bytes),
        pcapng(u32::to_be_bytes, u16::to_be_bytes),
    ] {
        let all = read_all(&[bytes.clone(), bytes].concat()).unwrap();
        assert_eq!(all.len(), 6);
        assert_eq!(all[..3], all[3..]);
        let (frame, cut, simple) = (&all[0], &all[1], &all[2]);
        assert_eq!(frame.1, b"frame");
        // In milliseconds.
        assert_eq!(frame.0.time_ns, ((1 << 32) + 500) * 1_000_000);
        assert!(frame.0.is_ethernet && frame.0.is_whole);
        assert_eq!(cut.1, b"xy");
        assert!(!cut.0.is_ethernet && !cut.0.is_whole);
        // In microseconds, as nothing else is said.
        assert_eq!(cut.0.time_ns, ((1 << 32) + 500) * 1000);
        assert_eq!((&simple.1[..], simple.0.time_ns), (&b"abc"[..], 0));
    }
}

#[test]
fn rubbish_is_refused_and_does_no_harm() {
    let why = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
    assert!(why(b"").contains("ends"));
    assert!(why(b"GIF89a..............................").contains("neither"));
    let sound = [
        written(&[b"one", b"two two"]),
        pcapng(u32::to_le_bytes, u16::to_le_bytes),
    ];
    let mut random = 0x9e37_79b9_u32;
    for bytes in sound {
        for end in 0..bytes.len() {
            let _ = read_all(&bytes[..end]);
        }
        for _ in 0..20_000 {
            let mut bytes = bytes.clone();
            for _ in 0..3 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (random >> 8) as usize % bytes.len();
                bytes[at] = random as u8;
            }
            let _ = read_all(&bytes);
        }
    }
    let mut long = written(&[b"x"]);
    long[32..36].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(why(&long).contains("256 KiB"));
}
