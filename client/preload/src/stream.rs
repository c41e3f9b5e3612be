//! stdio over sockets.
//!
//! The C library's streams read and write without going through its public functions. A stream
//! opened on a socket of ours is therefore one whose reading, writing and closing are functions of
//! our own.

use std::ffi::{c_char, c_int, c_void};

use io_net_socket::table;
use libc::{FILE, size_t, ssize_t};

use crate::{bytes, descriptor, real};

#[repr(C)]
struct CookieFunctions {
    read: extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t,
    write: extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t,
    seek: *const c_void,
    close: extern "C" fn(*mut c_void) -> c_int,
}

unsafe extern "C" {
    fn fopencookie(
        cookie: *mut c_void,
        mode: *const c_char,
        functions: CookieFunctions,
    ) -> *mut FILE;
}

extern "C" fn cookie_read(fd: *mut c_void, buf: *mut c_char, len: size_t) -> ssize_t {
    // SAFETY: the C library passes its own buffer.
    unsafe { bytes::read(fd.addr() as c_int, buf.cast(), len) }
}

extern "C" fn cookie_write(fd: *mut c_void, buf: *const c_char, len: size_t) -> ssize_t {
    // SAFETY: the C library passes its own buffer. It takes 0 for an error here, where read's kin
    // have -1.
    unsafe { bytes::write(fd.addr() as c_int, buf.cast(), len).max(0) }
}

extern "C" fn cookie_close(fd: *mut c_void) -> c_int {
    // SAFETY: the stream owned the descriptor.
    unsafe { descriptor::close(fd.addr() as c_int) }
}

/// # Safety
/// As fdopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
    if table::socket(fd).is_none() {
        // SAFETY: the caller's promise.
        return unsafe { real::fdopen(fd, mode) };
    }
    let functions = CookieFunctions {
        read: cookie_read,
        write: cookie_write,
        seek: std::ptr::null(),
        close: cookie_close,
    };
    // SAFETY: `mode` is the caller's; the cookie is a number, never dereferenced.
    unsafe {
        let stream = fopencookie(
            std::ptr::without_provenance_mut(fd as usize),
            mode,
            functions,
        );
        set_fileno(stream, fd);
        stream
    }
}

/// Makes fileno tell the descriptor, which the C library does not know of a cookie's stream.
unsafe fn set_fileno(stream: *mut FILE, fd: c_int) {
    /// Where glibc keeps it in `struct _IO_FILE` (part of its ABI, as old macros used it inline).
    const FILENO: usize = 112;
    if cfg!(all(target_env = "gnu", target_pointer_width = "64")) && !stream.is_null() {
        // SAFETY: the stream is glibc's and that large. Its cookie functions do not look at the
        // field.
        unsafe { stream.byte_add(FILENO).cast::<c_int>().write(fd) };
    }
}
