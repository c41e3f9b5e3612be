//! XDP programs in the kernel: loading one, its map of sockets, and its place on an interface (bpf(2)).
//!
//! Any thread; control path only. Everything ends with its descriptor: a [`Link`] that is dropped,
//! or whose process dies in whatever way, takes its program off the interface.

use crate::xdp::XdpSocket;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// Numbers of include/uapi/linux/bpf.h and if_link.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const LINK_CREATE: libc::c_int = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const F_XDP_HAS_FRAGS: u32 = 1 << 5;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Bytes of the verifier's words that are kept.
const LOG_SIZE: usize = 64 << 10;

/// The sockets of an interface, by its queues.
#[derive(Debug)]
pub struct SocketMap(OwnedFd);

/// A program that has been verified.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// A program's place on an interface, until dropped.
#[derive(Debug)]
pub struct Link {
    _fd: OwnedFd,
}

/// Where in the kernel a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the interface's driver.
    Native,
    /// After the driver, over socket buffers: any interface can.
    Generic,
}

/// Why a program was refused.
#[derive(Debug)]
pub struct Refused {
    /// The kernel's error.
    pub error: io::Error,
    /// The end of what the verifier said.
    pub log: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log.as_str() {
            "" => write!(f, "{}", self.error),
            log => write!(f, "{}; the verifier said: {log}", self.error),
        }
    }
}

impl std::error::Error for Refused {}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    index: u32,
    attach: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in: u32,
    context_out: u32,
    context: [u64; 2],
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    index: u32,
    attach: u32,
    flags: u32,
}

impl SocketMap {
    /// An empty map for queues below `queues`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF, ENOMEM.
    pub fn new(queues: u32) -> io::Result<Self> {
        let mut request = MapCreate {
            kind: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            entries: queues,
            flags: 0,
            inner: 0,
            numa_node: 0,
            name: *b"io_net_sockets\0\0",
        };
        // SAFETY: the kernel reads the request, which names no memory.
        unsafe { bpf_fd(MAP_CREATE, &mut request) }.map(SocketMap)
    }

    /// Has frames of `queue` go to `socket`, which has its rings.
    ///
    /// # Errors
    /// E2BIG for a queue beyond the map.
    pub fn insert(&self, queue: u32, socket: &XdpSocket) -> io::Result<()> {
        use std::os::fd::AsFd;
        let fd = socket.as_fd().as_raw_fd();
        let mut request = MapUpdate {
            map: self.0.as_raw_fd().cast_unsigned(),
            padding: 0,
            key: (&raw const queue) as u64,
            value: (&raw const fd) as u64,
            flags: 0,
        };
        // SAFETY: key and value are four bytes each, as the map was made, and live during the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut request) }.map(drop)
    }

    /// The number by which instructions name the map.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl Program {
    /// Loads an XDP program. With `fragments` it is one for frames of several buffers, too, of which
    /// it sees the first (Linux 5.18).
    ///
    /// # Errors
    /// [`Refused`]: EPERM without CAP_BPF and CAP_NET_ADMIN, EINVAL or EACCES where the verifier finds
    /// fault.
    pub fn load(instructions: &[u64], fragments: bool) -> Result<Self, Refused> {
        let quiet = load(instructions, fragments, &mut []);
        quiet.or_else(|error| {
            if error.raw_os_error() == Some(libc::EPERM) {
                return Err(Refused {
                    error,
                    log: String::new(),
                });
            }
            let mut log = vec![0; LOG_SIZE];
            load(instructions, fragments, &mut log).map_err(|error| Refused {
                error,
                log: last_lines(&log),
            })
        })
    }

    /// Puts the program on the interface with number `index`.
    ///
    /// # Errors
    /// EBUSY or EEXIST where there is another one, EOPNOTSUPP where the driver has no such hook, ERANGE
    /// or EINVAL where its present settings rule it out, ENODEV.
    pub fn attach(&self, index: u32, hook: Hook) -> io::Result<Link> {
        let mut request = LinkCreate {
            program: self.0.as_raw_fd().cast_unsigned(),
            index,
            attach: ATTACH_XDP,
            flags: match hook {
                Hook::Native => XDP_FLAGS_DRV_MODE,
                Hook::Generic => XDP_FLAGS_SKB_MODE,
            },
        };
        // SAFETY: the kernel reads the request, which names no memory.
        unsafe { bpf_fd(LINK_CREATE, &mut request) }.map(|fd| Link { _fd: fd })
    }

    /// What the program decides on `frame`, as if it had come by queue 0 of the loopback interface.
    ///
    /// # Errors
    /// EINVAL for a frame of less than 14 bytes.
    pub fn try_on(&self, frame: &[u8]) -> io::Result<u32> {
        let mut request = TestRun {
            program: self.0.as_raw_fd().cast_unsigned(),
            size_in: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        // SAFETY: the kernel reads the bytes of `frame`, and writes none.
        unsafe { bpf(PROG_TEST_RUN, &mut request) }?;
        Ok(request.returned)
    }
}

fn load(instructions: &[u64], fragments: bool, log: &mut [u8]) -> io::Result<Program> {
    let mut request = ProgLoad {
        kind: PROG_TYPE_XDP,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        kernel_version: 0,
        flags: if fragments { F_XDP_HAS_FRAGS } else { 0 },
        name: *b"io_net_steer\0\0\0\0",
        index: 0,
        attach: ATTACH_XDP,
    };
    // SAFETY: the kernel reads `count` instructions and the license's text, and writes at most
    // `log_size` bytes of `log`.
    unsafe { bpf_fd(PROG_LOAD, &mut request) }.map(Program)
}

/// The end of a log that ends with a zero, in one line.
fn last_lines(log: &[u8]) -> String {
    const LINES: usize = 4;
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    // The last lines are figures of its own work.
    let said: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("processed "))
        .collect();
    said[said.len().saturating_sub(LINES)..].join(" / ")
}

/// # Safety
/// `request` is that of `command`, and what it names is valid for the kernel's use.
unsafe fn bpf<T>(command: libc::c_int, request: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes at most `size_of::<T>()` bytes of `request`; the rest is
    // the caller's promise.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(request),
            size_of::<T>(),
        )
    };
    match rc {
        0.. => Ok(rc as i32),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
/// As [`bpf`], of a command that returns a new descriptor.
unsafe fn bpf_fd<T>(command: libc::c_int, request: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the kernel has just returned the fd, and nothing else owns it.
    unsafe { bpf(command, request).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_by_its_end() {
        let log =
            b"0: (b7) r0 = 0\n1: bad\n2: worse\n\n3: worst\n4: end\nprocessed 5 insns\n\0rest";
        assert_eq!(last_lines(log), "1: bad / 2: worse / 3: worst / 4: end");
        assert_eq!(last_lines(&[0; 8]), "");
        assert_eq!(last_lines(b""), "");
    }

    #[test]
    fn requests_are_laid_out_as_the_kernel_reads_them() {
        use std::mem::offset_of;
        assert_eq!(offset_of!(MapCreate, name), 28);
        assert_eq!(offset_of!(MapUpdate, key), 8);
        assert_eq!(offset_of!(ProgLoad, instructions), 8);
        assert_eq!(offset_of!(ProgLoad, log), 32);
        assert_eq!(offset_of!(ProgLoad, name), 48);
        assert_eq!(offset_of!(ProgLoad, attach), 68);
        assert_eq!(offset_of!(TestRun, data_in), 16);
        assert_eq!(offset_of!(TestRun, repeat), 32);
        assert_eq!(offset_of!(TestRun, flags), 64);
        assert_eq!(size_of::<LinkCreate>(), 16);
    }
}
