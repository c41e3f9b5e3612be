//! Node descriptors.

use std::ffi::{c_char, c_int, c_uint};

use libc::size_t;

use super::convert::{bytes_mut, number, text};
use crate::error::Error;
use crate::netmgr;

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn netmgr_strtond(
    name: *const c_char,
    endstr: *mut *mut c_char,
) -> c_int {
    // SAFETY: C's promise.
    let found = unsafe { text(name) }.and_then(netmgr::strtond);
    number(found.map(|(nd, len)| {
        if !endstr.is_null() {
            // SAFETY: C's promise; `len` is no more than the text's length.
            unsafe { endstr.write(name.add(len).cast_mut()) };
        }
        nd.cast_signed()
    }))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn netmgr_ndtostr(
    flags: c_uint,
    nd: c_uint,
    buf: *mut c_char,
    maxbuf: size_t,
) -> c_int {
    // SAFETY: C's promise.
    number(unsafe { bytes_mut(buf.cast(), maxbuf) }.and_then(|buf| {
        let name = netmgr::ndtostr(flags, nd)?;
        if let Some(room) = buf.len().checked_sub(1) {
            let len = room.min(name.len());
            buf[..len].copy_from_slice(&name.as_bytes()[..len]);
            buf[len] = 0;
        }
        c_int::try_from(name.len() + 1).map_err(|_| Error::TOO_BIG)
    }))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn netmgr_remote_nd(remote_nd: c_uint, local_nd: c_uint) -> c_int {
    number(netmgr::remote_nd(remote_nd, local_nd).map(u32::cast_signed))
}
