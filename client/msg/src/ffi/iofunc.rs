//! What resource managers have in common: attributes, opens with an offset, and the usual handlers.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libc::{gid_t, iovec, mode_t, size_t, uid_t};
use zerocopy::IntoBytes;

use super::channel::RawClientInfo;
use super::convert::text;
use super::dispatch::Context;
use super::resmgr::{ConnectFuncs, DEFAULT, IoFuncs, resmgr_open_bind};
use crate::handle;
use crate::resmgr::Attributes;
use crate::resmgr::attributes::now;
use crate::resmgr::message::{Connect, Dirent, FLAG_READ, FLAG_WRITE, Seek, Transfer};

const ATIME: u32 = 1;
const MTIME: u32 = 2;
const CTIME: u32 = 4;

/// `_RESMGR_NPARTS(1)`.
const ONE_PART: c_int = -1;

type Calloc = unsafe extern "C" fn(*mut Context, *mut Attr) -> *mut Ocb;
type Free = unsafe extern "C" fn(*mut Ocb);

/// `iofunc_funcs_t`.
#[repr(C)]
pub(crate) struct Funcs {
    nfuncs: c_uint,
    ocb_calloc: Option<Calloc>,
    ocb_free: Option<Free>,
}

/// `iofunc_mount_t`.
#[repr(C)]
pub(crate) struct Mount {
    flags: u32,
    funcs: *const Funcs,
}

/// `iofunc_attr_t`.
#[repr(C)]
pub(crate) struct Attr {
    mount: *const Mount,
    flags: u32,
    count: u32,
    rcount: u32,
    wcount: u32,
    inode: u64,
    rdev: u64,
    nbytes: i64,
    mtime: i64,
    atime: i64,
    ctime: i64,
    mode: u32,
    nlink: u32,
    uid: uid_t,
    gid: gid_t,
}

/// `iofunc_ocb_t`.
#[repr(C)]
pub(crate) struct Ocb {
    attr: *mut Attr,
    ioflag: u32,
    flags: u32,
    offset: i64,
}

// As tests/c/names.c finds them in C.
const _: () = {
    assert!(size_of::<Attr>() == 88);
    assert!(size_of::<Ocb>() == 24);
    assert!(size_of::<IoFuncs>() == 80);
};

