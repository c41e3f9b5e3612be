//! Requests over a socket's doorbell, answered in its slot.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use io_net_os::unix::{self, Wait};
use io_net_os::{cpu, futex};
use io_net_proto::request::{Request, VALUE_MAX};

use crate::endpoint::{Endpoint, lock};
use crate::errno::{Errno, Result};
use crate::wait::{SPINS, hung_up};

/// How often a requester looks whether io-net is still there.
const LOOK: Duration = Duration::from_millis(200);

impl Endpoint {
    /// Makes a request, `fill` adding to it what its `op` wants, and returns the length of the
    /// answer's payload, of which what fits is copied to `payload`.
    pub(crate) fn request(
        &self,
        doorbell: BorrowedFd<'_>,
        op: u32,
        fill: impl FnOnce(&mut Request),
        payload: &mut [u8],
    ) -> Result<usize> {
        let slot = self.slot();
        let _guard = lock(&slot.shared.control_lock)?;
        let sequence = slot
            .program
            .request_sequence
            .load(Ordering::Relaxed)
            .wrapping_add(1);
        slot.program
            .request_sequence
            .store(sequence, Ordering::Relaxed);
        let mut request = Request::new(sequence, op);
        fill(&mut request);
        unix::send_fds(doorbell, request.message(), &[], Wait::Block)
            .map_err(|_| Errno::NET_DOWN)?;
        self.tell();
        self.await_reply(doorbell, sequence)?;
        Errno::check(slot.reply.errno.load(Ordering::Relaxed))?;
        let len = (slot.reply.payload_len.load(Ordering::Relaxed) as usize).min(VALUE_MAX);
        let words = slot
            .reply
            .payload
            .iter()
            .map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        let wanted = len.min(payload.len());
        for (to, word) in payload[..wanted].chunks_mut(8).zip(words) {
            to.copy_from_slice(&word[..to.len()]);
        }
        Ok(len)
    }

    fn await_reply(&self, doorbell: BorrowedFd<'_>, sequence: u32) -> Result<()> {
        let word = &self.slot().reply.sequence;
        for looks in 0..SPINS {
            if word.load(Ordering::Acquire) == sequence {
                return Ok(());
            }
            cpu::pause_after(looks);
        }
        loop {
            let seen = word.load(Ordering::Acquire);
            if seen == sequence {
                return Ok(());
            }
            if !futex::wait(word, seen, Some(LOOK)) && hung_up(doorbell) {
                return Err(Errno::NET_DOWN);
            }
        }
    }
}
