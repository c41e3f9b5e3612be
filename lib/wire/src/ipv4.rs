//! IPv4 headers (RFC 791).

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::Sum;
use crate::field::{put_u16, put_u32, u16_at, u32_at};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const HEADER_LEN_MAX: usize = 60;
/// The smallest MTU that a link may have.
pub const MTU_MIN: u16 = 68;

/// An IPv4 header. Options are checked on the way in and never sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the header, options included.
    pub header_len: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub total_len: u16,
    /// Identification, for fragments.
    pub id: u16,
    /// Do not fragment.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Place of this fragment in the datagram, in bytes (a multiple of 8).
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub dest: Ipv4Addr,
}

impl Header {
    /// Reads a header. The packet may be longer than `total_len` (link padding), not shorter; options
    /// must be well formed. The header checksum is not verified here: see [`checksum_ok`].
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Header, Malformed> {
        let header = Header::parse_quoted(packet)?;
        if usize::from(header.total_len) > packet.len() {
            return Err(Malformed);
        }
        Ok(header)
    }

    /// Reads a header whose packet may be cut off, as it stands in an ICMP error. The header itself must
    /// be whole.
    #[inline]
    pub fn parse_quoted(packet: &[u8]) -> Result<Header, Malformed> {
        let fixed: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(Malformed)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = u16_at(fixed, 2);
        if fixed[0] >> 4 != 4
            || header_len < HEADER_LEN
            || usize::from(total_len) < header_len
            || packet.len() < header_len
        {
            return Err(Malformed);
        }
        if header_len > HEADER_LEN && !options_ok(&packet[HEADER_LEN..header_len]) {
            return Err(Malformed);
        }
        let fragment = u16_at(fixed, 6);
        Ok(Header {
            header_len: header_len as u8,
            tos: fixed[1],
            total_len,
            id: u16_at(fixed, 4),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: (fragment & 0x1fff) * 8,
            ttl: fixed[8],
            protocol: fixed[9],
            source: Ipv4Addr::from_bits(u32_at(fixed, 12)),
            dest: Ipv4Addr::from_bits(u32_at(fixed, 16)),
        })
    }

    /// Writes the header with its checksum into the first [`HEADER_LEN`] bytes of `out`; `header_len` is
    /// taken as 20.
    ///
    /// # Panics
    /// When `out` is shorter.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) {
        let out: &mut [u8; HEADER_LEN] = out.first_chunk_mut().expect("room for an IPv4 header");
        let fragment = u16::from(self.dont_fragment) << 14
            | u16::from(self.more_fragments) << 13
            | (self.fragment_offset / 8);
        out[0] = 0x45;
        out[1] = self.tos;
        put_u16(out, 2, self.total_len);
        put_u16(out, 4, self.id);
        put_u16(out, 6, fragment);
        out[8] = self.ttl;
        out[9] = self.protocol;
        put_u16(out, 10, 0);
        put_u32(out, 12, self.source.to_bits());
        put_u32(out, 16, self.dest.to_bits());
        let checksum = Sum::of(out).checksum();
        put_u16(out, 10, checksum);
    }

    /// Whether this is a piece of a larger datagram.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Whether the checksum of a header is right. `header` holds exactly the header.
#[inline]
pub fn checksum_ok(header: &[u8]) -> bool {
    Sum::of(header).is_valid()
}

/// Whether each option has a sound length (RFC 791, 3.1).
fn options_ok(mut options: &[u8]) -> bool {
    loop {
        match options {
            [] | [0, ..] => return true,
            [1, rest @ ..] => options = rest,
            [_, len, ..] if *len >= 2 && usize::from(*len) <= options.len() => {
                options = &options[usize::from(*len)..];
            }
            _ => return false,
        }
    }
}
