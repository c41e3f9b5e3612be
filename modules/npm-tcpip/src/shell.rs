//! What the stack sees of the world: packets to be sent, and buffers for new connections.

use crate::buffers::{RxDatagrams, RxFifo, TxFifo};
use crate::server::slab::Key;
use crate::server::tables::Tables;
use io_net_ddk::abi::{BURST_MAX, VNET_NEEDS_CSUM, VnetHdr};
use io_net_ddk::prelude::*;
use io_net_proto::slot::State;
use io_net_tcpip::{Env, GSO_NONE, IfaceId, SocketId, Transport, TxMeta};
use std::net::{IpAddr, SocketAddr};

/// Packets that leave in one burst are written into these; the rest wait in a list.
pub(crate) struct Outbox {
    packets: Vec<Packet>,
    /// The layer and sub-interface of the packets of each interface.
    ways: Vec<Option<(u16, u16)>>,
    /// The pool was dry at the last try.
    pub(crate) starved: bool,
}

impl Outbox {
    fn new() -> Self {
        Outbox {
            packets: Vec::with_capacity(BURST_MAX),
            ways: Vec::new(),
            starved: false,
        }
    }

    /// Packets for interface `id` go to layer `cell`, sub-interface `iface`; or nowhere.
    pub(crate) fn set_way(&mut self, id: IfaceId, way: Option<(u16, u16)>) {
        let at = usize::from(id);
        if self.ways.len() <= at {
            self.ways.resize(at + 1, None);
        }
        self.ways[at] = way;
    }

    /// Sends what has gathered.
    #[inline]
    pub(crate) fn send(&mut self, cx: &Cx) {
        if self.packets.is_empty() {
            return;
        }
        let mut burst = BurstBuf::new();
        for packet in self.packets.drain(..) {
            if burst.is_full() {
                cx.tx_down(burst.take());
            }
            // There is room: it was just emptied where it was full.
            let _ = burst.push(packet);
        }
        cx.tx_down(burst.take());
    }
}

/// The stack's surroundings.
pub(crate) struct Shell {
    pub(crate) outbox: Outbox,
    pub(crate) tables: Tables,
    /// Connections refused for want of a slot.
    pub(crate) refused: u64,
}

impl Shell {
    pub(crate) fn new(tables: Tables) -> Self {
        Shell {
            outbox: Outbox::new(),
            tables,
            refused: 0,
        }
    }

    fn open(&mut self, listener: SocketId, id: SocketId) -> Option<(TxFifo, RxFifo)> {
        let tables = &mut self.tables;
        let near = tables.sockets.get(tables.find(listener)?)?.segment;
        let session: Key = tables.segments.get(near)?.session;
        let seat = tables.add_socket(session, Some(near), Transport::Tcp, State::Connected)?;
        tables.name(seat.socket, id);
        tables.stream_buffers(seat.segment, seat.slot)
    }
}

impl Env for Shell {
    type Send = TxFifo;
    type Recv = RxFifo;
    type Datagrams = RxDatagrams;

    #[inline]
    fn transmit<F: FnOnce(&mut [u8])>(
        &mut self,
        iface: IfaceId,
        next_hop: IpAddr,
        meta: &TxMeta,
        len: usize,
        fill: F,
    ) -> bool {
        let outbox = &mut self.outbox;
        let way = outbox.ways.get(usize::from(iface)).copied().flatten();
        let (Some((cell, sub)), IpAddr::V4(next_hop)) = (way, next_hop) else {
            return false;
        };
        let Some(mut packet) = alloc_one(len as u32) else {
            outbox.starved = true;
            return false;
        };
        let Some(room) = packet.append(len) else {
            return false;
        };
        fill(room);
        packet.set_way(cell, iface, sub);
        packet.set_next_hop4(next_hop);
        *packet.vnet_mut() = vnet(meta);
        outbox.packets.push(packet);
        true
    }

    fn open_stream(
        &mut self,
        listener: SocketId,
        socket: SocketId,
        _peer: SocketAddr,
    ) -> Option<(TxFifo, RxFifo)> {
        let buffers = self.open(listener, socket);
        self.refused += u64::from(buffers.is_none());
        buffers
    }
}

#[inline]
fn vnet(meta: &TxMeta) -> VnetHdr {
    let mut vnet = VnetHdr::default();
    if meta.needs_csum {
        vnet.flags = VNET_NEEDS_CSUM;
        (vnet.csum_start, vnet.csum_offset) = (meta.csum_start, meta.csum_offset);
    }
    if meta.gso_type != GSO_NONE {
        (vnet.gso_type, vnet.gso_size) = (meta.gso_type, meta.gso_size);
        vnet.hdr_len = meta.hdr_len;
    }
    vnet
}
