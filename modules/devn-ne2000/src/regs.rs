//! Registers of the DP8390D, as offsets from the card's first port, and their bits
//! (National Semiconductor DP8390D/NS32490D data sheet, section 10), and what the NE2000 adds.

/// The command register, in every page.
pub(crate) const CR: u16 = 0x00;
/// The window of the remote DMA.
pub(crate) const DATA: u16 = 0x10;
/// Reading it resets the card.
pub(crate) const RESET: u16 = 0x1f;

/// Registers of page 0; some mean one thing when read and another when written.
pub(crate) mod page0 {
    /// First page of the ring.
    pub(crate) const PSTART: u16 = 0x01;
    /// The page after the ring's last.
    pub(crate) const PSTOP: u16 = 0x02;
    /// The last page that the host has read.
    pub(crate) const BNRY: u16 = 0x03;
    /// Status of the last transmission. Read.
    pub(crate) const TSR: u16 = 0x04;
    /// First page to transmit. Written.
    pub(crate) const TPSR: u16 = 0x04;
    /// Collisions of the last transmission. Read.
    pub(crate) const NCR: u16 = 0x05;
    /// Bytes to transmit. Written.
    pub(crate) const TBCR: [u16; 2] = [0x05, 0x06];
    /// What has happened.
    pub(crate) const ISR: u16 = 0x07;
    /// Where the remote DMA begins. Written.
    pub(crate) const RSAR: [u16; 2] = [0x08, 0x09];
    /// Bytes of the remote DMA. Written.
    pub(crate) const RBCR: [u16; 2] = [0x0a, 0x0b];
    /// Status of the last reception. Read.
    pub(crate) const RSR: u16 = 0x0c;
    /// What to receive. Written.
    pub(crate) const RCR: u16 = 0x0c;
    /// How to transmit. Written.
    pub(crate) const TCR: u16 = 0x0d;
    /// How the remote DMA works. Written.
    pub(crate) const DCR: u16 = 0x0e;
    /// What interrupts. Written.
    pub(crate) const IMR: u16 = 0x0f;
    /// Alignment errors, CRC errors, missed frames; reading clears. Read.
    pub(crate) const CNTR: [u16; 3] = [0x0d, 0x0e, 0x0f];
}

/// Registers of page 1.
pub(crate) mod page1 {
    /// The station's address, six of them.
    pub(crate) const PAR: u16 = 0x01;
    /// The page that is received into.
    pub(crate) const CURR: u16 = 0x07;
    /// The filter of multicast addresses, eight of them.
    pub(crate) const MAR: u16 = 0x08;
}

/// Bits of the command register.
pub(crate) mod cr {
    /// Stopped.
    pub(crate) const STP: u8 = 0x01;
    /// Running.
    pub(crate) const STA: u8 = 0x02;
    /// Transmits.
    pub(crate) const TXP: u8 = 0x04;
    /// Remote DMA: read.
    pub(crate) const READ: u8 = 0x08;
    /// Remote DMA: write.
    pub(crate) const WRITE: u8 = 0x10;
    /// Remote DMA: none, or end it.
    pub(crate) const NO_DMA: u8 = 0x20;
    /// The registers of page 1.
    pub(crate) const PAGE1: u8 = 0x40;
}

/// Bits of the interrupt status and mask.
pub(crate) mod isr {
    /// A frame has been received.
    pub(crate) const PRX: u8 = 0x01;
    /// A frame has been transmitted.
    pub(crate) const PTX: u8 = 0x02;
    /// A frame was received with errors.
    pub(crate) const RXE: u8 = 0x04;
    /// A frame could not be transmitted.
    pub(crate) const TXE: u8 = 0x08;
    /// The ring was full.
    pub(crate) const OVW: u8 = 0x10;
    /// One of the error counters is half full.
    pub(crate) const CNT: u8 = 0x20;
    /// The remote DMA is complete.
    pub(crate) const RDC: u8 = 0x40;
    /// The chip has stopped. A state rather than an event: it cannot be acknowledged.
    pub(crate) const RST: u8 = 0x80;
    /// What the driver wants to know of.
    pub(crate) const WANTED: u8 = PRX | PTX | RXE | TXE | OVW | CNT;
}

/// Bits of the receive configuration.
pub(crate) mod rcr {
    /// Take broadcasts.
    pub(crate) const AB: u8 = 0x04;
    /// Take multicasts that pass the filter.
    pub(crate) const AM: u8 = 0x08;
    /// Take frames for any station.
    pub(crate) const PRO: u8 = 0x10;
    /// Store nothing.
    pub(crate) const MON: u8 = 0x20;
}

/// Bits of the receive status.
pub(crate) mod rsr {
    /// Whole.
    pub(crate) const PRX: u8 = 0x01;
    /// The checksum was wrong, the length was not in bytes, or the FIFO overran.
    pub(crate) const BAD: u8 = 0x0e;
    /// The FIFO overran.
    pub(crate) const FO: u8 = 0x08;
}

/// Bits of the transmit configuration.
pub(crate) mod tcr {
    /// Internal loopback.
    pub(crate) const LOOPBACK: u8 = 0x02;
}

/// Bits of the transmit status.
pub(crate) mod tsr {
    /// There were collisions.
    pub(crate) const COL: u8 = 0x04;
    /// Sixteen of them.
    pub(crate) const ABT: u8 = 0x08;
    /// The carrier was lost.
    pub(crate) const CRS: u8 = 0x10;
    /// The FIFO ran dry.
    pub(crate) const FU: u8 = 0x20;
    /// The transceiver gave no heartbeat.
    pub(crate) const CDH: u8 = 0x40;
    /// A collision came out of its window.
    pub(crate) const OWC: u8 = 0x80;
}

/// The data configuration: normal operation, FIFO threshold of eight bytes.
pub(crate) const DCR_BYTES: u8 = 0x48;
/// The same, with the remote DMA two bytes wide.
pub(crate) const DCR_WORDS: u8 = 0x49;
