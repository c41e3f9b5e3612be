//! `nfm-fault`: a filter that is a bad link, as bad as its options say, the same way each time.
//!
//! What happens to a packet depends on the seed, the direction and the packet's number, and on
//! nothing else: no clock enters a decision. Only rate and delay look at the time, and they keep
//! the packets' order.
//!
//! | file | what it owns | thread |
//! | --- | --- | --- |
//! | `settings` | the options, checked | control, home worker |
//! | `quantity` | how rates, times, sizes and shares are written | control, home worker |
//! | `fault` | the registrant: a line for each direction, timers | home worker |
//! | `line` | one direction: what becomes of each packet, and the queue | home worker |
//! | `dice` | repeatable chance | home worker |
//! | `loss` | single losses and bursts of them | home worker |
//! | `bucket` | the rate | home worker |
//! | `damage` | bit errors | home worker |
//! | `control` | requests of operators | home worker |
//! | `stats` | the counters | home worker |
#![deny(unsafe_code)]

mod bucket;
mod control;
mod damage;
mod dice;
mod fault;
mod line;
mod loss;
mod quantity;
mod settings;
mod stats;

use fault::Fault;
use io_net_ddk::prelude::*;
use io_net_ddk::{number, text};
use settings::Settings;

fn init(init: &mut Init) -> Result<(), Failure> {
    let settings = Settings::parse(init.options())?;
    let direction = settings::direction(init.options().text("direction"))?;
    init.register(Place::filter(c"fault"), |cx| {
        Ok(Fault::new(&settings, direction, cx))
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_FILTER,
    name: c"nfm-fault",
    summary: c"A bad link: rate, delay, loss, duplicates, disorder, bit errors, from a seed.",
    options: [
        text(c"direction", false, c"up or down (default: both)"),
        number(c"seed", c"what chance begins with (default 1)"),
        text(c"rate", false, c"bits a second, with k, M or G: 10M (default: no limit)"),
        text(c"burst", false, c"bytes that may pass at once under rate=, with k or M (default 0)"),
        text(c"delay", false, c"how long each packet is kept, with ns, us, ms or s: 10ms"),
        text(c"jitter", false, c"how far the delay varies either way: 2ms"),
        number(c"limit", c"packets that may wait, 1 to 1000000 (default 1000)"),
        text(c"loss", false, c"share of packets that are lost: 1%"),
        text(c"burst-loss", false, c"Gilbert-Elliott: P:R[:BAD[:GOOD]], 1%:30%"),
        text(c"duplicate", false, c"share of packets that come twice: 1%"),
        text(c"reorder", false, c"share of packets that later ones overtake: 1%"),
        number(c"gap", c"packets that overtake, 1 to 1000 (default 3)"),
        text(c"corrupt", false, c"share of packets with one bit turned over: 1%"),
    ],
    init: init,
}
