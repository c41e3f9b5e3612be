//! `nfm-capture`: writes what passes an edge of the graph to a pcapng file or a FIFO.
//!
//! The worker only puts blocks together in memory; a thread of the module's own writes them. What
//! that thread cannot take in time is dropped and counted: capturing never holds a packet up.
//!
//! | file | what it owns | thread |
//! | --- | --- | --- |
//! | `options` | the options, checked | control |
//! | `capture` | the registrant: which packets, when to hand blocks over | home worker |
//! | `pcapng` | the format | home worker |
//! | `writer` | the thread, the file, what to do when it is full | its own |
#![deny(unsafe_code)]

mod capture;
mod options;
mod pcapng;
mod writer;

use capture::Capture;
use io_net_ddk::prelude::*;
use io_net_ddk::{number, text};
use options::CaptureOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = CaptureOptions::parse(init.options())?;
    let place = Place::filter(c"capture");
    init.register(place, |cx| Capture::new(&options, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_FILTER,
    name: c"nfm-capture",
    summary: c"Writes the packets that pass to a pcapng file or a FIFO.",
    options: [
        text(c"file", false, c"file to write, or a FIFO that exists"),
        number(c"snaplen", c"bytes kept of each packet (default: all)"),
        number(c"count", c"packets to capture before it stops (default: no limit)"),
        text(c"direction", false, c"up or down (default: both)"),
    ],
    init: init,
}
