//! A look at a file before it is opened as a shared object: the dynamic linker runs code of what it
//! opens, and dies of a file that is cut short.

use std::fmt;

/// Why a file is no shared object for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotElf {
    /// It is something else.
    Magic,
    /// For 32 bits, or for the other byte order.
    Class,
    /// For another processor.
    Machine,
    /// A program or an object file.
    Kind,
    /// Parts of it are missing.
    Truncated,
}

impl fmt::Display for NotElf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotElf::Magic => "it is no shared object: it does not begin as an ELF file",
            NotElf::Class => "it is for 32-bit machines or the other byte order",
            NotElf::Machine => "it is for another processor",
            NotElf::Kind => "it is an ELF file, but no shared object",
            NotElf::Truncated => "it is cut short: parts that its header names are missing",
        })
    }
}

const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else {
    0
};
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
/// ELF64: size of the file's header and of a program header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// Checks `start`, the first bytes of a file of `len` bytes (its header, and the program headers as
/// far as they are there).
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(start: &[u8], len: u64) -> Result<(), NotElf> {
    if !start.starts_with(b"\x7fELF") {
        return Err(NotElf::Magic);
    }
    if start.len() < HEADER {
        return Err(NotElf::Truncated);
    }
    let little = if cfg!(target_endian = "little") { 1 } else { 2 };
    if start[4] != 2 || start[5] != little {
        return Err(NotElf::Class);
    }
    if MACHINE != 0 && half(start, 18) != Some(MACHINE) {
        return Err(NotElf::Machine);
    }
    if half(start, 16) != Some(ET_DYN) {
        return Err(NotElf::Kind);
    }
    segments_are_there(start, len).ok_or(NotElf::Truncated)
}

/// Whether every part of the file that is to be mapped lies in it.
fn segments_are_there(start: &[u8], len: u64) -> Option<()> {
    let table = usize::try_from(word(start, 32)?).ok()?;
    let (size, count) = (usize::from(half(start, 54)?), usize::from(half(start, 56)?));
    if size < PROGRAM_HEADER || count == 0 {
        return None;
    }
    for i in 0..count {
        let header = start.get(table.checked_add(i * size)?..)?;
        let kind = u32::from_ne_bytes(header.get(..4)?.try_into().ok()?);
        let end = word(header, 8)?.checked_add(word(header, 32)?)?;
        if kind == PT_LOAD && end > len {
            return None;
        }
    }
    Some(())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shared object that every dynamically linked test maps: this program itself.
    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn a_whole_one_passes_and_a_short_one_does_not() {
        let file = own();
        let len = file.len() as u64;
        assert_eq!(check(&file[..4096], len), Ok(()));
        assert_eq!(check(&file[..4096], 4096), Err(NotElf::Truncated));
        assert_eq!(check(&file[..40], 40), Err(NotElf::Truncated));
        assert_eq!(check(&file[..70], 70), Err(NotElf::Truncated));
    }

    #[test]
    fn others_are_told_apart() {
        assert_eq!(check(b"#!/bin/sh\n", 10), Err(NotElf::Magic));
        assert_eq!(check(b"", 0), Err(NotElf::Magic));
        for (at, value, error) in [
            (4, 1, NotElf::Class),
            (18, 3, NotElf::Machine),
            (16, 1, NotElf::Kind),
        ] {
            let mut file = own();
            file[at] = value;
            assert_eq!(check(&file[..4096], file.len() as u64), Err(error));
        }
    }

    #[test]
    fn no_header_makes_it_panic() {
        let file = own();
        for at in 0..HEADER + 2 * PROGRAM_HEADER {
            for value in [0, 0x7f, 0xff] {
                let mut changed = file[..4096].to_vec();
                changed[at] = value;
                let _ = check(&changed, file.len() as u64);
            }
        }
    }
}
