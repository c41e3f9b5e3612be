//! Bytes in and out: read, write, send, recv and their kin.

use std::ffi::{c_int, c_uint, c_void};
use std::io::{IoSlice, IoSliceMut};

use io_net_os::signal;
use io_net_proto::address::Address;
use io_net_proto::slot::Record;
use io_net_socket::{Endpoint, Errno, Received, Result, Until, table};
use libc::{iovec, off_t, size_t, sockaddr, socklen_t, ssize_t};

use crate::ffi::{address_in, address_out, borrow, bytes, bytes_mut, size, slices, slices_mut};
use crate::real;

/// Bytes that sendfile moves at a time.
const FILE_PART: usize = 64 * 1024;

/// Sends on one of our sockets with `MSG_*` flags; raises SIGPIPE as Linux does.
pub(crate) fn send_on(
    endpoint: Endpoint,
    fd: c_int,
    bufs: &[IoSlice<'_>],
    record: Record,
    flags: c_int,
) -> Result<usize> {
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let dont_wait = flags & libc::MSG_DONTWAIT != 0;
    let until = if dont_wait {
        Until::Now
    } else {
        endpoint.send_until()
    };
    let stream = endpoint.is_stream();
    if stream && flags & libc::MSG_FASTOPEN != 0 && record.peer != Address::default() {
        endpoint.connect(borrow(fd), record.peer, until)?;
    }
    let sent = match stream {
        true => endpoint.send_stream(borrow(fd), bufs, until),
        false => endpoint.send_datagram(borrow(fd), bufs, record, until),
    };
    if sent == Err(Errno::PIPE) && stream && flags & libc::MSG_NOSIGNAL == 0 {
        signal::raise_sigpipe();
    }
    sent
}

/// Receives from one of our sockets with `MSG_*` flags. The record is a datagram's.
pub(crate) fn receive_on(
    endpoint: Endpoint,
    fd: c_int,
    bufs: &mut [IoSliceMut<'_>],
    flags: c_int,
) -> Result<(usize, Option<Received>)> {
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno::INVALID);
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno::AGAIN);
    }
    let dont_wait = flags & libc::MSG_DONTWAIT != 0;
    let until = if dont_wait {
        Until::Now
    } else {
        endpoint.receive_until()
    };
    let peek = flags & libc::MSG_PEEK != 0;
    if endpoint.is_stream() {
        let low = if flags & libc::MSG_WAITALL != 0 {
            usize::MAX
        } else {
            1
        };
        let n = endpoint.receive_stream(borrow(fd), bufs, low, peek, until)?;
        return Ok((n, None));
    }
    match endpoint.receive_datagram(borrow(fd), bufs, peek, until)? {
        Some(r) if flags & libc::MSG_TRUNC != 0 => Ok((r.full_len, Some(r))),
        Some(r) => Ok((r.len, Some(r))),
        None => Ok((0, None)),
    }
}

fn send_plain(endpoint: Endpoint, fd: c_int, buf: &[u8], flags: c_int) -> ssize_t {
    size(send_on(
        endpoint,
        fd,
        &[IoSlice::new(buf)],
        Record::default(),
        flags,
    ))
}

fn receive_plain(endpoint: Endpoint, fd: c_int, buf: &mut [u8], flags: c_int) -> ssize_t {
    size(receive_on(endpoint, fd, &mut [IoSliceMut::new(buf)], flags).map(|(n, _)| n))
}

/// # Safety
/// As read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => receive_plain(endpoint, fd, bytes_mut(buf, len), 0),
            None => real::read(fd, buf, len),
        }
    }
}

/// # Safety
/// As read(2), `room` being the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __read_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    if len > room {
        std::process::abort();
    }
    // SAFETY: the caller's promise.
    unsafe { read(fd, buf, len) }
}

/// # Safety
/// As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => send_plain(endpoint, fd, bytes(buf, len), 0),
            None => real::write(fd, buf, len),
        }
    }
}

/// # Safety
/// As readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(fd: c_int, bufs: *const iovec, count: c_int) -> ssize_t {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::readv(fd, bufs, count) };
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // SAFETY: the caller's promise.
    let bufs = unsafe { slices_mut(bufs, count) };
    size(
        bufs.and_then(|bufs| receive_on(endpoint, fd, bufs, 0))
            .map(|(n, _)| n),
    )
}

/// # Safety
/// As writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, bufs: *const iovec, count: c_int) -> ssize_t {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::writev(fd, bufs, count) };
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // SAFETY: the caller's promise.
    let bufs = unsafe { slices(bufs, count) };
    size(bufs.and_then(|bufs| send_on(endpoint, fd, bufs, Record::default(), 0)))
}

