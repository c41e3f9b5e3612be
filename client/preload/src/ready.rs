//! poll, select and epoll.

use std::ffi::c_int;
use std::time::Duration;

use io_net_os::epoll::Event;
use io_net_socket::table::{self, Entry};
use io_net_socket::{Errno, Until, epoll, poll as polling};
use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

use crate::ffi::{borrow, number, status};
use crate::real;

/// Descriptors that poll looks at without asking for memory.
const BITS: usize = 64;

/// A timeout in milliseconds, for ever if negative.
fn until_ms(ms: c_int) -> Until {
    match u64::try_from(ms) {
        Ok(0) => Until::Now,
        Ok(ms) => Until::after(ms * 1_000_000),
        Err(_) => Until::Ever,
    }
}

fn until_duration(time: Duration) -> Until {
    match u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) {
        0 => Until::Now,
        ns => Until::after(ns),
    }
}

/// A timeout, for ever if there is none.
fn until_timespec(time: Option<&timespec>) -> Result<Until, Errno> {
    let Some(time) = time else {
        return Ok(Until::Ever);
    };
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::INVALID)?;
    let nanos = u32::try_from(time.tv_nsec).map_err(|_| Errno::INVALID)?;
    if nanos >= 1_000_000_000 {
        return Err(Errno::INVALID);
    }
    Ok(until_duration(Duration::new(seconds, nanos)))
}

/// The kernel's form of a signal mask, which is the first 64 bits of the C library's.
unsafe fn mask_of<'m>(mask: *const sigset_t) -> Option<&'m u64> {
    // SAFETY: the caller passes null or a valid mask, which is longer than 64 bits and aligned to
    // them.
    unsafe { mask.cast::<u64>().as_ref() }
}

fn any_known(fds: &[pollfd]) -> bool {
    fds.iter().any(|fd| table::get(fd.fd).is_some())
}

unsafe fn poll_fds<'f>(fds: *mut pollfd, count: nfds_t) -> &'f mut [pollfd] {
    if fds.is_null() || count == 0 || count > 1 << 20 {
        return &mut [];
    }
    // SAFETY: the caller of poll promises `count` of them.
    unsafe { std::slice::from_raw_parts_mut(fds, count as usize) }
}

/// # Safety
/// As poll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let ours = unsafe { poll_fds(fds, count) };
    if !any_known(ours) {
        // SAFETY: the caller's promise.
        return unsafe { real::poll(fds, count, timeout) };
    }
    number(polling::poll(ours, until_ms(timeout), None).map(|n| n as c_int))
}

/// # Safety
/// As poll(2), `room` being the size of the array in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    room: size_t,
) -> c_int {
    if room / size_of::<pollfd>() < count as usize {
        std::process::abort();
    }
    // SAFETY: the caller's promise.
    unsafe { poll(fds, count, timeout) }
}

/// # Safety
/// As ppoll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let ours = poll_fds(fds, count);
        if !any_known(ours) {
            return real::ppoll(fds, count, timeout, mask);
        }
        let until = until_timespec(timeout.as_ref());
        let polled = until.and_then(|until| polling::poll(ours, until, mask_of(mask)));
        number(polled.map(|n| n as c_int))
    }
}

/// # Safety
/// As ppoll(2), `room` being the size of the array in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    if room / size_of::<pollfd>() < count as usize {
        std::process::abort();
    }
    // SAFETY: the caller's promise.
    unsafe { ppoll(fds, count, timeout, mask) }
}

/// The three sets of select, as words; programs may pass sets longer than FD_SETSIZE.
struct Sets {
    words: [*mut u64; 3],
    count: usize,
}

