//! The client: files of one node. Every call waits for that node, at most [`PATIENCE`] at a time.

use super::message::{Attributes, Change, Entry, PATH_MAX, op};
use crate::errno;
use crate::head::Head;
use crate::net::nodes;
use crate::service::FILES;
use io_net_msg::{Connection, Error, Result, name, timeout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one piece of a listing.
const LISTING: usize = 256 << 10;
/// Entries of a directory that are taken.
const ENTRIES_MAX: u64 = 1 << 20;

/// For whom: a user and a group of this node; None for oneself.
pub type For = Option<(u32, u32)>;

/// A node.
#[derive(Debug)]
pub struct Remote {
    node: String,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// A file that is open there.
#[derive(Debug)]
pub struct RemoteFile {
    connection: Arc<Connection>,
    handle: u64,
}

impl Remote {
    /// Node `node`, which may have a quality of service: nobody is asked yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            connection: Mutex::default(),
        }
    }

    /// What stat tells of `path`.
    ///
    /// # Errors
    /// The node's; EIO when it has gone, EOPNOTSUPP where it serves no files.
    pub fn stat(&self, who: For, path: &[u8]) -> Result<Attributes> {
        let mut reply = [0; size_of::<Attributes>()];
        let (_, len) = self.ask(head(op::STAT, who), path, &mut reply)?;
        attributes(&reply[..len])
    }

    /// All entries of a directory.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn list(&self, who: For, path: &[u8]) -> Result<Vec<Entry>> {
        let mut reply = vec![0; LISTING];
        let mut entries = Vec::new();
        let mut skip = 0_u64;
        loop {
            let mut head = head(op::LIST, who);
            head.offset = skip.into();
            let (more, len) = self.ask(head, path, &mut reply)?;
            let mut rest = &reply[..len];
            let before = skip;
            while let Some(entry) = Entry::read(&mut rest)? {
                skip += 1;
                if !entry.name.is_empty() {
                    entries.push(entry);
                }
            }
            if more == 0 || skip >= ENTRIES_MAX {
                return Ok(entries);
            }
            if skip == before {
                return Err(errno::IO);
            }
        }
    }

    /// What a link says.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn read_link(&self, who: For, path: &[u8]) -> Result<Vec<u8>> {
        let mut reply = vec![0; PATH_MAX];
        let (_, len) = self.ask(head(op::READLINK, who), path, &mut reply)?;
        reply.truncate(len);
        match reply.is_empty() || reply.contains(&0) {
            true => Err(errno::IO),
            false => Ok(reply),
        }
    }

    /// Opens a file, with [`super::message::open`]'s flags.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn open(
        &self,
        who: For,
        path: &[u8],
        flags: u32,
        mode: u32,
    ) -> Result<(RemoteFile, Attributes)> {
        let mut head = head(op::OPEN, who);
        (head.flags, head.mode) = (flags.into(), mode.into());
        let mut reply = [0; size_of::<Attributes>()];
        let connection = self.connection()?;
        let (handle, len) = self.ask_over(&connection, head, path, &mut reply)?;
        let handle = handle.cast_unsigned();
        let file = RemoteFile { connection, handle };
        Ok((file, attributes(&reply[..len])?))
    }

    /// Changes what of a file is to change.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn change(&self, who: For, path: &[u8], to: &Change) -> Result<Attributes> {
        let mut reply = [0; size_of::<Attributes>()];
        let body = [to.as_bytes(), path].concat();
        let (_, len) = self.ask(head(op::CHANGE, who), &body, &mut reply)?;
        attributes(&reply[..len])
    }

    /// Makes a directory, or with `op` UNLINK or RMDIR takes a name away.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn on_name(&self, who: For, op: u32, path: &[u8], mode: u32) -> Result<()> {
        let mut head = head(op, who);
        head.mode = mode.into();
        self.ask(head, path, &mut []).map(drop)
    }

    /// RENAME, LINK or SYMLINK: `from` is a path, or the link's text.
    ///
    /// # Errors
    /// As [`Remote::stat`].
    pub fn on_two(&self, who: For, op: u32, flags: u32, from: &[u8], to: &[u8]) -> Result<()> {
        let mut head = head(op, who);
        head.flags = flags.into();
        head.length = (from.len() as u32).into();
        self.ask(head, &[from, to].concat(), &mut []).map(drop)
    }

    fn ask(&self, head: Head, body: &[u8], reply: &mut [u8]) -> Result<(i64, usize)> {
        let connection = self.connection()?;
        self.ask_over(&connection, head, body, reply)
    }

    fn ask_over(
        &self,
        connection: &Arc<Connection>,
        head: Head,
        body: &[u8],
        reply: &mut [u8],
    ) -> Result<(i64, usize)> {
        patient();
        head.send(connection, body, reply).map_err(|error| {
            if is_gone(error) {
                self.forget(connection);
            }
            gone_is_io(error)
        })
    }

    /// The connection, made if there is none.
    fn connection(&self) -> Result<Arc<Connection>> {
        if let Some(connection) = &*self.slot() {
            return Ok(connection.clone());
        }
        // Not under the lock: it may take long.
        let path = format!("/net/{}/dev/name/local/{FILES}", self.node);
        let made = name::open(&path, false).map_err(|error| match error {
            // A node that is there, and serves no files; or one that is not there any more.
            errno::NOENT if nodes::check(&self.node).is_ok() => errno::OPNOTSUPP,
            errno::NOENT => errno::IO,
            other => gone_is_io(other),
        })?;
        Ok(self.slot().get_or_insert(Arc::new(made)).clone())
    }

    fn forget(&self, connection: &Arc<Connection>) {
        let mut slot = self.slot();
        if slot
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, connection))
        {
            *slot = None;
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl RemoteFile {
    /// What stat tells.
    ///
    /// # Errors
    /// EIO when the node has gone.
    pub fn stat(&self) -> Result<Attributes> {
        let mut reply = [0; size_of::<Attributes>()];
        let (_, len) = self.ask(self.head(op::STAT), &[], &mut reply)?;
        attributes(&reply[..len])
    }

    /// Reads at `offset` into `buf`; fewer bytes only at the file's end.
    ///
    /// # Errors
    /// As [`RemoteFile::stat`].
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let mut head = self.head(op::READ);
        head.offset = offset.into();
        head.length = (buf.len() as u32).into();
        self.ask(head, &[], buf).map(|(_, len)| len)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As [`RemoteFile::stat`].
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut head = self.head(op::WRITE);
        head.offset = offset.into();
        self.ask(head, bytes, &mut []).map(drop)
    }

    /// Has it written to the disk.
    ///
    /// # Errors
    /// As [`RemoteFile::stat`].
    pub fn sync(&self) -> Result<()> {
        self.ask(self.head(op::SYNC), &[], &mut []).map(drop)
    }

    fn head(&self, op: u32) -> Head {
        let mut head = Head::new(op);
        head.handle = self.handle.into();
        head
    }

    fn ask(&self, head: Head, body: &[u8], reply: &mut [u8]) -> Result<(i64, usize)> {
        patient();
        head.send(&self.connection, body, reply).map_err(gone_is_io)
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        // A node that has gone has closed it.
        let _ = self.ask(self.head(op::CLOSE), &[], &mut []);
    }
}

fn head(op: u32, who: For) -> Head {
    let mut head = Head::new(op);
    if let Some((uid, gid)) = who {
        (head.uid, head.gid) = (uid.into(), gid.into());
    }
    head
}

fn attributes(reply: &[u8]) -> Result<Attributes> {
    Attributes::read_from_bytes(reply).map_err(|_| errno::IO)
}

/// The next call of this thread waits no longer than it should.
fn patient() {
    timeout::set(timeout::SEND | timeout::REPLY, Some(PATIENCE));
}

fn is_gone(error: Error) -> bool {
    matches!(
        error,
        errno::SRCH | errno::BADF | errno::CONNRESET | errno::TIMEDOUT
    )
}

/// To a program that reads a file, "no such process" says nothing.
fn gone_is_io(error: Error) -> Error {
    match error {
        errno::SRCH | errno::CONNRESET | errno::TIMEDOUT => errno::IO,
        other => other,
    }
}
