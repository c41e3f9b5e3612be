//! The addresses of a frame, and its tag.

use io_net_ddk::pktbuf::SharedPacket;
use io_net_ddk::vlan;

/// An address in the low 48 bits of a word, its first byte the lowest; above them the VLAN in which
/// it is used, 0 where there are none. 0 is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Mac(pub(crate) u64);

/// The length of an Ethernet header.
pub(crate) const HEADER_LEN: usize = 14;

impl Mac {
    pub(crate) fn new(bytes: [u8; 6]) -> Mac {
        let [a, b, c, d, e, f] = bytes;
        Mac(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// Six bytes in hexadecimal with colons between; None for anything else.
    pub(crate) fn parse(text: &str) -> Option<Mac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            let part = parts.next().filter(hex)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Mac::new(bytes))
    }

    /// The same address as used in `vlan`.
    pub(crate) fn within(self, vlan: u16) -> Mac {
        Mac(self.0 & 0xffff_ffff_ffff | u64::from(vlan) << 48)
    }

    /// The VLAN, 0 for none.
    pub(crate) fn vlan(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// A group's, broadcast included (IEEE 802-2014, 8.2.2).
    pub(crate) fn is_group(self) -> bool {
        self.0 & 1 != 0
    }

    /// One of the sixteen group addresses that a bridge does not forward (IEEE 802.1D-2004, 7.12.6).
    pub(crate) fn is_reserved(self) -> bool {
        let [a, b, c, d, e, f, ..] = self.0.to_le_bytes();
        [a, b, c, d, e] == [0x01, 0x80, 0xc2, 0, 0] && f < 16
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g, ..] = self.0.to_le_bytes();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What a decision is made from: frames with the same key fare the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Destination, and the first two bytes of the source.
    head: u64,
    /// The rest of the source.
    tail: u32,
    pub(crate) endpoint: u16,
    /// Too short to be a frame; the rest is then 0.
    pub(crate) runt: bool,
    /// The control information of its tag, where it has one and the bridge knows VLANs.
    pub(crate) tag: Option<u16>,
}

impl Key {
    #[inline]
    pub(crate) fn of<const VLANS: bool>(packet: &SharedPacket) -> Key {
        let endpoint = packet.endpoint();
        let tag = match VLANS {
            true => vlan::control(packet),
            false => None,
        };
        match packet.data().first_chunk::<HEADER_LEN>() {
            Some(&[a, b, c, d, e, f, g, h, i, j, k, l, ..]) => Key {
                head: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
                tail: u32::from_le_bytes([i, j, k, l]),
                endpoint,
                runt: false,
                tag,
            },
            None => Key {
                head: 0,
                tail: 0,
                endpoint,
                runt: true,
                tag,
            },
        }
    }

    pub(crate) fn dst(self) -> Mac {
        Mac(self.head & 0xffff_ffff_ffff)
    }

    pub(crate) fn src(self) -> Mac {
        Mac(self.head >> 48 | u64::from(self.tail) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_both_addresses() {
        let key = Key {
            head: u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]),
            tail: u32::from_le_bytes([9, 10, 11, 12]),
            endpoint: 0,
            runt: false,
            tag: None,
        };
        assert_eq!(key.dst(), Mac::new([1, 2, 3, 4, 5, 6]));
        assert_eq!(key.src(), Mac::new([7, 8, 9, 10, 11, 12]));
        assert_eq!(key.src().to_string(), "07:08:09:0a:0b:0c");
    }

    #[test]
    fn addresses_in_text_and_in_vlans() {
        let mac = Mac::parse("02:00:00:00:01:fe").unwrap();
        assert_eq!(mac, Mac::new([2, 0, 0, 0, 1, 0xfe]));
        assert_ne!(mac.within(7), mac);
        assert_eq!((mac.within(7).vlan(), mac.within(7).within(0)), (7, mac));
        assert_eq!(mac.within(7).to_string(), "02:00:00:00:01:fe");
        for bad in [
            "",
            "02:00:00:00:01",
            "02:00:00:00:01:fe:00",
            "2:0:0:0:1:2",
            "02:00:00:00:01:+f",
        ] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn groups_and_reserved_groups() {
        assert!(Mac::new([0xff; 6]).is_group() && !Mac::new([0xff; 6]).is_reserved());
        assert!(Mac::new([1, 0x80, 0xc2, 0, 0, 15]).is_reserved());
        assert!(!Mac::new([1, 0x80, 0xc2, 0, 0, 16]).is_reserved());
        assert!(!Mac::new([2, 0, 0, 0, 0, 1]).is_group());
    }
}
