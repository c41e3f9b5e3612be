//! `SOCK_SEQPACKET` sockets by a path or by an abstract name, none of whose calls waits.
//!
//! Any thread. For the rest (messages with descriptors, accept) see [`crate::unix`].

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a socket is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A socket file.
    Path(std::path::PathBuf),
    /// A name in Linux's abstract space, which goes with the socket (unix(7)).
    Abstract(String),
}

impl Name {
    fn address(&self) -> io::Result<(libc::sockaddr_un, usize)> {
        // SAFETY: all-zero bytes are a valid sockaddr_un.
        let mut addr: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        addr.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let start = std::mem::offset_of!(libc::sockaddr_un, sun_path);
        // An abstract name begins with a zero byte and ends with the address; a path ends with one.
        let (bytes, skip): (&OsStr, usize) = match self {
            Name::Path(path) => (path.as_os_str(), 0),
            Name::Abstract(name) => (OsStr::new(name), 1),
        };
        let bytes = bytes.as_bytes();
        if bytes.is_empty() || bytes.len() + 1 > addr.sun_path.len() || bytes.contains(&0) {
            let text = format!("{self}: a socket's name has 1 to 107 bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        for (to, from) in addr.sun_path[skip..].iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
        Ok((addr, start + bytes.len() + 1))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Path(path) => path.display().fmt(f),
            Name::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a plain call that touches no memory.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(rc: i32) -> io::Result<()> {
    match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Connects to the listener called `name`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` where nobody listens, `WouldBlock` where too many wait to be
/// accepted, `InvalidInput` for a name that is too long.
pub fn connect(name: &Name) -> io::Result<OwnedFd> {
    let (addr, len) = name.address()?;
    let fd = socket()?;
    // SAFETY: the kernel reads `len` bytes of `addr`, which has them.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const addr).cast(), len as u32) })?;
    Ok(fd)
}

/// Listens as `name`. A socket file that nobody listens on any more is replaced.
///
/// # Errors
/// `AddrInUse` where somebody listens there already or the file is no socket, or the kernel's
/// other errors.
pub fn listen(name: &Name, backlog: i32) -> io::Result<OwnedFd> {
    let (addr, len) = name.address()?;
    let fd = socket()?;
    // SAFETY: the kernel reads `len` bytes of `addr`, which has them.
    let bind =
        || check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len as u32) });
    let bound = match (bind(), name) {
        (Err(error), Name::Path(path)) if is_stale(&error, name, path) => {
            std::fs::remove_file(path)?;
            bind()
        }
        (bound, _) => bound,
    };
    bound?;
    // SAFETY: a plain call that touches no memory.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(fd)
}

/// Whether what is in the way at `path` is the socket of a process that has gone.
fn is_stale(error: &io::Error, name: &Name, path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = || {
        path.symlink_metadata()
            .is_ok_and(|meta| meta.file_type().is_socket())
    };
    let refused = || connect(name).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    error.kind() == io::ErrorKind::AddrInUse && is_socket() && refused()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unix;
    use std::os::fd::AsFd;

    fn meet(name: &Name) {
        assert!(connect(name).is_err());
        let listener = listen(name, 4).unwrap();
        let taken = listen(name, 4).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let client = connect(name).unwrap();
        unix::send_fds(client.as_fd(), b"hi", &[], unix::Wait::DontWait).unwrap();
        // The second listener has knocked to see whether anybody is there.
        let heard = std::iter::from_fn(|| unix::accept(listener.as_fd()).ok()).any(|server| {
            let mut buf = [0; 8];
            let got = unix::recv_fds(server.as_fd(), &mut buf, unix::Wait::DontWait).unwrap();
            &buf[..got.len] == b"hi"
        });
        assert!(heard);
    }

    #[test]
    fn by_path_and_again_after_a_crash() {
        let dir = std::env::temp_dir().join(format!("io-net-os-seqpacket-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let name = Name::Path(dir.join("s"));
        meet(&name);
        // The listener has gone and its file is still there.
        assert!(dir.join("s").exists());
        drop(listen(&name, 4).unwrap());
        std::fs::write(dir.join("file"), "mine").unwrap();
        assert!(listen(&Name::Path(dir.join("file")), 4).is_err());
        assert!(dir.join("file").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn by_abstract_name() {
        meet(&Name::Abstract(format!("io-net-os-{}", std::process::id())));
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for name in [String::new(), "x".repeat(108), "a\0b".into()] {
            let error = connect(&Name::Abstract(name)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(connect(&Name::Path("/".to_owned().repeat(108).into())).is_err());
    }
}
