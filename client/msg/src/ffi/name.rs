//! name_attach and name_open.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr::null_mut;

use super::convert::{number, set_errno, status, text};
use super::dispatch::Dispatch;
use crate::error::{Error, Result};
use crate::name::{self, Attached, Scope};
use crate::{Connection, handle};

const DETACH_SAVEDPP: c_uint = 1;
const ATTACH_GLOBAL: c_uint = 2;

/// `name_attach_t`, and behind it what C does not see.
#[repr(C)]
pub(crate) struct NameAttach {
    dpp: *mut Dispatch,
    chid: c_int,
    mntid: c_int,
    zero: [c_int; 2],
    _attached: Attached,
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn name_attach(
    dpp: *mut Dispatch,
    path: *const c_char,
    flags: c_uint,
) -> *mut NameAttach {
    // SAFETY: C's promise.
    match unsafe { attach(dpp, path, flags) } {
        Ok(attached) => Box::into_raw(Box::new(attached)),
        Err(error) => {
            set_errno(error);
            null_mut()
        }
    }
}

/// # Safety
/// As `name_attach`.
unsafe fn attach(dpp: *mut Dispatch, path: *const c_char, flags: c_uint) -> Result<NameAttach> {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path)? };
    let scope = if flags & ATTACH_GLOBAL == 0 {
        Scope::Local
    } else {
        Scope::Global
    };
    // SAFETY: the caller's promise.
    let given = unsafe { dpp.as_ref() };
    let chid = match given {
        Some(dispatch) => dispatch.chid,
        None => handle::channel_create(name::CHANNEL_FLAGS)?,
    };
    match Attached::new(path, scope, chid) {
        Ok(attached) => Ok(NameAttach {
            dpp,
            chid,
            mntid: 0,
            zero: [0; 2],
            _attached: attached,
        }),
        Err(error) => {
            if given.is_none() {
                let _ = handle::channel_destroy(chid);
            }
            Err(error)
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn name_detach(attach: *mut NameAttach, flags: c_uint) -> c_int {
    if attach.is_null() {
        return status(Err(Error::INVALID));
    }
    // SAFETY: C's promise: name_attach made it, and it was not detached before.
    let attach = unsafe { Box::from_raw(attach) };
    let chid = attach.chid;
    let own = attach.dpp.is_null() && flags & DETACH_SAVEDPP == 0;
    drop(attach);
    let result = if own {
        handle::channel_destroy(chid)
    } else {
        Ok(())
    };
    status(result)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn name_open(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: C's promise.
    let opened = unsafe { text(path) }
        .and_then(|path| name::open(path, flags.cast_unsigned() & ATTACH_GLOBAL != 0));
    number(opened.map(Connection::into_coid))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn name_close(coid: c_int) -> c_int {
    status(handle::connect_detach(coid))
}
