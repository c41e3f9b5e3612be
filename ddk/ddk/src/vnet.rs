//! The header that the Linux kernel puts before each frame of a TAP device or an `AF_PACKET` socket:
//! `virtio_net_hdr` in native byte order (Virtio 1.2, 5.1.6).

use crate::vnet_is_sound;
use io_net_abi::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, VNET_NEEDS_CSUM, VnetHdr};

/// Bytes of a header.
pub const SIZE: usize = size_of::<VnetHdr>();

/// A header's bytes.
pub type Bytes = [u8; SIZE];

/// Bytes of a UDP header.
const UDP_HEADER: u16 = 8;
/// Where a TCP header holds its length (RFC 9293, 3.1), in its upper four bits, in words.
const TCP_OFFSET: usize = 12;

/// Reads the header of `frame`, or None where it says what the frame cannot be.
///
/// The kernel gives the bytes that lay together as `hdr_len` of a super-segment, which may be more
/// than its headers; here it becomes their true length.
#[inline]
pub fn parse(bytes: &Bytes, frame: &[u8]) -> Option<VnetHdr> {
    let [flags, gso_type, ..] = *bytes;
    let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let mut vnet = VnetHdr {
        flags,
        gso_type,
        hdr_len: field(2),
        gso_size: field(4),
        csum_start: field(6),
        csum_offset: field(8),
    };
    if gso_type != GSO_NONE && flags & VNET_NEEDS_CSUM != 0 {
        vnet.hdr_len = header_len(&vnet, frame)?;
    }
    vnet_is_sound(&vnet, frame.len()).then_some(vnet)
}

/// Bytes up to the payload of a super-segment, whose transport header is at `csum_start`.
#[inline]
fn header_len(vnet: &VnetHdr, frame: &[u8]) -> Option<u16> {
    let transport = match vnet.gso_type & !GSO_ECN {
        GSO_TCPV4 | GSO_TCPV6 => {
            let offset = frame.get(usize::from(vnet.csum_start) + TCP_OFFSET)?;
            u16::from(offset >> 4) * 4
        }
        _ => UDP_HEADER,
    };
    vnet.csum_start.checked_add(transport)
}

/// The metadata of a frame that grew by `shift` bytes before its offsets. Those that mean nothing
/// become 0.
#[inline]
pub fn shifted(vnet: &VnetHdr, shift: u16) -> VnetHdr {
    let moved = |meant: bool, offset: u16| match meant {
        true => offset.saturating_add(shift),
        false => 0,
    };
    VnetHdr {
        hdr_len: moved(vnet.gso_type != GSO_NONE, vnet.hdr_len),
        csum_start: moved(vnet.flags & VNET_NEEDS_CSUM != 0, vnet.csum_start),
        ..*vnet
    }
}

/// The header of a frame that grew by `shift` bytes, as in [`shifted`]: the kernel refuses a header
/// length that is shorter than Ethernet's.
#[inline]
pub fn format(vnet: &VnetHdr, shift: u16) -> Bytes {
    let vnet = shifted(vnet, shift);
    let [h0, h1] = vnet.hdr_len.to_ne_bytes();
    let [g0, g1] = vnet.gso_size.to_ne_bytes();
    let [s0, s1] = vnet.csum_start.to_ne_bytes();
    let [o0, o1] = vnet.csum_offset.to_ne_bytes();
    [vnet.flags, vnet.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_abi::GSO_UDP_L4;

    fn segment() -> VnetHdr {
        VnetHdr {
            flags: VNET_NEEDS_CSUM,
            gso_type: GSO_TCPV4 | GSO_ECN,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        }
    }

    /// A frame whose TCP header at 34 has 32 bytes.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0; 3000];
        frame[34 + TCP_OFFSET] = 8 << 4;
        frame
    }

    #[test]
    fn a_header_survives() {
        assert_eq!(parse(&format(&segment(), 0), &frame()), Some(segment()));
        let plain = VnetHdr::default();
        assert_eq!(parse(&format(&plain, 0), &[]), Some(plain));
    }

    #[test]
    fn the_header_length_is_the_headers() {
        let kernels = VnetHdr {
            hdr_len: 2000,
            ..segment()
        };
        assert_eq!(parse(&format(&kernels, 0), &frame()), Some(segment()));
        let udp = VnetHdr {
            gso_type: GSO_UDP_L4,
            ..kernels
        };
        assert_eq!(parse(&format(&udp, 0), &frame()).unwrap().hdr_len, 42);
    }

    #[test]
    fn what_the_frame_cannot_be_is_refused() {
        let refused = |vnet: VnetHdr, len: usize| {
            assert_eq!(parse(&format(&vnet, 0), &frame()[..len]), None, "{vnet:?}");
        };
        refused(segment(), 51);
        refused(
            VnetHdr {
                gso_size: 0,
                ..segment()
            },
            3000,
        );
        refused(
            VnetHdr {
                csum_start: u16::MAX,
                ..segment()
            },
            3000,
        );
        refused(
            VnetHdr {
                flags: 0,
                hdr_len: 3001,
                ..segment()
            },
            3000,
        );
        refused(segment(), 60);
    }

    #[test]
    fn a_tag_shifts_the_offsets() {
        let shifted = parse(&format(&segment(), 4), &[0x80; 3000]).unwrap();
        assert_eq!((shifted.csum_start, shifted.hdr_len), (38, 70));
        assert_eq!(format(&VnetHdr::default(), 4), [0; SIZE]);
    }
}
