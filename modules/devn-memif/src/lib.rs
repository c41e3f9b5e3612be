//! `devn-memif`: an interface over a memif link, shared memory between two processes.
//!
//! Peers are other io-nets, DPDK's memif driver, VPP, libmemif. Protocol version 2.0, one ring each
//! way, both roles.
//!
//! | file | what it owns |
//! | --- | --- |
//! | [`options`] | the options, checked |
//! | [`rx`], [`tx`] | bursts from and to the link; home worker |
//! | [`ring`] | rings and descriptors in shared memory |
//! | [`link`] | a link that is up, and the memory that a client makes |
//! | [`adaptor`] | the registrant; home worker |
//! | [`session`] | the control channel's two sides, without a socket |
//! | [`control`] | the control channel's socket |
//! | [`message`] | the control channel's messages |
//! | [`listener`] | sockets that servers share |
#![deny(unsafe_code)]

mod adaptor;
mod control;
mod link;
mod listener;
mod message;
mod options;
mod ring;
mod rx;
mod session;
mod tx;

use adaptor::Adaptor;
use io_net_ddk::prelude::*;
use io_net_ddk::{flag, mac, number, text};
use options::MemifOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = MemifOptions::parse(init.options(), init.run_dir())?;
    init.register(Place::driver(c"en", c"en"), |cx| Adaptor::new(options, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-memif",
    summary: c"An interface over a memif link: shared memory to DPDK, VPP or another io-net.",
    options: [
        text(c"role", false, c"server, which listens (default), or client"),
        text(c"socket", false, c"the control channel's socket (default: memif.sock in the run directory)"),
        flag(c"abstract", c"socket= is a name in the abstract space"),
        number(c"id", c"which link of the socket's (default 0)"),
        text(c"secret", false, c"what a client must know, 24 bytes at most"),
        number(c"ring", c"client: slots in a ring, as a power of two, 1 to 14 (default 10)"),
        number(c"buffer", c"client: bytes of a packet buffer, 64 to 65536 (default 2048)"),
        mac(c"mac", c"address of this end (default: random)"),
        number(c"mtu", c"largest packet, 68 to 65521 (default 1500)"),
    ],
    init: init,
}
