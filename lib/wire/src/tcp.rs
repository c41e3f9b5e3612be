//! TCP headers and options (RFC 9293, 3.1).

use crate::Malformed;
use crate::field::{put_u16, put_u32, u16_at, u32_at};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const HEADER_LEN_MAX: usize = 60;
/// Offset of the checksum in the header.
pub const CHECKSUM_OFFSET: usize = 16;
/// Largest shift that a window scale option may ask for (RFC 7323, 2.3).
pub const WINDOW_SCALE_MAX: u8 = 14;
/// Bytes that a timestamp takes in the header of each segment, padding included.
pub const TIMESTAMP_LEN: usize = 12;

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Synchronize sequence numbers.
pub const SYN: u8 = 0x02;
/// Reset.
pub const RST: u8 = 0x04;
/// Push.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;
/// The urgent pointer counts.
pub const URG: u8 = 0x20;
/// ECN echo (RFC 3168).
pub const ECE: u8 = 0x40;
/// Congestion window reduced (RFC 3168).
pub const CWR: u8 = 0x80;

/// A TCP header without options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub dest: u16,
    /// Sequence number of the first byte (of the SYN when that is set).
    pub seq: u32,
    /// Next sequence number that the sender expects.
    pub ack: u32,
    /// [`FIN`], [`SYN`] and so on.
    pub flags: u8,
    /// Window as it stands in the header, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
}

impl Header {
    /// Reads the header of `segment`. Returns it with its options and the bytes of both.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Header, Options, usize), Malformed> {
        let fixed: &[u8; HEADER_LEN] = segment.first_chunk().ok_or(Malformed)?;
        let len = usize::from(fixed[12] >> 4) * 4;
        if len < HEADER_LEN {
            return Err(Malformed);
        }
        let options = segment.get(HEADER_LEN..len).ok_or(Malformed)?;
        let header = Header {
            source: u16_at(fixed, 0),
            dest: u16_at(fixed, 2),
            seq: u32_at(fixed, 4),
            ack: u32_at(fixed, 8),
            flags: fixed[13],
            window: u16_at(fixed, 14),
            urgent: u16_at(fixed, 18),
        };
        Ok((header, Options::parse(options)?, len))
    }

    /// Writes header and options, with a zero checksum, into the start of `out`; returns their length,
    /// which is `HEADER_LEN + options.len()`.
    ///
    /// # Panics
    /// When `out` is shorter.
    #[inline]
    pub fn emit(&self, options: &Options, out: &mut [u8]) -> usize {
        let len = HEADER_LEN + options.emit(&mut out[HEADER_LEN..]);
        let fixed: &mut [u8; HEADER_LEN] = out.first_chunk_mut().expect("room for a TCP header");
        put_u16(fixed, 0, self.source);
        put_u16(fixed, 2, self.dest);
        put_u32(fixed, 4, self.seq);
        put_u32(fixed, 8, self.ack);
        fixed[12] = (len as u8 / 4) << 4;
        fixed[13] = self.flags;
        put_u16(fixed, 14, self.window);
        put_u16(fixed, CHECKSUM_OFFSET, 0);
        put_u16(fixed, 18, self.urgent);
        len
    }
}

/// Value and echo of a timestamp option (RFC 7323, 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp {
    /// The sender's clock.
    pub value: u32,
    /// The last value that the sender had from the other side.
    pub echo: u32,
}

/// Most SACK blocks that fit a header.
pub const SACK_BLOCKS_MAX: usize = 4;

/// Blocks of a SACK option (RFC 2018, 3): left edge and right edge of data that arrived out of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackBlocks {
    count: u8,
    blocks: [(u32, u32); SACK_BLOCKS_MAX],
}

impl SackBlocks {
    /// Adds a block; false when there is no room.
    pub fn push(&mut self, left: u32, right: u32) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.count)) else {
            return false;
        };
        *slot = (left, right);
        self.count += 1;
        true
    }

    /// The blocks, in the order of the option.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The options of a segment that mean something here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Largest segment that the sender takes (only on SYN).
    pub mss: Option<u16>,
    /// Shift of the sender's windows (only on SYN), as sent, perhaps above [`WINDOW_SCALE_MAX`].
    pub window_scale: Option<u8>,
    /// The sender understands SACK (only on SYN).
    pub sack_permitted: bool,
    /// Blocks received out of order.
    pub sack: SackBlocks,
    /// Timestamps.
    pub timestamp: Option<Timestamp>,
}

const KIND_END: u8 = 0;
const KIND_NOP: u8 = 1;
const KIND_MSS: u8 = 2;
const KIND_WINDOW_SCALE: u8 = 3;
const KIND_SACK_PERMITTED: u8 = 4;
const KIND_SACK: u8 = 5;
const KIND_TIMESTAMP: u8 = 8;

