//! `AF_PACKET` sockets: the frames of an existing interface (packet(7)), each behind a virtio-net
//! header of [`VNET_SIZE`] bytes in native byte order.
//!
//! A socket is opened, given its options and its [`ReceiveRing`], and bound last, so that it never
//! sees a frame of another interface. Any thread; no call waits.

use crate::packet_ring::ReceiveRing;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use crate::tun::VNET_SIZE;

/// Frames that one [`PacketSocket::send`] takes, at most.
pub const SEND_MAX: usize = 64;

/// What an interface is asked to receive besides frames for itself and broadcasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Everything that passes.
    Promiscuous,
    /// Every multicast.
    AllMulticast,
    /// Frames for one more address.
    Unicast([u8; 6]),
}

/// One socket, non-blocking and close-on-exec.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket that carries virtio-net headers and does not see what its host sends.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, ENOPROTOOPT before Linux 4.20.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // With protocol 0 it receives nothing until it is bound.
        // SAFETY: a plain call that touches no memory.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this fd, and nothing else owns it.
        let socket = PacketSocket(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
        Ok(socket)
    }

    /// Has the kernel hold up to about `bytes` of frames each way that are not in the ring; less
    /// where the system's limit is lower and we may not pass it.
    ///
    /// # Errors
    /// None in practice.
    pub fn set_buffers(&self, bytes: i32) -> io::Result<()> {
        for (forced, option) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            self.set(libc::SOL_SOCKET, forced, &bytes)
                .or_else(|_| self.set(libc::SOL_SOCKET, option, &bytes))?;
        }
        Ok(())
    }

    /// Has frames go to the driver past the queueing discipline, traffic control and other
    /// `AF_PACKET` sockets.
    ///
    /// # Errors
    /// None in practice.
    pub fn bypass_qdisc(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1)
    }

    /// Makes the socket's ring, with at least `count` places for frames of up to `longest` bytes. A
    /// longer frame is then received by [`PacketSocket::receive`], in the order of its place.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn receive_ring(&self, count: usize, longest: usize) -> io::Result<ReceiveRing> {
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        // Any positive value has longer frames kept whole in the socket's queue.
        self.set(libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &1)?;
        let request = ReceiveRing::request(count, longest);
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        ReceiveRing::map(self.as_fd(), &request)
    }

    /// Attaches the socket to the interface with number `index`: it receives and sends there.
    ///
    /// # Errors
    /// ENODEV where there is none. One that is down is no error.
    pub fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let len = size_of_val(&address) as libc::socklen_t;
        let raw = self.0.as_raw_fd();
        // SAFETY: the kernel reads `len` bytes of `address`, which has them.
        check(unsafe { libc::bind(raw, (&raw const address).cast(), len) })
    }

    /// Makes the bound socket the first of a new group, whose number is returned. Each frame goes to
    /// one socket of a group, all of one flow to the same.
    ///
    /// # Errors
    /// EINVAL, on some kernels, where the interface is down.
    pub fn found_group(&self) -> io::Result<u16> {
        let request = (libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16;
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &request)?;
        let group: u32 = self.get(libc::PACKET_FANOUT)?;
        Ok(group as u16)
    }

    /// Enters the bound socket into a group of its interface.
    ///
    /// # Errors
    /// As [`PacketSocket::found_group`].
    pub fn join_group(&self, group: u16) -> io::Result<()> {
        let request = libc::PACKET_FANOUT_HASH << 16 | u32::from(group);
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &request)
    }

    /// Asks the interface with number `index` to receive more, or takes that back. What has been
    /// asked ends with the socket.
    ///
    /// # Errors
    /// ENODEV where there is no such interface, EADDRNOTAVAIL to take back what was not asked.
    pub fn set_membership(&self, index: u32, membership: Membership, on: bool) -> io::Result<()> {
        let mut request = libc::packet_mreq {
            mr_ifindex: index.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        match membership {
            Membership::Promiscuous => {}
            Membership::AllMulticast => request.mr_type = libc::PACKET_MR_ALLMULTI as u16,
            Membership::Unicast(address) => {
                request.mr_type = libc::PACKET_MR_UNICAST as u16;
                request.mr_alen = 6;
                request.mr_address[..6].copy_from_slice(&address);
            }
        }
        let option = match on {
            true => libc::PACKET_ADD_MEMBERSHIP,
            false => libc::PACKET_DROP_MEMBERSHIP,
        };
        self.set(libc::SOL_PACKET, option, &request)
    }

    /// Takes the next frame that was too long for the ring, its header first. Returns the bytes of
    /// both; what does not fit is lost.
    ///
    /// # Errors
    /// `WouldBlock` where there is none, ENETDOWN once after the interface went down.
    #[inline]
    pub fn receive(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        // SAFETY: all-zero bytes are a valid msghdr.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // An IoSliceMut is an iovec.
        message.msg_iov = parts.as_mut_ptr().cast();
        message.msg_iovlen = parts.len() as _;
        // SAFETY: the kernel writes to the parts, which are borrowed for that, and to `message`.
        let read = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Sends frames, each its header first, in one call. Returns how many went: fewer than given
    /// where the next one failed, and sending that first says why. At most [`SEND_MAX`] are tried.
    ///
    /// # Errors
    /// What became of the first: ENETDOWN where the interface is down, ENXIO where it is gone,
    /// EMSGSIZE for a frame longer than its MTU, ENOBUFS or `WouldBlock` where there is no room,
    /// EINVAL for a header that makes no sense.
    #[inline]
    pub fn send(&self, frames: &[&[IoSlice<'_>]]) -> io::Result<usize> {
        let n = frames.len().min(SEND_MAX);
        let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; SEND_MAX];
        for (message, parts) in messages.iter_mut().zip(frames) {
            // SAFETY: all-zero bytes are a valid mmsghdr.
            let header = &mut message.write(unsafe { std::mem::zeroed() }).msg_hdr;
            // An IoSlice is an iovec, which the kernel only reads here.
            header.msg_iov = parts.as_ptr().cast_mut().cast();
            header.msg_iovlen = parts.len() as _;
        }
        let raw = self.0.as_raw_fd();
        // SAFETY: the first `n` messages are initialised; the kernel reads them and writes their lengths.
        let sent = unsafe { libc::sendmmsg(raw, messages.as_mut_ptr().cast(), n as u32, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Frames that the kernel has dropped for want of room since this was last asked.
    ///
    /// # Errors
    /// None in practice.
    pub fn take_drops(&self) -> io::Result<u32> {
        let stats: libc::tpacket_stats = self.get(libc::PACKET_STATISTICS)?;
        Ok(stats.tp_drops)
    }

    /// The error that is pending on the socket, such as ENETDOWN, which this clears.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        let number: i32 = self.get_of(libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0);
        (number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    fn set<T: Plain>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let (at, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as u32);
        // SAFETY: the kernel reads `len` bytes of `value`.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, at, len) })
    }

    fn get<T: Plain>(&self, option: i32) -> io::Result<T> {
        self.get_of(libc::SOL_PACKET, option)
    }

    fn get_of<T: Plain>(&self, level: i32, option: i32) -> io::Result<T> {
        // SAFETY: all-zero bytes are a valid `T`, by its trait.
        let mut value: T = unsafe { std::mem::zeroed() };
        let mut len = size_of::<T>() as libc::socklen_t;
        let at = (&raw mut value).cast();
        // SAFETY: the kernel writes at most `len` bytes of `value`; any bytes are a valid `T`.
        check(unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, at, &raw mut len) })?;
        Ok(value)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Values of socket options.
///
/// # Safety
/// Any bytes are a valid value, and there is no padding.
unsafe trait Plain {}
// SAFETY: a number.
unsafe impl Plain for i32 {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: two numbers of the same size.
unsafe impl Plain for libc::tpacket_stats {}
// SAFETY: four numbers of the same size.
unsafe impl Plain for libc::tpacket_req {}
// SAFETY: 4, 2 and 2 bytes in numbers and 8 single ones.
unsafe impl Plain for libc::packet_mreq {}

fn check(rc: libc::c_int) -> io::Result<()> {
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
