//! LWL4, the frame format of Qnet, as it is publicly known (Wireshark decodes it).
//!
//! After the ethertype come two bytes of padding, then a header of 36 bytes, then the payload. The
//! header's first byte says in which order its numbers are; we read both and write little-endian.
//!
//! | at | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | padding |
//! | 2 | 1 | version and order of bytes |
//! | 3 | 1 | type |
//! | 4 | 1 | flags |
//! | 5 | 1 | layer |
//! | 6 | 2 | the source's number at the destination |
//! | 8 | 2 | the destination's number at the source |
//! | 10 | 4 | the source's connection |
//! | 14 | 4 | the destination's connection |
//! | 18 | 4 | sequence number |
//! | 22 | 2 | QoS type |
//! | 24 | 2 | QoS index: the source's link |
//! | 26 | 4 | offset of the payload in its message |
//! | 30 | 4 | length of the payload |
//! | 34 | 4 | checksum |

use crate::Malformed;
use crc_fast::{CrcAlgorithm, Digest};

/// Bytes before the payload: the padding and the header.
pub const HEADER_LEN: usize = 38;

/// Where the checksum lies.
const CRC_OFFSET: usize = 34;
/// The checksum does not cover the padding.
const CRC_START: usize = 2;

const VERSION_LITTLE_ENDIAN: u8 = 0x2a;
const VERSION_BIG_ENDIAN: u8 = 0xaa;

/// Type: user data.
pub const TYPE_USER_DATA: u8 = 0;
/// Type: a connection is being set up.
pub const TYPE_TCS_INIT: u8 = 1;
/// Type: the other end of the set-up is there.
pub const TYPE_TCS_REM_UP: u8 = 2;
/// Type: the connection is up.
pub const TYPE_TCS_UP: u8 = 3;
/// Type: the sender tears the connection down.
pub const TYPE_TCS_DOWN: u8 = 4;
/// Type: the receiver has no such connection.
pub const TYPE_TCS_REM_DOWN: u8 = 5;
/// Type: a fragment of a message.
pub const TYPE_DATA: u8 = 8;
/// Type: acknowledgement.
pub const TYPE_ACK: u8 = 9;
/// Type: something is missing.
pub const TYPE_NACK: u8 = 10;
/// Type: the LAN resolver's.
pub const TYPE_LAN_RESOLVER: u8 = 11;

/// Flag: the message's first fragment.
pub const FLAG_FIRST: u8 = 1;
/// Flag: the message's last fragment.
pub const FLAG_LAST: u8 = 2;
/// Flag: the checksum is used.
pub const FLAG_CRC: u8 = 4;
/// Flag (ours; QNX has none at that bit): acknowledge at once.
pub const FLAG_ACK_NOW: u8 = 8;

/// Layer: kernel interface.
pub const LAYER_KIF: u8 = 0;
/// Layer: node resolver.
pub const LAYER_NODE_RESOLVER: u8 = 1;
/// Layer: LAN resolver.
pub const LAYER_LAN_RESOLVER: u8 = 2;
/// Layer: sequence; no payload that another layer wants.
pub const LAYER_SEQUENCE: u8 = 3;
/// Layer (ours): the payload is enciphered, or is an acknowledgement.
pub const LAYER_SEALED: u8 = 4;

/// QoS type: any link.
pub const QOS_LOAD_BALANCE: u16 = 0;
/// QoS type: all links at once.
pub const QOS_REDUNDANT: u16 = 1;
/// QoS type: one link only.
pub const QOS_EXCLUSIVE: u16 = 2;
/// QoS type: one link while it works.
pub const QOS_PREFERRED: u16 = 3;

/// An LWL4 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Type, one of `TYPE_*`.
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// One of `LAYER_*`.
    pub layer: u8,
    /// The source's number at the destination.
    pub src_nd: u16,
    /// The destination's number at the source.
    pub dst_nd: u16,
    /// The source's connection.
    pub src_conn: u32,
    /// The destination's connection.
    pub dst_conn: u32,
    /// Sequence number.
    pub seq: u32,
    /// One of `QOS_*`.
    pub qos_type: u16,
    /// The source's link.
    pub qos_index: u16,
    /// Offset of the payload in its message, in bytes.
    pub offset: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// Checksum, as the frame has it; see [`write_crc`].
    pub crc: u32,
    /// Whether numbers in the header and the payload are big-endian. [`Header::emit`] ignores it.
    pub big_endian: bool,
}

