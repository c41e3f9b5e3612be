//! epoll and poll.
//!
//! An `Epoll` may be shared by threads; each `wait` has its own array. The calls go to the kernel
//! by number, since within the LD_PRELOAD shim libc's names are the shim's own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Readable, or a connection to accept.
pub const IN: u32 = libc::EPOLLIN as u32;
/// Writable.
pub const OUT: u32 = libc::EPOLLOUT as u32;
/// An error is pending; always reported.
pub const ERR: u32 = libc::EPOLLERR as u32;
/// Both directions are shut; always reported.
pub const HUP: u32 = libc::EPOLLHUP as u32;
/// The peer has shut its sending side.
pub const RDHUP: u32 = libc::EPOLLRDHUP as u32;
/// Report a change once, not a state for as long as it lasts.
pub const EDGE: u32 = libc::EPOLLET as u32;
/// Report once, then stay silent until modified.
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;

/// What `wait` reports: `epoll_event` with its fields by name.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct Event {
    events: u32,
    token: u64,
}

const _: () = assert!(size_of::<Event>() == size_of::<libc::epoll_event>());

impl Event {
    /// An event as `wait` reports it.
    #[must_use]
    pub fn new(events: u32, token: u64) -> Self {
        Self { events, token }
    }

    /// The bits [`IN`], [`OUT`], ...
    #[must_use]
    pub fn events(&self) -> u32 {
        self.events
    }

    /// The word given to [`Epoll::add`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// A new, close-on-exec instance.
    ///
    /// # Errors
    /// The kernel's error: out of fds.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain call that touches no memory.
        let fd = unsafe { libc::syscall(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this fd, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Watches `fd` for `events`; reports carry `token`.
    ///
    /// # Errors
    /// EEXIST when it is watched already, EPERM when it cannot be polled (a plain file).
    pub fn add(&self, fd: BorrowedFd<'_>, events: u32, token: u64) -> io::Result<()> {
        self.ctl(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Changes what `fd` is watched for.
    ///
    /// # Errors
    /// ENOENT when it is not watched.
    pub fn modify(&self, fd: BorrowedFd<'_>, events: u32, token: u64) -> io::Result<()> {
        self.ctl(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// ENOENT when it is not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.ctl(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn ctl(&self, op: i32, fd: BorrowedFd<'_>, events: u32, token: u64) -> io::Result<()> {
        ctl(
            self.0.as_raw_fd(),
            op,
            fd.as_raw_fd(),
            Event { events, token },
        )
    }

    /// Waits for events: at most `timeout`, for ever when None. Returns those that came, none when
    /// the time ran out or a signal came.
    ///
    /// # Errors
    /// The kernel's error; EINTR is no error here.
    pub fn wait<'e>(
        &self,
        events: &'e mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<&'e [Event]> {
        match wait_on(self.0.as_fd(), events, timeout, None) {
            Ok(n) => Ok(&events[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(&[]),
            Err(e) => Err(e),
        }
    }
}

/// An epoll fd from elsewhere. Nothing checks that it is one.
impl From<OwnedFd> for Epoll {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Epoll> for OwnedFd {
    fn from(epoll: Epoll) -> Self {
        epoll.0
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// epoll_ctl(2) on descriptors that somebody else owns.
///
/// # Errors
/// The kernel's: EEXIST, ENOENT, EPERM, EBADF, ...
pub fn ctl(epfd: RawFd, op: i32, fd: RawFd, event: Event) -> io::Result<()> {
    // SAFETY: `event` has the layout of epoll_event and is only read during the call.
    let rc = unsafe { libc::syscall(libc::SYS_epoll_ctl, epfd, op, fd, &raw const event) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// epoll_pwait2(2) on an epoll fd that somebody else owns, with the signal mask (the kernel's
/// 64-bit form) that holds meanwhile. Returns how many events came.
///
/// # Errors
/// The kernel's error, EINTR included.
pub fn wait_on(
    epfd: BorrowedFd<'_>,
    events: &mut [Event],
    timeout: Option<Duration>,
    mask: Option<&u64>,
) -> io::Result<usize> {
    let spec = timeout.map(timespec);
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
    let max = i32::try_from(events.len()).unwrap_or(i32::MAX);
    let (epfd, out) = (epfd.as_raw_fd(), events.as_mut_ptr());
    // SAFETY: the kernel writes at most `max` events; `spec` and `mask` outlive the call.
    let n = unsafe { libc::syscall(libc::SYS_epoll_pwait2, epfd, out, max, spec, mask, 8_usize) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error());
    match n {
        // A kernel before 5.11, or a tool that stands in for one.
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => {
            let whole_ms = |t: Duration| t.as_nanos().div_ceil(1_000_000);
            let ms = timeout.map_or(-1, |t| i32::try_from(whole_ms(t)).unwrap_or(i32::MAX));
            // SAFETY: as above.
            let n =
                unsafe { libc::syscall(libc::SYS_epoll_pwait, epfd, out, max, ms, mask, 8_usize) };
            usize::try_from(n).map_err(|_| io::Error::last_os_error())
        }
        other => other,
    }
}

/// One fd of [`poll`].
pub type PollFd = libc::pollfd;

/// poll(2): waits until one of `fds` is ready, at most `timeout`, for ever when None. Returns how
/// many are; 0 when the time ran out.
///
/// # Errors
/// The kernel's error; EINTR included, because callers differ in what a signal means to them.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<usize> {
    poll_masked(fds, timeout, None)
}

/// As [`poll`], with the signal mask (the kernel's 64-bit form) that holds meanwhile.
///
/// # Errors
/// As [`poll`].
pub fn poll_masked(
    fds: &mut [PollFd],
    timeout: Option<Duration>,
    mask: Option<&u64>,
) -> io::Result<usize> {
    let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
    let mut spec = timeout.map(timespec);
    let spec = spec
        .as_mut()
        .map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: `fds` and `spec` are valid for reading and writing during the call, `mask` for
    // reading.
    let n = unsafe {
        libc::syscall(
            libc::SYS_ppoll,
            fds.as_mut_ptr(),
            fds.len(),
            spec,
            mask,
            8_usize,
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

fn timespec(t: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: t.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventfd::EventFd;

    #[test]
    fn reports_the_token_of_what_is_ready() {
        let (ep, ev) = (Epoll::new().unwrap(), EventFd::new().unwrap());
        let mut events = [Event::default(); 4];
        ep.add(ev.as_fd(), IN, 0x1234_5678_9abc).unwrap();
        assert!(
            ep.wait(&mut events, Some(Duration::ZERO))
                .unwrap()
                .is_empty()
        );
        ev.raise();
        let got = ep.wait(&mut events, None).unwrap();
        assert_eq!(
            (got.len(), got[0].token(), got[0].events()),
            (1, 0x1234_5678_9abc, IN)
        );
        ep.remove(ev.as_fd()).unwrap();
        assert!(ep.remove(ev.as_fd()).is_err());
        let short = Some(Duration::from_micros(300));
        assert!(ep.wait(&mut events, short).unwrap().is_empty());
    }

    #[test]
    fn poll_sees_a_raised_eventfd() {
        let ev = EventFd::new().unwrap();
        let mut fds = [PollFd {
            fd: ev.as_fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        assert_eq!(poll(&mut fds, Some(Duration::from_millis(1))).unwrap(), 0);
        ev.raise();
        assert_eq!(poll(&mut fds, None).unwrap(), 1);
        assert_eq!(fds[0].revents, libc::POLLIN);
    }
}
