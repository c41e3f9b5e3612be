//! poll(2) over any mixture of io-net's sockets and other descriptors.
//!
//! What shared memory can answer costs no system call. To sleep, a thread watches the bells of all
//! segments through an epoll instance of its own, edge-triggered, so that no thread takes another's
//! wake-up.

use std::cell::Cell;
use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use io_net_os::cpu;
use io_net_os::epoll::{self, EDGE, Epoll, Event, IN, PollFd, RDHUP};

use crate::errno::Result;
use crate::table::{self, Entry};
use crate::wait::{SPINS, Until};
use crate::{fork, mapped, session};

/// poll(2). Returns how many entries have something to report.
///
/// # Errors
/// EINTR, or the kernel's others.
pub fn poll(fds: &mut [PollFd], until: Until, mask: Option<&u64>) -> Result<usize> {
    let mut native: Vec<PollFd> = fds.to_vec();
    let (mut natives, mut ours) = (0, 0);
    for (fd, native) in fds.iter().zip(&mut native) {
        if is_ours(fd.fd) {
            native.fd = -1;
            ours += 1;
        } else {
            natives += usize::from(fd.fd >= 0);
        }
    }
    if ours == 0 && !has_epoll(&native) {
        let n = epoll::poll_masked(&mut native, until.left(), mask)?;
        fds.copy_from_slice(&native);
        return Ok(n);
    }
    for spin in 0_u32.. {
        let ready = scan(fds);
        let due = ready > 0 || until == Until::Now;
        if due || (spin > SPINS && natives > 0) {
            let n = if natives > 0 || mask.is_some() {
                epoll::poll_masked(&mut native, Some(Duration::ZERO), mask)?
            } else {
                0
            };
            if due || n > 0 {
                return Ok(ready + merge(fds, &native));
            }
        }
        if spin < SPINS {
            cpu::pause_after(spin);
            continue;
        }
        if sleep(fds, &mut native, natives, until, mask)? {
            let ready = scan(fds);
            return Ok(ready + merge(fds, &native));
        }
    }
    Ok(0)
}

/// A socket whose readiness is in shared memory.
fn is_ours(fd: i32) -> bool {
    table::socket(fd).is_some_and(|endpoint| !endpoint.is_listener())
}

fn has_epoll(fds: &[PollFd]) -> bool {
    fds.iter()
        .any(|fd| matches!(table::get(fd.fd), Some(Entry::Epoll(_))))
}

/// Fills in `revents` of what shared memory can tell.
fn scan(fds: &mut [PollFd]) -> usize {
    let mut ready = 0;
    for fd in fds {
        let events = match table::get(fd.fd) {
            Some(Entry::Socket(endpoint)) if !endpoint.is_listener() => {
                endpoint.ready(u32::from(fd.events.cast_unsigned()))
            }
            Some(Entry::Epoll(inner)) if inner.has_ready() => {
                IN & u32::from(fd.events.cast_unsigned())
            }
            _ => 0,
        };
        fd.revents = (events as u16).cast_signed();
        ready += usize::from(fd.revents != 0);
    }
    ready
}

/// Adds what the kernel told. Returns how many entries have something to report because of it
/// alone.
fn merge(fds: &mut [PollFd], native: &[PollFd]) -> usize {
    let mut more = 0;
    for (fd, native) in fds.iter_mut().zip(native) {
        if native.fd >= 0 && native.revents != 0 {
            more += usize::from(fd.revents == 0);
            fd.revents |= native.revents;
        }
    }
    more
}

