//! What the stack asks of its surroundings: a way out for packets and memory for sockets.
//!
//! Everything here is called on the thread that calls the stack, from inside that call. The
//! implementations may be windows on memory that a hostile program writes: the stack clamps each
//! answer, so nonsense costs only the connection it belongs to.

use core::net::{IpAddr, SocketAddr};

use crate::{IfaceId, SocketId};

pub use io_net_wire::gso::{GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4};

/// What is known of the transport checksum of a received packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RxChecksum {
    /// Nothing: the stack verifies it.
    #[default]
    Unknown,
    /// A device verified it (virtio `DATA_VALID`).
    Valid,
    /// The field holds only the pseudo-header sum, because the packet never crossed a wire (virtio
    /// `NEEDS_CSUM`). The stack takes it as good.
    Partial,
}

/// What the lower layer knows of a received packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct RxMeta {
    /// State of the transport checksum.
    pub checksum: RxChecksum,
    /// One of the `GSO_*` values.
    pub gso_type: u8,
    /// Payload bytes of each wire segment folded into this packet; 0 when it is one segment.
    pub gso_size: u16,
}

/// What the lower layer must still do to a transmitted packet, with virtio-net's meanings. Offsets
/// count from the first byte of the IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TxMeta {
    /// The checksum from `csum_start` to the end is to be computed and stored at
    /// `csum_start + csum_offset`, where the pseudo-header sum is now.
    pub needs_csum: bool,
    /// Offset of the transport header.
    pub csum_start: u16,
    /// Offset of the checksum field in the transport header.
    pub csum_offset: u16,
    /// One of the `GSO_*` values.
    pub gso_type: u8,
    /// Payload bytes of each segment to be made; 0 when `gso_type` is [`GSO_NONE`].
    pub gso_size: u16,
    /// Length of the IP and transport headers together.
    pub hdr_len: u16,
}

/// Bytes that a program has queued to send on a stream.
///
/// Offset 0 is always the oldest byte not yet consumed, which is the oldest byte that the peer has not
/// acknowledged.
pub trait SendBuf {
    /// Bytes from offset 0 on that the program has written.
    fn readable(&mut self) -> usize;
    /// Copies the bytes at `offset..` into `out` and returns how many there were. The stack clears the
    /// rest of `out`.
    fn read_at(&mut self, offset: usize, out: &mut [u8]) -> usize;
    /// Frees the first `n` bytes: the peer has them.
    fn consume(&mut self, n: usize);
    /// The largest value that [`SendBuf::readable`] can have.
    fn capacity(&mut self) -> usize;
}

/// Room for bytes received on a stream.
///
/// Offset 0 is the byte after the last one committed.
pub trait RecvBuf {
    /// Bytes that may be written from offset 0 on.
    fn window(&mut self) -> usize;
    /// The value of [`RecvBuf::window`] when the program has read everything.
    fn capacity(&mut self) -> usize;
    /// Stores `data` at `offset`, perhaps ahead of bytes still missing, and returns how much of it fitted.
    fn write_at(&mut self, offset: usize, data: &[u8]) -> usize;
    /// Makes the first `n` bytes visible to the program. They have all been written.
    fn commit(&mut self, n: usize);
    /// Bytes committed that the program has not read.
    fn unread(&mut self) -> usize {
        self.capacity().saturating_sub(self.window())
    }
}

/// Room for datagrams received on a socket.
pub trait DatagramBuf {
    /// Queues one datagram sent by `from` to the local address `to`. False when it does not fit; it is
    /// then dropped and counted.
    fn push(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool;
}

/// The stack's surroundings.
pub trait Env {
    /// Outgoing bytes of a stream.
    type Send: SendBuf;
    /// Incoming bytes of a stream.
    type Recv: RecvBuf;
    /// Incoming datagrams of a socket.
    type Datagrams: DatagramBuf;

    /// Sends a packet of `len` bytes, IP header first, out of `iface` to the neighbour `next_hop`.
    ///
    /// The packet's bytes are written by `fill`, once, into a slice of exactly `len` bytes, which need
    /// not be cleared. Returns false, without calling `fill`, when there is no buffer; the stack then
    /// counts it and tries again at a later call.
    fn transmit<F: FnOnce(&mut [u8])>(
        &mut self,
        iface: IfaceId,
        next_hop: IpAddr,
        meta: &TxMeta,
        len: usize,
        fill: F,
    ) -> bool;

    /// Buffers for a connection that has just been established by a peer through `listener`. It will
    /// be handed out by [`crate::Stack::tcp_accept`] as `socket`, and may have events before that.
    /// `None` refuses it: the peer gets a reset.
    fn open_stream(
        &mut self,
        listener: SocketId,
        socket: SocketId,
        peer: SocketAddr,
    ) -> Option<(Self::Send, Self::Recv)>;
}
