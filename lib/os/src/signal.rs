//! What this process does about signals.

/// Whether each signal handler that is installed asks for interrupted calls to be restarted
/// (SA_RESTART). A wait that the kernel itself cannot restart uses this to tell whether a signal
/// ends it. A system call for each signal.
#[must_use]
pub fn all_handlers_restart() -> bool {
    // What a thread does to itself does not come while it waits.
    let faults = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGSYS,
    ];
    (1..=libc::SIGRTMAX())
        .filter(|signal| !faults.contains(signal))
        .all(|signal| {
            // SAFETY: all-zero bytes are a valid sigaction.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: asks only; `action` is valid for writing. Signals that cannot be asked about
            // fail.
            let rc = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
            rc != 0
                || matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
                || action.sa_flags & libc::SA_RESTART != 0
        })
}

/// Blocks all signals in the calling thread: handlers run in other threads.
pub fn block_all() {
    // SAFETY: all-zero bytes are a valid sigset_t, which sigfillset then fills.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Sends SIGPIPE to the calling thread, as the kernel does to one that writes to a closed
/// connection.
pub fn raise_sigpipe() {
    // SAFETY: no argument is a pointer.
    unsafe {
        let (pid, tid) = (libc::getpid(), libc::syscall(libc::SYS_gettid));
        libc::syscall(libc::SYS_tgkill, pid, tid, libc::SIGPIPE)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn nothing(_signal: i32) {}

    #[test]
    fn one_handler_without_restart_is_seen() {
        // SAFETY: the handler does nothing; SIGUSR2 is not used by the test harness.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            action.sa_flags = 0;
            libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
            assert!(!all_handlers_restart());
            action.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
        }
    }
}
