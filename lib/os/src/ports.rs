//! I/O ports of x86 devices, in blocks of 32 (ioperm(2), port(4)).
//!
//! The kernel permits ports to a thread at a time, so each thread asks for itself at its first
//! access; that needs CAP_SYS_RAWIO. Where ioperm is refused or the processor has no such
//! instructions, `/dev/port` stands in: one system call a byte. While a block is held, a record lock
//! on `/dev/port` keeps others that ask in the same way off.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Ports in a block.
pub const BLOCK: u16 = 32;

/// Bytes that one access to a port moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One.
    Byte,
    /// Two, the lower first.
    Word,
    /// Four, the lowest first.
    Long,
}

impl Width {
    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Width::Byte => 1,
            Width::Word => 2,
            Width::Long => 4,
        }
    }
}

/// A block of ports that is held. Offsets are from its first port, and wrap within it.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    /// None on a kernel without it, where nothing is locked.
    device: Option<File>,
    /// Whether the processor's instructions are used.
    direct: bool,
}

impl Ports {
    /// Takes the block that begins with port `first`, a multiple of [`BLOCK`].
    ///
    /// # Errors
    /// `InvalidInput` for another `first`; `ResourceBusy` where it is held; EPERM or EACCES without
    /// CAP_SYS_RAWIO.
    pub fn claim(first: u16) -> io::Result<Self> {
        if !first.is_multiple_of(BLOCK) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let opened = OpenOptions::new().read(true).write(true).open("/dev/port");
        let granted = permit(first);
        let device = match (opened, &granted) {
            (Ok(device), _) => Some(device),
            (Err(_), Ok(())) => None,
            (Err(_), Err(_)) => return Err(granted.err().unwrap_or_else(io::Error::last_os_error)),
        };
        if let Some(device) = &device {
            lock(device, first)?;
        }
        Ok(Ports {
            first,
            device,
            direct: granted.is_ok(),
        })
    }

    /// The first port.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Whether the processor's own instructions are used; else every access is of one byte.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Reads a byte; all ones where there is no permission any more.
    #[inline]
    pub fn in8(&self, offset: u16) -> u8 {
        if self.is_permitted() {
            return instructions::read_byte(self.port(offset));
        }
        let mut byte = [0xff];
        self.in_string(offset, Width::Byte, &mut byte);
        byte[0]
    }

    /// Writes a byte.
    #[inline]
    pub fn out8(&self, offset: u16, value: u8) {
        if self.is_permitted() {
            return instructions::write_byte(self.port(offset), value);
        }
        self.out_string(offset, Width::Byte, &[value]);
    }

    /// Reads `bytes` from one port, `width` at a time; what is left over is not read.
    #[inline]
    pub fn in_string(&self, offset: u16, width: Width, bytes: &mut [u8]) {
        let port = self.port(offset);
        if self.is_permitted() {
            instructions::read(port, width, bytes);
        } else if let Some(device) = &self.device {
            for byte in bytes {
                // What cannot be read stays as it is: the caller checks what a device says.
                let _ = device.read_at(std::slice::from_mut(byte), port.into());
            }
        }
    }

    /// Writes `bytes` to one port, `width` at a time; what is left over is not written.
    #[inline]
    pub fn out_string(&self, offset: u16, width: Width, bytes: &[u8]) {
        let port = self.port(offset);
        if self.is_permitted() {
            instructions::write(port, width, bytes);
        } else if let Some(device) = &self.device {
            for byte in bytes {
                // As above.
                let _ = device.write_at(std::slice::from_ref(byte), port.into());
            }
        }
    }

    #[inline]
    fn port(&self, offset: u16) -> u16 {
        self.first | (offset % BLOCK)
    }

    /// Whether this thread may use the instructions on this block.
    #[inline]
    fn is_permitted(&self) -> bool {
        self.direct && (instructions::has(self.first) || permit(self.first).is_ok())
    }
}

/// Asks for this thread's permission, once.
#[cold]
fn permit(first: u16) -> io::Result<()> {
    match instructions::has(first) {
        true => Ok(()),
        false => instructions::ask(first),
    }
}