impl Sets {
    const EVENTS: [i16; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
    /// What makes a descriptor count as ready in each set, as in Linux.
    const READY: [i16; 3] = [
        libc::POLLIN | libc::POLLRDNORM | libc::POLLHUP | libc::POLLERR,
        libc::POLLOUT | libc::POLLWRNORM | libc::POLLERR,
        libc::POLLPRI,
    ];

    fn new(sets: [*mut fd_set; 3], count: usize) -> Self {
        Self {
            words: sets.map(<*mut fd_set>::cast),
            count,
        }
    }

    /// Whether `fd` is in set `which`.
    unsafe fn has(&self, which: usize, fd: usize) -> bool {
        let words = self.words[which];
        // SAFETY: select's caller promises sets of at least `count` bits, and `fd` is below that.
        !words.is_null() && unsafe { words.add(fd / BITS).read_unaligned() } >> (fd % BITS) & 1 != 0
    }

    unsafe fn fds(&self) -> Vec<pollfd> {
        let mut fds = Vec::new();
        for fd in 0..self.count {
            let mut events = 0;
            for which in 0..3 {
                // SAFETY: `fd` is below the count.
                if unsafe { self.has(which, fd) } {
                    events |= Self::EVENTS[which];
                }
            }
            if events != 0 {
                fds.push(pollfd {
                    fd: fd as c_int,
                    events,
                    revents: 0,
                });
            }
        }
        fds
    }

    /// Leaves the ready ones in the sets and returns how many bits those are.
    unsafe fn store(&self, fds: &[pollfd]) -> c_int {
        let mut ready = 0;
        for fd in fds {
            let at = fd.fd as usize;
            for which in 0..3 {
                // SAFETY: the descriptors came from these sets.
                unsafe {
                    if !self.has(which, at) {
                        continue;
                    }
                    if fd.revents & Self::READY[which] != 0 {
                        ready += 1;
                        continue;
                    }
                    let word = self.words[which].add(at / BITS);
                    word.write_unaligned(word.read_unaligned() & !(1 << (at % BITS)));
                }
            }
        }
        ready
    }
}

/// select over sets with known descriptors; None: there are none, ask the C library.
unsafe fn select_known(sets: &Sets, until: Until, mask: Option<&u64>) -> Option<c_int> {
    // SAFETY: the caller's promise.
    let mut fds = unsafe { sets.fds() };
    if !any_known(&fds) {
        return None;
    }
    Some(match polling::poll(&mut fds, until, mask) {
        Ok(_) if fds.iter().any(|fd| fd.revents & libc::POLLNVAL != 0) => {
            status(Err(Errno(libc::EBADF)))
        }
        // SAFETY: the caller's promise.
        Ok(_) => unsafe { sets.store(&fds) },
        Err(errno) => status(Err(errno)),
    })
}

/// # Safety
/// As select(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let sets = Sets::new([read, write, except], usize::try_from(count).unwrap_or(0));
    // SAFETY: the caller's promise.
    unsafe {
        let until = match timeout.as_ref() {
            None => Until::Ever,
            Some(time) => match (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec)) {
                (Ok(s), Ok(us)) => {
                    until_duration(Duration::from_secs(s).saturating_add(Duration::from_micros(us)))
                }
                _ => return status(Err(Errno::INVALID)),
            },
        };
        let Some(ready) = select_known(&sets, until, None) else {
            return real::select(count, read, write, except, timeout);
        };
        // Linux tells how much of the time was left.
        if let (Some(time), Some(left)) = (timeout.as_mut(), until.left()) {
            time.tv_sec = left.as_secs() as _;
            time.tv_usec = left.subsec_micros().into();
        }
        ready
    }
}

/// # Safety
/// As pselect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let sets = Sets::new([read, write, except], usize::try_from(count).unwrap_or(0));
    // SAFETY: the caller's promise.
    unsafe {
        let until = match until_timespec(timeout.as_ref()) {
            Ok(until) => until,
            Err(errno) => return status(Err(errno)),
        };
        select_known(&sets, until, mask_of(mask))
            .unwrap_or_else(|| real::pselect(count, read, write, except, timeout, mask))
    }
}

/// # Safety
/// As epoll_create1(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_create1(flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let epfd = unsafe { real::epoll_create1(flags) };
    if epfd >= 0
        && let Some(instance) = epoll::create()
        && !table::set(epfd, &Entry::Epoll(instance))
    {
        instance.remove_descriptor();
    }
    epfd
}

/// # Safety
/// As epoll_create(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_create(size: c_int) -> c_int {
    if size <= 0 {
        return status(Err(Errno::INVALID));
    }
    // SAFETY: the caller's promise.
    unsafe { epoll_create1(0) }
}

/// # Safety
/// As epoll_ctl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let Some(Entry::Epoll(instance)) = table::get(epfd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::epoll_ctl(epfd, op, fd, event) };
    };
    // SAFETY: the caller's promise: null, or an event.
    let event = match unsafe { event.as_ref() } {
        Some(event) => Event::new(event.events, event.u64),
        None if op == libc::EPOLL_CTL_DEL => Event::default(),
        None => return status(Err(Errno(libc::EFAULT))),
    };
    status(instance.ctl(epfd, op, fd, event))
}

unsafe fn wait(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    until: Until,
    mask: *const sigset_t,
) -> Option<c_int> {
    let Some(Entry::Epoll(instance)) = table::get(epfd) else {
        return None;
    };
    let max = match usize::try_from(max) {
        Ok(max) if max > 0 && !events.is_null() => max,
        _ => return Some(status(Err(Errno::INVALID))),
    };
    // SAFETY: Event has epoll_event's layout, and the caller promises `max` of them.
    let (events, mask) = unsafe {
        (
            std::slice::from_raw_parts_mut(events.cast::<Event>(), max),
            mask_of(mask),
        )
    };
    Some(number(
        instance
            .wait(borrow(epfd), events, until, mask)
            .map(|n| n as c_int),
    ))
}

/// # Safety
/// As epoll_wait(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { epoll_pwait(epfd, events, max, timeout, std::ptr::null()) }
}

/// # Safety
/// As epoll_pwait(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        wait(epfd, events, max, until_ms(timeout), mask)
            .unwrap_or_else(|| real::epoll_pwait(epfd, events, max, timeout, mask))
    }
}

/// # Safety
/// As epoll_pwait2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let until = match until_timespec(timeout.as_ref()) {
            Ok(until) => until,
            Err(errno) => return status(Err(errno)),
        };
        wait(epfd, events, max, until, mask)
            .unwrap_or_else(|| real::epoll_pwait2(epfd, events, max, timeout, mask))
    }
}
