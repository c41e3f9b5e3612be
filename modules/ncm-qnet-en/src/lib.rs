//! `ncm-qnet-en`: Qnet over Ethernet, EtherType 0x8204.
//!
//! Up, it takes the frames of that EtherType, drops what is for another host, takes the header off
//! in place and notes in the descriptor which station sent. Down, it puts the header before each
//! packet for the station that the descriptor names. Stations are found by the Qnet protocol
//! itself, so there is nothing to resolve here and nothing is kept.
//!
//! All state belongs to the registrant's home worker.
#![deny(unsafe_code)]

mod converter;
mod stats;

use io_net_ddk::prelude::*;
use io_net_wire::ethernet::{ETHERTYPE_OFFSET, ETHERTYPE_QNET};

fn init(init: &mut Init) -> Result<(), Failure> {
    let place = Place::converter(c"qnet_en", c"qnet", c"en");
    init.register(place, |cx| {
        cx.byte_pattern(ETHERTYPE_OFFSET as u32, &ETHERTYPE_QNET.to_be_bytes())?;
        Ok(converter::Converter::new(cx))
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_CONVERTER,
    name: c"ncm-qnet-en",
    summary: c"Qnet over Ethernet.",
    options: [],
    init: init,
}
