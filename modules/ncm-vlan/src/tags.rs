//! Reading, taking and putting tags.

use io_net_ddk::pktbuf::Packet;
use io_net_ddk::vlan;

/// Where the first tag stands in a frame.
pub(crate) const AT: usize = vlan::TAG_AT;

/// The VLANs in a frame's tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Vids {
    /// Of the outer of two tags; 0 where there is one.
    pub(crate) outer: u16,
    /// Of the inner, or only one.
    pub(crate) inner: u16,
}

/// How tags look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// EtherType of the outer of two tags.
    pub(crate) outer: u16,
    /// Priority bits of what is sent.
    pub(crate) priority: u16,
}

impl Form {
    /// The EtherTypes by which tagged frames are known.
    pub(crate) fn ethertypes(&self) -> impl Iterator<Item = u16> {
        let outer = Some(self.outer).filter(|&outer| outer != vlan::CUSTOMER);
        std::iter::once(vlan::CUSTOMER).chain(outer)
    }

    /// The VLANs that a frame may be of, the more tags the earlier. Empty where it has no tags.
    #[inline]
    pub(crate) fn read(&self, frame: &[u8]) -> [Option<Vids>; 2] {
        let Some((kind, first)) = tag(frame, AT) else {
            return [None; 2];
        };
        let second = tag(frame, AT + vlan::TAG).filter(|(kind, _)| *kind == vlan::CUSTOMER);
        let two = second
            .filter(|_| kind == self.outer)
            .map(|(_, second)| Vids {
                outer: first,
                inner: second,
            });
        let one = (kind == vlan::CUSTOMER).then_some(Vids {
            outer: 0,
            inner: first,
        });
        [two, one]
    }

    /// Takes the tags of `vids` off a frame that has them.
    #[inline]
    pub(crate) fn take(packet: &mut Packet, vids: Vids) {
        for _ in 0..Self::count(vids) {
            vlan::remove(packet);
        }
    }

    /// Puts tags for `vids` into a frame. None for want of headroom, or where it is no frame.
    #[inline]
    pub(crate) fn put(&self, packet: &mut Packet, vids: Vids) -> Option<()> {
        let inner = vlan::tag(vlan::CUSTOMER, self.priority | vids.inner);
        vlan::insert(packet, inner)?;
        match vids.outer {
            0 => Some(()),
            outer => vlan::insert(packet, vlan::tag(self.outer, self.priority | outer)),
        }
    }

    /// How many tags.
    pub(crate) fn count(vids: Vids) -> u32 {
        1 + u32::from(vids.outer != 0)
    }
}

/// EtherType and VLAN of the tag at `at`, whatever it is.
#[inline]
fn tag(frame: &[u8], at: usize) -> Option<(u16, u16)> {
    match frame.get(at..at + vlan::TAG)? {
        &[k0, k1, c0, c1] => Some((
            u16::from_be_bytes([k0, k1]),
            u16::from_be_bytes([c0, c1]) & 0x0fff,
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_whatever_the_length() {
        let form = Form {
            outer: 0x88a8,
            priority: 0,
        };
        let one = |inner| Some(Vids { outer: 0, inner });
        let frame = [&[0; 12][..], &[0x81, 0, 0xe0, 7, 0x08, 0]].concat();
        assert_eq!(form.read(&frame), [None, one(7)]);
        let two = [&[0; 12][..], &[0x88, 0xa8, 0, 9], &frame[12..]].concat();
        assert_eq!(form.read(&two), [Some(Vids { outer: 9, inner: 7 }), None]);
        for len in 0..16 {
            assert_eq!(form.read(&two[..len]), [None; 2]);
        }
        let customer = Form {
            outer: 0x8100,
            ..form
        };
        let both = [&[0; 12][..], &[0x81, 0, 0, 9], &frame[12..]].concat();
        let two = Some(Vids { outer: 9, inner: 7 });
        assert_eq!(customer.read(&both), [two, one(9)]);
        assert_eq!(
            (form.ethertypes().count(), customer.ethertypes().count()),
            (2, 1)
        );
    }
}
