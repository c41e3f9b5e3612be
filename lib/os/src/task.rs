//! Threads and processes as the kernel numbers them.

/// The calling thread's id: unique in the system while the thread lives. A system call each time.
#[must_use]
pub fn thread_id() -> u32 {
    // SAFETY: gettid has no argument and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// The effective user id of this process.
#[must_use]
pub fn user_id() -> u32 {
    // SAFETY: geteuid has no argument and cannot fail.
    unsafe { libc::geteuid() }
}

/// Who a process is: its users and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user.
    pub uids: [u32; 3],
    /// Real, effective and saved group.
    pub gids: [u32; 3],
    /// Its other groups.
    pub groups: Vec<u32>,
}

/// This process's.
#[must_use]
pub fn credentials() -> Credentials {
    let ([mut r, mut e, mut s], [mut rg, mut eg, mut sg]) = ([0; 3], [0; 3]);
    let mut groups = Vec::new();
    // SAFETY: the kernel writes to the integers, and as many groups as there is room for. With
    // room for none it says how many there are; should others join meanwhile, it fails with -1.
    unsafe {
        libc::getresuid(&raw mut r, &raw mut e, &raw mut s);
        libc::getresgid(&raw mut rg, &raw mut eg, &raw mut sg);
        let count = libc::getgroups(0, std::ptr::null_mut());
        groups.resize(usize::try_from(count).unwrap_or(0), 0);
        let got = libc::getgroups(count.max(0), groups.as_mut_ptr());
        groups.truncate(usize::try_from(got).unwrap_or(0));
    }
    Credentials {
        uids: [r, e, s],
        gids: [rg, eg, sg],
        groups,
    }
}

/// This process's id, asked of the kernel: right in a child of vfork too.
#[must_use]
pub fn process_id() -> u32 {
    // SAFETY: getpid has no argument and cannot fail.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// The session (setsid) of process `pid`, 0 where its leader is outside this PID namespace; None
/// where there is no such process.
#[must_use]
pub fn session_id(pid: i32) -> Option<i32> {
    // SAFETY: getsid has no memory argument.
    let sid = unsafe { libc::getsid(pid) };
    (sid >= 0).then_some(sid)
}

/// Whether process `pid` has the number `called` in a PID namespace of its own, in which it then is.
#[must_use]
pub fn is_called(pid: i32, called: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let innermost = line.and_then(|line| line.split_whitespace().next_back());
        innermost.and_then(|number| number.parse().ok()) == Some(called)
    })
}

/// Whether a thread with this id exists. An id may have been given to another thread since, so only
/// "no" is certain; and the answer is about the caller's own PID namespace.
#[must_use]
pub fn thread_exists(id: u32) -> bool {
    let Ok(id) = i32::try_from(id) else {
        return false;
    };
    // SAFETY: signal 0 is never delivered; the call only checks.
    if id > 0 && unsafe { libc::kill(id, 0) } == 0 {
        return true;
    }
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_that_the_kernel_shows() {
        let own = credentials();
        assert_eq!(own.uids[1], user_id());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let numbers = line.unwrap().split_whitespace();
            numbers.map(|n| n.parse().unwrap()).collect::<Vec<u32>>()
        };
        assert_eq!(line("Uid:")[..3], own.uids);
        assert_eq!(line("Gid:")[..3], own.gids);
        assert_eq!(line("Groups:"), own.groups);
    }

    #[test]
    fn a_thread_exists_until_it_ends() {
        let id = std::thread::spawn(|| {
            assert!(thread_exists(thread_id()));
            thread_id()
        })
        .join()
        .unwrap();
        assert_ne!(id, thread_id());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while thread_exists(id) {
            assert!(
                std::time::Instant::now() < deadline,
                "the thread is still there"
            );
        }
        assert!(!thread_exists(0) && !thread_exists(u32::MAX));
    }
}
