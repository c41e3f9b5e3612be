//! Signals with a value.

use std::io;

use crate::task;

/// Queues signal `signo` with `value` (`si_value`; `si_code` is SI_QUEUE) for thread `tid` of this
/// process, or with None for the process.
///
/// # Errors
/// EINVAL for a signal that there is not, ESRCH for a thread that there is not, EAGAIN when too
/// many are queued.
pub fn send(tid: Option<u32>, signo: i32, value: u64) -> io::Result<()> {
    send_to(task::process_id().cast_signed(), tid, signo, value)
}

/// The same, for process `pid`, above 0, or thread `tid` of it. Signal 0 is not sent: whether it
/// could be is the result.
///
/// # Errors
/// As [`send`]; EPERM for a process that this one may not send signals to.
pub fn send_to(pid: i32, tid: Option<u32>, signo: i32, value: u64) -> io::Result<()> {
    // What the kernel's siginfo_t begins with for SI_QUEUE on 64-bit systems: three ints and
    // padding, then pid, uid, value.
    let mut info = [0_u64; 16];
    info[0] = u64::from(signo.cast_unsigned());
    info[1] = u64::from(libc::SI_QUEUE.cast_unsigned());
    info[2] = u64::from(task::process_id()) | u64::from(task::user_id()) << 32;
    info[3] = value;
    const _: () = assert!(size_of::<[u64; 16]>() == size_of::<libc::siginfo_t>());
    let at = info.as_ptr();
    // SAFETY: the kernel reads a siginfo_t, whose size `info` has.
    check(unsafe {
        match tid {
            Some(tid) => libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signo, at),
            None => libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signo, at),
        }
    })
}

/// Sends signal `signo` to process group `group`; 0: the caller's.
///
/// # Errors
/// EINVAL, ESRCH, EPERM.
pub fn send_to_group(group: i32, signo: i32) -> io::Result<()> {
    let to = group.checked_neg().ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: no memory argument.
    check(unsafe { libc::syscall(libc::SYS_kill, to, signo) })
}

fn check(rc: libc::c_long) -> io::Result<()> {
    match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CAUGHT: AtomicU64 = AtomicU64::new(0);

    extern "C" fn catch(_signo: i32, info: *const libc::siginfo_t, _context: *const u8) {
        // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t.
        CAUGHT.store(
            unsafe { (*info).si_value() }.sival_ptr as u64,
            Ordering::SeqCst,
        );
    }

    #[test]
    fn the_value_arrives() {
        let signo = libc::SIGRTMIN() + 3;
        // SAFETY: the handler only stores to an atomic; nobody else uses this signal.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = catch as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(signo, &raw const action, std::ptr::null_mut());
        }
        for (tid, value) in [(None, 7), (Some(task::thread_id()), u64::MAX - 1)] {
            send(tid, signo, value).unwrap();
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while CAUGHT.load(Ordering::SeqCst) != value {
                assert!(std::time::Instant::now() < end, "the signal has not come");
            }
        }
        assert!(send(None, 1000, 0).is_err());
        let own = task::process_id().cast_signed();
        send_to(own, None, 0, 0).unwrap();
        assert!(send_to(i32::MAX, None, 0, 0).is_err());
        send_to_group(0, 0).unwrap();
    }
}
