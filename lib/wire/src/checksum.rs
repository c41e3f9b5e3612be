//! The Internet checksum (RFC 1071), its incremental update (RFC 1624), and pseudo-headers.
//!
//! Sums are kept in the machine's byte order: ones' complement addition commutes with a byte swap, so
//! only the final value is swapped.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A running ones' complement sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum(0);

    /// The sum of `bytes`, padded with a zero byte when odd.
    ///
    /// Thirty-two bytes a step into eight independent lanes, which compilers turn into vector additions;
    /// a lane cannot overflow below 128 GiB of input.
    #[inline]
    pub fn of(bytes: &[u8]) -> Sum {
        let (blocks, rest) = bytes.as_chunks::<32>();
        let mut lanes = [0u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut total: u64 = lanes.iter().sum();
        let (words, rest) = rest.as_chunks::<2>();
        for word in words {
            total += u64::from(u16::from_ne_bytes(*word));
        }
        if let [last] = rest {
            total += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Sum(reduce(total))
    }

    /// This sum with a 16-bit field, in host order, added.
    #[inline]
    pub fn add_u16(self, value: u16) -> Sum {
        Sum(self.0 + u64::from(value.to_be()))
    }

    /// Two sums together. The first must cover an even number of bytes.
    #[inline]
    pub fn and(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }

    /// The sum folded to 16 bits, not complemented, in host order: what a `NEEDS_CSUM` device wants in
    /// the checksum field when the sum is that of the pseudo-header.
    #[inline]
    pub fn partial(self) -> u16 {
        let folded = reduce(reduce(self.0));
        let folded = (folded & 0xffff) + (folded >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        u16::from_be(folded as u16)
    }

    /// The checksum, in host order.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.partial()
    }

    /// Whether the sum is that of data which includes its own checksum, unharmed.
    #[inline]
    pub fn is_valid(self) -> bool {
        self.partial() == 0xffff
    }
}

/// Folds to at most 33 bits.
#[inline]
fn reduce(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The sum of the IPv4 pseudo-header of TCP and UDP (RFC 9293, 3.1).
#[inline]
pub fn pseudo_v4(source: Ipv4Addr, dest: Ipv4Addr, protocol: u8, len: usize) -> Sum {
    let source = u64::from(u32::from_ne_bytes(source.octets()));
    let dest = u64::from(u32::from_ne_bytes(dest.octets()));
    Sum(reduce(source + dest))
        .add_u16(u16::from(protocol))
        .add_u16(len as u16)
}

/// The sum of the IPv6 pseudo-header (RFC 8200, 8.1).
pub fn pseudo_v6(source: Ipv6Addr, dest: Ipv6Addr, protocol: u8, len: usize) -> Sum {
    Sum::of(&source.octets())
        .and(Sum::of(&dest.octets()))
        .and(Sum::of(&(len as u32).to_be_bytes()))
        .add_u16(u16::from(protocol))
}

/// The checksum after a 16-bit field changed from `old` to `new` (RFC 1624, equation 3).
#[inline]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
