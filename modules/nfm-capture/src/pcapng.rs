//! The pcapng format (draft-ietf-opsawg-pcapng), in native byte order: the blocks that a capture
//! needs, appended to a buffer. Sections of that document are named at each block.

/// Link type of Ethernet frames.
pub(crate) const ETHERNET: u16 = 1;
/// Link type of IP packets without anything before them.
pub(crate) const RAW_IP: u16 = 101;

/// Direction in [`PacketInfo::flags`]: received (4.3, epb_flags bits 0 and 1).
pub(crate) const INBOUND: u32 = 0b01;
/// Sent.
pub(crate) const OUTBOUND: u32 = 0b10;
/// How it was addressed (bits 2 to 4).
pub(crate) const UNICAST: u32 = 0b001 << 2;
/// To a group.
pub(crate) const MULTICAST: u32 = 0b010 << 2;
/// To all.
pub(crate) const BROADCAST: u32 = 0b011 << 2;
/// To somebody else.
pub(crate) const PROMISCUOUS: u32 = 0b100 << 2;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

/// What is said of a packet beside its bytes.
pub(crate) struct PacketInfo<'a> {
    /// The interface's place among the interface blocks.
    pub(crate) interface: u32,
    /// Nanoseconds since 1970.
    pub(crate) time_ns: u64,
    /// Bytes that the packet had.
    pub(crate) len: usize,
    /// Bytes of it that are kept.
    pub(crate) kept: usize,
    /// Direction and addressing.
    pub(crate) flags: u32,
    /// For the reader.
    pub(crate) comment: Option<&'a str>,
}

/// Begins a section (4.1).
pub(crate) fn section(out: &mut Vec<u8>) {
    block(out, SECTION, |out| {
        number(out, 0x1a2b_3c4d);
        out.extend(1_u16.to_ne_bytes());
        out.extend(0_u16.to_ne_bytes());
        // The section's length is not known beforehand.
        out.extend((-1_i64).to_ne_bytes());
        option(out, SECTION_APPLICATION, b"io-net nfm-capture");
        option(out, END_OF_OPTIONS, b"");
    });
}

/// Describes an interface (4.2), whose times are nanoseconds.
pub(crate) fn interface(out: &mut Vec<u8>, link_type: u16, snap_len: u32, name: &str) {
    block(out, INTERFACE, |out| {
        out.extend(link_type.to_ne_bytes());
        out.extend(0_u16.to_ne_bytes());
        number(out, snap_len);
        option(out, INTERFACE_NAME, name.as_bytes());
        option(out, INTERFACE_RESOLUTION, &[9]);
        option(out, END_OF_OPTIONS, b"");
    });
}

/// Holds a packet (4.3). `write` appends the `info.kept` bytes.
pub(crate) fn packet(out: &mut Vec<u8>, info: &PacketInfo<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    block(out, PACKET, |out| {
        number(out, info.interface);
        number(out, (info.time_ns >> 32) as u32);
        number(out, info.time_ns as u32);
        number(out, info.kept as u32);
        number(out, info.len as u32);
        let start = out.len();
        write(out);
        // Whatever was written, the block is as long as it says.
        out.resize(start + info.kept, 0);
        pad(out, start);
        option(out, PACKET_FLAGS, &info.flags.to_ne_bytes());
        if let Some(comment) = info.comment {
            option(out, COMMENT, comment.as_bytes());
        }
        option(out, END_OF_OPTIONS, b"");
    });
}

/// A block with its type before, and its length before and behind (3.1).
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    number(out, kind);
    number(out, 0);
    body(out);
    let len = (out.len() - start + 4) as u32;
    number(out, len);
    out[start + 4..start + 8].copy_from_slice(&len.to_ne_bytes());
}

/// An option, padded to 32 bits (3.5).
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_ne_bytes());
    out.extend((value.len() as u16).to_ne_bytes());
    let start = out.len();
    out.extend_from_slice(value);
    pad(out, start);
}

fn number(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.resize(start + len.next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each block's type and body, held against the rules of 3.1.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8]| u32::from_ne_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !bytes.is_empty() {
            let len = word(&bytes[4..]) as usize;
            assert_eq!(len % 4, 0);
            assert_eq!(word(&bytes[len - 4..]) as usize, len);
            blocks.push((word(bytes), bytes[8..len - 4].to_vec()));
            bytes = &bytes[len..];
        }
        blocks
    }

    #[test]
    fn blocks_are_whole_and_aligned() {
        let mut out = Vec::new();
        section(&mut out);
        interface(&mut out, ETHERNET, 96, "en0");
        for len in 0..9 {
            let info = PacketInfo {
                interface: 0,
                time_ns: (7 << 32) + 9,
                len: len + 1000,
                kept: len,
                flags: INBOUND | UNICAST,
                comment: (len == 3).then_some("odd"),
            };
            packet(&mut out, &info, |out| out.extend(vec![0xee; len]));
        }
        let blocks = blocks(&out);
        assert_eq!(blocks.len(), 11);
        assert_eq!(
            (blocks[0].0, blocks[1].0, blocks[2].0),
            (SECTION, INTERFACE, PACKET)
        );
        assert_eq!(blocks[0].1[..4], 0x1a2b_3c4d_u32.to_ne_bytes());
        let third = &blocks[5].1;
        let words: Vec<u32> = third[..20]
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words, [0, 7, 9, 3, 1003]);
        assert_eq!(third[20..24], [0xee, 0xee, 0xee, 0]);
    }

    #[test]
    fn a_block_is_as_long_as_it_says() {
        let mut out = Vec::new();
        let info = PacketInfo {
            interface: 0,
            time_ns: 0,
            len: 10,
            kept: 10,
            flags: 0,
            comment: None,
        };
        packet(&mut out, &info, |out| out.extend([1; 4]));
        packet(&mut out, &info, |out| out.extend([1; 30]));
        assert_eq!(blocks(&out).len(), 2);
    }
}