impl Header {
    /// Reads the header of a frame, which begins with the padding. The payload, `length` bytes at
    /// [`HEADER_LEN`], is there; the checksum is not verified.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Header, Malformed> {
        let bytes: &[u8; HEADER_LEN] = frame.first_chunk().ok_or(Malformed)?;
        let header = match bytes[2] {
            VERSION_LITTLE_ENDIAN => Self::read::<false>(bytes),
            VERSION_BIG_ENDIAN => Self::read::<true>(bytes),
            _ => return Err(Malformed),
        };
        if header.length as usize > frame.len() - HEADER_LEN {
            return Err(Malformed);
        }
        Ok(header)
    }

    #[inline]
    fn read<const BIG: bool>(b: &[u8; HEADER_LEN]) -> Header {
        let u16_at = |at: usize| match BIG {
            true => u16::from_be_bytes([b[at], b[at + 1]]),
            false => u16::from_le_bytes([b[at], b[at + 1]]),
        };
        let u32_at = |at: usize| match BIG {
            true => u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]),
            false => u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]),
        };
        Header {
            kind: b[3],
            flags: b[4],
            layer: b[5],
            src_nd: u16_at(6),
            dst_nd: u16_at(8),
            src_conn: u32_at(10),
            dst_conn: u32_at(14),
            seq: u32_at(18),
            qos_type: u16_at(22),
            qos_index: u16_at(24),
            offset: u32_at(26),
            length: u32_at(30),
            crc: u32_at(CRC_OFFSET),
            big_endian: BIG,
        }
    }

    /// Writes the padding and the header, little-endian, into the first [`HEADER_LEN`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) {
        let out = &mut out[..HEADER_LEN];
        out[..6].copy_from_slice(&[
            0,
            0,
            VERSION_LITTLE_ENDIAN,
            self.kind,
            self.flags,
            self.layer,
        ]);
        out[6..8].copy_from_slice(&self.src_nd.to_le_bytes());
        out[8..10].copy_from_slice(&self.dst_nd.to_le_bytes());
        out[10..14].copy_from_slice(&self.src_conn.to_le_bytes());
        out[14..18].copy_from_slice(&self.dst_conn.to_le_bytes());
        out[18..22].copy_from_slice(&self.seq.to_le_bytes());
        out[22..24].copy_from_slice(&self.qos_type.to_le_bytes());
        out[24..26].copy_from_slice(&self.qos_index.to_le_bytes());
        out[26..30].copy_from_slice(&self.offset.to_le_bytes());
        out[30..34].copy_from_slice(&self.length.to_le_bytes());
        out[34..38].copy_from_slice(&self.crc.to_le_bytes());
    }
}

