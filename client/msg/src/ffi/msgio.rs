//! Files by message: the client's side.

use std::ffi::{c_char, c_int, c_void};

use libc::{mode_t, off_t, size_t, ssize_t};

use super::convert::{bytes, bytes_mut, number, put, status, text};
use crate::error::{Error, Result};
use crate::resmgr::call;
use crate::resmgr::message::StatReply;

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_open(path: *const c_char, oflag: c_int, mode: mode_t) -> c_int {
    // SAFETY: C's promise.
    number(unsafe { text(path) }.and_then(|path| call::open(path, oflag, mode)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_close(fd: c_int) -> c_int {
    status(call::close(fd))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_read(fd: c_int, buf: *mut c_void, nbytes: size_t) -> ssize_t {
    // SAFETY: C's promise.
    size(unsafe { bytes_mut(buf, nbytes) }.and_then(|buf| call::read(fd, buf)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_write(
    fd: c_int,
    buf: *const c_void,
    nbytes: size_t,
) -> ssize_t {
    // SAFETY: C's promise.
    size(unsafe { bytes(buf, nbytes) }.and_then(|buf| call::write(fd, buf)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_pread(
    fd: c_int,
    buf: *mut c_void,
    nbytes: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: C's promise.
    size(unsafe { bytes_mut(buf, nbytes) }.and_then(|buf| call::read_at(fd, buf, offset)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_pwrite(
    fd: c_int,
    buf: *const c_void,
    nbytes: size_t,
    offset: off_t,
) -> ssize_t {
    // SAFETY: C's promise.
    size(unsafe { bytes(buf, nbytes) }.and_then(|buf| call::write_at(fd, buf, offset)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t {
    number(call::seek(fd, offset, whence).map(u64::cast_signed))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_fstat(fd: c_int, st: *mut libc::stat) -> c_int {
    status(call::stat(fd).map(|reply| {
        // SAFETY: C's promise.
        unsafe { put(st, stat_out(&reply)) };
    }))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_readdir(fd: c_int, entry: *mut libc::dirent) -> c_int {
    number(call::read_entry(fd).map(|found| {
        let Some((ino, name)) = found else { return 0 };
        // SAFETY: all-zero bytes are a valid `struct dirent`.
        let mut to: libc::dirent = unsafe { std::mem::zeroed() };
        to.d_ino = ino;
        to.d_reclen = size_of::<libc::dirent>() as u16;
        for (to, &from) in to.d_name.iter_mut().zip(name.as_bytes()) {
            *to = from.cast_signed();
        }
        // SAFETY: C's promise.
        unsafe { put(entry, to) };
        1
    }))
}

/// Returns the error itself, as devctl() does.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn msg_devctl(
    fd: c_int,
    dcmd: c_int,
    data: *mut c_void,
    nbytes: size_t,
    info: *mut c_int,
) -> c_int {
    // SAFETY: C's promise.
    let data = unsafe { bytes_mut(data, nbytes) };
    match data.and_then(|data| call::devctl(fd, dcmd.cast_unsigned(), data)) {
        Ok(returned) => {
            // SAFETY: C's promise.
            unsafe { put(info, returned) };
            0
        }
        Err(error) => error.errno(),
    }
}

fn size(result: Result<usize>) -> ssize_t {
    number(result.and_then(|n| ssize_t::try_from(n).map_err(|_| Error::PROTOCOL)))
}

fn stat_out(from: &StatReply) -> libc::stat {
    // SAFETY: all-zero bytes are a valid `struct stat`.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    st.st_ino = from.ino;
    st.st_size = from.size.cast_signed();
    st.st_rdev = from.rdev;
    st.st_atime = from.atime;
    st.st_mtime = from.mtime;
    st.st_ctime = from.ctime;
    st.st_mode = from.mode;
    st.st_nlink = from.nlink.into();
    st.st_uid = from.uid;
    st.st_gid = from.gid;
    st.st_blksize = 4096;
    st.st_blocks = from.size.div_ceil(512).cast_signed();
    st
}
