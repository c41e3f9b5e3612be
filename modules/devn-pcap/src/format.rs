//! Reading a capture, whichever format it is in. No byte of it is trusted.

use crate::pcap::Pcap;
use crate::pcapng::Pcapng;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// Bytes of the longest frame that a capture may hold.
pub(crate) const FRAME_MAX: usize = 256 << 10;

/// A frame's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it was captured, nanoseconds since 1970.
    pub(crate) time_ns: u64,
    /// Whether it is an Ethernet frame.
    pub(crate) is_ethernet: bool,
    /// Whether all of it was captured.
    pub(crate) is_whole: bool,
}

/// Why a capture cannot be read on.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The system's error.
    Io(io::Error),
    /// It ends within a record, or contradicts itself.
    Malformed(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Io(error) => error.fmt(f),
            Unreadable::Malformed(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Unreadable::Malformed("it ends within a record"),
            _ => Unreadable::Io(error),
        }
    }
}

/// A capture that is being read.
pub(crate) enum Capture<R> {
    Pcap(Pcap<R>),
    Pcapng(Pcapng<R>),
}

impl<R: Read> Capture<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// Where it is in neither format.
    pub(crate) fn open(mut input: R) -> Result<Self, Unreadable> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        match magic {
            crate::pcapng::MAGIC => Ok(Capture::Pcapng(Pcapng::open(input)?)),
            magic => Ok(Capture::Pcap(Pcap::open(magic, input)?)),
        }
    }

    /// Appends the next frame's bytes to `out`. None at the end.
    ///
    /// # Errors
    /// Where it cannot be read on; `out` may have grown.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Record>, Unreadable> {
        match self {
            Capture::Pcap(pcap) => pcap.next(out),
            Capture::Pcapng(pcapng) => pcapng.next(out),
        }
    }
}

/// The order of bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    /// The number at the beginning of `bytes`, 0 where there are fewer than four.
    pub(crate) fn u32(self, bytes: &[u8]) -> u32 {
        let Some(bytes) = bytes.first_chunk() else {
            return 0;
        };
        match self {
            Order::Little => u32::from_le_bytes(*bytes),
            Order::Big => u32::from_be_bytes(*bytes),
        }
    }

    /// The number at the beginning of `bytes`, 0 where there are fewer than two.
    pub(crate) fn u16(self, bytes: &[u8]) -> u16 {
        let Some(bytes) = bytes.first_chunk() else {
            return 0;
        };
        match self {
            Order::Little => u16::from_le_bytes(*bytes),
            Order::Big => u16::from_be_bytes(*bytes),
        }
    }
}

/// Reads the first four bytes of a record; None where the input ends before it.
pub(crate) fn begin(input: &mut impl Read) -> Result<Option<[u8; 4]>, Unreadable> {
    let mut bytes = [0; 4];
    let first = loop {
        match input.read(&mut bytes[..1]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(&mut bytes[1..])?;
    Ok(Some(bytes))
}

/// Appends `len` bytes to `out`.
pub(crate) fn append(
    input: &mut impl Read,
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    let start = out.len();
    out.resize(start + len, 0);
    Ok(input.read_exact(&mut out[start..])?)
}

#[cfg(test)]
mod tests;
