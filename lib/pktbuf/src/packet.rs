//! One packet: [`Packet`] owns it alone and may write, [`SharedPacket`] holds one reference and reads.

use crate::memory;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use io_net_abi::{
    NPKT_HASH, NPKT_LINK_ADDR, NPKT_NEXT_HOP4, NPKT_NEXT_HOP6, NPKT_READONLY, NPKT_TSTAMP,
    NPKT_VLAN, Npkt, NpktRx, VnetHdr,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

/// The flags that say what the descriptor's direction-dependent part holds.
const WAY_FLAGS: u16 = NPKT_NEXT_HOP4 | NPKT_NEXT_HOP6 | NPKT_LINK_ADDR | NPKT_TSTAMP | NPKT_HASH;

/// One reference to a packet. Others may hold references to the same bytes, so they are read-only.
#[repr(transparent)]
pub struct SharedPacket(NonNull<Npkt>);

/// A packet with no other reference: its bytes and metadata may be written.
#[repr(transparent)]
pub struct Packet(SharedPacket);

// SAFETY: a reference may be released on any thread; bytes are only written through `Packet`,
// which is the sole reference, and the count is atomic.
unsafe impl Send for SharedPacket {}
// SAFETY: as above.
unsafe impl Send for Packet {}

impl SharedPacket {
    /// Takes over one reference.
    ///
    /// # Safety
    /// `pkt` is a live descriptor, and the caller gives up one reference to it.
    #[inline]
    pub unsafe fn from_raw(pkt: *mut Npkt) -> Self {
        // SAFETY: a live descriptor is not null.
        SharedPacket(unsafe { NonNull::new_unchecked(pkt) })
    }

    /// Gives the reference up without releasing it.
    #[inline]
    pub fn into_raw(self) -> *mut Npkt {
        let pkt = self.0.as_ptr();
        core::mem::forget(self);
        pkt
    }

    #[inline]
    fn npkt(&self) -> &Npkt {
        // SAFETY: we hold a reference, so the descriptor is live; nobody writes it while shared,
        // except its atomic count.
        unsafe { self.0.as_ref() }
    }

    /// Bytes in the first fragment.
    #[inline]
    pub fn len(&self) -> usize {
        self.npkt().len as usize
    }

    /// Whether the first fragment is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.npkt().len == 0
    }

    /// Brings the first line of the data into the cache, to be read soon.
    #[inline]
    pub fn prefetch(&self) {
        // SAFETY: we hold a reference to a live packet.
        crate::burst::prefetch_read(unsafe { start_of(self.0.as_ptr()) });
    }

    /// Bytes in all fragments.
    pub fn total_len(&self) -> usize {
        self.fragments().map(<[u8]>::len).sum()
    }

    /// The first fragment's bytes: all of the packet unless [`SharedPacket::is_chained`].
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: we hold a reference to a live packet.
        unsafe { bytes_of(self.0.as_ptr()) }
    }

    /// Whether more fragments follow the first.
    #[inline]
    pub fn is_chained(&self) -> bool {
        self.npkt().next != 0
    }

    /// The bytes of each fragment in turn.
    pub fn fragments(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = Some(self.0.as_ptr());
        std::iter::from_fn(move || {
            let pkt = at?;
            // SAFETY: the chain's fragments live as long as its head, which we hold.
            unsafe {
                at = next_of(pkt);
                Some(bytes_of(pkt))
            }
        })
    }

    /// `NPKT_*` bits.
    #[inline]
    pub fn flags(&self) -> u16 {
        self.npkt().flags
    }

    /// The interface the packet came from or goes to.
    #[inline]
    pub fn endpoint(&self) -> u16 {
        self.npkt().endpoint
    }

    /// The packet's type, as io-net's number.
    #[inline]
    pub fn cell(&self) -> u16 {
        self.npkt().cell
    }

    /// Sub-interface.
    #[inline]
    pub fn iface(&self) -> u16 {
        self.npkt().iface
    }

    /// VLAN tag held beside the frame.
    #[inline]
    pub fn vlan_tci(&self) -> Option<u16> {
        (self.flags() & NPKT_VLAN != 0).then(|| self.npkt().vlan_tci)
    }

    /// Offloads asked for or done.
    #[inline]
    pub fn vnet(&self) -> &VnetHdr {
        &self.npkt().vnet
    }

    /// Arrival time, `CLOCK_REALTIME` nanoseconds.
    #[inline]
    pub fn tstamp_ns(&self) -> Option<u64> {
        // SAFETY: the flag says which member of the union is set.
        (self.flags() & NPKT_TSTAMP != 0).then(|| unsafe { self.npkt().way.rx.tstamp_ns })
    }

    /// Flow hash.
    #[inline]
    pub fn hash(&self) -> Option<u32> {
        // SAFETY: the flag says which member of the union is set.
        (self.flags() & NPKT_HASH != 0).then(|| unsafe { self.npkt().way.rx.hash })
    }

    /// The IPv4 neighbour that a down packet goes to.
    #[inline]
    pub fn next_hop4(&self) -> Option<Ipv4Addr> {
        if self.flags() & NPKT_NEXT_HOP4 == 0 {
            return None;
        }
        // SAFETY: the flag says which member of the union is set.
        let hop = unsafe { self.npkt().way.next_hop };
        Some(Ipv4Addr::new(hop[0], hop[1], hop[2], hop[3]))
    }

    /// The IPv6 neighbour that a down packet goes to.
    #[inline]
    pub fn next_hop6(&self) -> Option<Ipv6Addr> {
        if self.flags() & NPKT_NEXT_HOP6 == 0 {
            return None;
        }
        // SAFETY: the flag says which member of the union is set.
        let hop = unsafe { self.npkt().way.next_hop };
        Some(Ipv6Addr::from(hop))
    }

    /// The link-layer address that a down packet goes to, or that an up packet came from, with
    /// zeroes behind it.
    #[inline]
    pub fn link_addr(&self) -> Option<[u8; 16]> {
        // SAFETY: the flag says which member of the union is set.
        (self.flags() & NPKT_LINK_ADDR != 0).then(|| unsafe { self.npkt().way.next_hop })
    }

    /// A second reference to the same packet.
    #[inline]
    pub fn share(&self) -> SharedPacket {
        self.npkt().refs.fetch_add(1, Ordering::Relaxed);
        SharedPacket(self.0)
    }

    /// The packet for writing, where this is the only reference and its memory may be written.
    ///
    /// # Errors
    /// The reference back, where others hold one too.
    #[inline]
    pub fn try_unique(self) -> Result<Packet, SharedPacket> {
        match self.is_unique() {
            true => Ok(Packet(self)),
            false => Err(self),
        }
    }

    /// Whether this is the only reference and the memory may be written.
    #[inline]
    pub(crate) fn is_unique(&self) -> bool {
        if self.npkt().refs.load(Ordering::Relaxed) != 1 || self.flags() & NPKT_READONLY != 0 {
            return false;
        }
        // Pairs with the release in the last other holder's decrement: its reads are over.
        fence(Ordering::Acquire);
        true
    }

    /// The packet for writing: this one where it is the only reference, else a copy with the same
    /// metadata, in one fragment. `None` where the pool is dry; the reference is then released.
    pub fn into_unique(self) -> Option<Packet> {
        match self.try_unique() {
            Ok(packet) => Some(packet),
            Err(shared) => shared.copy(),
        }
    }

    /// A copy with the same metadata, in one fragment. `None` where the pool is dry.
    pub fn copy(&self) -> Option<Packet> {
        let mut copy = memory::alloc_one(self.total_len() as u32)?;
        for fragment in self.fragments() {
            copy.append(fragment.len())?.copy_from_slice(fragment);
        }
        copy.copy_metadata(self);
        Some(copy)
    }
}

