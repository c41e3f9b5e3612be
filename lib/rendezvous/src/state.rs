//! A slot's state: which side may do what with the message in it.
//!
//! ```text
//!            client: send            server: take             server: hold
//!   FREE ───────────────────▶ SENT ───────────────▶ RECEIVED ◀────────────▶ BUSY ──▶ answered; FREE at
//!     ▲                        │                     │    ▲                           the next send
//!     └────────────────────────┴─────────────────────┘    └──── HELP ◀── server: ask
//!            client: withdraw                          client: helped
//! ```
//!
//! In BUSY the server touches the client's memory, so the client must not leave the call; in HELP
//! the client copies for the server. Each message has a generation, so that neither side acts on a
//! message for another one in the same slot.

use crate::sync::{AtomicU32, Ordering};

const PHASE: u32 = 0xf;
const FREE: u32 = 0;
const SENT: u32 = 1;
const RECEIVED: u32 = 2;
const BUSY: u32 = 3;
const HELP: u32 = 4;
const STEP: u32 = PHASE + 1;

/// Which of the messages that went through a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(u32);

impl Generation {
    /// Its number, modulo 2^28.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0 / STEP
    }
}

/// How a [`State::withdraw`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The message is the client's again.
    Done,
    /// The server has received it. (Only where received messages may not be withdrawn.)
    Received,
    /// The server is at the client's memory, has asked for help, or has answered: look again.
    Busy,
}

/// A view of a slot's state word.
#[derive(Clone, Copy, Debug)]
pub struct State<'w>(pub &'w AtomicU32);

impl State<'_> {
    /// Client: the message in the slot is sent. What was stored before is visible to who takes it.
    /// A SeqCst load after this sees what the server stored before it looked here in vain.
    #[inline]
    pub fn send(self) -> Generation {
        let generation = (self.0.load(Ordering::Relaxed) & !PHASE).wrapping_add(STEP);
        self.0.swap(generation | SENT, Ordering::SeqCst);
        // The model checker takes SeqCst accesses for weaker ones.
        #[cfg(loom)]
        crate::sync::fence(Ordering::SeqCst);
        Generation(generation)
    }

    /// Server: the message that is there to take.
    #[inline]
    #[must_use]
    pub fn sent(self) -> Option<Generation> {
        let word = self.0.load(Ordering::Acquire);
        (word & PHASE == SENT).then_some(Generation(word & !PHASE))
    }

    /// Which message is, or was last, in the slot.
    #[must_use]
    pub fn generation(self) -> Generation {
        Generation(self.0.load(Ordering::Acquire) & !PHASE)
    }

    /// Server: takes the message. False: the client was faster.
    #[inline]
    #[must_use]
    pub fn take(self, generation: Generation) -> bool {
        self.exchange(generation, SENT, RECEIVED)
    }

    /// Whether the message is received and neither answered nor withdrawn, nor is anything being
    /// done with it.
    #[inline]
    #[must_use]
    pub fn is_received(self, generation: Generation) -> bool {
        self.0.load(Ordering::Acquire) == generation.0 | RECEIVED
    }

    /// Whether the message has gone: withdrawn, or another one is in its place.
    #[inline]
    #[must_use]
    pub fn is_gone(self, generation: Generation) -> bool {
        let word = self.0.load(Ordering::Acquire);
        word & !PHASE != generation.0 || word & PHASE == FREE
    }

    /// Server: from now to [`State::release`], or the answer, the client stays. False: it has gone.
    #[inline]
    #[must_use]
    pub fn hold(self, generation: Generation) -> bool {
        self.exchange(generation, RECEIVED, BUSY)
    }

    /// Server: ends a hold.
    #[inline]
    pub fn release(self, generation: Generation) {
        self.exchange(generation, BUSY, RECEIVED);
    }

    /// Server: turns a hold into a call for help, before the answer word says so. False: the client
    /// has lied.
    #[must_use]
    pub fn ask(self, generation: Generation) -> bool {
        self.exchange(generation, BUSY, HELP)
    }

    /// Client: the help has been given.
    pub fn helped(self, generation: Generation) {
        self.exchange(generation, HELP, RECEIVED);
    }

    /// The word, and whether the server waits for help, to sleep on.
    #[must_use]
    pub fn awaits_help(self, generation: Generation) -> Option<u32> {
        let word = self.0.load(Ordering::Acquire);
        (word == generation.0 | HELP).then_some(word)
    }

    /// Client: takes the message back: always while nobody has received it, after that only
    /// `even_received`.
    #[must_use]
    pub fn withdraw(self, generation: Generation, even_received: bool) -> Withdrawal {
        if self.exchange(generation, SENT, FREE)
            || even_received && self.exchange(generation, RECEIVED, FREE)
        {
            return Withdrawal::Done;
        }
        match self.is_received(generation) {
            true => Withdrawal::Received,
            false => Withdrawal::Busy,
        }
    }

    fn exchange(self, generation: Generation, from: u32, to: u32) -> bool {
        let (from, to) = (generation.0 | from, generation.0 | to);
        (self.0)
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_through_its_states() {
        let word = AtomicU32::new(!PHASE);
        let state = State(&word);
        assert_eq!(state.sent(), None);
        let first = state.send();
        assert_eq!((state.sent(), first.number()), (Some(first), 0));
        assert!(!state.hold(first), "nobody has received it");
        assert!(state.take(first) && !state.take(first));
        assert_eq!(state.withdraw(first, false), Withdrawal::Received);
        assert!(state.hold(first) && !state.is_gone(first));
        assert_eq!(state.withdraw(first, true), Withdrawal::Busy);
        assert!(state.ask(first) && state.awaits_help(first).is_some());
        state.helped(first);
        assert!(state.is_received(first) && state.awaits_help(first).is_none());
        assert_eq!(state.withdraw(first, true), Withdrawal::Done);
        assert!(state.is_gone(first) && !state.hold(first));
        let second = state.send();
        assert!(!state.take(first) && state.is_gone(first));
        assert_eq!(state.withdraw(second, false), Withdrawal::Done);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::sync::AtomicU64;
    use loom::sync::Arc;

    /// The client withdraws while the server takes, touches its buffer and answers: never is the
    /// buffer touched after the client has left, and exactly one side ends the message.
    #[test]
    fn a_client_that_has_left_is_not_touched() {
        loom::model(|| {
            let shared = Arc::new((AtomicU32::new(0), AtomicU64::new(0), AtomicU32::new(0)));
            let generation = State(&shared.0).send();
            let server = loom::thread::spawn({
                let shared = shared.clone();
                move || {
                    let state = State(&shared.0);
                    let Some(seen) = state.sent() else {
                        return false;
                    };
                    if !state.take(seen) || !state.hold(seen) {
                        return false;
                    }
                    assert_eq!(shared.1.load(Ordering::Relaxed), 0, "the client has left");
                    shared.2.store(1, Ordering::Release);
                    true
                }
            });
            let mut looks = 0;
            let withdrawn = loop {
                match State(&shared.0).withdraw(generation, true) {
                    Withdrawal::Done => break true,
                    _ if shared.2.load(Ordering::Acquire) == 1 => break false,
                    _ if looks == 3 => break false,
                    _ => looks += 1,
                }
                loom::thread::yield_now();
            };
            if withdrawn {
                shared.1.store(1, Ordering::Relaxed);
            }
            let answered = server.join().unwrap();
            assert!(withdrawn != answered);
        });
    }
}