/// Computes the checksum of a frame written by [`Header::emit`] and puts it in its place. The frame ends
/// with its payload.
///
/// # Panics
/// When `frame` is shorter than [`HEADER_LEN`].
#[inline]
pub fn write_crc(frame: &mut [u8]) {
    let crc = frame_crc(frame);
    frame[CRC_OFFSET..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

/// Whether the checksum in `header`, parsed from `frame`, is right.
#[inline]
pub fn crc_is_valid(header: &Header, frame: &[u8]) -> bool {
    let end = HEADER_LEN.saturating_add(header.length as usize);
    frame.get(..end).is_some_and(|f| frame_crc(f) == header.crc)
}

/// The checksum of header and payload, with the checksum's own field as zero: CRC-32 with the polynomial
/// of IEEE 802.3, highest bit first, from zero and not inverted.
fn frame_crc(frame: &[u8]) -> u32 {
    let crc = crc32(0, &frame[CRC_START..CRC_OFFSET]);
    crc32(crc32(crc, &[0; 4]), &frame[HEADER_LEN..])
}

/// Bytes from which on carry-less multiplication is quicker than tables.
const CRC_LONG: usize = 1024;

/// Bytes taken at a time.
const CRC_STRIDE: usize = 16;

/// `CRC_TABLES[n][b]`: what byte `b`, with `n` bytes after it, adds to the sum.
static CRC_TABLES: [[u32; 256]; CRC_STRIDE] = crc_tables();

const fn crc_tables() -> [[u32; 256]; CRC_STRIDE] {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    let mut tables = [[0; 256]; CRC_STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (carry * POLYNOMIAL);
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < CRC_STRIDE {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = (crc << 8) ^ tables[0][(crc >> 24) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

#[inline]
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    match bytes.len() < CRC_LONG {
        true => crc32_by_tables(crc, bytes),
        false => crc32_long(crc, bytes),
    }
}

fn crc32_long(crc: u32, bytes: &[u8]) -> u32 {
    // POSIX's cksum has the polynomial and the order of bits; it inverts at the end.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Cksum, crc.into());
    digest.update(bytes);
    !(digest.finalize() as u32)
}

#[inline]
fn crc32_by_tables(mut crc: u32, bytes: &[u8]) -> u32 {
    let (strides, rest) = bytes.as_chunks::<CRC_STRIDE>();
    for stride in strides {
        let word = |at: usize| {
            u32::from_be_bytes([stride[at], stride[at + 1], stride[at + 2], stride[at + 3]])
        };
        // Only the first word waits for the sum so far.
        let later =
            crc_of_word::<8>(word(4)) ^ crc_of_word::<4>(word(8)) ^ crc_of_word::<0>(word(12));
        crc = crc_of_word::<12>(word(0) ^ crc) ^ later;
    }
    for byte in rest {
        crc = (crc << 8) ^ CRC_TABLES[0][usize::from((crc >> 24) as u8 ^ byte)];
    }
    crc
}

/// What four bytes, with `AFTER` bytes after them, add to the sum.
#[inline(always)]
fn crc_of_word<const AFTER: usize>(word: u32) -> u32 {
    let [a, b, c, d] = word.to_be_bytes().map(usize::from);
    (CRC_TABLES[AFTER + 3][a] ^ CRC_TABLES[AFTER + 2][b])
        ^ (CRC_TABLES[AFTER + 1][c] ^ CRC_TABLES[AFTER][d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: TYPE_DATA,
        flags: FLAG_FIRST | FLAG_LAST | FLAG_CRC,
        layer: LAYER_KIF,
        src_nd: 0x0102,
        dst_nd: 0x0304,
        src_conn: 0x0506_0708,
        dst_conn: 0x090a_0b0c,
        seq: 0x0d0e_0f10,
        qos_type: QOS_EXCLUSIVE,
        qos_index: 0x1112,
        offset: 0x1314_1516,
        length: 3,
        crc: 0,
        big_endian: false,
    };

    fn frame() -> [u8; HEADER_LEN + 3] {
        let mut frame = [0xee; HEADER_LEN + 3];
        HEADER.emit(&mut frame);
        frame
    }

    /// The same numbers, written the other way round.
    fn swapped(mut frame: [u8; HEADER_LEN + 3]) -> [u8; HEADER_LEN + 3] {
        frame[2] = VERSION_BIG_ENDIAN;
        for (at, len) in [6, 8, 22, 24].map(|at| (at, 2)) {
            frame[at..at + len].reverse();
        }
        for (at, len) in [10, 14, 18, 26, 30, 34].map(|at| (at, 4)) {
            frame[at..at + len].reverse();
        }
        frame
    }

    #[test]
    fn both_orders_say_the_same() {
        let frame = frame();
        assert_eq!(Header::parse(&frame), Ok(HEADER));
        let big = Header::parse(&swapped(frame)).unwrap();
        assert!(big.big_endian);
        assert_eq!(
            Header {
                big_endian: false,
                ..big
            },
            HEADER
        );
    }

    #[test]
    fn short_frames_lying_lengths_and_other_versions_are_refused() {
        let whole = frame();
        for len in 0..whole.len() {
            assert_eq!(Header::parse(&whole[..len]), Err(Malformed));
        }
        let mut other = whole;
        other[2] = 0x2b;
        assert_eq!(Header::parse(&other), Err(Malformed));
        let mut long = whole;
        long[33] = 0xff;
        assert_eq!(Header::parse(&long), Err(Malformed));
    }

    #[test]
    fn crc32_gives_the_published_check_value() {
        // CRC-32/MPEG-2 of "123456789", which starts from ones.
        assert_eq!(crc32(!0, b"123456789"), 0x0376_e6e7);
        // Strides and single bytes agree.
        let bytes: Vec<u8> = (0..100u8).collect();
        let by_one = bytes.iter().fold(7, |crc, byte| crc32(crc, &[*byte]));
        assert_eq!(crc32(7, &bytes), by_one);
    }

    #[test]
    fn long_frames_have_the_same_sum_as_by_tables() {
        let bytes: Vec<u8> = (0..70_000_u32)
            .map(|at| (at.wrapping_mul(at) >> 5) as u8)
            .collect();
        for len in [CRC_LONG, CRC_LONG + 1, 1462, 9000, 65_483, bytes.len()] {
            for crc in [0, 7, !0] {
                let (long, tables) = (
                    crc32(crc, &bytes[..len]),
                    crc32_by_tables(crc, &bytes[..len]),
                );
                assert_eq!(long, tables, "{len} bytes from {crc:x}");
            }
        }
    }

    #[test]
    fn the_checksum_covers_all_but_the_padding() {
        let mut good = frame();
        write_crc(&mut good);
        let header = Header::parse(&good).unwrap();
        assert!(crc_is_valid(&header, &good));
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 0x10;
            let valid = Header::parse(&bad).is_ok_and(|header| crc_is_valid(&header, &bad));
            assert_eq!(valid, at < 2, "byte {at}");
        }
        // What an Ethernet adds to a short frame does not count.
        let mut padded = good.to_vec();
        padded.push(1);
        assert!(crc_is_valid(&header, &padded));
    }
}
