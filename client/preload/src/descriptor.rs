//! Descriptors: close, dup, fcntl, ioctl.
//!
//! A child of vfork shares the tables but not the descriptors: what it does to its own must leave
//! the tables alone.

use std::ffi::{c_int, c_uint, c_ulong};

use io_net_proto::session::Interface;
use io_net_socket::table::{self, Entry};
use io_net_socket::{Endpoint, Errno, Result, epoll, fork, session};

use crate::ffi::{number, status};
use crate::real;

/// Forgets a descriptor that is about to be closed.
pub(crate) fn forget(fd: c_int) {
    if table::get(fd).is_none() || !fork::is_own_process() {
        return;
    }
    match table::clear(fd) {
        Some(Entry::Socket(_)) => epoll::forget(fd),
        Some(Entry::Epoll(instance)) => instance.remove_descriptor(),
        None => {}
    }
}

/// `new` is a copy of `old` from now on.
fn copied(old: Option<Entry>, new: c_int) -> c_int {
    if let Some(entry) = old.filter(|_| new >= 0 && fork::is_own_process()) {
        if let Entry::Epoll(instance) = entry {
            instance.add_descriptor();
        }
        // A number beyond the table stays a plain descriptor.
        let _ = table::set(new, &entry);
    }
    new
}

/// # Safety
/// As close(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    if session::is_internal(fd) {
        return status(Err(Errno(libc::EBADF)));
    }
    forget(fd);
    // SAFETY: the caller's promise.
    unsafe { real::close(fd) }
}

/// # Safety
/// As close_range(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    if flags != 0 {
        // SAFETY: the caller's promise.
        return unsafe { real::close_range(first, last, flags) };
    }
    if first > last {
        return status(Err(Errno::INVALID));
    }
    let fd = |n: c_uint| c_int::try_from(n).unwrap_or(c_int::MAX);
    table::known(fd(first), fd(last)).for_each(forget);
    let mut from = first;
    for own in session::internal()
        .map(c_int::cast_unsigned)
        .filter(|n| (first..=last).contains(n))
    {
        if own > from {
            // SAFETY: the caller's promise, for a part of the range.
            unsafe { real::close_range(from, own - 1, 0) };
        }
        from = own + 1;
    }
    if from > last {
        return 0;
    }
    // SAFETY: as above.
    unsafe { real::close_range(from, last, 0) }
}

/// # Safety
/// As closefrom(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closefrom(first: c_int) {
    // SAFETY: the caller's promise.
    unsafe { close_range(first.max(0).cast_unsigned(), c_uint::MAX, 0) };
}

/// # Safety
/// As dup(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's promise.
    copied(table::get(fd), unsafe { real::dup(fd) })
}

/// # Safety
/// As dup2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(fd: c_int, to: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { dup_to(fd, to, || real::dup2(fd, to)) }
}

/// # Safety
/// As dup3(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { dup_to(fd, to, || real::dup3(fd, to, flags)) }
}

fn dup_to(fd: c_int, to: c_int, run: impl FnOnce() -> c_int) -> c_int {
    if fd == to {
        return run();
    }
    if session::is_internal(to) {
        return status(Err(Errno(libc::EBUSY)));
    }
    let entry = table::get(fd);
    forget(to);
    copied(entry, run())
}

/// # Safety
/// As fcntl(2); `argument` is whatever the command takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { real::fcntl(fd, command, argument) };
    if result < 0 {
        return result;
    }
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => copied(table::get(fd), result),
        libc::F_SETFL => {
            if let Some(endpoint) = table::socket(fd) {
                endpoint.set_nonblocking(argument as c_int & libc::O_NONBLOCK != 0);
            }
            result
        }
        _ => result,
    }
}

/// # Safety
/// As fcntl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise; the commands are the same where off_t has 64 bits.
    unsafe { fcntl(fd, command, argument) }
}

