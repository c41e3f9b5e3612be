//! `ncm-ip-en`: IPv4 over Ethernet (RFC 894), with ARP (RFC 826, 1122, 5227), and IPv6 (RFC 2464), with
//! neighbour discovery (RFC 4861, 4862).
//!
//! Up, it takes the frames of ethertype 0x0800, 0x0806 and 0x86dd, drops what is for another host, takes
//! the Ethernet header off in place and passes a burst on as one burst. Down, it maps each packet's
//! next hop to a link-layer address and puts the header before it, again in place; packets whose
//! neighbour is not known yet wait in its bounded cache.
//!
//! It learns which addresses are ours from the messages that the protocol above sends down
//! (`MSG_ADDRESSES`), and advertises each `en` interface upward as `ip`.
//!
//! All state belongs to the registrant's home worker.
#![deny(unsafe_code)]

mod address;
mod claims;
mod control;
mod converter;
mod iface;
mod neighbours;
mod options;
mod six;
mod stats;
mod unreachable;

use io_net_ddk::prelude::*;
use io_net_ddk::{number, text};
use io_net_wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_OFFSET};

fn init(init: &mut Init) -> Result<(), Failure> {
    let limits = options::Limits::parse(init.options())?;
    let place = Place::converter(c"ip_en", c"ip", c"en");
    init.register(place, |cx| {
        for ethertype in [ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6] {
            cx.byte_pattern(ETHERTYPE_OFFSET as u32, &ethertype.to_be_bytes())?;
        }
        Ok(converter::Converter::new(limits, cx))
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_CONVERTER,
    name: c"ncm-ip-en",
    summary: c"IP over Ethernet, with ARP and neighbour discovery.",
    options: [
        number(c"cache", c"neighbours remembered on an interface, at most (1024)"),
        number(c"queue", c"packets that wait for one neighbour, at most (16)"),
        number(c"reachable", c"seconds for which a neighbour's answer counts (60)"),
        text(c"static", true, c"a neighbour for good: ADDRESS=MAC (10.0.0.5=02:00:00:00:00:05)"),
    ],
    init: init,
}
