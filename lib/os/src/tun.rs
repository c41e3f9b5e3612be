//! TAP devices of the kernel's TUN/TAP driver, with virtio-net headers.
//!
//! A [`Tap`] is one queue: a file that gives and takes one frame a call, each behind a virtio-net
//! header of [`VNET_SIZE`] bytes in native byte order. Any thread may read or write it.

use crate::netdev;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Bytes of the header before each frame.
pub const VNET_SIZE: usize = 10;

/// Incomplete checksums may be given to us.
pub const OFFLOAD_CSUM: u32 = libc::TUN_F_CSUM;
/// TCP segments over IPv4 larger than the MTU may be given to us.
pub const OFFLOAD_TSO4: u32 = libc::TUN_F_TSO4;
/// TCP segments over IPv6 larger than the MTU may be given to us.
pub const OFFLOAD_TSO6: u32 = libc::TUN_F_TSO6;
/// Large TCP segments may carry ECN's CWR.
pub const OFFLOAD_TSO_ECN: u32 = libc::TUN_F_TSO_ECN;
/// Runs of UDP datagrams may be given to us, over either IP; since Linux 6.2.
pub const OFFLOAD_USO: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// How to open a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct TapOptions<'a> {
    /// Its name, which may hold one `%d`; None has the kernel choose `tapN`.
    pub name: Option<&'a str>,
    /// It has several queues, each a [`Tap`] opened with the same name.
    pub multi_queue: bool,
}

/// One queue of a TAP device, non-blocking and close-on-exec.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
}

impl Tap {
    /// Opens a queue of a device, which is made if there is none of that name.
    ///
    /// # Errors
    /// `NotFound` without `/dev/net/tun`, EPERM without CAP_NET_ADMIN, EBUSY where somebody else
    /// has the device open, EINVAL where a device of that name is of another kind.
    pub fn open(options: TapOptions<'_>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        let mut request = netdev::request(options.name.unwrap_or("tap%d"))?;
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        if options.multi_queue {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        let name = request.ifr_name.iter().map(|&byte| byte.cast_unsigned());
        let name: Vec<u8> = name.take_while(|&byte| byte != 0).collect();
        let tap = Tap {
            file,
            name: String::from_utf8_lossy(&name).into_owned(),
        };
        let size = VNET_SIZE as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads one int.
        check(unsafe {
            libc::ioctl(tap.file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size)
        })?;
        Ok(tap)
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says what the frames given to us may leave undone: `OFFLOAD_*`.
    ///
    /// # Errors
    /// EINVAL where the kernel does not know one of them.
    pub fn set_offload(&self, offload: u32) -> io::Result<()> {
        let raw = self.file.as_raw_fd();
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        check(unsafe { libc::ioctl(raw, libc::TUNSETOFFLOAD, libc::c_ulong::from(offload)) })
    }

    /// Makes the device outlive its last queue, or not.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn set_persistent(&self, persistent: bool) -> io::Result<()> {
        let raw = self.file.as_raw_fd();
        // SAFETY: TUNSETPERSIST takes its argument by value.
        check(unsafe { libc::ioctl(raw, libc::TUNSETPERSIST, libc::c_ulong::from(persistent)) })
    }

    /// Takes one frame, its header first. Returns the bytes of both; what does not fit is lost.
    ///
    /// # Errors
    /// `WouldBlock` where there is none, EIO or EBADFD where the device has been removed.
    #[inline]
    pub fn read(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.file).read_vectored(parts)
    }

    /// Gives the kernel one frame, its header first.
    ///
    /// # Errors
    /// EIO where the interface is down, EINVAL for a malformed header or more than 1024 parts,
    /// EBADFD where the device has been removed.
    #[inline]
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.file).write_vectored(parts)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn check(rc: libc::c_int) -> io::Result<()> {
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
