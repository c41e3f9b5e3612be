//! Sockets of this process whose memory others may use: one registration of the pool then serves
//! several interfaces. Any thread; the lock is held while a socket is bound or closed, so that none
//! is closed while another is being bound to its memory, and closing it is at once.

use crate::umem::PoolMemory;
use io_net_os::xdp::{Binding, CopyMode, XdpSocket};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bound socket, and what those who share its memory have to be like.
struct Offer {
    memory: PoolMemory,
    mode: CopyMode,
    multi: bool,
    socket: Arc<XdpSocket>,
}

static OFFERS: Mutex<Vec<Offer>> = Mutex::new(Vec::new());

fn offers() -> MutexGuard<'static, Vec<Offer>> {
    OFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds `socket`, which has its rings, as `binding` says: with another's memory where somebody
/// offers that and the kernel agrees.
///
/// # Errors
/// The kernel's, where nobody's memory would do.
pub(crate) fn bind_shared(
    socket: &XdpSocket,
    binding: &Binding<'_>,
    memory: &PoolMemory,
) -> io::Result<()> {
    let like = |offer: &&Offer| {
        offer.memory.is(memory) && (offer.mode, offer.multi) == (binding.mode, binding.multi)
    };
    let mut last = io::ErrorKind::NotFound.into();
    for offer in offers().iter().filter(like) {
        let share = Some(&*offer.socket);
        match socket.bind(&Binding { share, ..*binding }) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Lets others use the memory of `socket`, which is bound as `binding` says.
pub(crate) fn offer(socket: &Arc<XdpSocket>, binding: &Binding<'_>, memory: &PoolMemory) {
    offers().push(Offer {
        memory: memory.clone(),
        mode: binding.mode,
        multi: binding.multi,
        socket: socket.clone(),
    });
}

/// Takes the offer back.
pub(crate) fn withdraw(socket: &Arc<XdpSocket>) {
    offers().retain(|offer| !Arc::ptr_eq(&offer.socket, socket));
}
