//! `devn-ne2000`: NE2000 network cards, on ISA and PCI, by port I/O from this process.
//!
//! The chip is National Semiconductor's DP8390D or one that is like it. The driver is written
//! against [`ports::Ports`], behind which a card of software stands in its tests.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options` | the options, checked |
//! | `card`, `pci`, `interrupt` | finding a card and taking it: sysfs, ports, interrupts; control thread |
//! | `probe` | what answers at its ports; control thread |
//! | `adaptor`, `pace` | the registrant, and when it looks at the chip; home worker |
//! | `chip` | what the chip says, and getting it going again; home worker |
//! | `rx`, `tx`, `dma` | the ring, transmission, and the card's memory; home worker |
#![deny(unsafe_code)]

mod adaptor;
mod card;
mod chip;
mod counters;
mod dma;
mod interrupt;
mod multicast;
mod options;
mod pace;
mod pci;
mod ports;
mod probe;
mod regs;
mod rx;
mod tx;

use adaptor::Adaptor;
use card::open;
use io_net_ddk::prelude::*;
use io_net_ddk::{flag, mac, number, text};
use options::NeOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = NeOptions::parse(init.options())?;
    for card in open(&options)? {
        let place = Place::driver(c"en", c"en");
        init.register(place, |cx| Adaptor::new(&options, card, cx))?;
    }
    Ok(())
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-ne2000",
    summary: c"NE2000 network cards, ISA and PCI, by port I/O.",
    options: [
        number(c"ioport", c"the card's first port, such as 0x300"),
        number(c"irq", c"interrupt to show; 0: poll though there are interrupts"),
        number(c"pci", c"which PCI card, from 0 (default: all that are free)"),
        mac(c"mac", c"address of the interface (default: the card's own)"),
        flag(c"promiscuous", c"take frames for any address, as nfm-bridge needs"),
        text(c"multicast", true, c"multicast address to take (default: all)"),
        number(c"mtu", c"largest packet, 68 to 1500 (default 1500)"),
        number(c"verbose", c"say more when starting: 1 or 2 (default 0)"),
    ],
    init: init,
}
