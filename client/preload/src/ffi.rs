//! Between C's types and ours: errno, socket addresses, buffers.

use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use io_net_proto::address::{Address, FAMILY_NONE, FAMILY_V4};
use io_net_socket::{Errno, Result};
use libc::{iovec, size_t, sockaddr, sockaddr_in, socklen_t, ssize_t};

/// The most buffers of one vector call: Linux's UIO_MAXIOV.
const BUFFERS_MAX: usize = 1024;

/// Sets errno.
pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = errno.0 };
}

/// 0, or -1 with errno set.
pub(crate) fn status(result: Result<()>) -> c_int {
    number(result.map(|()| 0))
}

/// The number, or -1 with errno set.
pub(crate) fn number(result: Result<c_int>) -> c_int {
    result.unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    })
}

/// The size, or -1 with errno set.
pub(crate) fn size(result: Result<usize>) -> ssize_t {
    match result {
        Ok(n) => n as ssize_t,
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}

/// A descriptor of the program's, for the length of a call.
pub(crate) fn borrow(fd: c_int) -> BorrowedFd<'static> {
    // SAFETY: whoever looked it up in the table knows that it is not -1; that the program keeps it
    // open during its own call is the program's business, as with the kernel.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Reads a socket address. AF_UNSPEC is the address of family none.
///
/// # Safety
/// `address` is null or points to `len` readable bytes.
pub(crate) unsafe fn address_in(address: *const sockaddr, len: socklen_t) -> Result<Address> {
    if address.is_null() || (len as usize) < size_of::<libc::sa_family_t>() {
        return Err(Errno::INVALID);
    }
    // SAFETY: the family's two bytes are there.
    let family = unsafe { std::ptr::addr_of!((*address).sa_family).read_unaligned() };
    match c_int::from(family) {
        libc::AF_UNSPEC => Ok(Address {
            family: FAMILY_NONE,
            ..Address::default()
        }),
        libc::AF_INET if len as usize >= size_of::<sockaddr_in>() => {
            // SAFETY: the whole structure is there.
            let v4 = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let mut ip = [0; 16];
            ip[..4].copy_from_slice(&v4.sin_addr.s_addr.to_ne_bytes());
            Ok(Address {
                family: FAMILY_V4,
                port: u16::from_be(v4.sin_port),
                scope: 0,
                ip,
            })
        }
        libc::AF_INET => Err(Errno::INVALID),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Writes a socket address as far as there is room, and its full length, as the kernel does.
///
/// # Safety
/// `len` is null, or both it and the `*len` bytes at `address` are writable.
pub(crate) unsafe fn address_out(
    from: Address,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> Result<()> {
    if address.is_null() || len.is_null() {
        return Ok(());
    }
    let v4 = sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: from.port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([from.ip[0], from.ip[1], from.ip[2], from.ip[3]]),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: `len` is readable and writable; no more than the room it tells of is written.
    unsafe {
        let room = len.read() as usize;
        if room > i32::MAX as usize {
            return Err(Errno::INVALID);
        }
        let full = size_of::<sockaddr_in>();
        std::ptr::copy_nonoverlapping((&raw const v4).cast::<u8>(), address.cast(), room.min(full));
        len.write(full as socklen_t);
    }
    Ok(())
}

/// A buffer to read from.
///
/// # Safety
/// `buf` points to `len` readable bytes that live through `'b`.
pub(crate) unsafe fn bytes<'b>(buf: *const c_void, len: size_t) -> &'b [u8] {
    if buf.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; no object is longer than isize::MAX.
    unsafe { std::slice::from_raw_parts(buf.cast(), len.min(isize::MAX as usize)) }
}

/// A buffer to write to.
///
/// # Safety
/// `buf` points to `len` writable bytes that live through `'b`, used by nobody else meanwhile.
pub(crate) unsafe fn bytes_mut<'b>(buf: *mut c_void, len: size_t) -> &'b mut [u8] {
    if buf.is_null() || len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise; no object is longer than isize::MAX.
    unsafe { std::slice::from_raw_parts_mut(buf.cast(), len.min(isize::MAX as usize)) }
}

/// Checks a vector's length.
fn vector_len(count: usize) -> Result<usize> {
    if count > BUFFERS_MAX {
        Err(Errno::INVALID)
    } else {
        Ok(count)
    }
}

/// The buffers of a vector to read from.
///
/// # Safety
/// `bufs` points to `count` iovecs of readable bytes that live through `'b`.
pub(crate) unsafe fn slices<'b>(bufs: *const iovec, count: usize) -> Result<&'b [IoSlice<'b>]> {
    if vector_len(count)? == 0 || bufs.is_null() {
        return Ok(&[]);
    }
    // SAFETY: IoSlice has iovec's layout (its documentation promises it); the rest is the caller's
    // promise.
    Ok(unsafe { std::slice::from_raw_parts(bufs.cast(), count) })
}

/// The buffers of a vector to write to.
///
/// # Safety
/// `bufs` points to `count` iovecs of writable bytes that live through `'b`.
pub(crate) unsafe fn slices_mut<'b>(
    bufs: *const iovec,
    count: usize,
) -> Result<&'b mut [IoSliceMut<'b>]> {
    if vector_len(count)? == 0 || bufs.is_null() {
        return Ok(&mut []);
    }
    // SAFETY: IoSliceMut has iovec's layout (its documentation promises it). The vector itself is
    // only read through this, so that it may be in constant memory.
    Ok(unsafe { std::slice::from_raw_parts_mut(bufs.cast_mut().cast(), count) })
}
