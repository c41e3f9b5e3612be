//! C's types to ours and back, and errno.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::ops::{Deref, DerefMut};

use libc::{iovec, size_t};

use crate::error::{Error, Result};

/// Parts of a message that are looked at without an allocation.
const FEW: usize = 8;

/// The most parts of a message: QNX's limit.
const PARTS_MAX: usize = 524_288;

/// Defines a call of QNX's in its two forms. Where it returns a number, that is what the body gives,
/// or -1 with errno; the `_r` form returns the negative errno. Where it returns nothing, it is 0, or
/// -1 with errno; the `_r` form returns the positive errno.
macro_rules! call {
    ($name:ident, $name_r:ident, ($($arg:ident: $type:ty),* $(,)?) -> $ret:ty $body:block) => {
        call!(@form $name, ($($arg: $type),*) -> $ret, $ret, $body, |error| {
            crate::ffi::convert::set_errno(error);
            -1
        });
        call!(@form $name_r, ($($arg: $type),*) -> $ret, $ret, $body, |error| {
            -(error.errno() as $ret)
        });
    };
    ($name:ident, $name_r:ident, ($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        call!(@form $name, ($($arg: $type),*) -> std::ffi::c_int, (), $body, |error| {
            crate::ffi::convert::set_errno(error);
            -1
        });
        call!(@form $name_r, ($($arg: $type),*) -> std::ffi::c_int, (), $body, |error| {
            error.errno()
        });
    };
    (@form $name:ident, ($($arg:ident: $type:ty),*) -> $ret:ty, $ok:ty, $body:block,
     |$error:ident| $failed:block) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "QNX's name")]
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> $ret {
            let run = || -> crate::error::Result<$ok> { $body };
            match run() {
                Ok(value) => crate::ffi::convert::Returned::returned(value),
                Err($error) => $failed,
            }
        }
    };
}

/// What a call that succeeded returns to C.
pub(super) trait Returned<T> {
    /// The value as C gets it.
    fn returned(self) -> T;
}

impl Returned<i32> for () {
    fn returned(self) -> i32 {
        0
    }
}

impl<T> Returned<T> for T {
    fn returned(self) -> T {
        self
    }
}

/// Sets errno.
pub(super) fn set_errno(error: Error) {
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = error.errno() };
}

/// The number, or -1 with errno set.
pub(super) fn number<T: From<i8>>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| {
        set_errno(error);
        T::from(-1)
    })
}

/// 0, or -1 with errno set.
pub(super) fn status(result: Result<()>) -> c_int {
    number(result.map(|()| 0))
}

/// A text of C's.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives through `'t`.
pub(super) unsafe fn text<'t>(text: *const c_char) -> Result<&'t str> {
    if text.is_null() {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::INVALID)
}

/// A buffer to read from.
///
/// # Safety
/// `at` is null or points to `len` readable bytes that live through `'b`.
pub(super) unsafe fn bytes<'b>(at: *const c_void, len: size_t) -> Result<&'b [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if at.is_null() || len > isize::MAX as usize {
        return Err(Error::FAULT);
    }
    // SAFETY: the caller's promise; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) })
}

/// A buffer to write to.
///
/// # Safety
/// `at` is null or points to `len` writable bytes that live through `'b`, used by nobody else
/// meanwhile.
pub(super) unsafe fn bytes_mut<'b>(at: *mut c_void, len: size_t) -> Result<&'b mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if at.is_null() || len > isize::MAX as usize {
        return Err(Error::FAULT);
    }
    // SAFETY: the caller's promise; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) })
}

/// Where a result goes; nowhere when null.
///
/// # Safety
/// `to` is null or valid for writing.
pub(super) unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's promise.
        unsafe { to.write(value) };
    }
}

/// The parts of a message: few of them need no allocation.
pub(super) enum Parts<T> {
    Few([T; FEW], usize),
    Many(Vec<T>),
}

impl<T> Deref for Parts<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Few(parts, count) => &parts[..*count],
            Self::Many(parts) => parts,
        }
    }
}

impl<T> DerefMut for Parts<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Few(parts, count) => &mut parts[..*count],
            Self::Many(parts) => parts,
        }
    }
}

/// Turns each vector of C's into a part.
///
/// # Safety
/// `iov` is null or points to `count` vectors that live through the call.
unsafe fn collect<T>(
    iov: *const iovec,
    count: size_t,
    empty: impl Fn() -> T,
    part: impl Fn(&iovec) -> Result<T>,
) -> Result<Parts<T>> {
    if count == 0 {
        return Ok(Parts::Many(Vec::new()));
    }
    if iov.is_null() {
        return Err(Error::FAULT);
    }
    if count > PARTS_MAX {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller's promise.
    let iov = unsafe { std::slice::from_raw_parts(iov, count) };
    if count > FEW {
        return Ok(Parts::Many(iov.iter().map(part).collect::<Result<_>>()?));
    }
    let mut parts = std::array::from_fn(|_| empty());
    for (to, from) in parts.iter_mut().zip(iov) {
        *to = part(from)?;
    }
    Ok(Parts::Few(parts, count))
}

/// The parts of a message to read from.
///
/// # Safety
/// `iov` is null or points to `count` vectors of readable bytes that live through `'b`.
pub(super) unsafe fn parts<'b>(iov: *const iovec, count: size_t) -> Result<Parts<IoSlice<'b>>> {
    // SAFETY: the caller's promise.
    let part = |v: &iovec| unsafe { bytes(v.iov_base, v.iov_len) }.map(IoSlice::new);
    // SAFETY: the caller's promise.
    unsafe { collect(iov, count, || IoSlice::new(&[]), part) }
}

/// The parts of a message to write to.
///
/// # Safety
/// `iov` is null or points to `count` vectors of writable bytes that live through `'b`, used by
/// nobody else meanwhile.
pub(super) unsafe fn parts_mut<'b>(
    iov: *const iovec,
    count: size_t,
) -> Result<Parts<IoSliceMut<'b>>> {
    // SAFETY: the caller's promise.
    let part = |v: &iovec| unsafe { bytes_mut(v.iov_base, v.iov_len) }.map(IoSliceMut::new);
    // SAFETY: the caller's promise.
    unsafe { collect(iov, count, || IoSliceMut::new(&mut []), part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(bytes: &[u8]) -> iovec {
        iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        }
    }

    #[test]
    fn few_and_many_parts_are_the_same_bytes() {
        let data: Vec<u8> = (0..20).collect();
        for count in [0, 1, FEW, FEW + 1, 20] {
            let iov: Vec<iovec> = data[..count].chunks(1).map(vector).collect();
            // SAFETY: each vector is a byte of `data`.
            let parts = unsafe { parts(iov.as_ptr(), count) }.unwrap();
            let bytes: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
            assert_eq!(bytes, data[..count]);
        }
    }

    #[test]
    fn null_is_an_error_only_with_a_length() {
        let null = |len| iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: len,
        };
        // SAFETY: nothing is read through null.
        unsafe {
            assert_eq!(parts(&null(0), 1).unwrap().len(), 1);
            assert_eq!(parts(&null(1), 1).err(), Some(Error::FAULT));
            assert_eq!(parts(std::ptr::null(), 1).err(), Some(Error::FAULT));
            assert_eq!(parts_mut(&null(usize::MAX), 1).err(), Some(Error::FAULT));
            assert!(bytes(std::ptr::null(), 0).unwrap().is_empty());
        }
    }
}
