//! Where and with what priority the calling thread runs.

use std::io;

/// The processor that the calling thread ran on a moment ago; no system call on the usual kernels.
#[inline]
#[must_use]
pub fn current_cpu() -> u32 {
    // SAFETY: no argument; -1 (never in practice) becomes a processor that there is not.
    unsafe { libc::sched_getcpu() }.cast_unsigned()
}

/// The calling thread's realtime priority (SCHED_FIFO or SCHED_RR), 1 to 99; None when it has none.
#[must_use]
pub fn realtime_priority() -> Option<u8> {
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel writes to `param`; 0 is the calling thread.
    unsafe {
        let policy = libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK;
        let realtime = matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR);
        (realtime && libc::sched_getparam(0, &raw mut param) == 0)
            .then(|| u8::try_from(param.sched_priority).unwrap_or(0))
    }
}

/// Gives the calling thread a realtime priority (SCHED_RR, clipped to 1 to 99), or with None takes
/// it away.
///
/// # Errors
/// EPERM without the right to it (CAP_SYS_NICE or RLIMIT_RTPRIO).
pub fn set_realtime_priority(priority: Option<u8>) -> io::Result<()> {
    set_realtime_priority_of(0, priority)
}

/// The same, for thread `tid`; 0: the calling one.
///
/// # Errors
/// As [`set_realtime_priority`]; ESRCH where there is no such thread.
pub fn set_realtime_priority_of(tid: u32, priority: Option<u8>) -> io::Result<()> {
    let (policy, level) = match priority {
        Some(level) => (libc::SCHED_RR, level.clamp(1, 99).into()),
        None => (libc::SCHED_OTHER, 0),
    };
    let param = libc::sched_param {
        sched_priority: level,
    };
    // SAFETY: the kernel reads `param`.
    match unsafe { libc::sched_setscheduler(tid.cast_signed(), policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives thread `tid` a realtime priority, unless it has that or a higher one.
///
/// # Errors
/// As [`set_realtime_priority_of`].
pub fn raise_realtime_priority_of(tid: u32, priority: u8) -> io::Result<()> {
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel writes to `param`. Who has no realtime priority has 0.
    let got = unsafe { libc::sched_getparam(tid.cast_signed(), &raw mut param) };
    if got == 0 && param.sched_priority >= priority.clamp(1, 99).into() {
        return Ok(());
    }
    set_realtime_priority_of(tid, Some(priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_that_is_granted_is_the_one_that_is_read() {
        std::thread::spawn(|| {
            assert_eq!(realtime_priority(), None);
            if set_realtime_priority(Some(3)).is_ok() {
                assert_eq!(realtime_priority(), Some(3));
            }
            set_realtime_priority(None).unwrap();
            assert_eq!(realtime_priority(), None);
            assert!(current_cpu() < 1 << 16);
        })
        .join()
        .unwrap();
    }
}
