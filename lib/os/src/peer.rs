//! Another process's memory, by process_vm_readv(2) and process_vm_writev(2): one copy from address
//! space to address space.
//!
//! Any thread. The kernel checks each address of the other side, so any number will do for one;
//! what it does not check is whether the process is still the one that was meant.

use std::io::{self, IoSlice, IoSliceMut};

/// A stretch of another process's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Address of its first byte.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

/// Parts of each side that one system call is given.
const PARTS: usize = 64;

/// Copies from the stretches `from` of process `pid`, beyond their first `skip` bytes, to `to`,
/// beyond its first `to_skip` bytes, until one of them ends. Returns how many bytes: less than
/// there are where the other side's memory cannot be read.
///
/// # Errors
/// EPERM or ESRCH; EFAULT when not even the first byte can be read.
pub fn read(
    pid: i32,
    from: &[Stretch],
    skip: u64,
    to: &mut [IoSliceMut<'_>],
    to_skip: usize,
) -> io::Result<usize> {
    let to = to.iter_mut().map(|part| (part.as_mut_ptr(), part.len()));
    let mut local: Vec<libc::iovec> = to.map(|(at, len)| iovec(at as u64, len as u64)).collect();
    // SAFETY: `local` describes the slices in `to`, which are exclusively borrowed and valid for
    // writing.
    unsafe {
        transfer(
            libc::SYS_process_vm_readv,
            pid,
            from,
            skip,
            &mut local,
            to_skip,
        )
    }
}

/// Copies `from`, beyond its first `from_skip` bytes, to the stretches `to` of process `pid`,
/// beyond their first `skip` bytes. Returns as [`read`].
///
/// # Errors
/// As [`read`].
pub fn write(
    pid: i32,
    to: &[Stretch],
    skip: u64,
    from: &[IoSlice<'_>],
    from_skip: usize,
) -> io::Result<usize> {
    let from = from.iter().map(|part| (part.as_ptr(), part.len()));
    let mut local: Vec<libc::iovec> = from.map(|(at, len)| iovec(at as u64, len as u64)).collect();
    // SAFETY: `local` describes the slices in `from`, valid for reading; this call only reads them.
    unsafe {
        transfer(
            libc::SYS_process_vm_writev,
            pid,
            to,
            skip,
            &mut local,
            from_skip,
        )
    }
}

fn iovec(address: u64, len: u64) -> libc::iovec {
    libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(address as usize),
        iov_len: len as usize,
    }
}

/// # Safety
/// Each of `local` is valid for what `call` does with it.
unsafe fn transfer(
    call: libc::c_long,
    pid: i32,
    remote: &[Stretch],
    skip: u64,
    local: &mut [libc::iovec],
    local_skip: usize,
) -> io::Result<usize> {
    let mut remote: Vec<libc::iovec> = remote.iter().map(|s| iovec(s.address, s.len)).collect();
    let mut remote = advance(&mut remote, skip as usize);
    let mut local = advance(local, local_skip);
    let mut done = 0;
    while !local.is_empty() && !remote.is_empty() {
        let (l, r) = (local.len().min(PARTS), remote.len().min(PARTS));
        let (at, of) = (local.as_ptr(), remote.as_ptr());
        // SAFETY: the caller's promise for the local parts; the kernel checks the remote ones.
        let moved = unsafe { libc::syscall(call, pid, at, l, of, r, 0_usize) };
        match usize::try_from(moved) {
            Ok(0) => break,
            Ok(moved) => {
                done += moved;
                local = advance(local, moved);
                remote = advance(remote, moved);
            }
            Err(_) if done > 0 => break,
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(done)
}

/// What is left of `parts` beyond their first `skip` bytes, without empty parts at its beginning.
fn advance(parts: &mut [libc::iovec], mut skip: usize) -> &mut [libc::iovec] {
    let mut gone = 0;
    for part in parts.iter_mut() {
        if skip < part.iov_len {
            part.iov_base = part.iov_base.cast::<u8>().wrapping_add(skip).cast();
            part.iov_len -= skip;
            break;
        }
        skip -= part.iov_len;
        gone += 1;
    }
    &mut parts[gone..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(bytes: &[u8]) -> Stretch {
        Stretch {
            address: bytes.as_ptr().expose_provenance() as u64,
            len: bytes.len() as u64,
        }
    }

    #[test]
    fn parts_of_any_size_meet_parts_of_any_other() {
        let pid = std::process::id().cast_signed();
        let source: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
        let from: Vec<Stretch> = source.chunks(7).map(stretch).collect();
        let mut to = vec![0; 1000];
        let mut parts: Vec<IoSliceMut<'_>> = to.chunks_mut(11).map(IoSliceMut::new).collect();
        assert_eq!(read(pid, &from, 20, &mut parts, 5).unwrap(), 980);
        assert_eq!(to[5..985], source[20..]);

        let mut target = vec![0_u8; 300];
        let to = [Stretch {
            address: target.as_mut_ptr().expose_provenance() as u64,
            len: 300,
        }];
        let parts: Vec<IoSlice<'_>> = source.chunks(3).map(IoSlice::new).collect();
        assert_eq!(write(pid, &to, 100, &parts, 1).unwrap(), 200);
        assert_eq!(target[100..], source[1..201]);
    }

    #[test]
    fn what_cannot_be_reached_is_an_error() {
        let (pid, mut byte) = (std::process::id().cast_signed(), [0]);
        let nowhere = [Stretch { address: 8, len: 1 }];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let error = read(pid, &nowhere, 0, &mut parts, 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        assert_eq!(read(pid, &nowhere, 9, &mut parts, 0).unwrap(), 0);
        assert!(read(i32::MAX, &nowhere, 0, &mut parts, 0).is_err());
    }
}
