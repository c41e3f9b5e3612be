//! Processes for tests: children of fork, in a node of the test's own.

#![allow(dead_code, reason = "each test uses its part")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use io_net_msg::{Channel, Connection, Incoming, Received};

static NODE: OnceLock<PathBuf> = OnceLock::new();

/// A runtime directory that goes with this process.
pub(crate) fn node() -> &'static PathBuf {
    extern "C" fn remove() {
        if let Some(dir) = NODE.get() {
            // Nobody is left to be told.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
    NODE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("io-net-msg-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        // SAFETY: all tests come here first; none reads the environment before. Children of fork
        // end without the handler.
        unsafe {
            std::env::set_var("SOCK", &dir);
            libc::atexit(remove);
        }
        dir
    })
}

/// A child process, killed when dropped.
pub(crate) struct Child {
    pub(crate) pid: i32,
    from: OwnedFd,
    to: OwnedFd,
}

/// What a child holds of its parent.
pub(crate) struct Parent {
    from: OwnedFd,
    to: OwnedFd,
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

fn put(fd: &OwnedFd, word: i64) {
    let bytes = word.to_ne_bytes();
    // SAFETY: `bytes` is valid for reading.
    let n = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), 8) };
    assert_eq!(n, 8, "the other process has gone");
}

fn get(fd: &OwnedFd) -> Option<i64> {
    let mut bytes = [0; 8];
    // SAFETY: `bytes` is valid for writing.
    let n = unsafe { libc::read(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), 8) };
    (n == 8).then(|| i64::from_ne_bytes(bytes))
}

impl Parent {
    /// Tells the parent a number.
    pub(crate) fn tell(&self, word: i64) {
        put(&self.to, word);
    }

    /// The next number that the parent tells.
    pub(crate) fn hear(&self) -> i64 {
        get(&self.from).expect("the parent has gone")
    }
}

/// Runs `run` in a child of fork. A panic there is an exit status other than 0.
pub(crate) fn child(run: impl FnOnce(&Parent)) -> Child {
    node();
    let (to_child, to_parent) = (pipe(), pipe());
    // SAFETY: the child runs `run` and ends without returning.
    match unsafe { libc::fork() } {
        0 => {
            drop((to_child.1, to_parent.0));
            let parent = Parent {
                from: to_child.0,
                to: to_parent.1,
            };
            let run = std::panic::AssertUnwindSafe(|| run(&parent));
            let ok = std::panic::catch_unwind(run).is_ok();
            // SAFETY: ends the process.
            unsafe { libc::_exit(if ok { 0 } else { 1 }) }
        }
        pid => {
            assert!(pid > 0);
            Child {
                pid,
                from: to_parent.0,
                to: to_child.1,
            }
        }
    }
}

impl Child {
    /// Tells the child a number.
    pub(crate) fn tell(&self, word: i64) {
        put(&self.to, word);
    }

    /// The next number that the child tells.
    pub(crate) fn hear(&self) -> i64 {
        get(&self.from).expect("the child has gone")
    }

    pub(crate) fn kill(&self) {
        // SAFETY: a child that has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Waits until it has ended well.
    pub(crate) fn join(mut self) {
        let status = self.wait();
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "the child has failed: {status:#x}"
        );
    }

    fn wait(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is valid for writing.
        let ended = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(ended, self.pid);
        self.pid = 0;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.kill();
            self.wait();
        }
    }
}

/// A connection to a channel of process `pid`.
pub(crate) fn attach(pid: i32, chid: i64) -> Connection {
    Connection::attach(0, pid, chid as i32, 0, 0).unwrap()
}

/// The next message.
pub(crate) fn receive(channel: &Channel, buf: &mut [u8]) -> Received {
    match channel.receive(buf).unwrap() {
        Incoming::Message(received) => received,
        other => panic!("a message was due: {other:?}"),
    }
}

/// Waits for what must come soon.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}
