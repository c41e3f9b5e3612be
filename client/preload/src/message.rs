//! sendmsg, recvmsg and their plural forms, with the control messages of datagrams.

use std::ffi::{c_int, c_uint};

use io_net_proto::address::{Address, FAMILY_V4};
use io_net_proto::options::{flag, word};
use io_net_proto::slot::Record;
use io_net_socket::table::{self, Entry};
use io_net_socket::{Endpoint, Errno, Received, Result, session};
use libc::{cmsghdr, mmsghdr, msghdr, size_t, ssize_t, timespec};

use crate::bytes::{receive_on, send_on};
use crate::ffi::{address_in, address_out, borrow, number, size, slices, slices_mut};
use crate::real;

/// # Safety
/// As sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => size(send_message(endpoint, fd, &*message, flags)),
            None => real::sendmsg(fd, message, flags),
        }
    }
}

unsafe fn send_message(
    endpoint: Endpoint,
    fd: c_int,
    message: &msghdr,
    flags: c_int,
) -> Result<usize> {
    let mut record = Record::default();
    // SAFETY: the header's pointers are as sendmsg demands.
    let bufs = unsafe {
        if !message.msg_name.is_null() && message.msg_namelen > 0 {
            record.peer = address_in(message.msg_name.cast(), message.msg_namelen)?;
        }
        if !endpoint.is_stream() {
            read_control(message, &mut record);
        }
        slices(message.msg_iov, message.msg_iovlen)?
    };
    send_on(endpoint, fd, bufs, record, flags)
}

/// Reads the control messages that a datagram may be sent with.
unsafe fn read_control(message: &msghdr, record: &mut Record) {
    // SAFETY: the CMSG macros stay within the control buffer that the header tells of; each value
    // is read only if its message is long enough for it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = at.as_ref() {
            let data = libc::CMSG_DATA(at);
            let len = header.cmsg_len - libc::CMSG_LEN(0) as usize;
            match (header.cmsg_level, header.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= size_of::<libc::in_pktinfo>() => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    record.interface = info.ipi_ifindex.cast_unsigned();
                    if info.ipi_spec_dst.s_addr != 0 {
                        record.local = Address {
                            family: FAMILY_V4,
                            ..Address::default()
                        };
                        let ip = info.ipi_spec_dst.s_addr.to_ne_bytes();
                        record.local.ip[..4].copy_from_slice(&ip);
                    }
                }
                (libc::IPPROTO_IP, libc::IP_TTL) if len >= 4 => {
                    record.ttl = data.cast::<c_int>().read_unaligned().clamp(0, 255) as u8;
                }
                (libc::IPPROTO_IP, libc::IP_TOS) if len >= 1 => {
                    record.tos = data.read();
                    record.flags |= Record::HAS_TOS;
                }
                (libc::IPPROTO_UDP, libc::UDP_SEGMENT) if len >= 2 => {
                    record.segment = data.cast::<u16>().read_unaligned().into();
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
}

/// # Safety
/// As recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        match table::socket(fd) {
            Some(endpoint) => size(receive_message(endpoint, fd, &mut *message, flags)),
            None => {
                let n = real::recvmsg(fd, message, flags);
                if n >= 0 && (*message).msg_controllen > 0 {
                    adopt_received(&*message);
                }
                n
            }
        }
    }
}

unsafe fn receive_message(
    endpoint: Endpoint,
    fd: c_int,
    message: &mut msghdr,
    flags: c_int,
) -> Result<usize> {
    // SAFETY: the header's pointers are as recvmsg demands.
    unsafe {
        let bufs = slices_mut(message.msg_iov, message.msg_iovlen)?;
        let (n, datagram) = receive_on(endpoint, fd, bufs, flags)?;
        message.msg_flags = 0;
        let room = std::mem::take(&mut message.msg_controllen);
        match datagram {
            Some(datagram) => {
                if datagram.full_len > datagram.len {
                    message.msg_flags |= libc::MSG_TRUNC;
                }
                let peer = datagram.record.peer;
                address_out(peer, message.msg_name.cast(), &raw mut message.msg_namelen)?;
                write_control(endpoint, &datagram, message, room);
            }
            None => message.msg_namelen = 0,
        }
        Ok(n)
    }
}

