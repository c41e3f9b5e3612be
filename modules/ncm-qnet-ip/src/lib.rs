//! `ncm-qnet-ip`: Qnet over IPv4, protocol 106.
//!
//! Up, it takes the IPv4 packets of that protocol, takes the header off in place and notes in the
//! descriptor which host sent. Down, it puts the header before each packet for the host that the
//! descriptor names, and says which neighbour leads there. It speaks from the addresses that it is
//! given, and tells the converter below of them.
//!
//! All state belongs to the registrant's home worker.
#![deny(unsafe_code)]

mod converter;
mod options;
mod stats;

use io_net_ddk::prelude::*;
use io_net_ddk::text;
use io_net_wire::protocol::QNET;

/// Where an IPv4 header has its protocol.
const PROTOCOL_OFFSET: u32 = 9;

fn init(init: &mut Init) -> Result<(), Failure> {
    let routes = options::Routes::parse(init.options())?;
    let place = Place::converter(c"qnet_ip", c"qnet", c"ip");
    init.register(place, |cx| {
        cx.byte_pattern(PROTOCOL_OFFSET, &[QNET])?;
        Ok(converter::Converter::new(routes, cx))
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_CONVERTER,
    name: c"ncm-qnet-ip",
    summary: c"Qnet over IPv4.",
    options: [
        text(c"addr", true, c"an address, [enN:]A.B.C.D/P; without enN of the first interface"),
        text(c"gw", false, c"the default router's address"),
    ],
    init: init,
}