/// No options: the commonest answer besides a timestamp.
const NONE: Options = Options {
    mss: None,
    window_scale: None,
    sack_permitted: false,
    sack: SackBlocks {
        count: 0,
        blocks: [(0, 0); SACK_BLOCKS_MAX],
    },
    timestamp: None,
};

impl Options {
    /// Reads the options area of a header. Unknown options are skipped; an option that runs past the
    /// area, or whose length is below two, spoils the segment.
    #[inline]
    pub fn parse(area: &[u8]) -> Result<Options, Malformed> {
        // The layout that nearly every established connection uses (RFC 7323, appendix A).
        if let [KIND_NOP, KIND_NOP, KIND_TIMESTAMP, 10, stamp @ ..] = area
            && stamp.len() == 8
        {
            return Ok(Options {
                timestamp: Some(timestamp_at(stamp)),
                ..NONE
            });
        }
        Options::parse_any(area)
    }

    fn parse_any(mut area: &[u8]) -> Result<Options, Malformed> {
        let mut options = NONE;
        loop {
            match *area {
                [] | [KIND_END, ..] => return Ok(options),
                [KIND_NOP, ref rest @ ..] => area = rest,
                [kind, len, ..] if len >= 2 => {
                    let option = area.get(..usize::from(len)).ok_or(Malformed)?;
                    options.take(kind, &option[2..]);
                    area = &area[usize::from(len)..];
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Takes one option; one of the wrong length is as good as unknown.
    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (KIND_MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (KIND_WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (KIND_SACK_PERMITTED, []) => self.sack_permitted = true,
            (KIND_SACK, blocks) if blocks.len() % 8 == 0 => {
                for block in blocks.chunks_exact(8) {
                    self.sack.push(u32_at(block, 0), u32_at(block, 4));
                }
            }
            (KIND_TIMESTAMP, stamp) if stamp.len() == 8 => {
                self.timestamp = Some(timestamp_at(stamp));
            }
            _ => {}
        }
    }

    /// Bytes that they take in a header: a multiple of 4, at most 40.
    #[inline]
    pub fn len(&self) -> usize {
        let sack = self.sack_fitting().len();
        let mut len = 0;
        len += if self.mss.is_some() { 4 } else { 0 };
        len += if self.window_scale.is_some() { 4 } else { 0 };
        len += if self.sack_permitted { 4 } else { 0 };
        len += if self.timestamp.is_some() {
            TIMESTAMP_LEN
        } else {
            0
        };
        len += if sack > 0 { 4 + 8 * sack } else { 0 };
        len
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The SACK blocks that fit beside the other options.
    fn sack_fitting(&self) -> &[(u32, u32)] {
        let room = if self.mss.is_some() || self.window_scale.is_some() || self.sack_permitted {
            0
        } else if self.timestamp.is_some() {
            3
        } else {
            SACK_BLOCKS_MAX
        };
        let blocks = self.sack.as_slice();
        &blocks[..blocks.len().min(room)]
    }

    /// Writes the options, each padded to four bytes, and returns their length.
    fn emit(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        if let Some(mss) = self.mss {
            out[at..at + 2].copy_from_slice(&[KIND_MSS, 4]);
            put_u16(out, at + 2, mss);
            at += 4;
        }
        if let Some(shift) = self.window_scale {
            out[at..at + 4].copy_from_slice(&[KIND_NOP, KIND_WINDOW_SCALE, 3, shift]);
            at += 4;
        }
        if self.sack_permitted {
            out[at..at + 4].copy_from_slice(&[KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2]);
            at += 4;
        }
        if let Some(stamp) = self.timestamp {
            out[at..at + 4].copy_from_slice(&[KIND_NOP, KIND_NOP, KIND_TIMESTAMP, 10]);
            put_u32(out, at + 4, stamp.value);
            put_u32(out, at + 8, stamp.echo);
            at += TIMESTAMP_LEN;
        }
        let blocks = self.sack_fitting();
        if !blocks.is_empty() {
            let len = 2 + 8 * blocks.len() as u8;
            out[at..at + 4].copy_from_slice(&[KIND_NOP, KIND_NOP, KIND_SACK, len]);
            at += 4;
            for &(left, right) in blocks {
                put_u32(out, at, left);
                put_u32(out, at + 4, right);
                at += 8;
            }
        }
        at
    }
}

#[inline]
fn timestamp_at(stamp: &[u8]) -> Timestamp {
    Timestamp {
        value: u32_at(stamp, 0),
        echo: u32_at(stamp, 4),
    }
}
