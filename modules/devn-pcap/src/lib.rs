//! `devn-pcap`: an interface that replays a capture and records what is sent.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options` | the options, checked |
//! | `adaptor` | the registrant; home worker |
//! | `pace` | when each frame's turn is; home worker |
//! | `reader` | the thread that reads the capture ahead |
//! | `recorder` | what is sent, as pcap, and the thread that writes it |
//! | `format`, `pcap`, `pcapng` | the captures' formats |
#![deny(unsafe_code)]

mod adaptor;
mod format;
mod options;
mod pace;
mod pcap;
mod pcapng;
mod reader;
mod recorder;

use adaptor::Adaptor;
use io_net_ddk::prelude::*;
use io_net_ddk::{mac, number, text};
use options::PcapOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = PcapOptions::parse(init.options())?;
    init.register(Place::driver(c"en", c"en"), |cx| Adaptor::new(options, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-pcap",
    summary: c"An interface that replays a capture and records what is sent.",
    options: [
        text(c"read", false, c"the capture to replay, pcap or pcapng"),
        text(c"write", false, c"the capture to make of what is sent, pcap; one of that name is replaced"),
        text(c"speed", false, c"of the replay: recorded (default) or full"),
        number(c"pps", c"frames a second, instead of speed="),
        number(c"delay", c"milliseconds before the first frame (default 100)"),
        number(c"repeat", c"how often to replay (default 1); 0 for ever"),
        mac(c"mac", c"address of the interface (default: random)"),
        number(c"mtu", c"largest packet, 68 to 65535 (default 1500)"),
    ],
    init: init,
}