/// Sleeps until something may have changed. True: the time ran out, or a native descriptor is
/// ready.
fn sleep(
    fds: &mut [PollFd],
    native: &mut Vec<PollFd>,
    natives: usize,
    until: Until,
    mask: Option<&u64>,
) -> Result<bool> {
    with_sleeper(|sleeper| {
        sleeper.announce()?;
        if scan(fds) > 0 {
            return Ok(false);
        }
        let left = until.left();
        if left == Some(Duration::ZERO) {
            return Ok(true);
        }
        let n = if natives == 0 {
            let mut events = [Event::default(); 8];
            let n = epoll::wait_on(sleeper.epoll.as_fd(), &mut events, left, mask)?;
            sleeper.note(&events[..n]);
            0
        } else {
            let bells = sleeper.epoll.as_fd().as_raw_fd();
            native.push(PollFd {
                fd: bells,
                events: libc::POLLIN,
                revents: 0,
            });
            let n = epoll::poll_masked(native, left, mask);
            let rung = native.pop().is_some_and(|bells| bells.revents != 0);
            let n = n?;
            if rung {
                sleeper.drain()?;
            }
            n - usize::from(rung)
        };
        Ok(n > 0)
    })
}

thread_local! {
    static SLEEPER: Cell<Option<Box<Sleeper>>> = const { Cell::new(None) };
}

/// Lends this thread's sleeper. One that is lent already (a signal handler polls in the middle of a
/// poll) or gone already (the thread is ending) is replaced by a passing one.
fn with_sleeper<T>(run: impl FnOnce(&mut Sleeper) -> Result<T>) -> Result<T> {
    let own = SLEEPER.try_with(Cell::take).ok().flatten();
    // In a child of fork the kernel's instance is still shared with the parent.
    let mut sleeper = match own.filter(|s| s.forks == fork::count()) {
        Some(own) => own,
        None => Box::new(Sleeper::new()?),
    };
    let result = run(&mut sleeper);
    let _ = SLEEPER.try_with(|place| place.set(Some(sleeper)));
    result
}

/// A thread's ear to all bells.
struct Sleeper {
    epoll: KeptEpoll,
    forks: u32,
    watched: HashSet<u16>,
    lifeline: Option<i32>,
}

impl Sleeper {
    fn new() -> Result<Self> {
        let (watched, lifeline) = (HashSet::new(), None);
        Ok(Self {
            epoll: KeptEpoll::new()?,
            forks: fork::count(),
            watched,
            lifeline,
        })
    }

    /// Watches the bells of all segments and says that it sleeps on them.
    fn announce(&mut self) -> Result<()> {
        // No session means no io-net, which the endpoints' own state will tell.
        let _ = session::ensure();
        if let Some(line) = session::lifeline().filter(|&line| self.lifeline != Some(line)) {
            // SAFETY: the session's fd is open as long as it is the lifeline.
            let fd = unsafe { BorrowedFd::borrow_raw(line) };
            let _ = self.epoll.0.add(fd, RDHUP | EDGE, u64::MAX);
            self.lifeline = Some(line);
        }
        for mapped in mapped::all().filter(|m| !m.is_dead()) {
            if self.watched.insert(mapped.number()) {
                self.epoll
                    .0
                    .add(mapped.bell(), IN | EDGE, mapped.number().into())?;
            }
            mapped.segment().header().sleepers.sleep(1);
        }
        Ok(())
    }

    /// Takes the edges that have come, so that the next sleep waits for new ones.
    fn drain(&mut self) -> Result<()> {
        let mut events = [Event::default(); 8];
        loop {
            let zero = Some(Duration::ZERO);
            let n = epoll::wait_on(self.epoll.as_fd(), &mut events, zero, None)?;
            self.note(&events[..n]);
            if n < events.len() {
                return Ok(());
            }
        }
    }

    fn note(&mut self, events: &[Event]) {
        if events.iter().any(|event| event.token() == u64::MAX) {
            session::check_lifeline();
        }
    }
}

/// An epoll instance that the program must not see.
struct KeptEpoll(Epoll);

impl KeptEpoll {
    fn new() -> Result<Self> {
        let epoll = Epoll::new()?;
        Ok(Self(Epoll::from(session::keep(OwnedFd::from(epoll)))))
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for KeptEpoll {
    fn drop(&mut self) {
        session::unkeep(self.0.as_fd().as_raw_fd());
    }
}
