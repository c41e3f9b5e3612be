//! An interface of the kernel as it is now, and word of changes (netdevice(7), rtnetlink(7)).
//!
//! Any thread; control path only. Nothing here waits, or takes the kernel's lock on its
//! configuration. Everything acts in the caller's network namespace.

use crate::netdev;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An interface's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; another interface of the same name has another.
    pub index: u32,
    /// What it is.
    pub kind: LinkKind,
    /// Its address, where it is Ethernet.
    pub mac: [u8; 6],
    /// Its largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub is_up: bool,
}

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Ethernet, or what looks like it.
    Ethernet,
    /// The host's own.
    Loopback,
    /// Anything else, with its ARP hardware type.
    Other(u16),
}

impl Link {
    /// The interface called `name`.
    ///
    /// # Errors
    /// ENODEV where there is none, `InvalidInput` for what cannot be a name.
    pub fn find(name: &str) -> io::Result<Self> {
        let query = Query::new(name)?;
        let index = query.ask(libc::SIOCGIFINDEX as _)?;
        let address = query.ask(libc::SIOCGIFHWADDR as _)?;
        let mtu = query.ask(libc::SIOCGIFMTU as _)?;
        let flags = query.ask(libc::SIOCGIFFLAGS as _)?;
        // SAFETY: each has been set by the command it belongs to.
        let (index, address, mtu, flags) = unsafe {
            (
                index.ifr_ifru.ifru_ifindex,
                address.ifr_ifru.ifru_hwaddr,
                mtu.ifr_ifru.ifru_mtu,
                i32::from(flags.ifr_ifru.ifru_flags),
            )
        };
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(address.sa_data) {
            *to = from as u8;
        }
        let up = libc::IFF_UP | libc::IFF_RUNNING;
        Ok(Link {
            index: index.cast_unsigned(),
            kind: match address.sa_family {
                libc::ARPHRD_ETHER => LinkKind::Ethernet,
                libc::ARPHRD_LOOPBACK => LinkKind::Loopback,
                other => LinkKind::Other(other),
            },
            mac,
            mtu: mtu.cast_unsigned(),
            is_up: flags & up == up,
        })
    }
}

/// Questions about one interface.
struct Query {
    socket: OwnedFd,
    request: libc::ifreq,
}

impl Query {
    fn new(name: &str) -> io::Result<Self> {
        let request = netdev::request(name)?;
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        Ok(Query { socket, request })
    }

    fn ask(&self, command: libc::c_ulong) -> io::Result<libc::ifreq> {
        let mut answer = self.request;
        let raw = self.socket.as_raw_fd();
        // SAFETY: the SIOCGIF* commands used here read and write one ifreq.
        match unsafe { libc::ioctl(raw, command as _, &raw mut answer) } {
            0 => Ok(answer),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A descriptor that becomes readable when any interface comes, goes or changes.
///
/// It tells only that something happened: who is woken asks for the state, so that lost messages
/// do not matter.
#[derive(Debug)]
pub struct LinkBell(OwnedFd);

impl LinkBell {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel's: out of descriptors.
    pub fn new() -> io::Result<Self> {
        let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        // SAFETY: all-zero bytes are a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = libc::RTMGRP_LINK as u32;
        let len = size_of_val(&address) as libc::socklen_t;
        let raw = socket.as_raw_fd();
        // SAFETY: the kernel reads `len` bytes of `address`, which has them.
        match unsafe { libc::bind(raw, (&raw const address).cast(), len) } {
            0 => Ok(LinkBell(socket)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Takes all that has been told so far.
    pub fn hush(&self) {
        const AT_ONCE: usize = 256;
        let mut message = [0_u8; 16];
        for _ in 0..AT_ONCE {
            let (raw, at) = (self.0.as_raw_fd(), message.as_mut_ptr().cast());
            // SAFETY: the kernel writes at most the bytes of `message`; the rest is dropped.
            let read = unsafe { libc::recv(raw, at, message.len(), 0) };
            // That messages have been lost is one more thing told.
            let lost = || io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS);
            if read < 0 && !lost() {
                return;
            }
        }
    }
}

impl AsFd for LinkBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a plain call that touches no memory.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_known() {
        let lo = Link::find("lo").unwrap();
        assert_eq!((lo.index, lo.kind, lo.mac), (1, LinkKind::Loopback, [0; 6]));
        assert!(lo.mtu >= 1500);
    }

    #[test]
    fn an_absent_interface_is_no_device() {
        let absent = Link::find("no-such-if").unwrap_err();
        assert_eq!(absent.raw_os_error(), Some(libc::ENODEV));
        let kind = Link::find("a-name-too-long-for-any").unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::InvalidInput);
    }
}
