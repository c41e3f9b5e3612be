//! `nfm-bridge`: a learning Ethernet bridge (IEEE 802.1D-2004, clause 7; VLANs by IEEE 802.1Q-2018)
//! between interfaces.
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
//! | [`vlans`] | which VLANs a port carries, and in which form |
//! | [`statics`] | stations whose port the operator says |
//! | [`guard`] | the loop guard |
//! | [`table`] | which station was last seen behind which port |
//! | [`control`] | requests of operators |
//! | [`stats`] | the counters |
#![deny(unsafe_code)]

mod bridge;
mod control;
mod decide;
mod flood;
mod frame;
mod guard;
mod options;
mod ports;
mod statics;
mod stats;
mod table;
mod vlans;

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
        text(c"access", true, c"a port in one VLAN, without tags: en0:10"),
        text(c"trunk", true, c"a port in VLANs, with tags: en1:10+20-29"),
        text(c"native", true, c"a trunk's VLAN without tags: en1:1"),
        text(c"static", true, c"a station's port for good, with VLANs its VLAN too: 02:00:00:00:00:05=en0/10"),
        number(c"loop_guard", c"seconds for which a port is closed on which a loop is found (default 0: no guard)"),
    ],
    init: init,
}
