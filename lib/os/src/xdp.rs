//! `AF_XDP` sockets: the frames that an XDP program hands over from one queue of an interface, in
//! memory that both sides share (the kernel's `Documentation/networking/af_xdp.rst`).
//!
//! A socket is opened, given its memory ([`XdpSocket::register`], or another socket's at
//! [`XdpSocket::bind`]) and its [`Rings`], and bound last. Any thread; no call waits.

use crate::map::SharedMap;
use crate::xdp_ring::{Consumer, Desc, Layout, Producer};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes that the kernel leaves free before a received frame.
pub const RX_HEADROOM: u32 = 256;

/// Since Linux 6.17 (`include/uapi/linux/if_xdp.h`).
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;
/// `include/uapi/asm-generic/socket.h`.
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;

/// Part of a memfd as equal chunks, into which the kernel puts frames.
#[derive(Clone, Copy, Debug)]
pub struct Umem<'a> {
    /// The memfd.
    pub memory: BorrowedFd<'a>,
    /// All its bytes.
    pub size: usize,
    /// Where the chunks begin, a multiple of the page size, and how many bytes they are together.
    pub offset: usize,
    /// See `offset`.
    pub len: usize,
    /// Bytes of a chunk: 2048 or 4096.
    pub chunk: u32,
}

/// How a socket takes frames from its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// Without copies where the interface can, else with one copy by the kernel.
    Auto,
    /// With one copy.
    Copy,
    /// Without copies, or not at all.
    ZeroCopy,
}

/// To what a socket is bound.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The interface's number.
    pub index: u32,
    /// The interface's queue.
    pub queue: u32,
    /// Without effect where memory is shared: then it is as with `share`.
    pub mode: CopyMode,
    /// Take and send frames of several chunks (Linux 6.6).
    pub multi: bool,
    /// A bound socket whose memory to use.
    pub share: Option<&'a XdpSocket>,
}

/// The rings of a socket.
#[derive(Debug)]
pub struct Rings {
    /// Chunks for the kernel to receive into.
    pub fill: Producer<u64>,
    /// Frames received.
    pub rx: Consumer<Desc>,
    /// Frames to send.
    pub tx: Producer<Desc>,
    /// What has been sent.
    pub completion: Consumer<u64>,
}

/// What the kernel has counted of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpCounts {
    /// Frames dropped: too long, or no chunk.
    pub rx_dropped: u64,
    /// Chunks given that do not exist.
    pub rx_invalid: u64,
    /// Frames to send that are not within the memory.
    pub tx_invalid: u64,
    /// Frames dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// Times that the fill ring was empty.
    pub fill_ring_empty: u64,
    /// Times that the tx ring was empty.
    pub tx_ring_empty: u64,
}

impl std::ops::Add for XdpCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        XdpCounts {
            rx_dropped: self.rx_dropped + other.rx_dropped,
            rx_invalid: self.rx_invalid + other.rx_invalid,
            tx_invalid: self.tx_invalid + other.tx_invalid,
            rx_ring_full: self.rx_ring_full + other.rx_ring_full,
            fill_ring_empty: self.fill_ring_empty + other.fill_ring_empty,
            tx_ring_empty: self.tx_ring_empty + other.tx_ring_empty,
        }
    }
}

/// One socket, close-on-exec.
#[derive(Debug)]
pub struct XdpSocket(OwnedFd);

