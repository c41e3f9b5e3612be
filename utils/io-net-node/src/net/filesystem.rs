//! FUSE's requests. Its thread only finds out whom to ask; the node's threads ask, and reply.

use super::attributes::{attr, directory, file_type, set_time};
use super::handles::{Handle, Handles};
use super::nodes;
use super::peer::{Crew, Peer};
use super::tree::{ROOT, Spot, Tree};
use crate::errno;
use crate::files::message::{Attributes, Change, Entry, change, is_name, kind, op, open};
use crate::files::remote::{For, Remote};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use io_net_msg::{Error, Result};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// For how long the kernel may believe attributes. Names it looks up each time, so that each user's
/// right to is asked for.
const TTL: Duration = Duration::from_secs(1);
/// The largest piece read or written at once.
const PIECE: u32 = crate::service::PIECE_MAX as u32;
/// The number in a listing of what has not been looked up.
const UNKNOWN: INodeNo = INodeNo(0xffff_ffff);
/// Nodes that are looked for at once.
const FINDERS: usize = 4;

/// The file system.
pub(super) struct Net {
    at: PathBuf,
    run: PathBuf,
    uid: u32,
    finders: Crew,
    shared: Arc<Shared>,
}

/// What all threads use.
#[derive(Debug, Default)]
struct Shared {
    tree: Mutex<Tree>,
    handles: Mutex<Handles>,
}

impl Net {
    /// The file system that is mounted at `at`, of the node whose io-net runs in `run`.
    pub(super) fn new(at: &Path, run: &Path) -> Result<Self> {
        Ok(Self {
            at: at.to_owned(),
            run: run.to_owned(),
            uid: io_net_os::task::user_id(),
            finders: Crew::start("net-find", FINDERS)?,
            shared: Arc::default(),
        })
    }

    /// For whom a request is.
    fn who(&self, request: &Request) -> For {
        let (uid, gid) = (request.uid(), request.gid());
        (uid != self.uid).then_some((uid, gid))
    }

    /// The file with a number; with `name`, what has that name in it.
    fn spot(&self, number: INodeNo, name: Option<&OsStr>) -> Result<Spot> {
        if number.0 == ROOT {
            return Err(errno::ACCES);
        }
        let spot = self.shared.tree().get(number.0).ok_or(errno::STALE)?;
        match name {
            None => Ok(spot),
            Some(name) if is_name(name.as_bytes()) => Ok(spot.child(name.as_bytes())),
            Some(name) if name.len() > 255 => Err(errno::NAMETOOLONG),
            Some(_) => Err(errno::INVAL),
        }
    }

    /// Has the node of a file do `job`, which replies.
    fn ask<R: Refuse>(
        &self,
        (number, name): (INodeNo, Option<&OsStr>),
        reply: R,
        job: impl FnOnce(&Remote, &Shared, Spot, R) + Send + 'static,
    ) {
        let spot = match self.spot(number, name) {
            Ok(spot) => spot,
            Err(error) => return reply.refuse(error),
        };
        let shared = self.shared.clone();
        let peer = spot.peer.clone();
        peer.give(move |remote| job(remote, &shared, spot, reply));
    }

    /// The directory of a node, found by its name.
    fn find_node(&self, name: &OsStr, reply: ReplyEntry) {
        let name = match name.to_str().filter(|name| !name.starts_with('.')) {
            Some(name) => name.to_owned(),
            None => return reply.error(Errno::ENOENT),
        };
        let shared = self.shared.clone();
        let known = shared.tree().peer(&name);
        if let Some(peer) = known {
            return shared.enter_node(peer, reply);
        }
        self.finders.give(move || {
            let found = nodes::check(&name).and_then(|()| Peer::start(&name));
            match found {
                Ok(peer) => shared.enter_node(peer, reply),
                Err(error) => reply.refuse(error),
            }
        });
    }
}

