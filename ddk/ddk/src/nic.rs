//! What every driver keeps count of, and its answers to `nicinfo`'s calls.

use crate::{Counter, Cx, Failure, answer};
use io_net_abi::{
    GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NPKT_BCAST, NPKT_MCAST, NPKT_PROMISC,
    NPKT_UP, NicConfig, NicStats, VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_pktbuf::SharedPacket;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The counters of an adaptor, under the names that `io-netctl stats` shows.
///
/// Each loss has its own: no buffer to receive into, no room to send, a frame that could not be
/// received or sent because of what it is.
#[derive(Clone, Copy)]
pub struct NicCounters {
    tx: Flow,
    rx: Flow,
    /// Packets not sent for want of a buffer or of room.
    pub tx_no_room: Counter,
    /// Packets not received for want of a buffer.
    pub rx_no_buffer: Counter,
    /// Frames that could not be sent.
    pub tx_errors: Counter,
    /// Frames received with errors.
    pub rx_errors: Counter,
}

/// One direction.
#[derive(Clone, Copy)]
struct Flow {
    packets: Counter,
    bytes: Counter,
    broadcast: Counter,
    multicast: Counter,
}

/// What a burst has added up to so far: counters are written once a burst, not once a packet.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    packets: u64,
    bytes: u64,
    broadcast: u64,
    multicast: u64,
}

impl Tally {
    /// Counts an Ethernet frame of `len` bytes that begins with `head`.
    #[inline]
    pub fn frame(&mut self, head: &[u8], len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
        if let Some(&[first, second, ..]) = head.get(..6)
            && first & 1 != 0
        {
            // The group bit (IEEE 802-2014, 8.2.2). Broadcast is the all-ones group.
            let all_ones = first & second == 0xff && head[2..6] == [0xff; 4];
            self.broadcast += u64::from(all_ones);
            self.multicast += u64::from(!all_ones);
        }
    }

    /// Bytes so far.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts `packet`, an Ethernet frame.
    #[inline]
    pub fn packet(&mut self, packet: &SharedPacket) {
        let len = match packet.is_chained() {
            false => packet.len(),
            true => packet.total_len(),
        };
        self.frame(packet.data(), len);
    }
}

impl NicCounters {
    /// Makes the counters of `cx`'s registrant.
    pub fn new(cx: &Cx) -> Self {
        NicCounters {
            tx: Flow {
                packets: cx.counter(c"tx_packets"),
                bytes: cx.counter(c"tx_bytes"),
                broadcast: cx.counter(c"tx_broadcast"),
                multicast: cx.counter(c"tx_multicast"),
            },
            rx: Flow {
                packets: cx.counter(c"rx_packets"),
                bytes: cx.counter(c"rx_bytes"),
                broadcast: cx.counter(c"rx_broadcast"),
                multicast: cx.counter(c"rx_multicast"),
            },
            tx_no_room: cx.counter(c"tx_no_room"),
            rx_no_buffer: cx.counter(c"rx_no_buffer"),
            tx_errors: cx.counter(c"tx_errors"),
            rx_errors: cx.counter(c"rx_errors"),
        }
    }

    /// Adds what has been sent.
    #[inline]
    pub fn sent(&self, tally: &Tally) {
        self.tx.add(tally);
    }

    /// Adds what has been received.
    #[inline]
    pub fn received(&self, tally: &Tally) {
        self.rx.add(tally);
    }

    /// The counters in `nicinfo`'s form, all of them kept.
    pub fn stats(&self) -> NicStats {
        NicStats {
            valid: 0xff,
            txed_ok: self.tx.packets.get(),
            rxed_ok: self.rx.packets.get(),
            octets_txed_ok: self.tx.bytes.get(),
            octets_rxed_ok: self.rx.bytes.get(),
            txed_broadcast: self.tx.broadcast.get(),
            rxed_broadcast: self.rx.broadcast.get(),
            txed_multicast: self.tx.multicast.get(),
            rxed_multicast: self.rx.multicast.get(),
            tx_failed_allocs: self.tx_no_room.get(),
            rx_failed_allocs: self.rx_no_buffer.get(),
            rx_errors: self.rx_errors.get(),
            tx_errors: self.tx_errors.get(),
        }
    }
}

impl Flow {
    #[inline]
    fn add(&self, tally: &Tally) {
        self.packets.add(tally.packets);
        self.bytes.add(tally.bytes);
        if tally.broadcast | tally.multicast != 0 {
            self.broadcast.add(tally.broadcast);
            self.multicast.add(tally.multicast);
        }
    }
}

/// The `NPKT_*` bits of a frame on its way up that was received by the adaptor with address `mac`:
/// broadcast, multicast, or for somebody else.
#[inline]
pub fn rx_flags(frame: &[u8], mac: [u8; 6]) -> u16 {
    match frame.first_chunk::<6>() {
        Some(destination) if *destination == mac => NPKT_UP,
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => NPKT_UP | NPKT_BCAST,
        Some([first, ..]) if first & 1 != 0 => NPKT_UP | NPKT_MCAST,
        _ => NPKT_UP | NPKT_PROMISC,
    }
}

/// Whether `vnet` makes sense for a frame of `len` bytes: for drivers whose peer may write anything.
#[inline]
pub fn vnet_is_sound(vnet: &VnetHdr, len: usize) -> bool {
    let sum_end = usize::from(vnet.csum_start) + usize::from(vnet.csum_offset) + 2;
    let sum_is_sound = vnet.flags & VNET_NEEDS_CSUM == 0 || sum_end <= len;
    let gso_is_sound = match vnet.gso_type & !GSO_ECN {
        GSO_NONE => vnet.gso_type == GSO_NONE,
        GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4 => {
            vnet.gso_size != 0 && usize::from(vnet.hdr_len) <= len
        }
        _ => false,
    };
    sum_is_sound && gso_is_sound
}

