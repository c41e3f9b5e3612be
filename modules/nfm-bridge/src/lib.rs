//! `nfm-bridge`: a learning Ethernet bridge (IEEE 802.1D-2004, clause 7) between interfaces.
//!
//! One registrant stands above every port. An up frame for a station behind another port turns
//! round and goes down there; one for a port's own address goes on up to the local stack.
//!
//! | file | what it owns |
//! | --- | --- |
//! | [`options`] | the options, checked |
//! | [`bridge`] | the registrant: bursts, adverts, ageing; home worker |
//! | [`decide`] | what is to become of a frame, by its addresses |
//! | [`flood`] | frames that go to several places |
//! | [`frame`] | the addresses of a frame |
//! | [`ports`] | the interfaces that are bridged |
//! | [`table`] | which station was last seen behind which port |
//! | [`control`] | requests of operators |
//! | [`stats`] | the counters |
#![deny(unsafe_code)]

mod bridge;
mod control;
mod decide;
mod flood;
mod frame;
mod options;
mod ports;
mod stats;
mod table;

use bridge::Bridge;
use io_net_ddk::prelude::*;
use io_net_ddk::{number, text};
use options::BridgeOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = BridgeOptions::parse(init.options())?;
    let place = Place::filter_above(c"bridge", c"en");
    init.register(place, |cx| Ok(Bridge::new(options, cx)))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_FILTER,
    name: c"nfm-bridge",
    summary: c"A learning Ethernet bridge between interfaces.",
    options: [
        text(c"ports", true, c"interfaces to bridge, en0:en1 (default: all that it stands above)"),
        number(c"age", c"seconds after which a silent station is forgotten, 0 for never (default 300)"),
        number(c"table", c"stations to remember, 8 to 1048576 (default 4096)"),
    ],
    init: init,
}
