//! The kernel's network interfaces, by name: up or down, MTU, IPv4 address.
//!
//! Any thread; control path only. Everything acts in the caller's network namespace.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Bytes of an interface's name, its NUL included.
pub const NAME_SIZE: usize = libc::IFNAMSIZ;

/// An `ifreq` for the interface `name`, the rest zero.
///
/// # Errors
/// `InvalidInput` for a name that is empty, holds a NUL or has more than 15 bytes.
pub(crate) fn request(name: &str) -> io::Result<libc::ifreq> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_SIZE || bytes.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?}: an interface's name has 1 to 15 bytes"),
        ));
    }
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    Ok(request)
}

/// The interface `name` as a set of ioctls.
fn ioctl(command: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: a plain call that touches no memory.
    let fd = unsafe { libc::socket(libc::AF_INET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the SIOC*IF* commands used here read and write one ifreq.
    match unsafe { libc::ioctl(fd.as_raw_fd(), command as _, std::ptr::from_mut(request)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn flags(name: &str) -> io::Result<libc::c_short> {
    let mut request = request(name)?;
    ioctl(libc::SIOCGIFFLAGS as _, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has set this member.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// Whether the interface is up.
///
/// # Errors
/// ENODEV where there is none of this name.
pub fn is_up(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & libc::IFF_UP as libc::c_short != 0)
}

/// Brings the interface up.
///
/// # Errors
/// ENODEV where there is none of this name, EPERM without CAP_NET_ADMIN.
pub fn set_up(name: &str) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags(name)? | libc::IFF_UP as libc::c_short;
    ioctl(libc::SIOCSIFFLAGS as _, &mut request)
}

/// The largest packet that the interface carries, in bytes, without the Ethernet header.
///
/// # Errors
/// ENODEV where there is none of this name.
pub fn mtu(name: &str) -> io::Result<u32> {
    let mut request = request(name)?;
    ioctl(libc::SIOCGIFMTU as _, &mut request)?;
    // SAFETY: SIOCGIFMTU has set this member.
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.cast_unsigned())
}

/// Sets the largest packet that the interface carries.
///
/// # Errors
/// EINVAL where the device cannot carry as much, EPERM without CAP_NET_ADMIN.
pub fn set_mtu(name: &str, mtu: u32) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_mtu = i32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidInput)?;
    ioctl(libc::SIOCSIFMTU as _, &mut request)
}

/// Gives the interface the IPv4 address `address` in a network of `prefix` bits.
///
/// # Errors
/// EINVAL for a prefix above 32, EPERM without CAP_NET_ADMIN.
pub fn set_ipv4(name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
    if prefix > 32 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let mut request = request(name)?;
    request.ifr_ifru.ifru_addr = socket_address(address);
    ioctl(libc::SIOCSIFADDR as _, &mut request)?;
    request.ifr_ifru.ifru_netmask = socket_address(Ipv4Addr::from_bits(mask));
    ioctl(libc::SIOCSIFNETMASK as _, &mut request)
}

/// A `sockaddr_in` in the form that ifreq holds.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: all-zero bytes are a valid sockaddr.
    let mut raw: libc::sockaddr = unsafe { std::mem::zeroed() };
    raw.sa_family = libc::AF_INET as libc::sa_family_t;
    // sin_addr follows the two bytes of sin_port.
    for (to, from) in raw.sa_data[2..6].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        assert!(mtu("lo").unwrap() >= 1500);
        is_up("lo").unwrap();
    }

    #[test]
    fn names_are_checked_before_the_kernel_sees_them() {
        for bad in ["", "abcdefghijklmnop", "a\0b"] {
            assert_eq!(
                mtu(bad).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{bad:?}"
            );
        }
        let absent = is_up("no-such-if").unwrap_err();
        assert_eq!(absent.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_address_lies_where_the_kernel_reads_it() {
        let raw = socket_address(Ipv4Addr::new(192, 168, 7, 1));
        assert_eq!(raw.sa_data[..2], [0, 0]);
        assert_eq!(
            raw.sa_data[2..6]
                .iter()
                .map(|&b| b as u8)
                .collect::<Vec<_>>(),
            [192, 168, 7, 1]
        );
    }
}