impl XdpSocket {
    /// Opens a socket.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, EAFNOSUPPORT where the kernel lacks XDP sockets.
    pub fn open() -> io::Result<Self> {
        // SAFETY: a plain call that touches no memory.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this fd, and nothing else owns it.
        Ok(XdpSocket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Gives the socket its memory, whose pages are pinned while any socket uses them.
    ///
    /// # Errors
    /// ENOBUFS where the locked memory would exceed the limit (RLIMIT_MEMLOCK) and CAP_IPC_LOCK is
    /// missing, EINVAL for sizes that cannot be.
    pub fn register(&self, umem: &Umem<'_>) -> io::Result<()> {
        // The pages are what counts: the kernel keeps those, not the mapping.
        let map = SharedMap::new(umem.memory, umem.size)?;
        if umem
            .offset
            .checked_add(umem.len)
            .is_none_or(|end| end > map.len())
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let request = libc::xdp_umem_reg {
            addr: map.as_ptr() as u64 + umem.offset as u64,
            len: umem.len as u64,
            chunk_size: umem.chunk,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        self.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &request)
    }

    /// Makes the rings, each with `size` entries, a power of two.
    ///
    /// # Errors
    /// EINVAL for another size, ENOMEM.
    pub fn rings(&self, size: u32) -> io::Result<Rings> {
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            self.set(libc::SOL_XDP, ring, &size)?;
        }
        let at: libc::xdp_mmap_offsets = self.get(libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        let fd = self.0.as_fd();
        let fill = libc::XDP_UMEM_PGOFF_FILL_RING as i64;
        let completion = libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64;
        Ok(Rings {
            fill: Producer::map(fd, fill, size, layout(&at.fr))?,
            rx: Consumer::map(fd, libc::XDP_PGOFF_RX_RING, size, layout(&at.rx))?,
            tx: Producer::map(fd, libc::XDP_PGOFF_TX_RING, size, layout(&at.tx))?,
            completion: Consumer::map(fd, completion, size, layout(&at.cr))?,
        })
    }

    /// Binds the socket to a queue. Its fill and tx rings then say when the kernel wants a call.
    ///
    /// # Errors
    /// ENODEV for no such interface, EINVAL for no such queue, EBUSY where another socket has it,
    /// EOPNOTSUPP where the interface cannot do what is asked.
    pub fn bind(&self, binding: &Binding<'_>) -> io::Result<()> {
        let mode = match binding.mode {
            CopyMode::Auto => 0,
            CopyMode::Copy => libc::XDP_COPY,
            CopyMode::ZeroCopy => libc::XDP_ZEROCOPY,
        };
        let multi = if binding.multi { libc::XDP_USE_SG } else { 0 };
        let (flags, share) = match binding.share {
            // What the flags say is then the other socket's.
            Some(socket) => (libc::XDP_SHARED_UMEM, socket.0.as_raw_fd().cast_unsigned()),
            None => (mode | multi | libc::XDP_USE_NEED_WAKEUP, 0),
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: binding.index,
            sxdp_queue_id: binding.queue,
            sxdp_shared_umem_fd: share,
        };
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel reads `len` bytes of `address`, which has them.
        check(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), len) })
    }

    /// Whether frames pass without copies.
    ///
    /// # Errors
    /// None in practice.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        let options: libc::xdp_options = self.get(libc::SOL_XDP, libc::XDP_OPTIONS)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Has the interface's queue served by our calls rather than by interrupts: for up to `us`
    /// microseconds, with at most `budget` frames at once.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN, ENOPROTOOPT before Linux 5.11.
    pub fn set_busy_poll(&self, us: i32, budget: i32) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1)?;
        self.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL, &us)?;
        self.set(libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget)
    }

    /// Lets one [`XdpSocket::wake_tx`] send up to `frames` in copy mode, where the kernel has that
    /// choice; else it is 32.
    pub fn set_send_budget(&self, frames: u32) {
        // Without it, it only takes more calls.
        let _ = self.set(libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &frames);
    }

    /// Lets about `bytes` be under way; less where the system's limit is lower and we may not pass it.
    ///
    /// # Errors
    /// None in practice.
    pub fn set_send_buffer(&self, bytes: i32) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes))
    }

    /// Has the kernel send what is in the tx ring.
    ///
    /// # Errors
    /// `WouldBlock` where it has not come to an end: its budget is used, or too much is under way.
    /// ENOBUFS or EBUSY where the interface has no room. ENETDOWN, ENXIO: it is down, gone.
    #[inline]
    pub fn wake_tx(&self) -> io::Result<()> {
        let (raw, nothing) = (self.0.as_raw_fd(), std::ptr::null());
        // SAFETY: no bytes are passed, and no address.
        let sent =
            unsafe { libc::sendto(raw, nothing, 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        check(sent as i32)
    }

    /// Has the kernel go on receiving with what is in the fill ring; with busy polling, receive.
    ///
    /// # Errors
    /// As [`XdpSocket::wake_tx`].
    #[inline]
    pub fn wake_rx(&self) -> io::Result<()> {
        let (raw, nothing) = (self.0.as_raw_fd(), std::ptr::null_mut());
        let flags = libc::MSG_DONTWAIT;
        let (address, len) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no bytes are taken, and no address is asked for.
        check(unsafe { libc::recvfrom(raw, nothing, 0, flags, address, len) } as i32)
    }

    /// What the kernel has counted so far.
    ///
    /// # Errors
    /// None in practice.
    pub fn counts(&self) -> io::Result<XdpCounts> {
        let counts: libc::xdp_statistics = self.get(libc::SOL_XDP, libc::XDP_STATISTICS)?;
        Ok(XdpCounts {
            rx_dropped: counts.rx_dropped,
            rx_invalid: counts.rx_invalid_descs,
            tx_invalid: counts.tx_invalid_descs,
            rx_ring_full: counts.rx_ring_full,
            fill_ring_empty: counts.rx_fill_ring_empty_descs,
            tx_ring_empty: counts.tx_ring_empty_descs,
        })
    }

    /// The error that is pending on the socket, such as ENETDOWN, which this clears.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        let number: i32 = self.get(libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0);
        (number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    fn set<T: Plain>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let (at, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as u32);
        // SAFETY: the kernel reads `len` bytes of `value`.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, at, len) })
    }

    fn get<T: Plain>(&self, level: i32, option: i32) -> io::Result<T> {
        // SAFETY: all-zero bytes are a valid `T`, by its trait.
        let mut value: T = unsafe { std::mem::zeroed() };
        let mut len = size_of::<T>() as libc::socklen_t;
        let at = (&raw mut value).cast();
        // SAFETY: the kernel writes at most `len` bytes of `value`; any bytes are a valid `T`.
        check(unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, at, &raw mut len) })?;
        Ok(value)
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn layout(offsets: &libc::xdp_ring_offset) -> Layout {
    Layout {
        producer: offsets.producer as usize,
        consumer: offsets.consumer as usize,
        flags: offsets.flags as usize,
        entries: offsets.desc as usize,
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
// SAFETY: two numbers of 64 and four of 32 bits.
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: numbers of the same size.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: numbers of the same size.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: a number.
unsafe impl Plain for libc::xdp_options {}

fn check(rc: libc::c_int) -> io::Result<()> {
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