impl Attr {
    fn attributes(&self) -> Attributes {
        Attributes {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.nbytes.max(0).cast_unsigned(),
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }

    /// The function that the device's mount has for making or freeing an open.
    ///
    /// # Safety
    /// The mount and its functions, where there are any, live.
    unsafe fn mounted<T>(&self, of: impl Fn(&Funcs) -> Option<T>) -> Option<T> {
        // SAFETY: the caller's promise.
        unsafe { self.mount.as_ref()?.funcs.as_ref().and_then(of) }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_func_init(
    nconnect: c_uint,
    connect_funcs: *mut ConnectFuncs,
    nio: c_uint,
    io_funcs: *mut IoFuncs,
) {
    // SAFETY: C's promise. Each handler takes pointers, of which C's types say to what.
    unsafe {
        if !connect_funcs.is_null() {
            connect_funcs.write(ConnectFuncs {
                nfuncs: nconnect,
                open: Some(iofunc_open_default),
            });
        }
        if !io_funcs.is_null() {
            io_funcs.write(IoFuncs {
                nfuncs: nio,
                read: Some(iofunc_read_default),
                write: Some(iofunc_write_default),
                close_ocb: Some(iofunc_close_ocb_default),
                stat: Some(iofunc_stat_default),
                devctl: Some(iofunc_devctl_default),
                unblock: Some(iofunc_unblock_default),
                lseek: Some(iofunc_lseek_default),
                msg: None,
                sync: Some(iofunc_sync_default),
            });
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_attr_init(
    attr: *mut Attr,
    mode: mode_t,
    _dattr: *mut Attr,
    info: *const RawClientInfo,
) {
    // SAFETY: C's promise.
    let (uid, gid) = unsafe { info.as_ref() }.map_or((0, 0), RawClientInfo::ids);
    let now = now();
    // SAFETY: C's promise.
    unsafe {
        attr.write(Attr {
            mount: std::ptr::null(),
            flags: 0,
            count: 0,
            rcount: 0,
            wcount: 0,
            inode: 1,
            rdev: 0,
            nbytes: 0,
            mtime: now,
            atime: now,
            ctime: now,
            mode,
            nlink: 1,
            uid,
            gid,
        });
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_time_update(attr: *mut Attr) -> c_int {
    // SAFETY: C's promise.
    update(unsafe { &mut *attr });
    0
}

fn update(attr: &mut Attr) {
    let now = now();
    let times = [
        (ATIME, &mut attr.atime),
        (MTIME, &mut attr.mtime),
        (CTIME, &mut attr.ctime),
    ];
    for (flag, time) in times {
        if attr.flags & flag != 0 {
            *time = now;
        }
    }
    attr.flags &= !(ATIME | MTIME | CTIME);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_open(
    ctp: *mut Context,
    msg: *mut c_void,
    attr: *mut Attr,
    _dattr: *mut Attr,
    _info: *mut RawClientInfo,
) -> c_int {
    // SAFETY: C's promise: the context and the message of an open.
    let (context, connect, attr) = unsafe { (&*ctp, msg.cast::<Connect>().read(), &*attr) };
    let may = handle::connect_client_info(context.client().0)
        .and_then(|client| attr.attributes().permit(&client, connect.ioflag));
    may.map_or_else(|error| error.errno(), |()| 0)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_open_default(
    ctp: *mut Context,
    msg: *mut c_void,
    attr: *mut c_void,
    _extra: *mut c_void,
) -> c_int {
    let attr = attr.cast::<Attr>();
    // SAFETY: the message of an open, whose path is behind its structure and ends with a NUL.
    if unsafe { msg.cast::<u8>().add(size_of::<Connect>()).read() } != 0 {
        return libc::ENOENT;
    }
    // SAFETY: C's promise, passed on.
    let refused =
        unsafe { iofunc_open(ctp, msg, attr, std::ptr::null_mut(), std::ptr::null_mut()) };
    if refused != 0 {
        return refused;
    }
    // SAFETY: the device's functions are C's, for this; what they make begins with an `Ocb`.
    unsafe {
        let ioflag = (*msg.cast::<Connect>()).ioflag;
        let ocb = match (*attr).mounted(|funcs| funcs.ocb_calloc) {
            Some(calloc) => calloc(ctp, attr),
            None => Box::into_raw(Box::new(Ocb {
                attr,
                ioflag,
                flags: 0,
                offset: 0,
            })),
        };
        if ocb.is_null() {
            return libc::ENOMEM;
        }
        ((*ocb).attr, (*ocb).ioflag, (*ocb).offset) = (attr, ioflag, 0);
        (*attr).count += 1;
        (*attr).rcount += u32::from(ioflag & FLAG_READ != 0);
        (*attr).wcount += u32::from(ioflag & FLAG_WRITE != 0);
        if resmgr_open_bind(ctp, ocb.cast(), std::ptr::null()) != 0 {
            iofunc_close_ocb_default(ctp, std::ptr::null_mut(), ocb.cast());
            return libc::EINVAL;
        }
    }
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_close_ocb_default(
    _ctp: *mut Context,
    _reserved: *mut c_void,
    ocb: *mut c_void,
) -> c_int {
    let ocb = ocb.cast::<Ocb>();
    // SAFETY: C's promise: iofunc_open_default made it, by the same functions, and it is not used
    // any more.
    unsafe {
        let (attr, ioflag) = ((*ocb).attr, (*ocb).ioflag);
        let attr = &mut *attr;
        attr.count = attr.count.saturating_sub(1);
        let less = |count: &mut u32, flag| *count = count.saturating_sub(flag);
        less(&mut attr.rcount, u32::from(ioflag & FLAG_READ != 0));
        less(&mut attr.wcount, u32::from(ioflag & FLAG_WRITE != 0));
        match (
            attr.mounted(|funcs| funcs.ocb_calloc),
            attr.mounted(|funcs| funcs.ocb_free),
        ) {
            (None, _) => drop(Box::from_raw(ocb)),
            (Some(_), Some(free)) => free(ocb),
            // Whoever makes opens of its own and frees none keeps them.
            (Some(_), None) => {}
        }
    }
    0
}

/// Whether an open has a flag, and whether it waits.
///
/// # Safety
/// `ocb` is an open; `nonblock` is null or writable.
unsafe fn verify(ocb: *const Ocb, flag: u32, nonblock: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    let ioflag = unsafe { (*ocb).ioflag };
    let waits_not = ioflag & libc::O_NONBLOCK.cast_unsigned() != 0;
    // SAFETY: the caller's promise.
    unsafe { super::convert::put(nonblock, c_int::from(waits_not)) };
    if ioflag & flag == 0 { libc::EBADF } else { 0 }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_read_verify(
    _ctp: *mut Context,
    _msg: *mut c_void,
    ocb: *mut Ocb,
    nonblock: *mut c_int,
) -> c_int {
    // SAFETY: C's promise.
    unsafe { verify(ocb, FLAG_READ, nonblock) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_write_verify(
    _ctp: *mut Context,
    _msg: *mut c_void,
    ocb: *mut Ocb,
    nonblock: *mut c_int,
) -> c_int {
    // SAFETY: C's promise.
    unsafe { verify(ocb, FLAG_WRITE, nonblock) }
}

/// The end of the file.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_read_default(
    ctp: *mut Context,
    msg: *mut c_void,
    ocb: *mut c_void,
) -> c_int {
    // SAFETY: C's promise.
    unsafe { iofunc_read_verify(ctp, msg, ocb.cast(), std::ptr::null_mut()) }
}

/// All is taken and forgotten.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_write_default(
    ctp: *mut Context,
    msg: *mut c_void,
    ocb: *mut c_void,
) -> c_int {
    // SAFETY: C's promise: the context and the message of a write.
    unsafe {
        let refused = iofunc_write_verify(ctp, msg, ocb.cast(), std::ptr::null_mut());
        if refused == 0 {
            (*ctp).status = (*msg.cast::<Transfer>()).nbytes.into();
        }
        refused
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_stat_default(
    ctp: *mut Context,
    msg: *mut c_void,
    ocb: *mut c_void,
) -> c_int {
    // SAFETY: C's promise: an open, and the context and the message of a stat.
    unsafe {
        let attr = &mut *(*ocb.cast::<Ocb>()).attr;
        update(attr);
        let mut reply = attr.attributes().reply();
        (reply.ino, reply.rdev, reply.nlink) = (attr.inode, attr.rdev, attr.nlink);
        one_part(ctp, msg, reply.as_bytes())
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_lseek_default(
    ctp: *mut Context,
    msg: *mut c_void,
    ocb: *mut c_void,
) -> c_int {
    // SAFETY: C's promise: an open, and the context and the message of a seek.
    unsafe {
        let seek = msg.cast::<Seek>().read();
        let ocb = &mut *ocb.cast::<Ocb>();
        let from = match i32::from(seek.whence) {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => ocb.offset,
            libc::SEEK_END => (*ocb.attr).nbytes,
            _ => return libc::EINVAL,
        };
        match from.checked_add(seek.offset).filter(|&to| to >= 0) {
            Some(to) => {
                ocb.offset = to;
                one_part(ctp, msg, to.as_bytes())
            }
            None => libc::EINVAL,
        }
    }
}

/// Puts a reply of one part where the message was.
///
/// # Safety
/// The context holds the message at `msg`, which has at least a page of room.
unsafe fn one_part(ctp: *mut Context, msg: *mut c_void, reply: &[u8]) -> c_int {
    // SAFETY: the caller's promise; no reply here is as long as a page.
    unsafe {
        std::ptr::copy_nonoverlapping(reply.as_ptr(), msg.cast(), reply.len());
        (*ctp).iov[0] = iovec {
            iov_base: msg,
            iov_len: reply.len(),
        };
    }
    ONE_PART
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_dirent(
    buffer: *mut c_void,
    room: size_t,
    ino: u64,
    next: u64,
    name: *const c_char,
) -> size_t {
    // SAFETY: C's promise.
    let record = unsafe { text(name) }.map(|name| Dirent::with_name(ino, next, name));
    match record {
        Ok(Some(record)) if record.len() <= room => {
            // SAFETY: C's promise: there is so much room.
            unsafe { std::ptr::copy_nonoverlapping(record.as_ptr(), buffer.cast(), record.len()) };
            record.len()
        }
        _ => 0,
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_devctl_default(
    _ctp: *mut Context,
    _msg: *mut c_void,
    _ocb: *mut c_void,
) -> c_int {
    DEFAULT
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_unblock_default(
    _ctp: *mut Context,
    _pulse: *mut c_void,
    _ocb: *mut c_void,
) -> c_int {
    DEFAULT
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn iofunc_sync_default(
    _ctp: *mut Context,
    _msg: *mut c_void,
    _ocb: *mut c_void,
) -> c_int {
    0
}
