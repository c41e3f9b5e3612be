//! What every message begins with: which request, for whom, and its numbers.
//!
//! Little-endian, 40 bytes; what a field means is the request's to say. A body follows.

use std::io::IoSlice;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::errno;
use io_net_msg::{Connection, Result};

/// [`Head::uid`] of who asks for himself.
pub const ONESELF: u32 = u32::MAX;

/// The beginning of a message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Head {
    /// Which request.
    pub op: U32,
    /// Flags of the request.
    pub flags: U32,
    /// For which user, where the sender asks for another; see [`crate::files::caller`].
    pub uid: U32,
    /// And group.
    pub gid: U32,
    /// An open file, or a running program.
    pub handle: U64,
    /// Where in the file; or another number.
    pub offset: U64,
    /// Permissions; or a signal, or a stream.
    pub mode: U32,
    /// Bytes wanted; or of the body's first part.
    pub length: U32,
}

impl Head {
    /// Request `op`, for oneself.
    #[must_use]
    pub fn new(op: u32) -> Self {
        Self {
            op: op.into(),
            uid: ONESELF.into(),
            gid: ONESELF.into(),
            ..Self::default()
        }
    }

    /// Takes a message apart.
    ///
    /// # Errors
    /// EINVAL for one that is too short.
    pub fn parse(message: &[u8]) -> Result<(Self, &[u8])> {
        Self::read_from_prefix(message).map_err(|_| errno::INVAL)
    }

    /// Sends it with a body; the reply's status, and how many bytes of `reply` it has filled.
    ///
    /// # Errors
    /// The server's; EIO where it sends more than there is room for.
    pub fn send(&self, to: &Connection, body: &[u8], reply: &mut [u8]) -> Result<(i64, usize)> {
        let message = [IoSlice::new(self.as_bytes()), IoSlice::new(body)];
        let room = reply.len();
        let got = to.send_v(&message, &mut [std::io::IoSliceMut::new(reply)])?;
        match got.len <= room {
            true => Ok((got.status, got.len)),
            false => Err(errno::IO),
        }
    }
}