/// Writes the control messages that the socket's options ask for.
unsafe fn write_control(
    endpoint: Endpoint,
    datagram: &Received,
    message: &mut msghdr,
    room: size_t,
) {
    let wanted = endpoint.slot().options[word::FLAGS].load(std::sync::atomic::Ordering::Relaxed);
    let record = &datagram.record;
    let ip = |address: Address| {
        let [a, b, c, d, ..] = address.ip;
        libc::in_addr {
            s_addr: u32::from_ne_bytes([a, b, c, d]),
        }
    };
    // SAFETY: `put` checks the room; the values are plain C structures.
    unsafe {
        if wanted & flag::TIMESTAMP != 0 {
            let ns = record.timestamp;
            let time = [
                (ns / 1_000_000_000) as i64,
                (ns % 1_000_000_000 / 1000) as i64,
            ];
            put(message, room, libc::SOL_SOCKET, libc::SCM_TIMESTAMP, time);
        }
        if wanted & flag::TIMESTAMP_NS != 0 {
            let ns = record.timestamp;
            let time = [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64];
            put(message, room, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, time);
        }
        if wanted & flag::PACKET_INFO != 0 {
            let info = libc::in_pktinfo {
                ipi_ifindex: record.interface.cast_signed(),
                ipi_spec_dst: ip(record.local),
                ipi_addr: ip(record.local),
            };
            put(message, room, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        if wanted & flag::RECEIVE_TTL != 0 {
            put(
                message,
                room,
                libc::IPPROTO_IP,
                libc::IP_TTL,
                c_int::from(record.ttl),
            );
        }
        if wanted & flag::RECEIVE_TOS != 0 {
            put(message, room, libc::IPPROTO_IP, libc::IP_TOS, record.tos);
        }
    }
}

/// Appends a control message if there is room for it, else says that one was left out.
unsafe fn put<T>(message: &mut msghdr, room: size_t, level: c_int, kind: c_int, value: T) {
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute. What is written lies within `room` bytes from
    // msg_control, which the caller of recvmsg gave; writes are unaligned-safe.
    unsafe {
        let (space, len) = (
            libc::CMSG_SPACE(size_of::<T>() as u32),
            libc::CMSG_LEN(size_of::<T>() as u32),
        );
        if message.msg_control.is_null() || room - message.msg_controllen < space as size_t {
            message.msg_flags |= libc::MSG_CTRUNC;
            return;
        }
        let at = message.msg_control.byte_add(message.msg_controllen);
        let header = cmsghdr {
            cmsg_len: len as _,
            cmsg_level: level,
            cmsg_type: kind,
        };
        at.cast::<cmsghdr>().write_unaligned(header);
        at.byte_add(libc::CMSG_LEN(0) as usize)
            .cast::<T>()
            .write_unaligned(value);
        message.msg_controllen += space as size_t;
    }
}

/// Descriptors that another process passed may be sockets of io-net's.
unsafe fn adopt_received(message: &msghdr) {
    // SAFETY: the kernel has set msg_controllen to what it wrote, and the CMSG macros stay within
    // it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = at.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let count = (header.cmsg_len - libc::CMSG_LEN(0) as usize) / 4;
                let fds = libc::CMSG_DATA(at).cast::<c_int>();
                for i in 0..count {
                    adopt(fds.add(i).read_unaligned());
                }
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
}

/// Enters `fd` in the table if it is a socket of io-net's that came from elsewhere.
pub(crate) fn adopt(fd: c_int) {
    if fd < 0 || table::get(fd).is_some() || !io_net_os::unix::is_seqpacket(borrow(fd)) {
        return;
    }
    if let Ok(endpoint) = session::adopt(borrow(fd)) {
        // A number beyond the table stays a plain descriptor.
        let _ = table::set(fd, &Entry::Socket(endpoint));
    }
}

/// # Safety
/// As sendmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::sendmmsg(fd, messages, count, flags) };
    };
    let mut done = 0;
    while done < count.min(1024) {
        // SAFETY: `done` is below the count that the caller promises.
        let message = unsafe { &mut *messages.add(done as usize) };
        // SAFETY: the caller's promise.
        match unsafe { send_message(endpoint, fd, &message.msg_hdr, flags) } {
            Ok(n) => message.msg_len = n as c_uint,
            Err(_) if done > 0 => break,
            Err(errno) => return number(Err(errno)),
        }
        done += 1;
    }
    done.cast_signed()
}

/// # Safety
/// As recvmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let Some(endpoint) = table::socket(fd) else {
        // SAFETY: the caller's promise.
        return unsafe { real::recvmmsg(fd, messages, count, flags, timeout) };
    };
    let (mut done, mut flags) = (0, flags);
    while done < count.min(1024) {
        // SAFETY: `done` is below the count that the caller promises.
        let message = unsafe { &mut *messages.add(done as usize) };
        // SAFETY: the caller's promise.
        match unsafe {
            receive_message(
                endpoint,
                fd,
                &mut message.msg_hdr,
                flags & !libc::MSG_WAITFORONE,
            )
        } {
            Ok(n) => message.msg_len = n as c_uint,
            Err(_) if done > 0 => break,
            Err(errno) => return number(Err(errno)),
        }
        done += 1;
        // With a timeout the kernel also stops once it has waited; one that has run out by then is
        // common to both.
        if flags & libc::MSG_WAITFORONE != 0 || !timeout.is_null() {
            flags |= libc::MSG_DONTWAIT;
        }
    }
    if done == 0 && count > 0 {
        number(Err(Errno::AGAIN))
    } else {
        done.cast_signed()
    }
}
