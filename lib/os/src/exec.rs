//! Programs started as if from a shell.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the program that `command` starts take each signal as usual: what this process blocks or
/// ignores says nothing there.
pub fn with_usual_signals(command: &mut Command) {
    let usual = || {
        // SAFETY: all-zero bytes are a valid sigset_t, which sigemptyset then makes; both calls are
        // async-signal-safe, and only read it.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        }
        for signal in 1..=libc::SIGRTMAX() {
            // SAFETY: async-signal-safe; no handler of the child's is left. Those that cannot be
            // changed fail.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(usual) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalfd::{Signals, TERM};
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_is_blocked_here_is_not_there() {
        std::thread::spawn(|| {
            let _blocked = Signals::new(&[TERM]).unwrap();
            let mut command = Command::new("sh");
            with_usual_signals(command.args(["-c", "kill -TERM $$"]));
            assert_eq!(command.status().unwrap().signal(), Some(TERM));
        })
        .join()
        .unwrap();
    }
}
