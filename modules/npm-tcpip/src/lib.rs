//! `npm-tcpip`: TCP/IP for programs. A thin shell over the sans-IO stack in `stack/tcpip`.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`protocol`] | the registrant: bursts up, timers, descriptors, devctl |
//! | [`shell`] | what the stack asks of its surroundings: packets down, buffers |
//! | [`buffers`] | socket buffers over shared memory |
//! | [`server`] | sessions of programs, their sockets and requests |
//! | [`interfaces`] | interfaces that come and go, with their addresses and routes |
//! | [`control`] | ifconfig, route, netstat |
//! | [`options`], [`stats`] | what it can be told, and what it counts |
//!
//! Payload is copied once from a packet into a socket's receive FIFO, and once from its send FIFO
//! into a packet; the FIFOs are memory that the program maps. All state belongs to the registrant's
//! home worker.
#![deny(unsafe_code)]

mod buffers;
mod control;
mod interfaces;
mod options;
mod protocol;
mod server;
mod shell;
mod stats;

use io_net_ddk::prelude::*;
use io_net_ddk::{errno, number, text};
use options::Settings;
use server::{Door, Server};
use std::io::Read;

fn init(init: &mut Init) -> Result<(), Failure> {
    let settings = Settings::parse(init.options())?;
    let dir = settings.prefix.clone().unwrap_or_else(|| init.run_dir());
    let door = Door::open(&dir)?;
    let seed = random_seed()?;
    init.register(Place::protocol(c"tcpip", c"ip"), |cx| {
        cx.all_packets()?;
        Server::watch_door(&door, cx)?;
        cx.poller(true);
        let stats = stats::Stats::new(cx);
        let server = Server::new(settings, seed, door, stats);
        Ok(protocol::Tcpip::new(server))
    })
}

/// Numbers that nobody can foresee, for the stack's sequence numbers, ports and hashes.
fn random_seed() -> Result<[u64; 4], Failure> {
    let mut bytes = [[0; 8]; 4];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(bytes.as_flattened_mut()));
    read.map_err(|error| Failure::io("cannot read /dev/urandom", &error))?;
    if bytes == [[0; 8]; 4] {
        return Err(Failure::new(errno::EIO, "/dev/urandom gives only zeroes"));
    }
    Ok(bytes.map(u64::from_ne_bytes))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_PROTOCOL,
    name: c"npm-tcpip",
    summary: c"TCP/IP, with sockets for programs.",
    options: [
        text(c"addr", true, c"an address, [enN:]A.B.C.D/P; without enN of the first interface"),
        text(c"gw", false, c"the default router's address"),
        text(c"route", true, c"a route, NETWORK/P:GATEWAY"),
        text(c"prefix", false, c"directory of the socket for programs (io-net's own)"),
        number(c"mtu", c"largest IP packet, bytes (the interface's)"),
        number(c"rcvbuf", c"a socket's receive buffer, bytes (1048576)"),
        number(c"sndbuf", c"a socket's send buffer, bytes (1048576)"),
        number(c"sockets", c"sockets of one program, at most (32768)"),
        number(c"sessions", c"programs at a time, at most (1024)"),
        number(c"somaxconn", c"connections that wait at a listener, at most (4096)"),
    ],
    init: init,
}
