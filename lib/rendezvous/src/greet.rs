//! How a channel meets its clients: the listener, and the handshake.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

use io_net_os::fork::PrivateFd;
use io_net_os::peer::{self, Stretch};
use io_net_os::seqpacket::{self, Name};
use io_net_os::unix::{self, Credentials, Wait};
use io_net_os::{errno, map, task};
use zerocopy::{FromZeros, IntoBytes};

use crate::hello::{self, Hello, Welcome};
use crate::inbox::Seat;
use crate::layout::{Memory, SESSION_LEN};
use crate::pulse;
use crate::record::Records;
use crate::server::{Identity, ServerEnd, bell};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A channel's socket; its file goes with it.
#[derive(Debug)]
pub struct Listener {
    fd: PrivateFd,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`, for every user.
    ///
    /// # Errors
    /// `AddrInUse` where somebody listens there already, or the kernel's other errors.
    pub fn new(path: &Path) -> io::Result<Self> {
        let fd = seqpacket::listen(&Name::Path(path.into()), BACKLOG)?;
        let listener = Self {
            fd: PrivateFd::new(fd),
            path: path.into(),
        };
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
        Ok(listener)
    }

    /// To be watched for clients. None in a child of fork.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.get()
    }

    /// The next client.
    ///
    /// # Errors
    /// `WouldBlock` for none; EMFILE.
    pub fn accept(&self) -> io::Result<Caller> {
        let fd = unix::accept(self.fd().ok_or(io::ErrorKind::NotConnected)?)?;
        let credentials = unix::peer_credentials(fd.as_fd())?;
        Ok(Caller {
            doorbell: PrivateFd::new(fd),
            credentials,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.fd().is_some() {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A client that has connected and perhaps not said hello yet.
#[derive(Debug)]
pub struct Caller {
    doorbell: PrivateFd,
    credentials: Credentials,
}

/// A client that has said hello and waits for its welcome.
#[derive(Debug)]
pub struct Greeting {
    doorbell: PrivateFd,
    credentials: Credentials,
    hello: Hello,
    bell: Option<OwnedFd>,
}

impl Caller {
    /// Who the kernel says it is.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// To be watched for the hello. None in a child of fork.
    #[must_use]
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.get()
    }

    /// Its hello.
    ///
    /// # Errors
    /// The caller itself, when there is none yet; None, when it has hung up or is no client of
    /// ours.
    pub fn greet(self) -> Result<Greeting, Option<Self>> {
        let mut hello = Hello::new_zeroed();
        let fd = self.doorbell.get().ok_or(None)?;
        let mut got = match unix::recv_fds(fd, hello.as_mut_bytes(), Wait::DontWait) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Some(self)),
            Err(_) => return Err(None),
            Ok(got) => got,
        };
        if got.len != size_of::<Hello>() || hello.magic != hello::MAGIC {
            return Err(None);
        }
        let greeting = Greeting {
            doorbell: self.doorbell,
            credentials: self.credentials,
            bell: got.take_fd().filter(|_| hello.flags & hello::BELL != 0),
            hello,
        };
        if hello.version != hello::VERSION {
            greeting.refuse(errno::EPROTO);
            return Err(None);
        }
        Ok(greeting)
    }
}

/// A session that has been made. Once its inbox has it, its client is to be welcomed.
#[derive(Debug)]
pub struct Prepared {
    /// The session.
    pub end: Arc<ServerEnd>,
    memory: OwnedFd,
    port: OwnedFd,
    flags: u32,
}

impl Greeting {
    /// The user whose limits hold for it: whom the kernel saw.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.credentials.uid
    }

    /// The channel that it wants: nd, pid, chid.
    #[must_use]
    pub fn target(&self) -> (u32, i32, i32) {
        (self.hello.nd, self.hello.pid, self.hello.chid)
    }

    /// Who it is, or speaks for.
    ///
    /// # Errors
    /// EPERM when it may not speak for somebody else.
    pub fn identity(&self) -> Result<Identity, i32> {
        let hello = &self.hello;
        if hello.flags & hello::REPRESENTS == 0 {
            return Ok(Identity {
                nd: 0,
                srcnd: 0,
                pid: self.credentials.pid,
                uid: self.credentials.uid,
                gid: self.credentials.gid,
            });
        }
        if ![0, task::user_id()].contains(&self.credentials.uid) {
            return Err(errno::EPERM);
        }
        Ok(Identity {
            nd: hello.for_nd,
            srcnd: hello.for_srcnd,
            pid: hello.for_pid,
            uid: hello.for_uid,
            gid: hello.for_gid,
        })
    }

    /// Tells it why there is no session, and hangs up.
    pub fn refuse(self, errno: i32) {
        if let Some(fd) = self.doorbell.get() {
            refuse(fd, errno);
        }
    }

    /// Leaves the client's memory alone, also where it could be reached: what it sends comes by the
    /// session's windows.
    #[must_use]
    pub fn by_windows(mut self) -> Self {
        self.hello.flags |= hello::NO_PEER_MEMORY;
        self
    }

    /// Makes a session of it, in `seat`. `unblock`: received messages are unblocked by the server
    /// only.
    ///
    /// # Errors
    /// The errno, which the client has been told: EPERM as in [`Greeting::identity`], EMFILE,
    /// ENOMEM.
    pub fn accept(mut self, seat: &Seat, unblock: bool) -> Result<Prepared, i32> {
        let made = self.identity().and_then(|identity| {
            let number = |error: io::Error| error.raw_os_error().unwrap_or(errno::ENOMEM);
            let (fd, map) = map::sealed_segment(c"io-net-msg", SESSION_LEN).map_err(number)?;
            let port = seat.memory().map_err(number)?;
            Ok((identity, fd, map, port))
        });
        let (identity, fd, map, port) = match made {
            Ok(made) => made,
            Err(errno) => {
                self.refuse(errno);
                return Err(errno);
            }
        };
        let Some(memory) = Memory::new(map) else {
            return Err(errno::ENOMEM);
        };
        pulse::init(&memory);
        let peer = self.reaches_memory().then_some(self.credentials.pid);
        let target = self.target();
        let unblock = if unblock { hello::UNBLOCK } else { 0 };
        let flags = unblock | peer.map_or(0, |_| hello::PEER_MEMORY);
        let end = ServerEnd {
            memory,
            port: seat.port().clone(),
            bit: seat.bit(),
            queued: AtomicU64::new(0),
            pulse_head: AtomicU32::new(0),
            pulses_queued: AtomicU32::new(0),
            doorbell: self.doorbell,
            bell: self.bell.take().map(bell),
            identity,
            peer,
            scoid: AtomicI32::new(0),
            dead: AtomicBool::new(false),
            target,
            overwritten: AtomicU64::new(0),
            holders: AtomicU32::new(0),
            records: Records::default(),
        };
        Ok(Prepared {
            end: Arc::new(end),
            memory: fd,
            port,
            flags,
        })
    }

    /// Whether this process may, and can, read and write the client's memory. Only where both are
    /// the same user's: a client that runs another program under its old process id could else make
    /// a mightier server write there.
    fn reaches_memory(&self) -> bool {
        let (hello, pid) = (&self.hello, self.credentials.pid);
        if hello.flags & hello::NO_PEER_MEMORY != 0 || self.credentials.uid != task::user_id() {
            return false;
        }
        let mut probe = 0_u64;
        let from = [Stretch {
            address: hello.probe_at,
            len: 8,
        }];
        let to = &mut [io::IoSliceMut::new(probe.as_mut_bytes())];
        peer::read(pid, &from, 0, to, 0).is_ok_and(|n| n == 8) && probe == hello.probe
    }
}

fn refuse(doorbell: BorrowedFd<'_>, errno: i32) {
    let welcome = Welcome {
        magic: hello::MAGIC,
        version: hello::VERSION,
        errno,
        ..Welcome::default()
    };
    // It may have gone already.
    let _ = unix::send_fds(doorbell, welcome.as_bytes(), &[], Wait::DontWait);
}

impl Prepared {
    /// Tells the client why there is no session after all.
    pub fn refuse(&self, errno: i32) {
        if let Some(fd) = self.end.doorbell() {
            refuse(fd, errno);
        }
    }

    /// Tells the client.
    ///
    /// # Errors
    /// The client has gone.
    pub fn welcome(&self) -> io::Result<()> {
        let end = &self.end;
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let welcome = Welcome {
            magic: hello::MAGIC,
            version: hello::VERSION,
            errno: 0,
            flags: self.flags,
            bit: end.bit as u32,
            scoid: end.scoid(),
            reserved: 0,
        };
        let bell = end.port.bell().ok_or_else(gone)?;
        let fds = [self.memory.as_fd(), self.port.as_fd(), bell];
        let doorbell = end.doorbell().ok_or_else(gone)?;
        unix::send_fds(doorbell, welcome.as_bytes(), &fds, Wait::DontWait)
    }
}
