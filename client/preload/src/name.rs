//! Making, naming and connecting sockets, and their options.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use io_net_proto::slot::{SHUT_RX, SHUT_TX};
use io_net_socket::table::{self, Entry};
use io_net_socket::{Endpoint, Errno, Result, session};
use libc::{sockaddr, socklen_t};

use crate::ffi::{address_in, address_out, borrow, bytes, bytes_mut, number, status};
use crate::real;

/// Makes `doorbell` the program's descriptor of a socket, with the flags that it asked for.
fn publish(endpoint: Endpoint, doorbell: OwnedFd, flags: c_int) -> Result<c_int> {
    if flags & libc::SOCK_NONBLOCK != 0 {
        io_net_os::fd::set_nonblocking(borrow(doorbell.as_raw_fd()), true)?;
        endpoint.set_nonblocking(true);
    }
    if flags & libc::SOCK_CLOEXEC == 0 {
        // SAFETY: F_SETFD touches no memory.
        unsafe { real::fcntl(doorbell.as_raw_fd(), libc::F_SETFD, 0) };
    }
    match table::set(doorbell.as_raw_fd(), &Entry::Socket(endpoint)) {
        true => Ok(doorbell.into_raw_fd()),
        false => Err(Errno(libc::EMFILE)),
    }
}

/// # Safety
/// As socket(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let flags = kind & (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    let socket_type = kind & !flags;
    let ours = matches!(socket_type, libc::SOCK_STREAM | libc::SOCK_DGRAM);
    match domain {
        libc::AF_INET if ours => {}
        libc::AF_INET6 if ours => return status(Err(Errno(libc::EAFNOSUPPORT))),
        // SAFETY: the caller's promise.
        _ => return unsafe { real::socket(domain, kind, protocol) },
    }
    let made = session::socket(domain, socket_type, protocol);
    number(made.and_then(|(endpoint, doorbell)| publish(endpoint, doorbell, flags)))
}

/// # Safety
/// As bind(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::bind(fd, address, len) };
    };
    // SAFETY: the caller's promise.
    let address = unsafe { address_in(address, len) };
    status(address.and_then(|address| endpoint.bind(borrow(fd), address)))
}

/// # Safety
/// As listen(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    match table::socket(fd) {
        Some(endpoint) => status(endpoint.listen(borrow(fd), backlog)),
        // SAFETY: the caller's promise.
        None => unsafe { real::listen(fd, backlog) },
    }
}

/// # Safety
/// As accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => accept_one(endpoint, fd, address, len, 0),
            None => real::accept(fd, address, len),
        }
    }
}

/// # Safety
/// As accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => accept_one(endpoint, fd, address, len, flags),
            None => real::accept4(fd, address, len, flags),
        }
    }
}

unsafe fn accept_one(
    endpoint: Endpoint,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return status(Err(Errno::INVALID));
    }
    number(
        endpoint
            .accept(borrow(fd))
            .and_then(|(endpoint, doorbell, peer)| {
                let new = publish(endpoint, doorbell, flags)?;
                // SAFETY: the caller's promise.
                unsafe { address_out(peer, address, len)? };
                Ok(new)
            }),
    )
}

/// # Safety
/// As connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::connect(fd, address, len) };
    };
    // SAFETY: the caller's promise.
    let address = unsafe { address_in(address, len) };
    status(address.and_then(|to| endpoint.connect(borrow(fd), to, endpoint.send_until())))
}

/// # Safety
/// As shutdown(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shutdown(fd: c_int, how: c_int) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::shutdown(fd, how) };
    };
    status(match how {
        libc::SHUT_RD => endpoint.shutdown(SHUT_RX),
        libc::SHUT_WR => endpoint.shutdown(SHUT_TX),
        libc::SHUT_RDWR => endpoint.shutdown(SHUT_RX | SHUT_TX),
        _ => Err(Errno::INVALID),
    })
}

/// # Safety
/// As getsockname(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockname(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => status(address_out(endpoint.name(), address, len)),
            None => real::getsockname(fd, address, len),
        }
    }
}

/// # Safety
/// As getpeername(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getpeername(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => status(
                endpoint
                    .peer()
                    .and_then(|peer| address_out(peer, address, len)),
            ),
            None => real::getpeername(fd, address, len),
        }
    }
}

/// # Safety
/// As getsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::getsockopt(fd, level, name, value, len) };
    };
    if len.is_null() || value.is_null() {
        return status(Err(Errno(libc::EFAULT)));
    }
    // SAFETY: `len` is readable and writable, and `value` has that many writable bytes.
    unsafe {
        let room = len.read() as usize;
        if room > i32::MAX as usize {
            return status(Err(Errno::INVALID));
        }
        let got = endpoint.get_option(borrow(fd), level, name, bytes_mut(value, room));
        status(got.map(|n| len.write(n as socklen_t)))
    }
}

/// # Safety
/// As setsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => {
                let value = bytes(value, len as usize);
                status(endpoint.set_option(borrow(fd), level, name, value))
            }
            None => real::setsockopt(fd, level, name, value, len),
        }
    }
}
