//! Finding out what answers at a card's ports. Control thread.
//!
//! Every wait is bounded, so that an empty port, or something else at it, is told in a moment.

use crate::dma;
use crate::ports::Ports;
use crate::regs::{CR, DCR_BYTES, DCR_WORDS, RESET, cr, isr, page0, page1, rcr, tcr};
use io_net_os::ports::Width;
use std::fmt;
use std::time::Duration;

/// How often, and how long, the reset is waited for.
const RESET_LOOKS: u32 = 20;
const RESET_WAIT: Duration = Duration::from_millis(1);
/// Bytes of the PROM.
const PROM: usize = 32;
/// What it holds after the address (the card's, not the chip's data sheet).
const SIGNATURE: [u8; 2] = [0x57; 2];

/// What a card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its address, as its PROM says.
    pub(crate) mac: [u8; 6],
    /// Whether the PROM is as an NE2000's should be.
    pub(crate) signed: bool,
    pub(crate) layout: Layout,
}

/// Where the card's memory is, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of an access to the window.
    pub(crate) width: Width,
    /// Whether the chip moves words, which the card's wiring decides.
    pub(crate) words: bool,
    /// First page of memory: of transmission.
    pub(crate) start: u8,
    /// First page of the ring.
    pub(crate) ring: u8,
    /// The page after the last.
    pub(crate) stop: u8,
}

/// Why no card was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nothing answers.
    Empty,
    /// Something else answers.
    Other,
    /// A chip, but without memory where an NE2000 has it.
    NoMemory,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Absent::Empty => "nothing answers there",
            Absent::Other => "what answers there is no DP8390",
            Absent::NoMemory => "the chip there has no memory as an NE2000 has",
        })
    }
}

/// Resets what is there and looks what it is. The chip is left stopped.
///
/// `widest` bounds the accesses to the card's memory.
///
/// # Errors
/// [`Absent`].
pub(crate) fn probe(ports: &mut impl Ports, widest: Width) -> Result<Found, Absent> {
    if ports.in8(CR) == 0xff {
        return Err(Absent::Empty);
    }
    reset(ports)?;
    has_pages(ports)?;
    quiet(ports);
    let mut prom = [0; PROM];
    ports.out8(page0::DCR, DCR_BYTES);
    dma::read(ports, Width::Byte, 0, &mut prom);
    // Wired for words, each byte is seen twice.
    let doubled = prom.chunks_exact(2).all(|pair| pair[0] == pair[1]);
    let step = if doubled { 2 } else { 1 };
    let mut bytes = [0; PROM / 2];
    for (to, from) in bytes.iter_mut().zip(prom.iter().step_by(step)) {
        *to = *from;
    }
    let layout = layout(ports, doubled, widest)?;
    stop(ports);
    let [mac @ .., _, _, _, _, _, _, _, _, _, _] = bytes;
    Ok(Found {
        mac,
        signed: bytes[14..] == SIGNATURE,
        layout,
    })
}

/// Stops the chip, its interrupts masked, and has it forget what has happened.
pub(crate) fn stop(ports: &mut impl Ports) {
    ports.out8(CR, cr::STP | cr::NO_DMA);
    ports.out8(page0::IMR, 0);
    ports.out8(page0::RBCR[0], 0);
    ports.out8(page0::RBCR[1], 0);
    ports.out8(page0::ISR, 0xff);
}

/// Resets the card, and sees whether it says so.
fn reset(ports: &mut impl Ports) -> Result<(), Absent> {
    let byte = ports.in8(RESET);
    // Some cards end the reset only when they are written to.
    ports.out8(RESET, byte);
    for _ in 0..RESET_LOOKS {
        ports.wait(RESET_WAIT);
        match ports.in8(page0::ISR) {
            0xff => {}
            status if status & isr::RST != 0 => return Ok(()),
            _ => {}
        }
    }
    Err(Absent::Other)
}

/// Whether the registers are in pages, as a DP8390's.
fn has_pages(ports: &mut impl Ports) -> Result<(), Absent> {
    let page = |n| cr::STP | cr::NO_DMA | n;
    let holds = [0x5a, 0xa5].into_iter().all(|pattern| {
        ports.out8(CR, page(cr::PAGE1));
        let there = ports.in8(CR) == page(cr::PAGE1);
        ports.out8(page1::PAR, pattern);
        let kept = ports.in8(page1::PAR) == pattern;
        ports.out8(CR, page(0));
        there && kept && ports.in8(CR) == page(0)
    });
    holds.then_some(()).ok_or(Absent::Other)
}

/// Lets the remote DMA work, and nothing else.
fn quiet(ports: &mut impl Ports) {
    stop(ports);
    ports.out8(page0::RCR, rcr::MON);
    ports.out8(page0::TCR, tcr::LOOPBACK);
}

/// Where there is memory: 16 KiB from 0x4000 on a card of words, 8 KiB from 0x2000 on one of bytes.
fn layout(ports: &mut impl Ports, doubled: bool, widest: Width) -> Result<Layout, Absent> {
    let wide = |width: Width| width.bytes().min(widest.bytes()) == width.bytes();
    let words = doubled && wide(Width::Word);
    let width = match words {
        true if wide(Width::Long) => Width::Long,
        true => Width::Word,
        false => Width::Byte,
    };
    let (start, stop) = if doubled { (0x40, 0x80) } else { (0x20, 0x40) };
    let layout = Layout {
        width,
        words,
        start,
        ring: start + crate::tx::PAGES,
        stop,
    };
    ports.out8(page0::DCR, layout.dcr());
    // Its first page and its last, each with a pattern of its own.
    let pages = [(start, 0x5a_u8), (stop - 1, 0xc3)];
    let pattern = |seed: u8| std::array::from_fn::<u8, 16, _>(|i| seed.wrapping_mul(i as u8 | 1));
    for (page, seed) in pages {
        let at = u16::from(page) << 8;
        dma::write(ports, width, at, &pattern(seed)).map_err(|_| Absent::NoMemory)?;
    }
    for (page, seed) in pages {
        let mut read = [0; 16];
        dma::read(ports, width, u16::from(page) << 8, &mut read);
        if read != pattern(seed) {
            return Err(Absent::NoMemory);
        }
    }
    Ok(layout)
}

impl Layout {
    /// The data configuration.
    pub(crate) fn dcr(&self) -> u8 {
        match self.words {
            true => DCR_WORDS,
            false => DCR_BYTES,
        }
    }
}
