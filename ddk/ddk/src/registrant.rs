//! What a module does, as io-net calls it.

use crate::{Cx, Failure, errno::EOPNOTSUPP};
use io_net_abi::Advert;
use io_net_pktbuf::{Burst, SharedPacket};

/// A registrant: one node of the packet graph.
///
/// All calls come from one thread, the registrant's home worker, one at a time: no locks are
/// needed. A packet that the registrant sends and that leads back to it is delivered after the
/// present call has returned. No call may block: the whole worker waits for it.
///
/// Bursts are owned: what is neither passed on nor kept is released when it is dropped. Where that
/// loses a packet, count it.
///
/// A panic releases what the call held, poisons the registrant, and has io-net take its module out.
pub trait Registrant: Send + 'static {
    /// Packets on their way up. Unless a filter, converter or protocol overrides this, it passes
    /// them on.
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        cx.tx_up(burst);
    }

    /// Packets on their way down. Unless a driver, filter or converter overrides this, it passes
    /// them on.
    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        cx.tx_down(burst);
    }

    /// A packet over foreign memory that this registrant made has come home.
    fn tx_done(&mut self, packet: SharedPacket, cx: &Cx) {
        let _ = (packet, cx);
    }

    /// Takes up to `budget` packets that have arrived and passes them on. Called while
    /// [`Cx::poller`] is on. Returns how much there was to do.
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let _ = (budget, cx);
        0
    }

    /// The worker is about to sleep, or has woken: tell the peer whether to ring. Returns true
    /// where, looked at again, there is work already.
    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        let _ = (sleeping, cx);
        false
    }

    /// The descriptor watched under `cookie` is ready for `events`, epoll's bits. Returns true
    /// where there may be more to do at once.
    fn event(&mut self, cookie: u64, events: u32, cx: &Cx) -> bool {
        let _ = (cookie, events, cx);
        false
    }

    /// Timer `id` has run out.
    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        let _ = (id, now_ns, cx);
    }

    /// An interface came up, changed or, with `ADVERT_DYING`, goes.
    fn dl_advert(&mut self, advert: &Advert, cx: &Cx) {
        let _ = (advert, cx);
    }

    /// An out-of-band call: `data[..len]` is the request; the answer replaces it, and its length
    /// is returned.
    ///
    /// # Errors
    /// EOPNOTSUPP for a command it does not know.
    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        let _ = (data, len, cx);
        Err(Failure::new(
            EOPNOTSUPP,
            format!("devctl {cmd} is not supported"),
        ))
    }

    /// The registrant leaves the graph: release every packet that is kept. Only
    /// [`Registrant::tx_done`] may be called afterwards; the registrant is dropped on another thread.
    fn quiesce(&mut self, cx: &Cx) {
        let _ = cx;
    }
}

/// Writes `bytes` as a devctl answer.
///
/// # Errors
/// ENOMEM where the caller's buffer is too small.
pub fn answer(data: &mut [u8], bytes: &[u8]) -> Result<usize, Failure> {
    let room = data.len();
    let place = data.get_mut(..bytes.len()).ok_or_else(|| {
        let text = format!(
            "the answer has {} bytes, the caller's buffer {room}",
            bytes.len()
        );
        Failure::new(crate::errno::ENOMEM, text)
    })?;
    place.copy_from_slice(bytes);
    Ok(bytes.len())
}
