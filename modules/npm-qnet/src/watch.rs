//! Descriptors that are watched, and how they are told apart.

use crate::stats::Stats;
use io_net_ddk::Cx;
use io_net_os::epoll;
use std::os::fd::BorrowedFd;

/// What a watched descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The socket at which programs ask for sessions.
    Door = 1,
    /// A program that has not said hello yet.
    Caller,
    /// The bell that programs ring.
    Bell,
    /// A program's session.
    Client,
    /// The bell that servers ring.
    ServerBell,
    /// A channel that has not welcomed us yet.
    Connecting,
    /// A session with a local server.
    Server,
}

const KINDS: [Kind; 7] = [
    Kind::Door,
    Kind::Caller,
    Kind::Bell,
    Kind::Client,
    Kind::ServerBell,
    Kind::Connecting,
    Kind::Server,
];

/// A kind and a number, as io-net hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
}

impl Cookie {
    pub(crate) fn new(kind: Kind, number: u32) -> Self {
        Cookie { kind, number }
    }

    fn to_bits(self) -> u64 {
        (self.kind as u64) << 32 | u64::from(self.number)
    }

    /// The cookie that was watched under; `None` for another's.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let kind = KINDS.into_iter().find(|kind| *kind as u64 == bits >> 32)?;
        Some(Cookie::new(kind, bits as u32))
    }
}

/// Watches descriptors for one piece of work.
pub(crate) struct Watcher<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) stats: &'a Stats,
}

impl Watcher<'_> {
    /// Has an event called when `fd` is readable. Where that fails, which a limit of the system can
    /// bring about, what it would have told goes unheard; it is counted.
    ///
    /// There is always a descriptor: none only in a child of fork.
    pub(crate) fn watch(&self, fd: Option<BorrowedFd<'_>>, cookie: Cookie) {
        let watched = fd.map(|fd| self.cx.watch(fd, epoll::IN, cookie.to_bits()));
        if !matches!(watched, Some(Ok(()))) {
            self.stats.watch_failed.add(1);
        }
    }

    /// Takes that back; needed before `fd` is closed.
    pub(crate) fn unwatch(&self, fd: Option<BorrowedFd<'_>>) {
        if let Some(fd) = fd {
            let _ = self.cx.watch(fd, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_survive_the_way() {
        for kind in KINDS {
            let cookie = Cookie::new(kind, u32::MAX);
            assert_eq!(Cookie::from_bits(cookie.to_bits()), Some(cookie));
        }
        assert_eq!(Cookie::from_bits(0), None);
        assert_eq!(Cookie::from_bits(99 << 32), None);
    }
}
