//! `nfm-forward`: redirects, mirrors, drops or passes packets between interfaces, by rule.
//!
//! One registrant stands above the interfaces. What it sends to one of them enters below itself, and
//! only ever goes down: so rules, of one instance or of several, cannot send a packet round.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `rule` | what a rule is, and which rules contradict each other |
//! | `parse` | how rules are written |
//! | `fields` | what rules look at in a frame |
//! | `table` | the rules in force, with their counts and the interfaces that they name |
//! | `forward` | the registrant: bursts, adverts; home worker |
//! | `control` | requests of operators |
//! | `stats` | the counters |
#![deny(unsafe_code)]

mod control;
mod fields;
mod forward;
mod parse;
mod rule;
mod stats;
mod table;

use forward::Forward;
use io_net_ddk::prelude::*;
use io_net_ddk::text;
use table::Table;

fn init(init: &mut Init) -> Result<(), Failure> {
    let rules: Vec<&str> = init.options().all("rule").collect();
    let table = Table::new(&rules)?;
    let place = Place::filter_above(c"forward", c"en");
    init.register(place, |cx| Ok(Forward::new(table, cx)))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_FILTER,
    name: c"nfm-forward",
    summary: c"Redirects, mirrors or drops packets by rule.",
    options: [
        text(c"rule", true, c"a rule, in:en0+up+proto:tcp+dport:80+redirect:en1; the first that matches decides"),
    ],
    init: init,
}
