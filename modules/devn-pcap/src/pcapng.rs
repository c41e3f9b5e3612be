//! Reading the pcapng format (draft-ietf-opsawg-pcapng): blocks, of which those with frames and the
//! descriptions of interfaces are read and the others passed over.

use crate::format::{FRAME_MAX, Order, Record, Unreadable, append, begin};
use crate::pcap::ETHERNET;
use std::io::{self, Read};

/// A section's first word, the same in both byte orders.
pub(crate) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// A section's second word but one, which shows the byte order (4.1).
const ORDER: u32 = 0x1a2b_3c4d;
/// Bytes of a block's type and its two lengths.
const FRAMING: usize = 12;
/// Bytes of the longest block that is read; those without frames may be longer.
const BLOCK_MAX: usize = FRAME_MAX + (64 << 10);
const INTERFACES_MAX: usize = 4096;
/// Option of an interface: the resolution of its times (4.2).
const RESOLUTION: u16 = 9;

const ENDS: Unreadable = Unreadable::Malformed("a block's length in it makes no sense");

/// An interface of the section.
#[derive(Clone, Copy, Debug)]
struct Interface {
    is_ethernet: bool,
    /// Units of time in a second.
    units: u64,
    snap_len: usize,
}

/// A capture that is being read.
pub(crate) struct Pcapng<R> {
    input: R,
    order: Order,
    interfaces: Vec<Interface>,
    /// The present block's body.
    body: Vec<u8>,
}

impl<R: Read> Pcapng<R> {
    /// Reads the first section's header, whose first word has been read.
    pub(crate) fn open(input: R) -> Result<Self, Unreadable> {
        let mut this = Pcapng {
            input,
            order: Order::Little,
            interfaces: Vec::new(),
            body: Vec::new(),
        };
        this.section()?;
        Ok(this)
    }

    /// As [`crate::format::Capture::next`].
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Record>, Unreadable> {
        while let Some(kind) = begin(&mut self.input)? {
            let record = match self.order.u32(&kind) {
                SECTION => {
                    self.section()?;
                    None
                }
                INTERFACE => {
                    self.block()?;
                    self.interface();
                    None
                }
                PACKET => {
                    self.block()?;
                    Some(self.packet(out)?)
                }
                SIMPLE_PACKET => {
                    self.block()?;
                    Some(self.simple_packet(out)?)
                }
                _ => {
                    self.pass_over()?;
                    None
                }
            };
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// Begins a section: its byte order is its own, and it has no interfaces yet.
    fn section(&mut self) -> Result<(), Unreadable> {
        let mut words = [0; 8];
        self.input.read_exact(&mut words)?;
        let (len, order) = words.split_at(4);
        self.order = match (Order::Little.u32(order), Order::Big.u32(order)) {
            (ORDER, _) => Order::Little,
            (_, ORDER) => Order::Big,
            _ => return Err(Unreadable::Malformed("a section of it has no byte order")),
        };
        self.interfaces.clear();
        let len = self.order.u32(len) as usize;
        self.skip(len.checked_sub(FRAMING).ok_or(ENDS)?)
    }

    /// The length of the block whose type has been read, without its framing.
    fn body_len(&mut self) -> Result<usize, Unreadable> {
        let mut len = [0; 4];
        self.input.read_exact(&mut len)?;
        let len = self.order.u32(&len) as usize;
        let body = len.checked_sub(FRAMING).filter(|_| len.is_multiple_of(4));
        body.ok_or(ENDS)
    }

    /// Reads the rest of a block.
    fn block(&mut self) -> Result<(), Unreadable> {
        let len = self.body_len()?;
        if len > BLOCK_MAX {
            return Err(ENDS);
        }
        self.body.clear();
        append(&mut self.input, len, &mut self.body)?;
        self.skip(4)
    }

    fn pass_over(&mut self) -> Result<(), Unreadable> {
        let len = self.body_len()?;
        self.skip(len + 4)
    }

    fn skip(&mut self, len: usize) -> Result<(), Unreadable> {
        let mut some = (&mut self.input).take(len as u64);
        match io::copy(&mut some, &mut io::sink())? {
            skipped if skipped == len as u64 => Ok(()),
            _ => Err(Unreadable::Malformed("it ends within a block")),
        }
    }

    fn interface(&mut self) {
        if self.interfaces.len() == INTERFACES_MAX {
            return;
        }
        let options = self.body.get(8..).unwrap_or_default();
        let resolution = find_option(self.order, options, RESOLUTION);
        let snap_len = self.order.u32(self.body.get(4..).unwrap_or_default());
        self.interfaces.push(Interface {
            is_ethernet: u32::from(self.order.u16(&self.body)) == ETHERNET,
            units: resolution
                .and_then(|value| value.first())
                .map_or(1_000_000, units),
            snap_len: match snap_len {
                0 => FRAME_MAX,
                len => len as usize,
            },
        });
    }

    fn packet(&self, out: &mut Vec<u8>) -> Result<Record, Unreadable> {
        let (head, rest) = self.body.split_at_checked(20).ok_or(ENDS)?;
        let number = |at: usize| self.order.u32(&head[at..]);
        let interface = self.interfaces.get(number(0) as usize);
        let interface = interface.ok_or(Unreadable::Malformed("a frame has no interface"))?;
        let (kept, len) = (number(12) as usize, number(16) as usize);
        out.extend_from_slice(rest.get(..kept).ok_or(ENDS)?);
        let time = u64::from(number(4)) << 32 | u64::from(number(8));
        let time_ns = u128::from(time) * 1_000_000_000 / u128::from(interface.units);
        Ok(Record {
            time_ns: u64::try_from(time_ns).unwrap_or(u64::MAX),
            is_ethernet: interface.is_ethernet,
            is_whole: kept >= len,
        })
    }

    /// A frame of the first interface, without its time (4.4).
    fn simple_packet(&self, out: &mut Vec<u8>) -> Result<Record, Unreadable> {
        let interface = self.interfaces.first();
        let interface = interface.ok_or(Unreadable::Malformed("a frame has no interface"))?;
        let (head, rest) = self.body.split_at_checked(4).ok_or(ENDS)?;
        let len = self.order.u32(head) as usize;
        let kept = len.min(interface.snap_len);
        out.extend_from_slice(rest.get(..kept).ok_or(ENDS)?);
        Ok(Record {
            time_ns: 0,
            is_ethernet: interface.is_ethernet,
            is_whole: kept >= len,
        })
    }
}

/// Units of time in a second (4.2, if_tsresol): a power of ten, or of two where the upper bit is set.
fn units(resolution: &u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(power).unwrap_or(u64::MAX)
}

/// The value of the first option `code` (3.5).
fn find_option(order: Order, mut options: &[u8], code: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = options.split_at_checked(4)?;
        let len = usize::from(order.u16(&head[2..]));
        let value = rest.get(..len)?;
        match order.u16(head) {
            0 => return None,
            found if found == code => return Some(value),
            _ => options = rest.get(len.next_multiple_of(4)..)?,
        }
    }
}