/// # Safety
/// As ioctl(2); `argument` is whatever the request takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::ioctl(fd, request, argument) };
    };
    let int = argument as *mut c_int;
    match request {
        libc::FIONREAD if !int.is_null() => {
            let readable = || match endpoint.is_stream() {
                true => endpoint.readable(),
                false => endpoint.next_message_len(),
            };
            // SAFETY: the request takes a pointer to an int.
            unsafe { int.write(c_int::try_from(readable()).unwrap_or(c_int::MAX)) };
            0
        }
        libc::TIOCOUTQ if !int.is_null() => {
            // SAFETY: as above.
            unsafe { int.write(c_int::try_from(endpoint.unsent()).unwrap_or(c_int::MAX)) };
            0
        }
        libc::FIONBIO if !int.is_null() => {
            // SAFETY: the request takes a pointer to an int.
            let (on, result) = unsafe { (int.read() != 0, real::ioctl(fd, request, argument)) };
            endpoint.set_nonblocking(on);
            result
        }
        libc::FIOCLEX | libc::FIONCLEX | libc::FIOASYNC => {
            // SAFETY: the caller's promise; these are about the descriptor, which is the kernel's.
            unsafe { real::ioctl(fd, request, argument) }
        }
        // SAFETY: these requests take a pointer to an ifreq or ifconf.
        _ => number(unsafe { interface_request(endpoint, request, argument) }),
    }
}

/// The SIOCGIF* requests, about io-net's interfaces.
unsafe fn interface_request(_: Endpoint, request: c_ulong, argument: usize) -> Result<c_int> {
    const NAME: c_ulong = libc::SIOCGIFNAME;
    let known = matches!(
        request,
        NAME | libc::SIOCGIFINDEX
            | libc::SIOCGIFFLAGS
            | libc::SIOCGIFADDR
            | libc::SIOCGIFNETMASK
            | libc::SIOCGIFBRDADDR
            | libc::SIOCGIFMTU
            | libc::SIOCGIFHWADDR
            | libc::SIOCGIFCONF
    );
    if !known || argument == 0 {
        return Err(Errno(libc::ENOTTY));
    }
    if request == libc::SIOCGIFCONF {
        // SAFETY: the caller's promise.
        return unsafe { interface_list(&mut *(argument as *mut libc::ifconf)) };
    }
    // SAFETY: the caller's promise.
    let asked = unsafe { &mut *(argument as *mut libc::ifreq) };
    let name = asked.ifr_name.map(i8::cast_unsigned);
    // SAFETY: SIOCGIFNAME comes with the index set; for the others it is any number, not used.
    let index = unsafe { asked.ifr_ifru.ifru_ifindex };
    let index = if request == NAME { index } else { 0 };
    let found = session::interface(index.cast_unsigned(), name)?;
    match request {
        NAME => asked.ifr_name = found.name.map(u8::cast_signed),
        libc::SIOCGIFINDEX => asked.ifr_ifru.ifru_ifindex = found.index.cast_signed(),
        libc::SIOCGIFFLAGS => asked.ifr_ifru.ifru_flags = found.flags as i16,
        libc::SIOCGIFADDR => asked.ifr_ifru.ifru_addr = inet(found.address),
        libc::SIOCGIFNETMASK => asked.ifr_ifru.ifru_addr = inet(found.netmask),
        libc::SIOCGIFBRDADDR => asked.ifr_ifru.ifru_addr = inet(found.broadcast),
        libc::SIOCGIFMTU => asked.ifr_ifru.ifru_mtu = found.mtu.cast_signed(),
        _ => asked.ifr_ifru.ifru_addr = ethernet(&found),
    }
    Ok(0)
}

unsafe fn interface_list(list: &mut libc::ifconf) -> Result<c_int> {
    let room = usize::try_from(list.ifc_len).unwrap_or(0) / size_of::<libc::ifreq>();
    // SAFETY: the union is one pointer in two types.
    let to = unsafe { list.ifc_ifcu.ifcu_req };
    let mut count = 0;
    while to.is_null() || count < room {
        let Ok(found) = session::interface(count as u32 + 1, [0; 16]) else {
            break;
        };
        if !to.is_null() {
            // SAFETY: `count` is below the room that ifc_len tells of.
            unsafe {
                let entry = &mut *to.add(count);
                entry.ifr_name = found.name.map(u8::cast_signed);
                entry.ifr_ifru.ifru_addr = inet(found.address);
            }
        }
        count += 1;
    }
    list.ifc_len = (count * size_of::<libc::ifreq>()) as c_int;
    Ok(0)
}

fn inet(address: [u8; 4]) -> libc::sockaddr {
    let mut data = [0; 14];
    data[2..6].copy_from_slice(&address.map(u8::cast_signed));
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}

fn ethernet(interface: &Interface) -> libc::sockaddr {
    let mut data = [0; 14];
    data[..6].copy_from_slice(&interface.hardware.map(u8::cast_signed));
    libc::sockaddr {
        sa_family: libc::ARPHRD_ETHER,
        sa_data: data,
    }
}