impl Drop for SharedPacket {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this reference is ours, and is given up here.
        unsafe { memory::release(&mut [self.0.as_ptr()]) };
    }
}

impl Deref for Packet {
    type Target = SharedPacket;
    #[inline]
    fn deref(&self) -> &SharedPacket {
        &self.0
    }
}

impl From<Packet> for SharedPacket {
    #[inline]
    fn from(packet: Packet) -> SharedPacket {
        packet.0
    }
}

impl Packet {
    /// Takes over a packet.
    ///
    /// # Safety
    /// `pkt` is a live, writable descriptor with one reference, which the caller gives up.
    #[inline]
    pub unsafe fn from_raw(pkt: *mut Npkt) -> Self {
        // SAFETY: the caller's promise.
        Packet(unsafe { SharedPacket::from_raw(pkt) })
    }

    /// Gives the packet up without releasing it.
    #[inline]
    pub fn into_raw(self) -> *mut Npkt {
        self.0.into_raw()
    }

    #[inline]
    fn npkt_mut(&mut self) -> &mut Npkt {
        // SAFETY: the sole reference, and `&mut self`.
        unsafe { self.0.0.as_mut() }
    }

    /// The first fragment's bytes.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: the sole reference to a live packet, and `&mut self`.
        unsafe { bytes_of_mut(self.0.0.as_ptr()) }
    }

    /// Bytes free before the data.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.npkt().data_off as usize
    }

    /// Bytes free after the first fragment's data.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let pkt = self.npkt();
        (pkt.buf_units as usize * 64).saturating_sub(pkt.data_off as usize + pkt.len as usize)
    }

    /// Moves the data's start, while the packet is empty, to leave `headroom` bytes before it.
    pub fn reserve(&mut self, headroom: usize) -> bool {
        let fits = self.is_empty() && headroom <= self.npkt().buf_units as usize * 64;
        if fits {
            self.npkt_mut().data_off = headroom as u32;
        }
        fits
    }

    /// Grows the data by `n` bytes at its front and gives them, uninitialised in content;
    /// `None` where the headroom is too small.
    #[inline]
    pub fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let pkt = self.npkt_mut();
        pkt.data_off = pkt.data_off.checked_sub(n as u32)?;
        pkt.len += n as u32;
        Some(&mut self.data_mut()[..n])
    }

    /// Grows the data by `n` bytes at its end and gives them; `None` where the tailroom is too
    /// small. The bytes are whatever the buffer last held.
    #[inline]
    pub fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.tailroom() {
            return None;
        }
        let start = self.len();
        self.npkt_mut().len += n as u32;
        Some(&mut self.data_mut()[start..])
    }

    /// Drops `n` bytes from the front of the first fragment; false, and nothing done, where it
    /// has fewer.
    #[inline]
    pub fn pull(&mut self, n: usize) -> bool {
        let pkt = self.npkt_mut();
        if n > pkt.len as usize {
            return false;
        }
        pkt.data_off += n as u32;
        pkt.len -= n as u32;
        true
    }

    /// Shortens the first fragment to `n` bytes, where it has more.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        let pkt = self.npkt_mut();
        pkt.len = pkt.len.min(n as u32);
    }

    /// Hangs `tail` on as the last fragment.
    pub fn chain(&mut self, tail: Packet) {
        let mut last = self.0.0.as_ptr();
        // SAFETY: the chain is ours alone; `tail` is a descriptor of the same array, so the
        // distance is a whole number of descriptors.
        unsafe {
            while let Some(next) = next_of(last) {
                last = next;
            }
            let tail = tail.into_raw();
            (*last).next = tail.offset_from(last) as i32;
        }
    }

    /// Sets and clears `NPKT_*` bits.
    #[inline]
    pub fn set_flags(&mut self, set: u16, clear: u16) {
        let pkt = self.npkt_mut();
        pkt.flags = pkt.flags & !clear | set;
    }

    /// Names the interface and layer.
    #[inline]
    pub fn set_way(&mut self, cell: u16, endpoint: u16, iface: u16) {
        let pkt = self.npkt_mut();
        (pkt.cell, pkt.endpoint, pkt.iface) = (cell, endpoint, iface);
    }

    /// Offloads, for writing.
    #[inline]
    pub fn vnet_mut(&mut self) -> &mut VnetHdr {
        &mut self.npkt_mut().vnet
    }

    /// Sets or clears the VLAN tag beside the frame.
    #[inline]
    pub fn set_vlan_tci(&mut self, tci: Option<u16>) {
        let pkt = self.npkt_mut();
        pkt.vlan_tci = tci.unwrap_or(0);
        pkt.flags = pkt.flags & !NPKT_VLAN | if tci.is_some() { NPKT_VLAN } else { 0 };
    }

    /// Makes it an up packet that arrived at `tstamp_ns` with a flow hash or none.
    #[inline]
    pub fn set_rx(&mut self, tstamp_ns: Option<u64>, hash: Option<u32>) {
        let pkt = self.npkt_mut();
        pkt.way.rx = NpktRx {
            tstamp_ns: tstamp_ns.unwrap_or(0),
            hash: hash.unwrap_or(0),
            mark: 0,
        };
        pkt.flags = pkt.flags & !WAY_FLAGS
            | if tstamp_ns.is_some() { NPKT_TSTAMP } else { 0 }
            | if hash.is_some() { NPKT_HASH } else { 0 };
    }

    /// Makes it a down packet for an IPv4 neighbour.
    #[inline]
    pub fn set_next_hop4(&mut self, hop: Ipv4Addr) {
        let pkt = self.npkt_mut();
        let mut next_hop = [0; 16];
        next_hop[..4].copy_from_slice(&hop.octets());
        pkt.way.next_hop = next_hop;
        pkt.flags = pkt.flags & !WAY_FLAGS | NPKT_NEXT_HOP4;
    }

    /// Makes it a down packet for an IPv6 neighbour.
    #[inline]
    pub fn set_next_hop6(&mut self, hop: Ipv6Addr) {
        let pkt = self.npkt_mut();
        pkt.way.next_hop = hop.octets();
        pkt.flags = pkt.flags & !WAY_FLAGS | NPKT_NEXT_HOP6;
    }

    /// Makes it a down packet for a neighbour's link-layer address, or an up packet from it.
    #[inline]
    pub fn set_link_addr(&mut self, addr: [u8; 16]) {
        let pkt = self.npkt_mut();
        pkt.way.next_hop = addr;
        pkt.flags = pkt.flags & !WAY_FLAGS | NPKT_LINK_ADDR;
    }

    /// Takes over `from`'s interface, layer, direction, tag, offloads and times.
    fn copy_metadata(&mut self, from: &SharedPacket) {
        let source = from.npkt();
        let pkt = self.npkt_mut();
        let memory = io_net_abi::NPKT_EXT | NPKT_READONLY;
        pkt.flags = source.flags & !memory;
        (pkt.cell, pkt.endpoint, pkt.iface) = (source.cell, source.endpoint, source.iface);
        (pkt.vlan_tci, pkt.vnet, pkt.way) = (source.vlan_tci, source.vnet, source.way);
    }
}

