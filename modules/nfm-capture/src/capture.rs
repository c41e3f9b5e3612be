//! The registrant: which packets are captured, and when blocks are handed over. Home worker.

use crate::options::CaptureOptions;
use crate::pcapng::{self, PacketInfo};
use crate::writer::{Chunk, Writer};
use io_net_ddk::abi::{
    Advert, GSO_NONE, LOG_INFO, LOG_WARNING, NPKT_BCAST, NPKT_MCAST, NPKT_MSG, NPKT_PROMISC,
    VNET_NEEDS_CSUM,
};
use io_net_ddk::advert_name;
use io_net_ddk::prelude::*;
use io_net_os::clock::realtime_ns;
use std::path::PathBuf;

/// Bytes of blocks that are handed over together.
const CHUNK: usize = 64 << 10;
/// How long blocks wait for more.
const FLUSH_NS: u64 = 50_000_000;
/// The one timer.
const FLUSH: u32 = 0;
/// Interfaces that are told apart; those after are not captured.
const INTERFACES: usize = 256;
/// Bytes before a VLAN tag (IEEE 802.1Q-2018, 9.3).
const TAG_AT: usize = 12;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// An interface at one layer, as the packets name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layer {
    cell: u16,
    endpoint: u16,
}

/// What is known of a layer from its adverts.
#[derive(Clone, Debug)]
struct Known {
    layer: Layer,
    name: String,
    is_ip: bool,
}

/// A filter that writes down what passes.
pub(crate) struct Capture {
    writer: Writer,
    file: PathBuf,
    snap_len: u32,
    up: bool,
    down: bool,
    /// Packets still to be captured.
    left: u64,
    chunk: Chunk,
    known: Vec<Known>,
    /// The layers that have interface blocks, in their order.
    described: Vec<Layer>,
    /// The flush timer runs.
    timing: bool,
    failure_told: bool,
    /// Packets whose blocks have been written.
    captured: Counter,
    /// Packets that passed uncaptured because the file could not take them in time, or at all.
    dropped: Counter,
    /// Packets that were to be captured so far.
    wanted: u64,
    /// Drops that the writer does not know of.
    dropped_here: u64,
}

impl Registrant for Capture {
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        if self.up && self.left > 0 {
            self.take_down(&burst, Way::Up, cx);
        }
        cx.tx_up(burst);
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        if self.down && self.left > 0 {
            self.take_down(&burst, Way::Down, cx);
        }
        cx.tx_down(burst);
    }

    fn dl_advert(&mut self, advert: &Advert, _cx: &Cx) {
        let layer = Layer {
            cell: advert.cell,
            endpoint: advert.endpoint,
        };
        let known = Known {
            layer,
            name: advert_name(advert).to_owned(),
            is_ip: advert.up_type.starts_with(b"ip\0"),
        };
        match self.known.iter().position(|known| known.layer == layer) {
            Some(place) => self.known[place] = known,
            None if self.known.len() < INTERFACES => self.known.push(known),
            None => {}
        }
    }

    fn timer(&mut self, _id: u32, _now_ns: u64, cx: &Cx) {
        self.timing = false;
        self.hand_over();
        if self.report(cx) {
            self.start_timer(cx);
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        self.hand_over();
        self.writer.finish();
        self.report(cx);
    }
}

