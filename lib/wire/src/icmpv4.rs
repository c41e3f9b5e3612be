//! ICMP for IPv4 (RFC 792).

use crate::Malformed;
use crate::checksum::Sum;
use crate::field::{put_u16, put_u32, u16_at, u32_at};

/// Bytes of the header; what follows is an echo's data, or the packet that an error is about.
pub const HEADER_LEN: usize = 8;

/// Type: answer to an echo.
pub const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Type: source quench (deprecated by RFC 6633).
pub const SOURCE_QUENCH: u8 = 4;
/// Type: redirect.
pub const REDIRECT: u8 = 5;
/// Type: echo.
pub const ECHO: u8 = 8;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Code of [`UNREACHABLE`]: network.
pub const CODE_NET: u8 = 0;
/// Code of [`UNREACHABLE`]: host.
pub const CODE_HOST: u8 = 1;
/// Code of [`UNREACHABLE`]: protocol.
pub const CODE_PROTOCOL: u8 = 2;
/// Code of [`UNREACHABLE`]: port.
pub const CODE_PORT: u8 = 3;
/// Code of [`UNREACHABLE`]: fragmentation needed and DF set; the low half of `rest` is the next hop's
/// MTU (RFC 1191).
pub const CODE_FRAG_NEEDED: u8 = 4;

/// An ICMP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// The four bytes after the checksum: identifier and sequence of an echo, the MTU, or unused.
    pub rest: u32,
}

impl Header {
    /// Reads the header of a message and verifies the checksum over all of it.
    pub fn parse(message: &[u8]) -> Result<Header, Malformed> {
        let header: &[u8; HEADER_LEN] = message.first_chunk().ok_or(Malformed)?;
        if !Sum::of(message).is_valid() {
            return Err(Malformed);
        }
        Ok(Header {
            kind: header[0],
            code: header[1],
            rest: u32_at(header, 4),
        })
    }

    /// Writes the header before the data, which is already in `message`, with the checksum of all.
    ///
    /// # Panics
    /// When `message` is shorter than [`HEADER_LEN`].
    pub fn emit(&self, message: &mut [u8]) {
        message[0] = self.kind;
        message[1] = self.code;
        put_u16(message, 2, 0);
        put_u32(message, 4, self.rest);
        let checksum = Sum::of(message).checksum();
        put_u16(message, 2, checksum);
    }

    /// Whether it reports an error about another packet (to which no error may be sent: RFC 1122, 3.2.2).
    pub fn is_error(&self) -> bool {
        is_error_type(self.kind)
    }
}

/// Whether messages of that type report an error.
pub fn is_error_type(kind: u8) -> bool {
    matches!(
        kind,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// Identifier and sequence number of an echo.
pub fn echo_id_seq(message: &[u8]) -> Result<(u16, u16), Malformed> {
    let header: &[u8; HEADER_LEN] = message.first_chunk().ok_or(Malformed)?;
    Ok((u16_at(header, 4), u16_at(header, 6)))
}
