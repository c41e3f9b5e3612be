//! A slot's answer word: how the server tells the waiting client of a reply or that it needs help,
//! and how the client sleeps until then.
//!
//! Each answer changes the word, so the client waits for another value than the one it saw when it
//! sent. A server that swaps its answer in learns by the same step whether the client sleeps: one
//! wake for one sleep, and none without.

use crate::sync::{AtomicU32, Ordering};

const KIND: u32 = 0x3;
const SLEEPING: u32 = 0x4;
const NUDGED: u32 = 0x8;
const STEP: u32 = 0x10;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The message has been replied to.
    Reply = 1,
    /// The server wants a piece of the message, or of the reply buffer, copied.
    Help = 2,
}

/// The answer that the client has seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u32);

/// A view of a slot's answer word.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'w>(pub &'w AtomicU32);

impl Answer<'_> {
    /// Client: what is there now, before the message is sent.
    #[inline]
    #[must_use]
    pub fn seen(self) -> Seen {
        Seen(self.0.load(Ordering::Relaxed) & !(SLEEPING | NUDGED))
    }

    /// Client: the answer after `seen`, if there is one, with what the server stored before it.
    #[inline]
    #[must_use]
    pub fn look(self, seen: &mut Seen) -> Option<Kind> {
        let word = self.0.load(Ordering::Acquire) & !(SLEEPING | NUDGED);
        if word == seen.0 {
            return None;
        }
        *seen = Seen(word);
        Some(match word & KIND {
            2 => Kind::Help,
            _ => Kind::Reply,
        })
    }

    /// Client: says that it is about to sleep. The value to sleep on; None: there is an answer, or
    /// it has been nudged since it announced its sleep last.
    #[must_use]
    pub fn sleep(self, seen: Seen) -> Option<u32> {
        let asleep = seen.0 | SLEEPING;
        let word = self.0.load(Ordering::Relaxed);
        let to = match word & NUDGED {
            0 => asleep,
            _ => seen.0,
        };
        if word == asleep {
            return Some(asleep);
        }
        // An answer makes the exchange fail: the word is then no longer what was seen.
        let from = seen.0 | word & (SLEEPING | NUDGED);
        let exchanged = (self.0)
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok();
        (exchanged && to == asleep).then_some(asleep)
    }

    /// Server: answers. True: the client sleeps on the word and must be woken.
    #[inline]
    #[must_use]
    pub fn put(self, kind: Kind) -> bool {
        let turn = (self.0.load(Ordering::Relaxed) & !(STEP - 1)).wrapping_add(STEP);
        self.0.swap(turn | kind as u32, Ordering::SeqCst) & SLEEPING != 0
    }

    /// Makes a sleeping client look at its session again. The caller wakes it.
    pub fn nudge(self) {
        self.0.fetch_or(NUDGED, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_seen_once_and_wakes_a_sleeper_once() {
        let word = AtomicU32::new(!(STEP - 1));
        let answer = Answer(&word);
        let mut seen = answer.seen();
        assert_eq!(answer.look(&mut seen), None);
        assert!(!answer.put(Kind::Help));
        assert_eq!(answer.look(&mut seen), Some(Kind::Help));
        assert_eq!(answer.look(&mut seen), None);
        let asleep = answer.sleep(seen).unwrap();
        assert_eq!(answer.sleep(seen), Some(asleep));
        assert_eq!(word.load(Ordering::Relaxed), asleep);
        answer.nudge();
        assert_ne!(word.load(Ordering::Relaxed), asleep);
        assert_eq!(answer.look(&mut seen), None, "a nudge is no answer");
        assert_eq!(answer.sleep(seen), None, "once for the nudge");
        assert_eq!(answer.sleep(seen), Some(asleep));
        assert!(answer.put(Kind::Reply));
        assert_eq!(answer.sleep(seen), None);
        assert_eq!(answer.look(&mut seen), Some(Kind::Reply));
        assert!(!answer.put(Kind::Reply));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn a_sleeper_is_woken_or_sees_the_answer() {
        loom::model(|| {
            let word = Arc::new(AtomicU32::new(0));
            let mut seen = Answer(&word).seen();
            let server = loom::thread::spawn({
                let word = word.clone();
                move || Answer(&word).put(Kind::Reply)
            });
            let slept = Answer(&word).sleep(seen).is_some();
            let woken = server.join().unwrap();
            assert_eq!(slept, woken);
            assert_eq!(Answer(&word).look(&mut seen), Some(Kind::Reply));
        });
    }

    #[test]
    fn a_nudge_among_answers_loses_neither() {
        loom::model(|| {
            let word = Arc::new(AtomicU32::new(0));
            let mut seen = Answer(&word).seen();
            let keeper = loom::thread::spawn({
                let word = word.clone();
                move || Answer(&word).nudge()
            });
            let server = loom::thread::spawn({
                let word = word.clone();
                move || Answer(&word).put(Kind::Reply)
            });
            let _ = Answer(&word).sleep(seen);
            keeper.join().unwrap();
            let _ = server.join().unwrap();
            assert_eq!(Answer(&word).look(&mut seen), Some(Kind::Reply));
        });
    }
}
