//! The service of files: requests in, answers out. Its state is what clients have open.

use super::caller::Caller;
use super::disk;
use super::export::{Exports, Place, way};
use super::message::{self, Attributes, Change, PATH_MAX, kind, op, open};
use crate::errno;
use crate::head::Head;
use crate::service::{PIECE_MAX, Serve};
use io_net_msg::{Received, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zerocopy::{FromBytes, IntoBytes};

/// Files that one client may have open.
const OPEN_MAX: usize = 1024;

/// What is replied: status and bytes.
type Answer = (i64, Vec<u8>);

/// The server.
#[derive(Debug)]
pub struct Files {
    exports: Exports,
    open: Mutex<HashMap<i32, Client>>,
}

/// One client's open files.
#[derive(Debug, Default)]
struct Client {
    last: u64,
    files: HashMap<u64, Arc<Opened>>,
}

/// An open file, and what it may be used for.
#[derive(Debug)]
struct Opened {
    file: File,
    flags: u32,
}

impl Serve for Files {
    fn message(&self, message: &[u8], received: Received) {
        let answer = Head::parse(message).and_then(|(head, body)| {
            let scoid = received.info().scoid;
            let room = usize::try_from(received.info().dstmsglen).unwrap_or(usize::MAX);
            let caller = Caller::of(&received.client(), &head);
            match head.op.get() {
                op::READ | op::WRITE | op::SYNC | op::CLOSE => {
                    self.on_open(scoid, &head, body, room)
                }
                _ => caller.does(|| self.on_path(scoid, &head, body, room)),
            }
        });
        // Where it fails, the client has gone.
        let _ = match answer {
            Ok((status, bytes)) => received.reply(status, &bytes),
            Err(error) => received.error(error),
        };
    }

    fn gone(&self, scoid: i32) {
        let files = self.open().remove(&scoid);
        // Not under the lock: a file may take long to close.
        drop(files);
    }
}

impl Files {
    /// A server of these exports.
    #[must_use]
    pub fn new(exports: Exports) -> Self {
        Self {
            exports,
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<i32, Client>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests about what has been opened before, by whoever had the right to then.
    fn on_open(&self, scoid: i32, head: &Head, body: &[u8], room: usize) -> Result<Answer> {
        let handle = head.handle.get();
        if head.op.get() == op::CLOSE {
            let closed = self
                .open()
                .get_mut(&scoid)
                .and_then(|c| c.files.remove(&handle));
            return closed.map(|_| (0, vec![])).ok_or(errno::BADF);
        }
        let opened = self.opened(scoid, handle)?;
        let may = |flag| (opened.flags & flag != 0).then_some(()).ok_or(errno::BADF);
        match head.op.get() {
            op::READ => {
                may(open::READ)?;
                let length = (head.length.get() as usize).min(room).min(PIECE_MAX);
                let mut bytes = vec![0; length];
                let n = read_full(&opened.file, &mut bytes, head.offset.get())?;
                bytes.truncate(n);
                Ok((0, bytes))
            }
            op::WRITE => {
                may(open::WRITE)?;
                opened.write(body, head.offset.get())?;
                Ok((body.len() as i64, vec![]))
            }
            _ => Ok((0, opened.file.sync_all().map(|()| vec![])?)),
        }
    }

    /// Requests about paths, with the caller's rights.
    fn on_path(&self, scoid: i32, head: &Head, body: &[u8], room: usize) -> Result<Answer> {
        let done = |()| (0, vec![]);
        match head.op.get() {
            op::STAT if head.handle.get() != 0 => {
                let opened = self.opened(scoid, head.handle.get())?;
                Ok(told(0, &disk::attributes(&opened.file.metadata()?)))
            }
            op::STAT => Ok(told(0, &self.stat(body)?)),
            op::LIST => self.list(body, head.offset.get(), room.min(PIECE_MAX)),
            op::READLINK => match self.exports.find(body)? {
                Place::Inside(export, path, false) => {
                    let text = disk::read_link(export.dir(), &path)?;
                    Ok((0, text.as_os_str().as_bytes().to_vec()))
                }
                _ => Err(errno::INVAL),
            },
            op::OPEN => self.open_file(scoid, head, body),
            op::CHANGE => {
                let (to, path) = Change::read_from_prefix(body).map_err(|_| errno::INVAL)?;
                let (export, path) = self.exports.find_writable(path)?;
                Ok(told(0, &disk::change(export.dir(), &path, &to)?))
            }
            op::MKDIR => {
                let (export, path) = self.exports.find_writable(body)?;
                disk::make_dir(export.dir(), &path, head.mode.get()).map(done)
            }
            op::UNLINK => {
                let (export, path) = self.exports.find_writable(body)?;
                disk::unlink(export.dir(), &path).map(done)
            }
            op::RMDIR => {
                let (export, path) = self.exports.find_writable(body)?;
                disk::remove_dir(export.dir(), &path).map(done)
            }
            op::RENAME | op::LINK => self.rename_or_link(head, body).map(done),
            op::SYMLINK => {
                let (text, path) = message::two(body, head.length)?;
                let (export, path) = self.exports.find_writable(path)?;
                let text = Path::new(std::ffi::OsStr::from_bytes(text));
                disk::symlink(export.dir(), text, &path).map(done)
            }
            _ => Err(errno::NOSYS),
        }
    }

    fn stat(&self, path: &[u8]) -> Result<Attributes> {
        match self.exports.find(path)? {
            Place::Way => Ok(way()),
            Place::Inside(export, path, is_way) => match disk::stat(export.dir(), &path) {
                // A way must be there, whatever is in its place.
                Ok(found) if is_way && found.mode.get() & kind::MASK != kind::DIRECTORY => {
                    Ok(way())
                }
                Err(_) if is_way => Ok(way()),
                told => told,
            },
        }
    }

    /// The entries from `skip` on, as many as fit. Those that lead to exports come first.
    fn list(&self, path: &[u8], skip: u64, room: usize) -> Result<Answer> {
        if room < 3 + 255 {
            return Err(errno::INVAL);
        }
        let mut reply = Vec::new();
        let mut more = false;
        let ways = self.exports.entries(message::path(path)?);
        for way in ways
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
        {
            more |= !way.write(&mut reply, room);
        }
        if let Place::Inside(export, path, is_way) = self.exports.find(path)?
            && !more
        {
            let skip = skip.saturating_sub(ways.len() as u64);
            let listed = disk::list(export.dir(), &path, skip, |mut entry| {
                if ways.iter().any(|way| way.name == entry.name) {
                    // Its place in the count stays, under a name that no file can have.
                    entry.name.clear();
                }
                more = !entry.write(&mut reply, room);
                !more
            });
            match listed {
                Err(_) if is_way => {}
                listed => listed?,
            }
        }
        Ok((more.into(), reply))
    }

    fn open_file(&self, scoid: i32, head: &Head, path: &[u8]) -> Result<Answer> {
        let flags = head.flags.get();
        let changes = flags & (open::WRITE | open::TRUNCATE | open::CREATE) != 0;
        let (export, path) = match self.exports.find(path)? {
            Place::Inside(export, path, false) => (export, path),
            _ => return Err(errno::ISDIR),
        };
        if changes {
            export.check_writable()?;
        }
        if self.count(scoid) >= OPEN_MAX {
            return Err(errno::MFILE);
        }
        let file = disk::open(export.dir(), &path, flags, head.mode.get())?;
        let attributes = disk::attributes(&file.metadata()?);
        let mut clients = self.open();
        let client = clients.entry(scoid).or_default();
        // What a status can carry over a network: 1 to 2^31 - 1.
        let next = |last: u64| last % i32::MAX.unsigned_abs() as u64 + 1;
        client.last = next(client.last);
        while client.files.contains_key(&client.last) {
            client.last = next(client.last);
        }
        let handle = client.last;
        client
            .files
            .insert(handle, Arc::new(Opened { file, flags }));
        Ok(told(handle.cast_signed(), &attributes))
    }

    fn rename_or_link(&self, head: &Head, body: &[u8]) -> Result<()> {
        let (from, to) = message::two(body, head.length)?;
        let (of, from) = self.exports.find_writable(from)?;
        let (export, to) = self.exports.find_writable(to)?;
        if of != export {
            return Err(errno::XDEV);
        }
        if head.op.get() == op::LINK {
            return disk::link(export.dir(), &from, &to);
        }
        if head.flags.get() & 1 != 0 && disk::stat(export.dir(), &to).is_ok() {
            return Err(errno::EXIST);
        }
        disk::rename(export.dir(), &from, &to)
    }

    fn opened(&self, scoid: i32, handle: u64) -> Result<Arc<Opened>> {
        let clients = self.open();
        let opened = clients.get(&scoid).and_then(|c| c.files.get(&handle));
        opened.cloned().ok_or(errno::BADF)
    }

    fn count(&self, scoid: i32) -> usize {
        self.open()
            .get(&scoid)
            .map_or(0, |client| client.files.len())
    }
}

impl Opened {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.flags & open::APPEND {
            0 => self.file.write_all_at(bytes, offset)?,
            _ => (&self.file).write_all(bytes)?,
        }
        Ok(())
    }
}

/// A status with attributes.
fn told(status: i64, attributes: &Attributes) -> Answer {
    (status, attributes.as_bytes().to_vec())
}

/// Reads to the end of `buf` or of the file.
fn read_full(file: &File, buf: &mut [u8], offset: u64) -> Result<usize> {
    let mut there = 0;
    while there < buf.len() {
        match file.read_at(&mut buf[there..], offset.saturating_add(there as u64)) {
            Ok(0) => break,
            Ok(n) => there += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(there)
}

const _: () = assert!(PATH_MAX * 2 + size_of::<Head>() <= PIECE_MAX);