/// A random unicast address of local administration (IEEE 802-2014, 8.2.2).
pub fn random_mac() -> [u8; 6] {
    let random = RandomState::new().build_hasher().finish();
    let [_, _, mut mac @ ..] = random.to_be_bytes();
    mac[0] = mac[0] & 0xfc | 0x02;
    mac
}

/// A configuration of an Ethernet adaptor: `mtu` is without the Ethernet header, `lan` the number
/// of the interface. Flags, rate and queues are for the caller to change.
pub fn nic_config(description: &str, mac: [u8; 6], mtu: u32, lan: u16) -> NicConfig {
    const ETHERNET_HEADER: u32 = 14;
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac);
    let mut text = [0; 64];
    let len = description.len().min(text.len() - 1);
    text[..len].copy_from_slice(&description.as_bytes()[..len]);
    let mut uptype = [0; 16];
    uptype[..2].copy_from_slice(b"en");
    NicConfig {
        flags: io_net_abi::NIC_BROADCAST | io_net_abi::NIC_MULTICAST,
        mtu: mtu + ETHERNET_HEADER,
        mru: mtu + ETHERNET_HEADER,
        lan: lan.into(),
        media_rate: u32::MAX,
        duplex: 1,
        queues: 1,
        mac_length: 6,
        permanent_address: address,
        current_address: address,
        io_port: 0,
        irq: -1,
        reserved: 0,
        device_description: text,
        uptype,
    }
}

/// Answers [`io_net_abi::DEVCTL_GET_CONFIG`].
///
/// # Errors
/// ENOMEM where the caller's buffer is too small.
pub fn answer_config(data: &mut [u8], config: &NicConfig) -> Result<usize, Failure> {
    const {
        assert!(
            size_of::<NicConfig>() == 144,
            "no padding: the sum of the fields"
        )
    };
    // SAFETY: plain numbers and byte arrays with no padding between them.
    answer(data, unsafe { bytes_of(config) })
}

/// Answers [`io_net_abi::DEVCTL_GET_STATS`].
///
/// # Errors
/// ENOMEM where the caller's buffer is too small.
pub fn answer_stats(data: &mut [u8], stats: &NicStats) -> Result<usize, Failure> {
    const {
        assert!(
            size_of::<NicStats>() == 104,
            "no padding: the sum of the fields"
        )
    };
    // SAFETY: as in `answer_config`.
    answer(data, unsafe { bytes_of(stats) })
}

/// # Safety
/// `T` has no padding.
unsafe fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: every byte of `value` is initialised, as the caller promises.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart() {
        let mut tally = Tally::default();
        tally.frame(&[0xff; 60], 60);
        tally.frame(&[0x33, 0x33, 0, 0, 0, 1, 0], 100);
        tally.frame(&[0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0], 100);
        tally.frame(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0], 100);
        tally.frame(&[], 0);
        let counts = (tally.packets, tally.bytes, tally.broadcast, tally.multicast);
        assert_eq!(counts, (5, 360, 1, 2));
    }

    #[test]
    fn flags_tell_whom_a_frame_is_for() {
        let mac = [2, 0, 0, 0, 0, 1];
        let flags = |head: &[u8]| rx_flags(head, mac) & !NPKT_UP;
        assert_eq!(flags(&[2, 0, 0, 0, 0, 1, 9]), 0);
        assert_eq!(flags(&[2, 0, 0, 0, 0, 2, 9]), NPKT_PROMISC);
        assert_eq!(flags(&[0xff; 14]), NPKT_BCAST);
        assert_eq!(flags(&[1, 0, 0x5e, 0, 0, 1]), NPKT_MCAST);
        assert_eq!(flags(&[2, 0]), NPKT_PROMISC);
    }

    #[test]
    fn offsets_beyond_the_frame_are_unsound() {
        let sound = VnetHdr {
            flags: VNET_NEEDS_CSUM,
            gso_type: GSO_TCPV4 | GSO_ECN,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        };
        assert!(vnet_is_sound(&sound, 66));
        assert!(vnet_is_sound(&VnetHdr::default(), 0));
        let mut unsound = [sound; 5];
        unsound[0].hdr_len = 67;
        unsound[1].gso_size = 0;
        unsound[2].gso_type = 3;
        unsound[3].gso_type = GSO_ECN;
        unsound[4].csum_start = u16::MAX;
        for vnet in unsound {
            assert!(!vnet_is_sound(&vnet, 66), "{vnet:?}");
        }
        assert!(!vnet_is_sound(&sound, 51));
    }

    #[test]
    fn random_addresses_are_local_and_differ() {
        let (a, b) = (random_mac(), random_mac());
        assert_ne!(a, b);
        assert_eq!((a[0] & 3, b[0] & 3), (2, 2));
    }

    #[test]
    fn a_configuration_is_answered_whole_or_refused() {
        let config = nic_config(&"x".repeat(100), [2, 0, 0, 0, 0, 1], 1500, 3);
        assert_eq!((config.mtu, config.lan), (1514, 3));
        assert_eq!(config.device_description[62..], [b'x', 0]);
        let mut data = [0xaa; 200];
        assert_eq!(answer_config(&mut data, &config).unwrap(), 144);
        assert_eq!(data[4..8], 1514u32.to_ne_bytes());
        assert!(answer_config(&mut data[..100], &config).is_err());
    }
}
