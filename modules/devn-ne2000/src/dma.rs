//! The card's memory, through the window of the remote DMA.
//!
//! Every wait is bounded: a DMA that does not complete is an error, and the chip is to be reset.

use crate::ports::Ports;
use crate::regs::{CR, DATA, cr, isr, page0};
use io_net_os::ports::Width;

/// Looks at the status until a DMA counts as stuck: a millisecond on ISA, at the least.
const LOOKS: u32 = 2000;
/// Bytes of a page.
pub(crate) const PAGE: usize = 256;

/// A DMA has not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

/// Reads `bytes` from `at` on. The number of bytes is a multiple of `width`.
#[inline]
pub(crate) fn read(ports: &mut impl Ports, width: Width, at: u16, bytes: &mut [u8]) {
    set_up(ports, at, bytes.len() as u16);
    ports.out8(CR, cr::STA | cr::READ);
    ports.in_string(DATA, width, bytes);
    // What the chip has fetched ahead is dropped, if it counts otherwise than we do.
    ports.out8(CR, cr::STA | cr::NO_DMA);
    ports.out8(page0::ISR, isr::RDC);
}

/// Writes `bytes` from `at` on. The number of bytes is a multiple of `width`.
///
/// # Errors
/// [`Stuck`]; what was written is then unknown.
#[inline]
pub(crate) fn write(
    ports: &mut impl Ports,
    width: Width,
    at: u16,
    bytes: &[u8],
) -> Result<(), Stuck> {
    ports.out8(page0::ISR, isr::RDC);
    set_up(ports, at, bytes.len() as u16);
    ports.out8(CR, cr::STA | cr::WRITE);
    ports.out_string(DATA, width, bytes);
    let done = (0..LOOKS).any(|_| ports.in8(page0::ISR) & isr::RDC != 0);
    ports.out8(CR, cr::STA | cr::NO_DMA);
    ports.out8(page0::ISR, isr::RDC);
    match done {
        true => Ok(()),
        false => Err(Stuck),
    }
}

#[inline]
fn set_up(ports: &mut impl Ports, at: u16, len: u16) {
    let ([at_low, at_high], [low, high]) = (at.to_le_bytes(), len.to_le_bytes());
    ports.out8(page0::RBCR[0], low);
    ports.out8(page0::RBCR[1], high);
    ports.out8(page0::RSAR[0], at_low);
    ports.out8(page0::RSAR[1], at_high);
}
