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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

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
