//! The files of one registrant, served by FUSE.
//!
//! A file's text is made when it is opened and kept until it is closed: a reader sees one moment.

use super::Host;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, Request,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Texts that readers of one registrant may hold at once.
const OPEN_MAX: usize = 256;

/// How long the kernel may believe an attribute; none ever changes.
const TTL: Duration = Duration::from_secs(3600);

/// A file of a registrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// What it is.
    Config,
    /// What it has done.
    Stats,
    /// The state of its link; of drivers only.
    Link,
}

impl File {
    const ALL: [File; 3] = [File::Config, File::Stats, File::Link];

    fn name(self) -> &'static str {
        match self {
            File::Config => "config",
            File::Stats => "stats",
            File::Link => "link",
        }
    }

    /// The root directory is 1.
    fn inode(self) -> INodeNo {
        INodeNo(2 + self as u64)
    }
}

/// The file system of one registrant.
pub(super) struct Files {
    name: String,
    files: &'static [File],
    host: Arc<dyn Host>,
    born: SystemTime,
    open: Mutex<Open>,
}

/// Texts in readers' hands.
#[derive(Default)]
struct Open {
    last: u64,
    texts: HashMap<u64, String>,
}

impl Files {
    pub(super) fn new(name: String, link: bool, host: Arc<dyn Host>) -> Self {
        Files {
            name,
            files: if link { &File::ALL } else { &File::ALL[..2] },
            host,
            born: SystemTime::now(),
            open: Mutex::default(),
        }
    }

    fn by_inode(&self, inode: INodeNo) -> Option<File> {
        self.files
            .iter()
            .copied()
            .find(|file| file.inode() == inode)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let directory = inode == INodeNo::ROOT;
        FileAttr {
            ino: inode,
            size: 0,
            blocks: 0,
            atime: self.born,
            mtime: self.born,
            ctime: self.born,
            crtime: self.born,
            kind: if directory {
                FileType::Directory
            } else {
                FileType::RegularFile
            },
            perm: if directory { 0o555 } else { 0o444 },
            nlink: if directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut files = self.files.iter().filter(|_| parent == INodeNo::ROOT);
        match files.find(|file| name == file.name()) {
            Some(file) => reply.entry(&TTL, &self.attributes(file.inode()), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if inode == INodeNo::ROOT || self.by_inode(inode).is_some() {
            reply.attr(&TTL, &self.attributes(inode));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let Some(file) = self.by_inode(inode) else {
            return reply.error(Errno::ENOENT);
        };
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EACCES);
        }
        if self.open().texts.len() >= OPEN_MAX {
            return reply.error(Errno::EMFILE);
        }
        let Some(text) = self.host.text(&self.name, file) else {
            return reply.error(Errno::EIO);
        };
        let mut open = self.open();
        open.last += 1;
        let handle = open.last;
        open.texts.insert(handle, text);
        // Past the page cache: the size is not known beforehand.
        reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let open = self.open();
        let Some(text) = open.texts.get(&handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let start = usize::try_from(offset).map_or(text.len(), |at| at.min(text.len()));
        let end = start.saturating_add(size as usize).min(text.len());
        reply.data(&text.as_bytes()[start..end]);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open().texts.remove(&handle.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if inode != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let dots = [".", ".."].map(|dot| (INodeNo::ROOT, FileType::Directory, dot));
        let files = self.files.iter();
        let files = files.map(|file| (file.inode(), FileType::RegularFile, file.name()));
        let entries = dots.into_iter().chain(files).zip(1..);
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((inode, kind, name), next) in entries.skip(skip) {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
