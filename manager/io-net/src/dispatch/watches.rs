//! The descriptors that a worker watches for its registrants.

use io_net_abi::RegHandle;
use io_net_os::epoll::{Epoll, Event};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

/// The token of a descriptor that is the worker's own.
const OWN: u64 = u64::MAX;

/// An epoll instance and what its tokens mean.
pub struct Watches {
    epoll: Epoll,
    slots: Vec<Watch>,
    free: Vec<usize>,
    serial: u32,
}

#[derive(Clone, Copy)]
struct Watch {
    to: RegHandle,
    fd: RawFd,
    cookie: u64,
    /// Tells this use of the slot from those before; 0 where it is free.
    serial: u32,
}

/// What a ready descriptor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Who watches it.
    pub to: RegHandle,
    /// Under which cookie.
    pub cookie: u64,
    /// epoll's bits.
    pub events: u32,
}

impl Watches {
    /// Nothing watched but `bell`, which wakes `wait` and is not reported.
    ///
    /// # Errors
    /// The kernel's error: out of fds.
    pub fn new(bell: BorrowedFd<'_>) -> io::Result<Watches> {
        let epoll = Epoll::new()?;
        epoll.add(bell, io_net_os::epoll::IN, OWN)?;
        Ok(Watches {
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
        })
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// The epoll instance, to wait on.
    pub fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Sets what `fd` is watched for; 0 for nothing.
    ///
    /// # Errors
    /// The kernel's error: EBADF, EPERM for what cannot be polled, ENOENT for 0 where it is not watched.
    pub fn set(&mut self, to: RegHandle, fd: RawFd, events: u32, cookie: u64) -> io::Result<()> {
        if fd < 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: used for epoll_ctl only, which tells us where the descriptor is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let known = self
            .slots
            .iter()
            .position(|watch| watch.serial != 0 && watch.fd == fd && watch.to == to);
        match (known, events) {
            (Some(at), 0) => {
                self.free(at);
                self.epoll.remove(borrowed)
            }
            (None, 0) => Err(io::ErrorKind::NotFound.into()),
            (Some(at), _) => {
                let token = self.token(at);
                match self.epoll.modify(borrowed, events, token) {
                    // Closed and opened again under the same number without a word to us.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        self.epoll.add(borrowed, events, token)?;
                    }
                    other => other?,
                }
                self.slots[at].cookie = cookie;
                Ok(())
            }
            (None, _) => {
                let at = self.claim(to, fd, cookie);
                let added = self.epoll.add(borrowed, events, self.token(at));
                if added.is_err() {
                    self.free(at);
                }
                added
            }
        }
    }

    /// Stops watching all of one registrant's descriptors.
    pub fn forget(&mut self, to: RegHandle) {
        for at in 0..self.slots.len() {
            let watch = self.slots[at];
            if watch.serial != 0 && watch.to == to {
                self.free(at);
                // SAFETY: as in `set`; a descriptor that is closed has left epoll already.
                let _ = self
                    .epoll
                    .remove(unsafe { BorrowedFd::borrow_raw(watch.fd) });
            }
        }
    }

    /// What an event means; `None` for the bell and for what is no longer watched.
    #[must_use]
    pub fn ready(&self, event: &Event) -> Option<Ready> {
        let token = event.token();
        let watch = self.slots.get((token & 0xffff_ffff) as usize)?;
        (token != OWN && watch.serial != 0 && u64::from(watch.serial) == token >> 32).then(|| {
            Ready {
                to: watch.to,
                cookie: watch.cookie,
                events: event.events(),
            }
        })
    }

    /// Waits for events.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn wait<'e>(
        &self,
        events: &'e mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<&'e [Event]> {
        self.epoll.wait(events, timeout)
    }

    fn token(&self, at: usize) -> u64 {
        u64::from(self.slots[at].serial) << 32 | at as u64
    }

    fn claim(&mut self, to: RegHandle, fd: RawFd, cookie: u64) -> usize {
        self.serial = self.serial.wrapping_add(1).clamp(1, u32::MAX - 1);
        let watch = Watch {
            to,
            fd,
            cookie,
            serial: self.serial,
        };
        match self.free.pop() {
            Some(at) => {
                self.slots[at] = watch;
                at
            }
            None => {
                self.slots.push(watch);
                self.slots.len() - 1
            }
        }
    }

    fn free(&mut self, at: usize) {
        self.slots[at].serial = 0;
        self.free.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_os::epoll::IN;
    use io_net_os::eventfd::EventFd;
    use std::os::fd::AsRawFd;

    #[test]
    fn reports_until_forgotten() {
        let (bell, fd) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        let mut watches = Watches::new(bell.as_fd()).unwrap();
        let (a, raw) = (RegHandle(1), fd.as_fd().as_raw_fd());
        assert!(watches.is_empty());
        watches.set(a, raw, IN, 7).unwrap();
        watches.set(a, raw, IN, 8).unwrap();
        fd.raise();
        bell.raise();
        let mut events = [Event::default(); 4];
        let got = watches.wait(&mut events, None).unwrap().to_vec();
        let ready: Vec<Ready> = got.iter().filter_map(|e| watches.ready(e)).collect();
        assert_eq!(
            ready,
            [Ready {
                to: a,
                cookie: 8,
                events: IN
            }]
        );
        watches.forget(a);
        assert!(watches.is_empty());
        assert!(got.iter().all(|event| watches.ready(event).is_none()));
        watches.set(RegHandle(2), raw, IN, 9).unwrap();
        assert!(
            got.iter().all(|event| watches.ready(event).is_none()),
            "an old event is not the new watcher's"
        );
    }

    #[test]
    fn what_cannot_be_watched_is_an_error() {
        let bell = EventFd::new().unwrap();
        let mut watches = Watches::new(bell.as_fd()).unwrap();
        let a = RegHandle(1);
        assert!(watches.set(a, -1, IN, 0).is_err());
        assert!(watches.set(a, 1 << 20, IN, 0).is_err());
        assert!(watches.set(a, bell.as_fd().as_raw_fd(), 0, 0).is_err());
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(watches.set(a, file.as_raw_fd(), IN, 0).is_err());
        assert!(watches.is_empty());
    }
}