impl Capture {
    /// Opens the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn new(options: &CaptureOptions, cx: &Cx) -> Result<Self, Failure> {
        Ok(Capture {
            writer: Writer::start(&options.file)?,
            file: options.file.clone(),
            snap_len: options.snap_len,
            up: options.up,
            down: options.down,
            left: options.count,
            chunk: Chunk::default(),
            known: Vec::new(),
            described: Vec::new(),
            timing: false,
            failure_told: false,
            captured: cx.counter(c"captured"),
            dropped: cx.counter(c"dropped"),
            wanted: 0,
            dropped_here: 0,
        })
    }

    /// Adds blocks of the packets in `burst`.
    fn take_down(&mut self, burst: &Burst, way: Way, cx: &Cx) {
        let now_ns = realtime_ns();
        for packet in burst.iter() {
            if self.left == 0 {
                break;
            }
            if packet.flags() & NPKT_MSG == 0 {
                self.left -= 1;
                self.wanted += 1;
                self.add(packet, way, now_ns);
            }
        }
        if self.left == 0 {
            self.hand_over();
            self.writer.finish();
            let file = self.file.display();
            cx.log(
                LOG_INFO,
                format_args!("{file}: the last packet asked for is captured"),
            );
        }
        if self.chunk.bytes.len() >= CHUNK {
            self.hand_over();
        }
        self.start_timer(cx);
    }

    fn add(&mut self, packet: &SharedPacket, way: Way, now_ns: u64) {
        let layer = Layer {
            cell: packet.cell(),
            endpoint: packet.endpoint(),
        };
        let Some(interface) = self.interface_of(layer) else {
            self.dropped_here += 1;
            return;
        };
        // A tag beside an Ethernet frame is shown where it will be on the wire.
        let tag = packet.vlan_tci().filter(|_| packet.len() >= TAG_AT);
        let tag = tag.map(|tci| [0x81, 0x00, (tci >> 8) as u8, tci as u8]);
        let len = packet.total_len() + tag.map_or(0, |tag| tag.len());
        let info = PacketInfo {
            interface,
            time_ns: packet.tstamp_ns().unwrap_or(now_ns),
            len,
            kept: len.min(self.snap_len as usize),
            flags: flags(packet, way),
            comment: unfinished(packet),
        };
        pcapng::packet(&mut self.chunk.bytes, &info, |out| {
            copy(packet, tag, info.kept, out);
        });
        self.chunk.packets += 1;
    }

    /// The number of the interface block for `layer`, which is written first where there is none
    /// yet; None where that is not possible now.
    #[inline]
    fn interface_of(&mut self, layer: Layer) -> Option<u32> {
        let place = self.described.iter().position(|known| *known == layer);
        match place {
            Some(place) => Some(place as u32),
            None => self.describe(layer),
        }
    }

    #[cold]
    fn describe(&mut self, layer: Layer) -> Option<u32> {
        if self.described.len() == INTERFACES {
            return None;
        }
        let known = self.known.iter().find(|known| known.layer == layer);
        let name = match known {
            Some(known) => known.name.clone(),
            None => format!("endpoint {}", layer.endpoint),
        };
        // The type belongs to the layer's number, whichever interface has told of it.
        let mut same = self
            .known
            .iter()
            .filter(|known| known.layer.cell == layer.cell);
        let link_type = match same.next().is_some_and(|known| known.is_ip) {
            true => pcapng::RAW_IP,
            false => pcapng::ETHERNET,
        };
        // What is in the chunk refers to the blocks before this one, so the order does not matter.
        let mut block = Vec::new();
        pcapng::interface(&mut block, link_type, self.snap_len, &name);
        if !self.writer.describe(block) {
            return None;
        }
        self.described.push(layer);
        Some(self.described.len() as u32 - 1)
    }

    fn hand_over(&mut self) {
        if self.chunk.packets > 0 {
            self.writer.write(&mut self.chunk);
        }
    }

    fn start_timer(&mut self, cx: &Cx) {
        if !self.timing {
            self.timing = true;
            cx.timer(FLUSH, cx.now_ns() + FLUSH_NS);
        }
    }

    /// Brings the counters up to date. Returns whether packets are still on their way to the file.
    fn report(&mut self, cx: &Cx) -> bool {
        let (written, dropped) = (
            self.writer.written(),
            self.writer.dropped() + self.dropped_here,
        );
        self.captured.add(written - self.captured.get());
        self.dropped.add(dropped - self.dropped.get());
        if self.writer.has_failed() && !self.failure_told {
            self.failure_told = true;
            let file = self.file.display();
            cx.log(
                LOG_WARNING,
                format_args!(
                    "{file} cannot be written any more (is the disk full?); packets pass uncaptured"
                ),
            );
        }
        written + dropped < self.wanted
    }
}

/// Direction and addressing, as pcapng has them.
#[inline]
fn flags(packet: &SharedPacket, way: Way) -> u32 {
    if way == Way::Down {
        return pcapng::OUTBOUND;
    }
    let addressing = match packet.flags() {
        flags if flags & NPKT_BCAST != 0 => pcapng::BROADCAST,
        flags if flags & NPKT_MCAST != 0 => pcapng::MULTICAST,
        flags if flags & NPKT_PROMISC != 0 => pcapng::PROMISCUOUS,
        _ => pcapng::UNICAST,
    };
    pcapng::INBOUND | addressing
}

/// What is still to be done to a packet before it is on a wire: a reader would wonder.
#[inline]
fn unfinished(packet: &SharedPacket) -> Option<&'static str> {
    let vnet = packet.vnet();
    let needs_sum = vnet.flags & VNET_NEEDS_CSUM != 0;
    match (vnet.gso_type != GSO_NONE, needs_sum) {
        (true, _) => Some("super-segment: it is cut, and its checksums filled in, further down"),
        (false, true) => Some("checksum not filled in yet"),
        (false, false) => None,
    }
}

/// Appends the first `kept` bytes of `packet`, with `tag` where it belongs.
fn copy(packet: &SharedPacket, tag: Option<[u8; 4]>, kept: usize, out: &mut Vec<u8>) {
    let end = out.len() + kept;
    for (number, fragment) in packet.fragments().enumerate() {
        match tag {
            Some(tag) if number == 0 => {
                let (addresses, rest) = fragment.split_at(TAG_AT);
                append(out, end, addresses);
                append(out, end, &tag);
                append(out, end, rest);
            }
            _ => append(out, end, fragment),
        }
    }
}

fn append(out: &mut Vec<u8>, end: usize, bytes: &[u8]) {
    let room = end.saturating_sub(out.len());
    out.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