/// The next fragment of a chain.
///
/// # Safety
/// `pkt` is a live descriptor of a pool's array.
#[inline]
pub(crate) unsafe fn next_of(pkt: *mut Npkt) -> Option<*mut Npkt> {
    // SAFETY: `next` is 0 or leads to another live descriptor of the same array.
    unsafe {
        match (*pkt).next {
            0 => None,
            distance => Some(pkt.offset(distance as isize)),
        }
    }
}

/// First byte of a descriptor's buffer.
///
/// # Safety
/// `pkt` is a live descriptor.
#[inline]
unsafe fn start_of(pkt: *mut Npkt) -> *mut u8 {
    // SAFETY: `buf` leads from the descriptor to its buffer in the same mapping; data lies within.
    unsafe {
        pkt.cast::<u8>()
            .offset((*pkt).buf as isize)
            .add((*pkt).data_off as usize)
    }
}

/// # Safety
/// `pkt` is a live descriptor that stays so for `'a`, and nobody writes its bytes meanwhile.
#[inline]
unsafe fn bytes_of<'a>(pkt: *mut Npkt) -> &'a [u8] {
    // SAFETY: data lies within the buffer, by the invariant of every writer of the two fields.
    unsafe { core::slice::from_raw_parts(start_of(pkt), (*pkt).len as usize) }
}

/// # Safety
/// As [`bytes_of`], and nobody reads them either.
#[inline]
unsafe fn bytes_of_mut<'a>(pkt: *mut Npkt) -> &'a mut [u8] {
    // SAFETY: as above.
    unsafe { core::slice::from_raw_parts_mut(start_of(pkt), (*pkt).len as usize) }
}