/// Locks the block's bytes of `/dev/port` for as long as `device` is open.
fn lock(device: &File, first: u16) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid flock.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as _;
    range.l_whence = libc::SEEK_SET as _;
    range.l_start = first.into();
    range.l_len = BLOCK.into();
    let raw = device.as_raw_fd();
    // SAFETY: the command reads one flock.
    if unsafe { libc::fcntl(raw, libc::F_OFD_SETLK, &raw const range) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Err(io::ErrorKind::ResourceBusy.into()),
        _ => Err(error),
    }
}

/// The processor's instructions, and which blocks this thread may use them on.
#[cfg(target_arch = "x86_64")]
mod instructions {
    use super::{BLOCK, Width};
    use std::arch::asm;
    use std::cell::Cell;
    use std::io;

    const WORDS: usize = 65_536 / BLOCK as usize / 64;

    thread_local! {
        /// A bit for each block that the kernel has permitted to this thread.
        static PERMITTED: [Cell<u64>; WORDS] = const { [const { Cell::new(0) }; WORDS] };
    }

    /// Where a block's bit is.
    fn bit(first: u16) -> (usize, u64) {
        let block = usize::from(first / BLOCK);
        (block / 64, 1 << (block % 64))
    }

    #[inline]
    pub(super) fn has(first: u16) -> bool {
        let (word, bit) = bit(first);
        PERMITTED.with(|permitted| permitted[word].get() & bit != 0)
    }

    pub(super) fn ask(first: u16) -> io::Result<()> {
        // SAFETY: a plain call that touches no memory of the process.
        if unsafe { libc::ioperm(first.into(), BLOCK.into(), 1) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let (word, bit) = bit(first);
        PERMITTED.with(|permitted| permitted[word].set(permitted[word].get() | bit));
        Ok(())
    }

    /// Reads a byte from `port`, on which this thread has permission: else the processor ends the
    /// program.
    #[inline]
    pub(super) fn read_byte(port: u16) -> u8 {
        let value;
        // SAFETY: touches no memory; what a device does is outside of it, as no DMA is started by
        // the devices that io-net drives so.
        unsafe {
            asm!("in al, dx", in("dx") port, out("al") value, options(nostack, preserves_flags));
        }
        value
    }

    /// Writes a byte to `port`, on which this thread has permission.
    #[inline]
    pub(super) fn write_byte(port: u16, value: u8) {
        // SAFETY: as above.
        unsafe {
            asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags));
        }
    }

    /// Reads from `port`, on which this thread has permission.
    #[inline]
    pub(super) fn read(port: u16, width: Width, bytes: &mut [u8]) {
        let (to, n) = (bytes.as_mut_ptr(), bytes.len() / width.bytes());
        // SAFETY: `n` accesses of `width` write no more than `bytes` has, upward, as the ABI keeps
        // the direction flag clear.
        unsafe {
            match width {
                Width::Byte => asm!("rep insb", in("dx") port, inout("rdi") to => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
                Width::Word => asm!("rep insw", in("dx") port, inout("rdi") to => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
                Width::Long => asm!("rep insd", in("dx") port, inout("rdi") to => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
            }
        }
    }

    /// Writes to `port`, on which this thread has permission.
    #[inline]
    pub(super) fn write(port: u16, width: Width, bytes: &[u8]) {
        let (from, n) = (bytes.as_ptr(), bytes.len() / width.bytes());
        // SAFETY: `n` accesses of `width` read no more than `bytes` has; as above.
        unsafe {
            match width {
                Width::Byte => asm!("rep outsb", in("dx") port, inout("rsi") from => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
                Width::Word => asm!("rep outsw", in("dx") port, inout("rsi") from => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
                Width::Long => asm!("rep outsd", in("dx") port, inout("rsi") from => _,
                    inout("rcx") n => _, options(nostack, preserves_flags)),
            }
        }
    }
}

/// A processor without such instructions.
#[cfg(not(target_arch = "x86_64"))]
mod instructions {
    use super::Width;
    use std::io;

    pub(super) fn has(_first: u16) -> bool {
        false
    }

    pub(super) fn ask(_first: u16) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn read_byte(_port: u16) -> u8 {
        0xff
    }

    pub(super) fn write_byte(_port: u16, _value: u8) {}

    pub(super) fn read(_port: u16, _width: Width, _bytes: &mut [u8]) {}

    pub(super) fn write(_port: u16, _width: Width, _bytes: &[u8]) {}
}