/// # Safety
/// As send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => send_plain(endpoint, fd, bytes(buf, len), flags),
            None => real::send(fd, buf, len, flags),
        }
    }
}

/// # Safety
/// As sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::sendto(fd, buf, len, flags, address, address_len) };
    };
    let mut record = Record::default();
    if !address.is_null() {
        // SAFETY: the caller's promise.
        match unsafe { address_in(address, address_len) } {
            Ok(peer) => record.peer = peer,
            Err(errno) => return size(Err(errno)),
        }
    }
    // SAFETY: the caller's promise.
    let buf = unsafe { bytes(buf, len) };
    size(send_on(endpoint, fd, &[IoSlice::new(buf)], record, flags))
}

/// # Safety
/// As recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => receive_plain(endpoint, fd, bytes_mut(buf, len), flags),
            None => real::recv(fd, buf, len, flags),
        }
    }
}

/// # Safety
/// As recv(2), `room` being the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    if len > room {
        std::process::abort();
    }
    // SAFETY: the caller's promise.
    unsafe { recv(fd, buf, len, flags) }
}

/// # Safety
/// As recvfrom(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::recvfrom(fd, buf, len, flags, address, address_len) };
    };
    // SAFETY: the caller's promise.
    let buf = unsafe { bytes_mut(buf, len) };
    let received = receive_on(endpoint, fd, &mut [IoSliceMut::new(buf)], flags);
    size(received.and_then(|(n, datagram)| {
        // SAFETY: the caller's promise.
        unsafe {
            match datagram {
                Some(datagram) => address_out(datagram.record.peer, address, address_len)?,
                // A stream has no name to give: the kernel leaves the address alone too.
                None if !address_len.is_null() => address_len.write(0),
                None => {}
            }
        }
        Ok(n)
    }))
}

/// # Safety
/// As recvfrom(2), `room` being the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    if len > room {
        std::process::abort();
    }
    // SAFETY: the caller's promise.
    unsafe { recvfrom(fd, buf, len, flags, address, address_len) }
}

/// # Safety
/// As sendfile(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    match (table::socket(out), table::socket(from)) {
        // SAFETY: the caller's promise.
        (None, None) => unsafe { real::sendfile(out, from, offset, count) },
        // SAFETY: the caller's promise.
        (Some(endpoint), None) => size(unsafe { send_file(endpoint, out, from, offset, count) }),
        _ => size(Err(Errno::INVALID)),
    }
}

/// # Safety
/// As sendfile(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise; off_t has 64 bits here.
    unsafe { sendfile(out, from, offset, count) }
}

/// Reads part by part, ahead of what was sent by at most one part; the file's position ends up
/// after what was sent.
unsafe fn send_file(
    endpoint: Endpoint,
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> Result<usize> {
    // SAFETY: `offset` is null or valid, as sendfile demands.
    let start = match unsafe { offset.as_ref() } {
        Some(offset) => *offset,
        // SAFETY: lseek touches no memory.
        None => match unsafe { libc::lseek(from, 0, libc::SEEK_CUR) } {
            -1 => return Err(Errno::INVALID),
            position => position,
        },
    };
    let mut buf = vec![0_u8; FILE_PART.min(count)];
    let mut sent = 0;
    while sent < count {
        let want = buf.len().min(count - sent);
        // SAFETY: `buf` has room for `want` bytes.
        let n = unsafe { libc::pread(from, buf.as_mut_ptr().cast(), want, start + sent as off_t) };
        let n = match usize::try_from(n) {
            Ok(0) => break,
            Ok(n) => n,
            Err(_) if sent > 0 => break,
            Err(_) => return Err(std::io::Error::last_os_error().into()),
        };
        match send_on(
            endpoint,
            out,
            &[IoSlice::new(&buf[..n])],
            Record::default(),
            0,
        ) {
            Ok(m) => {
                sent += m;
                if m < n {
                    break;
                }
            }
            Err(_) if sent > 0 => break,
            Err(e) => return Err(e),
        }
    }
    let end = start + sent as off_t;
    // SAFETY: as above.
    unsafe {
        match offset.as_mut() {
            Some(offset) => *offset = end,
            None => drop(libc::lseek(from, end, libc::SEEK_SET)),
        }
    }
    Ok(sent)
}

/// Our sockets cannot be spliced, which programs that use it are ready for: EINVAL.
///
/// # Safety
/// As splice(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut i64,
    to: c_int,
    to_offset: *mut i64,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if table::socket(from).is_some() || table::socket(to).is_some() {
        return size(Err(Errno::INVALID));
    }
    // SAFETY: the caller's promise.
    unsafe { real::splice(from, from_offset, to, to_offset, len, flags) }
}
