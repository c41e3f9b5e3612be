//! Packets that wait for a registrant, and the rings by which they cross from one worker to another.

use super::Call;
use io_net_abi::{BURST_MAX, Npkt, RegHandle};
use io_net_ring::spsc::{Receiver, Sender, channel};

/// Packets that a ring holds.
pub(super) const RING: usize = 4096;

/// A packet that waits for a registrant. It owns the reference: whoever has it delivers or releases
/// it; forgetting one leaks the packet.
#[derive(Debug)]
pub struct Crossed {
    /// Who gets it.
    pub to: RegHandle,
    /// By which operation.
    pub call: Call,
    pkt: *mut Npkt,
}

// SAFETY: an owned reference to a packet may be used on any thread.
unsafe impl Send for Crossed {}

impl Crossed {
    /// Takes over a reference.
    #[inline]
    pub(super) fn new(to: RegHandle, call: Call, pkt: *mut Npkt) -> Crossed {
        Crossed { to, call, pkt }
    }

    /// Gives the reference back.
    #[inline]
    pub(super) fn into_raw(self) -> *mut Npkt {
        self.pkt
    }
}

/// The ends of the rings that one worker has.
pub struct Crossings {
    /// First descriptor of the pool: in a ring, packets are numbers.
    base: *mut Npkt,
    /// To each worker; `None` to oneself.
    to: Vec<Option<Sender>>,
    /// From each worker.
    from: Vec<Option<Receiver>>,
}

// SAFETY: `base` is an address and is used by no one here.
unsafe impl Send for Crossings {}

impl Crossings {
    /// The rings between `workers` workers: the ends of each worker in turn. `base` is the first
    /// descriptor of the pool.
    #[must_use]
    pub fn between(workers: usize, base: *mut Npkt) -> Vec<Crossings> {
        let mut ends: Vec<Crossings> = (0..workers)
            .map(|_| Crossings {
                base,
                to: (0..workers).map(|_| None).collect(),
                from: (0..workers).map(|_| None).collect(),
            })
            .collect();
        for sender in 0..workers {
            for receiver in (0..workers).filter(|&receiver| receiver != sender) {
                let (to, from) = channel(RING);
                ends[sender].to[receiver] = Some(to);
                ends[receiver].from[sender] = Some(from);
            }
        }
        ends
    }

    /// Sends as many packets of `run`, which has [`BURST_MAX`] at most, as there is room for, and
    /// returns how many those are.
    #[inline]
    pub(super) fn send(
        &mut self,
        worker: usize,
        to: RegHandle,
        call: Call,
        run: &[*mut Npkt],
    ) -> usize {
        let mut words = [0; BURST_MAX];
        for (word, &pkt) in words.iter_mut().zip(run) {
            *word = self.pack(to, call, pkt);
        }
        let ring = self.to.get_mut(worker).and_then(Option::as_mut);
        ring.map_or(0, |ring| ring.push(&words[..run.len()]))
    }

    /// Takes what `worker` has sent, as words for [`Crossings::unpack`]; returns how many.
    #[inline]
    pub(super) fn receive(&mut self, worker: usize, words: &mut [u64; BURST_MAX]) -> usize {
        let ring = self.from.get_mut(worker).and_then(Option::as_mut);
        ring.map_or(0, |ring| ring.pop(words))
    }

    /// Whether anything waits in a ring to this worker.
    pub(super) fn has_incoming(&self) -> bool {
        self.from.iter().flatten().any(|ring| !ring.is_empty())
    }

    /// 32 bits of handle, 2 of operation, 30 of the descriptor's number: a pool has fewer than 2^26.
    #[inline]
    fn pack(&self, to: RegHandle, call: Call, pkt: *mut Npkt) -> u64 {
        let index = (pkt as usize - self.base as usize) / size_of::<Npkt>();
        u64::from(to.0) << 32 | (call as u64) << 30 | index as u64
    }

    /// What a word of this worker's rings says.
    #[inline]
    pub(super) fn unpack(&self, word: u64) -> Crossed {
        let call = match word >> 30 & 3 {
            0 => Call::RxUp,
            1 => Call::RxDown,
            _ => Call::TxDone,
        };
        let index = (word & ((1 << 30) - 1)) as usize;
        let to = RegHandle((word >> 32) as u32);
        Crossed::new(to, call, self.base.wrapping_add(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_they_carry() {
        let base = 0x7f00_0000_0000 as *mut Npkt;
        let mut ends = Crossings::between(2, base);
        let mut there = ends.pop().unwrap();
        let mut here = ends.pop().unwrap();
        let to = RegHandle(0xffff_0003);
        let pkts = [base, base.wrapping_add(1), base.wrapping_add((1 << 26) - 1)];
        for call in [Call::RxUp, Call::RxDown, Call::TxDone] {
            assert!(!there.has_incoming());
            assert_eq!(here.send(1, to, call, &pkts), 3);
            assert!(there.has_incoming());
            let mut words = [0; BURST_MAX];
            assert_eq!(there.receive(0, &mut words), 3);
            for (word, pkt) in words.iter().zip(pkts) {
                let crossed = there.unpack(*word);
                assert_eq!((crossed.to, crossed.call), (to, call));
                assert_eq!(crossed.into_raw(), pkt);
            }
        }
        assert_eq!(here.send(0, to, Call::RxUp, &pkts), 0, "no ring to oneself");
        assert_eq!(here.send(9, to, Call::RxUp, &pkts), 0);
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let base = 0x7f00_0000_0000 as *mut Npkt;
        let mut ends = Crossings::between(2, base);
        let pkts = [base; BURST_MAX];
        let mut sent = 0;
        for _ in 0..2 * RING / BURST_MAX {
            sent += ends[0].send(1, RegHandle(1), Call::RxUp, &pkts);
        }
        assert_eq!(sent, RING);
    }
}
