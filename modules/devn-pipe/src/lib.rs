//! `devn-pipe`: a shared-memory link between two io-net processes, or within one.
//!
//! Frames cross with their offload metadata, so a 64 KiB TCP segment crosses as one record: one
//! copy into the link's memory and one out of it. Nothing is rung while the other end is awake.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options` | the options, checked |
//! | `ring` | one direction: records in memory that the other end may write at will |
//! | `link` | a live link: bursts in and out, the bells, what waits for room |
//! | `meeting` | how two processes find each other and agree |
//! | `adaptor` | the registrant: adverts, devctl, coming and going of the link |
//!
//! All of it runs on the registrant's home worker.
#![deny(unsafe_code)]

mod adaptor;
mod link;
mod meeting;
mod options;
pub mod ring;

use adaptor::Adaptor;
use io_net_ddk::prelude::*;
use io_net_ddk::{errno, flag, mac, number, random_mac, text};
use io_net_os::eventfd::EventFd;
use link::{Link, Segment, Side};
use meeting::Meeting;
use options::{Peer, PipeOptions};
use std::io;

/// Where both ends stand in the graph.
const PLACE: Place = Place::driver(c"en", c"en");

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = PipeOptions::parse(init.options())?;
    let Peer::Path(path, role) = &options.peer else {
        return register_both(init, &options);
    };
    init.register(PLACE, |cx| {
        let mut adaptor = Adaptor::new(&options, options.mac, cx);
        let meeting = Meeting::new(path, *role, options.size, options.mtu, cx)?;
        adaptor.meet(meeting, cx);
        Ok(adaptor)
    })
}

/// Two interfaces, joined from the start.
fn register_both(init: &mut Init, options: &PipeOptions) -> Result<(), Failure> {
    let (first, second) =
        pair(options.size).map_err(|error| Failure::io("cannot make the link's memory", &error))?;
    for (link, mac) in [(first, options.mac), (second, random_mac())] {
        init.register(PLACE, |cx| {
            let mut adaptor = Adaptor::new(options, mac, cx);
            adaptor.join(Box::new(link), options.mtu, cx);
            Ok(adaptor)
        })?;
    }
    Ok(())
}

fn pair(size: usize) -> io::Result<(Link, Link)> {
    let (segment, _) = Segment::new(size)?;
    let (first, second) = (EventFd::new()?, EventFd::new()?);
    let duplicate = |bell: &EventFd| -> io::Result<EventFd> {
        use std::os::fd::AsFd;
        Ok(bell.as_fd().try_clone_to_owned()?.into())
    };
    let (to_first, to_second) = (duplicate(&first)?, duplicate(&second)?);
    let one = Link::new(&segment, Side::Server, first, to_second);
    let other = Link::new(&segment, Side::Client, second, to_first);
    one.zip(other)
        .ok_or_else(|| io::Error::from_raw_os_error(errno::EINVAL))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-pipe",
    summary: c"A shared-memory link between two io-net processes, or within one.",
    options: [
        text(c"path", false, c"Unix socket at which the two ends meet"),
        text(c"role", false, c"server or client (default: whoever comes first listens)"),
        flag(c"both", c"both ends in this process: two interfaces"),
        number(c"size", c"bytes of each direction's ring, a power of two (default 1048576)"),
        mac(c"mac", c"address of this end (default: random)"),
        number(c"mtu", c"largest packet, 68 to 65521 (default 1500)"),
    ],
    init: init,
}