impl Shared {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replies with a node's directory, without asking the node.
    fn enter_node(&self, peer: Arc<Peer>, reply: ReplyEntry) {
        let path = b"/".to_vec();
        let number = self.tree().learn(&Spot { peer, path });
        reply.entry_with_ttls(&TTL, &Duration::ZERO, &directory(number), Generation(0));
    }

    /// The kernel's view of a file, which it knows from now on.
    fn learn(&self, spot: &Spot, told: &Attributes) -> Result<FileAttr> {
        // What cannot be is refused before the kernel counts it.
        let checked = attr(0, told)?;
        let ino = INodeNo(self.tree().learn(spot));
        Ok(FileAttr { ino, ..checked })
    }

    fn enter(&self, spot: &Spot, told: Result<Attributes>, reply: ReplyEntry) {
        match told.and_then(|told| self.learn(spot, &told)) {
            Ok(attr) => reply.entry_with_ttls(&TTL, &Duration::ZERO, &attr, Generation(0)),
            Err(error) => reply.refuse(error),
        }
    }

    fn open_directory(&self, listed: Result<Vec<Entry>>, reply: ReplyOpen) {
        match listed {
            Ok(entries) => {
                let number = self.handles().put(Handle::Directory(Arc::new(entries)));
                reply.opened(FileHandle(number), FopenFlags::empty());
            }
            Err(error) => reply.refuse(error),
        }
    }
}

/// Replies that say no.
trait Refuse: Send + 'static {
    fn refuse(self, error: Error);
}

macro_rules! refuse {
    ($($reply:ty)*) => {$(
        impl Refuse for $reply {
            fn refuse(self, error: Error) {
                self.error(Errno::from_i32(error.errno()));
            }
        }
    )*};
}

refuse!(ReplyAttr ReplyCreate ReplyData ReplyEmpty ReplyEntry ReplyOpen ReplyWrite);

/// Replies to a request without a result.
fn done(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.refuse(error),
    }
}

/// The kernel's open flags as the messages'.
fn open_flags(flags: i32) -> u32 {
    let access = match flags & 3 {
        0 => open::READ,
        1 => open::WRITE,
        _ => open::READ | open::WRITE,
    };
    let bits = [
        (0o100, open::CREATE),
        (0o200, open::EXCLUSIVE),
        (0o1000, open::TRUNCATE),
        (0o2000, open::APPEND),
    ];
    let set = |(bit, _): &&(i32, u32)| flags & bit != 0;
    bits.iter()
        .filter(set)
        .fold(access, |all, (_, own)| all | own)
}

/// Files that have no size, as those of /proc, are read past the page cache, which would see nothing.
fn cached(size: u64) -> FopenFlags {
    match size {
        0 => FopenFlags::FOPEN_DIRECT_IO,
        _ => FopenFlags::empty(),
    }
}

