//! UDP headers (RFC 768).

use crate::Malformed;
use crate::field::{put_u16, u16_at};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;
/// Offset of the checksum in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A UDP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Source port; 0 when no answer is wanted.
    pub source: u16,
    /// Destination port.
    pub dest: u16,
    /// Bytes of header and payload.
    pub len: u16,
    /// Checksum; 0 when the sender computed none.
    pub checksum: u16,
}

impl Header {
    /// Reads a header. `segment` may be longer than it says, not shorter.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<Header, Malformed> {
        let header: &[u8; HEADER_LEN] = segment.first_chunk().ok_or(Malformed)?;
        let len = u16_at(header, 4);
        if usize::from(len) < HEADER_LEN || usize::from(len) > segment.len() {
            return Err(Malformed);
        }
        Ok(Header {
            source: u16_at(header, 0),
            dest: u16_at(header, 2),
            len,
            checksum: u16_at(header, 6),
        })
    }

    /// Writes the header into the first [`HEADER_LEN`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) {
        put_u16(out, 0, self.source);
        put_u16(out, 2, self.dest);
        put_u16(out, 4, self.len);
        put_u16(out, 6, self.checksum);
    }
}
