//! A link that is up: the shared memory, a ring each way, and their eventfds.

use crate::message::MAX_LOG2_RING;
use crate::options::Role;
use crate::ring::{Broken, Regions, Ring, View, ring_len};
use io_net_os::eventfd::EventFd;
use io_net_os::map::{SEAL_SHRINK, SharedMap, add_seals, memfd};
use io_net_os::region::Region;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Data begins at a multiple of this.
const ALIGN: usize = 4096;

/// One direction.
pub(crate) struct Lane {
    pub(crate) ring: Ring,
    /// Rung by the producer where the consumer sleeps.
    pub(crate) bell: EventFd,
}

/// The two ends of a link differ in whose memory it is: the client fills descriptors with empty
/// buffers in both directions.
pub(crate) struct Link {
    pub(crate) role: Role,
    pub(crate) regions: Regions,
    pub(crate) rx: Lane,
    pub(crate) tx: Lane,
    /// Bytes of a buffer of the client's own.
    pub(crate) buffer_size: u32,
    /// Something was sent, and the peer may have gone to sleep before it saw that.
    pub(crate) may_sleep: bool,
}

impl Link {
    /// Starts both rings afresh; this side polls.
    ///
    /// # Errors
    /// A ring does not lie within its region or has no ring's header.
    pub(crate) fn start(&mut self) -> Result<(), Broken> {
        for lane in [&self.rx, &self.tx] {
            if !lane.ring.is_formatted(&self.regions) {
                return Err(Broken);
            }
        }
        self.rx.ring.restart(&self.regions)?;
        self.tx.ring.restart(&self.regions)?;
        // The flag of the other ring is the peer's.
        self.rx.ring.view(&self.regions)?.mask_interrupt(true);
        if self.role == Role::Client {
            // Every receive buffer is the server's to fill.
            let view = self.rx.ring.view(&self.regions)?;
            view.set_head(self.rx.ring.size());
        }
        Ok(())
    }

    /// Packets' slots that wait in the receive ring.
    #[inline]
    pub(crate) fn ready(&self, view: &View) -> Result<u16, Broken> {
        let produced = match self.role {
            Role::Server => view.head(),
            Role::Client => view.tail(),
        };
        view.distance(self.rx.ring.next, produced)
    }

    /// Rings the peer where it sleeps and has been sent something.
    #[inline]
    pub(crate) fn ring_sleeper(&mut self) -> Result<(), Broken> {
        if std::mem::take(&mut self.may_sleep)
            && self.tx.ring.view(&self.regions)?.wants_interrupt()
        {
            self.tx.bell.raise();
        }
        Ok(())
    }

    /// Asks the peer to ring, or not to. Returns whether something waits.
    pub(crate) fn arm(&mut self, sleeping: bool) -> Result<bool, Broken> {
        self.ring_sleeper()?;
        let view = self.rx.ring.view(&self.regions)?;
        view.mask_interrupt(!sleeping);
        Ok(self.ready(&view)? > 0)
    }
}

/// The memory of a client: one region with the ring to the server, the ring to the client, and the
/// buffers of both.
pub(crate) struct ClientMemory {
    pub(crate) fd: OwnedFd,
    pub(crate) len: usize,
    pub(crate) link: Link,
    /// Where the ring to the client begins.
    pub(crate) rx_offset: u32,
    pub(crate) log2: u8,
}

impl ClientMemory {
    /// Makes the memory of a link with rings of 2^`log2` slots.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(log2: u8, buffer_size: u32) -> io::Result<ClientMemory> {
        let log2 = log2.clamp(1, MAX_LOG2_RING);
        let slots = 1usize << log2;
        let buffers = (2 * ring_len(log2)).next_multiple_of(ALIGN);
        let len = buffers + 2 * slots * buffer_size as usize;
        let fd = memfd(c"memif", len, false)?;
        add_seals(fd.as_fd(), SEAL_SHRINK)?;
        let regions = vec![Region::new(SharedMap::new(fd.as_fd(), len)?)];
        let rx_offset = ring_len(log2) as u32;
        let lane = |offset: u32, first: usize| -> io::Result<Lane> {
            let ring = Ring::new(0, offset, log2);
            let wrong = |Broken| io::Error::from(io::ErrorKind::InvalidInput);
            ring.format(&regions).map_err(wrong)?;
            let view = ring.view(&regions).map_err(wrong)?;
            for slot in 0..slots {
                let at = buffers + (first + slot) * buffer_size as usize;
                let at = u32::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
                view.set_descriptor(slot as u16, 0, buffer_size, at);
            }
            Ok(Lane {
                ring,
                bell: EventFd::new()?,
            })
        };
        let (tx, rx) = (lane(0, 0)?, lane(rx_offset, slots)?);
        let link = Link {
            role: Role::Client,
            regions,
            rx,
            tx,
            buffer_size,
            may_sleep: false,
        };
        Ok(ClientMemory {
            fd,
            len,
            link,
            rx_offset,
            log2,
        })
    }
}
