//! The server of sockets: what programs ask for becomes calls of the stack, and what happens to the
//! stack's sockets is shown to programs.
//!
//! | file | what it owns |
//! | --- | --- |
//! | [`session`] | a process's connection: greeting, new sockets |
//! | [`segment`] | shared memory, its slots and eventfds |
//! | [`socket`] | one socket |
//! | [`tables`] | all of those, and how they are found |
//! | [`request`] | what comes over a socket's doorbell |
//! | [`accept`] | connections that a listener hands out |
//! | [`dirty`] | what programs changed in shared memory |
//! | [`datagram`] | datagrams on their way out |
//! | [`notify`] | what the stack's events mean for programs |
//! | [`options`] | socket options |
//! | [`errno`] | error numbers |
//!
//! Everything runs on the registrant's home worker.

mod accept;
mod datagram;
mod dirty;
mod errno;
mod notify;
mod options;
mod request;
pub(crate) mod segment;
mod session;
pub(crate) mod slab;
pub(crate) mod socket;
pub(crate) mod tables;

use crate::interfaces::Interfaces;
use crate::options::Settings;
use crate::shell::Shell;
use crate::stats::Stats;
use io_net_ddk::prelude::*;
use io_net_os::epoll;
use io_net_tcpip::{Instant, Stack};
pub(crate) use session::Door;
use slab::Key;
use std::os::fd::BorrowedFd;
use tables::Tables;

/// What a watched descriptor is, in the top byte of its cookie.
const COOKIE_DOOR: u8 = 1;
const COOKIE_SESSION: u8 = 2;
const COOKIE_KICK: u8 = 3;
const COOKIE_DOORBELL: u8 = 4;

/// Rounds of sending and telling in one [`Server::settle`], at most.
const ROUNDS: usize = 4;

/// The server, with the stack that it serves.
pub(crate) struct Server {
    pub(crate) stack: Stack<Shell>,
    pub(crate) shell: Shell,
    pub(crate) interfaces: Interfaces,
    pub(crate) stats: Stats,
    door: Door,
    max_sessions: usize,
    /// [`Server::settle`] ended before the stack had come to rest: it is to be called again.
    pub(crate) restless: bool,
    /// Sockets that have more to send than they were let.
    unfinished: Vec<Key>,
    /// Segments in which somebody was told something since the last ring.
    told: Vec<Key>,
    /// Sockets to attend to; kept for its memory.
    attention: Vec<Key>,
}

impl Server {
    pub(crate) fn new(settings: Settings, seed: [u64; 4], door: Door, stats: Stats) -> Self {
        let Settings {
            addresses,
            routes,
            mtu,
            limits,
            stack,
            ..
        } = settings;
        Server {
            stack: Stack::new(stack, seed),
            shell: Shell::new(Tables::new(limits)),
            interfaces: Interfaces::new(addresses, routes, mtu),
            stats,
            door,
            max_sessions: limits.sessions as usize,
            restless: false,
            unfinished: Vec::new(),
            told: Vec::new(),
            attention: Vec::new(),
        }
    }

    /// Ends a piece of work, a burst of packets or of requests: sends what the stack has to send,
    /// shows what happened, and rings those who sleep, once each.
    #[inline]
    pub(crate) fn settle(&mut self, now: Instant, cx: &Cx) {
        // Telling a program can lead to more to send; a stack that never came to rest would hold
        // the worker, so what is left after a few rounds waits for the next poll.
        self.restless = true;
        for _ in 0..ROUNDS {
            self.stack.flush(now, &mut self.shell);
            self.shell.outbox.send(cx);
            if !self.handle_events(now, cx) {
                self.restless = false;
                break;
            }
        }
        self.watch_new_segments(cx);
        self.ring();
    }

    /// Takes the readiness of a watched descriptor. Returns whether there may be more at once.
    pub(crate) fn handle_ready(&mut self, now: Instant, cookie: u64, events: u32, cx: &Cx) -> bool {
        let (kind, key) = split(cookie);
        let more = match kind {
            COOKIE_DOOR => self.answer_door(cx),
            COOKIE_SESSION => self.handle_session(now, key, cx),
            COOKIE_KICK => self.handle_kick(now, key, cx),
            COOKIE_DOORBELL => self.handle_doorbell(now, key, events, cx),
            _ => false,
        };
        self.settle(now, cx);
        more
    }

    /// Asks to be called when the door, through which sessions come, opens.
    pub(crate) fn watch_door(door: &Door, cx: &Cx) -> Result<(), Failure> {
        let key = Key {
            index: 0,
            generation: 0,
        };
        cx.watch(door.fd(), epoll::IN, cookie(COOKIE_DOOR, key))
    }

    fn watch_new_segments(&mut self, cx: &Cx) {
        for key in self.shell.tables.take_new_segments() {
            if let Some(segment) = self.shell.tables.segments.get(key) {
                use std::os::fd::AsFd;
                self.watch(segment.kick.as_fd(), epoll::IN, COOKIE_KICK, key, cx);
            }
        }
    }

    /// Watches a descriptor. Where that fails, which a limit of the system can bring about, what
    /// it would have told goes unheard; it is counted.
    fn watch(&self, fd: BorrowedFd<'_>, events: u32, kind: u8, key: Key, cx: &Cx) {
        if cx.watch(fd, events, cookie(kind, key)).is_err() {
            self.stats.watch_failed.add(1);
        }
    }

    fn unwatch(&self, fd: BorrowedFd<'_>, cx: &Cx) {
        let _ = cx.watch(fd, 0, 0);
    }
}

fn cookie(kind: u8, key: Key) -> u64 {
    u64::from(kind) << 56 | u64::from(key.generation) << 32 | u64::from(key.index)
}

fn split(cookie: u64) -> (u8, Key) {
    let key = Key {
        index: cookie as u32,
        generation: (cookie >> 32) as u32 & 0x00ff_ffff,
    };
    ((cookie >> 56) as u8, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_survive_the_way() {
        let key = Key {
            index: u32::MAX,
            generation: 0x00ff_fffe,
        };
        assert_eq!(split(cookie(COOKIE_KICK, key)), (COOKIE_KICK, key));
    }
}