impl Filesystem for Net {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // The nearest that the kernel can is what it does else.
        let _ = config.set_max_write(PIECE);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent.0 == ROOT {
            return self.find_node(name, reply);
        }
        let who = self.who(request);
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, shared, spot, reply| {
                shared.enter(&spot, remote.stat(who, &spot.path), reply);
            },
        );
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.shared.tree().forget(number.0, lookups);
    }

    fn getattr(
        &self,
        request: &Request,
        number: INodeNo,
        handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        if number.0 == ROOT {
            return reply.attr(&TTL, &directory(ROOT));
        }
        let who = self.who(request);
        let file = handle.and_then(|handle| self.shared.handles().file(handle.0));
        self.ask((number, None), reply, move |remote, _, spot, reply| {
            let told = match (file, &spot.path[..]) {
                (Some(file), _) => file.stat(),
                // Nodes can be listed without being asked.
                (None, b"/") => return reply.attr(&TTL, &directory(number.0)),
                (None, path) => remote.stat(who, path),
            };
            match told.and_then(|told| attr(number.0, &told)) {
                Ok(attr) => reply.attr(&TTL, &attr),
                Err(error) => reply.refuse(error),
            }
        });
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let given = [
            (mode.is_some(), change::MODE),
            (uid.is_some(), change::UID),
            (gid.is_some(), change::GID),
            (size.is_some(), change::SIZE),
        ];
        let what = given
            .iter()
            .filter(|(is, _)| *is)
            .fold(0, |all, (_, bit)| all | bit);
        let mut to = Change {
            what: what.into(),
            mode: mode.unwrap_or(0).into(),
            uid: uid.unwrap_or(0).into(),
            gid: gid.unwrap_or(0).into(),
            size: size.unwrap_or(0).into(),
            ..Change::default()
        };
        for (which, at) in [(change::READ_TIME, atime), (change::WRITE_TIME, mtime)] {
            if let Some(at) = at {
                set_time(&mut to, which, at);
            }
        }
        let who = self.who(request);
        self.ask((number, None), reply, move |remote, _, spot, reply| {
            let changed = remote.change(who, &spot.path, &to);
            match changed.and_then(|told| attr(number.0, &told)) {
                Ok(attr) => reply.attr(&TTL, &attr),
                Err(error) => reply.refuse(error),
            }
        });
    }

    fn readlink(&self, request: &Request, number: INodeNo, reply: ReplyData) {
        let who = self.who(request);
        let at = self.at.clone();
        self.ask((number, None), reply, move |remote, _, spot, reply| {
            match remote.read_link(who, &spot.path) {
                // From a node's root on it leads to that node's files, not to ours.
                Ok(text) if text.starts_with(b"/") => {
                    let node = at.join(spot.peer.name());
                    reply.data(&[node.as_os_str().as_bytes(), &text].concat());
                }
                Ok(text) => reply.data(&text),
                Err(error) => reply.refuse(error),
            }
        });
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let who = self.who(request);
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, shared, spot, reply| {
                let made = remote.on_name(who, op::MKDIR, &spot.path, mode);
                shared.enter(
                    &spot,
                    made.and_then(|()| remote.stat(who, &spot.path)),
                    reply,
                );
            },
        );
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let who = self.who(request);
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, _, spot, reply| {
                done(remote.on_name(who, op::UNLINK, &spot.path, 0), reply);
            },
        );
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let who = self.who(request);
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, _, spot, reply| {
                done(remote.on_name(who, op::RMDIR, &spot.path, 0), reply);
            },
        );
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        text: &Path,
        reply: ReplyEntry,
    ) {
        let who = self.who(request);
        let text = text.as_os_str().as_bytes().to_vec();
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, shared, spot, reply| {
                let made = remote.on_two(who, op::SYMLINK, 0, &text, &spot.path);
                shared.enter(
                    &spot,
                    made.and_then(|()| remote.stat(who, &spot.path)),
                    reply,
                );
            },
        );
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let to = match self.spot(new_parent, Some(new_name)) {
            Ok(to) => to,
            Err(error) => return reply.refuse(error),
        };
        let keep = match flags {
            RenameFlags::RENAME_NOREPLACE => 1,
            flags if flags.is_empty() => 0,
            _ => return reply.error(Errno::EINVAL),
        };
        let who = self.who(request);
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, shared, from, reply| {
                if from.peer.name() != to.peer.name() {
                    return reply.refuse(errno::XDEV);
                }
                let renamed = remote.on_two(who, op::RENAME, keep, &from.path, &to.path);
                if renamed.is_ok() {
                    shared.tree().rename(&from, &to);
                }
                done(renamed, reply);
            },
        );
    }

    fn link(
        &self,
        request: &Request,
        number: INodeNo,
        new_parent: INodeNo,
        new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        let from = match self.spot(number, None) {
            Ok(from) => from,
            Err(error) => return reply.refuse(error),
        };
        let who = self.who(request);
        self.ask(
            (new_parent, Some(new_name)),
            reply,
            move |remote, shared, to, reply| {
                if from.peer.name() != to.peer.name() {
                    return reply.refuse(errno::XDEV);
                }
                let made = remote.on_two(who, op::LINK, 0, &from.path, &to.path);
                shared.enter(&to, made.and_then(|()| remote.stat(who, &to.path)), reply);
            },
        );
    }

    fn open(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let who = self.who(request);
        let flags = open_flags(flags.0) & !(open::CREATE | open::EXCLUSIVE);
        self.ask(
            (number, None),
            reply,
            move |remote, shared, spot, reply| match remote.open(who, &spot.path, flags, 0) {
                Ok((file, told)) => {
                    let handle = shared.handles().put(Handle::File(Arc::new(file)));
                    reply.opened(FileHandle(handle), cached(told.size.get()));
                }
                Err(error) => reply.refuse(error),
            },
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let who = self.who(request);
        let flags = open_flags(flags) | open::CREATE;
        self.ask(
            (parent, Some(name)),
            reply,
            move |remote, shared, spot, reply| {
                let opened = remote.open(who, &spot.path, flags, mode);
                let learnt =
                    opened.and_then(|(file, told)| Ok((file, shared.learn(&spot, &told)?)));
                match learnt {
                    Ok((file, attr)) => {
                        let handle = shared.handles().put(Handle::File(Arc::new(file)));
                        let handle = FileHandle(handle);
                        reply.created(&TTL, &attr, Generation(0), handle, FopenFlags::empty());
                    }
                    Err(error) => reply.refuse(error),
                }
            },
        );
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.shared.handles().file(handle.0) else {
            return reply.error(Errno::EBADF);
        };
        self.ask((number, None), reply, move |_, _, _, reply| {
            let mut buf = vec![0; size.min(PIECE) as usize];
            match file.read(offset, &mut buf) {
                Ok(len) => reply.data(&buf[..len]),
                Err(error) => reply.refuse(error),
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some(file) = self.shared.handles().file(handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let data = data.to_vec();
        self.ask((number, None), reply, move |_, _, _, reply| {
            match file.write(offset, &data) {
                Ok(()) => reply.written(data.len() as u32),
                Err(error) => reply.refuse(error),
            }
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Whatever is written has been taken by the node before its write ends.
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        let Some(file) = self.shared.handles().file(handle.0) else {
            return reply.error(Errno::EBADF);
        };
        self.ask((number, None), reply, move |_, _, _, reply| {
            done(file.sync(), reply)
        });
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let handle = self.shared.handles().take(handle.0);
        // The node is told, which its own threads wait for.
        self.ask((number, None), reply, move |_, _, _, reply| {
            drop(handle);
            reply.ok();
        });
    }

    fn opendir(&self, request: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if number.0 == ROOT {
            let (shared, run) = (self.shared.clone(), self.run.clone());
            return self.finders.give(move || {
                let entry = |name: String| Entry {
                    kind: kind::DIRECTORY,
                    name: name.into_bytes(),
                };
                let nodes = nodes::known(&run).into_iter().map(entry).collect();
                shared.open_directory(Ok(nodes), reply);
            });
        }
        let who = self.who(request);
        self.ask((number, None), reply, move |remote, shared, spot, reply| {
            shared.open_directory(remote.list(who, &spot.path), reply);
        });
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(Handle::Directory(entries)) = self.shared.handles().get(handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let dots = [".", ".."].map(|dot| (FileType::Directory, dot.as_bytes()));
        let entries = entries.iter().map(|entry| {
            let kind = file_type(entry.kind).unwrap_or(FileType::RegularFile);
            (kind, &entry.name[..])
        });
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (n, (kind, name)) in dots.into_iter().chain(entries).enumerate().skip(skip) {
            let next = n as u64 + 1;
            if reply.add(UNKNOWN, next, kind, OsStr::from_bytes(name)) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.shared.handles().take(handle.0);
        reply.ok();
    }
}
