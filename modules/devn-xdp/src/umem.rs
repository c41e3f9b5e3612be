//! The packet pool as the kernel sees it: equal chunks, counted from the first buffer on.
//!
//! A small buffer is one chunk, a large one 34. Whatever the kernel has been given lies in a
//! [`Held`], by the number of its chunk, until the kernel gives it back or the socket is closed: so
//! nothing leaks, and what the kernel names is believed only where it was given that.

use io_net_ddk::Failure;
use io_net_ddk::abi::PoolInfo;
use io_net_ddk::pktbuf::SharedPacket;
use io_net_os::xdp::Umem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 2048;

/// The pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolMemory {
    fd: Arc<OwnedFd>,
    size: usize,
    /// Address of the mapping.
    base: usize,
    /// Offset of the first buffer.
    offset: usize,
    /// Packets with a buffer of one chunk.
    pub(crate) small: usize,
    chunks: usize,
}

impl PoolMemory {
    /// The pool that `info` describes and `fd` holds.
    ///
    /// # Errors
    /// EINVAL where its buffers cannot be chunks.
    pub(crate) fn new(info: &PoolInfo, fd: OwnedFd) -> Result<Self, Failure> {
        let (small, large) = (info.n_small as usize, info.n_large as usize);
        let large_chunks = info.large_size as usize / CHUNK;
        let fits = info.small_size as usize == CHUNK
            && (info.large_size as usize).is_multiple_of(CHUNK)
            && info.large_off == info.small_off + (small * CHUNK) as u64;
        if !fits {
            let text = "this io-net's buffers do not divide into chunks of 2048 bytes";
            return Err(Failure::new(io_net_ddk::errno::EINVAL, text));
        }
        Ok(PoolMemory {
            fd: Arc::new(fd),
            size: info.size as usize,
            base: info.base as usize,
            offset: info.small_off as usize,
            small,
            chunks: small + large * large_chunks,
        })
    }

    /// What a socket registers.
    pub(crate) fn umem(&self) -> Umem<'_> {
        Umem {
            memory: self.fd.as_fd(),
            size: self.size,
            offset: self.offset,
            len: self.chunks * CHUNK,
            chunk: CHUNK as u32,
        }
    }

    /// Whether both are the same memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.base == other.base
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Where the kernel finds `data`; None where it is not in the pool.
    #[inline]
    pub(crate) fn place(&self, data: &[u8]) -> Option<usize> {
        let at = (data.as_ptr() as usize).wrapping_sub(self.base + self.offset);
        let len = self.chunks * CHUNK;
        (at < len && data.len() <= len - at).then_some(at)
    }
}

/// Packets that the kernel has been given, by chunk.
pub(crate) struct Held<T> {
    slots: Box<[Option<T>]>,
    /// How many there are.
    pub(crate) count: usize,
}

impl<T> Held<T> {
    pub(crate) fn new(chunks: usize) -> Self {
        Held {
            slots: std::iter::repeat_with(|| None).take(chunks).collect(),
            count: 0,
        }
    }

    /// Keeps what lies at `place`.
    ///
    /// # Errors
    /// It comes back where the kernel has that chunk already.
    #[inline]
    pub(crate) fn put(&mut self, place: usize, packet: T) -> Result<(), T> {
        match self.slots.get_mut(place / CHUNK) {
            Some(slot @ None) => {
                *slot = Some(packet);
                self.count += 1;
                Ok(())
            }
            _ => Err(packet),
        }
    }

    /// Whether the kernel has the chunk at `place`.
    #[inline]
    pub(crate) fn has(&self, place: usize) -> bool {
        self.slots.get(place / CHUNK).is_none_or(Option::is_some)
    }

    /// Takes what lies at `place` back.
    #[inline]
    pub(crate) fn take(&mut self, place: u64) -> Option<T> {
        let chunk = usize::try_from(place).ok()? / CHUNK;
        let packet = self.slots.get_mut(chunk)?.take()?;
        self.count -= 1;
        Some(packet)
    }
}

/// The pieces of `packet`, none of which crosses the edge of a chunk: place and length. None where a
/// fragment is not in the pool.
pub(crate) fn pieces(memory: &PoolMemory, packet: &SharedPacket) -> Option<Vec<(usize, usize)>> {
    let mut pieces = Vec::new();
    for fragment in packet.fragments().filter(|fragment| !fragment.is_empty()) {
        let mut at = memory.place(fragment)?;
        let end = at + fragment.len();
        while at < end {
            let edge = (at / CHUNK + 1) * CHUNK;
            let len = edge.min(end) - at;
            pieces.push((at, len));
            at += len;
        }
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> PoolMemory {
        let info = PoolInfo {
            base: std::ptr::without_provenance_mut(0x1000_0000),
            size: 1 << 20,
            fd: -1,
            n_small: 8,
            n_large: 2,
            small_size: 2048,
            large_size: 68 << 10,
            small_off: 4096,
            large_off: 4096 + 8 * 2048,
        };
        let fd = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        PoolMemory::new(&info, fd).unwrap()
    }

    #[test]
    fn places_are_counted_from_the_first_buffer() {
        let memory = memory();
        assert_eq!(
            (memory.chunks(), memory.umem().len),
            (8 + 2 * 34, 76 * 2048)
        );
        // No byte of it is read.
        assert_eq!(memory.place(&[1, 2, 3]), None);
    }

    #[test]
    fn what_was_not_given_does_not_come_back() {
        let mut held = Held::new(4);
        held.put(2048, 'a').unwrap();
        assert_eq!(held.put(4095, 'b'), Err('b'));
        assert_eq!(held.put(4 * 2048, 'c'), Err('c'));
        assert!(held.has(2048) && !held.has(0) && held.has(usize::MAX));
        assert_eq!(held.take(2048 + 256), Some('a'));
        assert_eq!((held.take(2048), held.take(u64::MAX)), (None, None));
        assert_eq!(held.count, 0);
    }
}
