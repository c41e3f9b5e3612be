//! Groups of processes.

use std::io;

/// Sends a signal to each process of the group of `leader`, which is above 1.
///
/// # Errors
/// ESRCH where the group has none any more, EPERM, EINVAL for what is no signal or no group.
pub fn signal(leader: u32, signal: i32) -> io::Result<()> {
    let group = i32::try_from(leader).ok().filter(|group| *group > 1);
    let group = group.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: no memory argument.
    match unsafe { libc::kill(-group, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until child `pid` has ended, and leaves it to be waited for: its number stays its own. Its
/// status, as wait(2) encodes it.
///
/// # Errors
/// ECHILD where there is no such child.
pub fn wait_for_end(pid: u32) -> io::Result<i32> {
    // SAFETY: all-zero bytes are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is valid for writing.
        if unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) } == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: waitid has filled in what a child's end has.
    let status = unsafe { info.si_status() };
    Ok(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn an_end_is_seen_before_it_is_waited_for() {
        for (line, raw) in [("exit 7", 7 << 8), ("kill -9 $$", 9)] {
            let mut child = Command::new("sh").args(["-c", line]).spawn().unwrap();
            assert_eq!(wait_for_end(child.id()).unwrap(), raw);
            assert_eq!(child.wait().unwrap().into_raw(), raw);
            assert!(wait_for_end(child.id()).is_err());
        }
    }

    #[test]
    fn a_group_is_reached_by_its_leader() {
        let mut sleep = Command::new("sleep");
        let mut child = sleep.arg("1000").process_group(0).spawn().unwrap();
        signal(child.id(), libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        for not_one in [0, 1, u32::MAX] {
            assert!(signal(not_one, 0).is_err());
        }
    }
}
