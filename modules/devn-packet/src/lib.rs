//! `devn-packet`: an interface over an existing interface of the Linux kernel, by `AF_PACKET`.
//!
//! Frames cross with virtio-net headers, so checksums and segmentation pass either way undone: a
//! 64 KiB TCP segment is one packet. Frames up to the MTU come by a ring in shared memory with no
//! system call, longer segments by one call each; a burst is sent by one call.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options` | the options, checked |
//! | `device` | the interface and the sockets on it; opened on any thread |
//! | `adaptor` | the registrant: events, adverts, devctl; home worker |
//! | `rx`, `tx` | bursts from and to the interface; home worker |
#![deny(unsafe_code)]

mod adaptor;
mod device;
mod options;
mod rx;
mod tx;

use adaptor::Adaptor;
use device::Device;
use io_net_ddk::prelude::*;
use io_net_ddk::{flag, mac, number, text};
use options::PacketOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = PacketOptions::parse(init.options())?;
    let device = Device::open(&options)?;
    let place = Place::driver(c"en", c"en");
    init.register(place, |cx| Adaptor::new(options, device, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-packet",
    summary: c"An interface over an existing interface of the kernel, by AF_PACKET.",
    options: [
        text(c"if", false, c"the kernel's interface, such as eth0; needed"),
        mac(c"mac", c"address of io-net's interface (default: the interface's own)"),
        number(c"mtu", c"largest packet, 68 or more (default, and at most: the interface's)"),
        number(c"queues", c"sockets among which flows are spread, 1 to 16 (default 1)"),
        flag(c"promiscuous", c"take frames for any address, as nfm-bridge needs"),
        flag(c"bypass", c"send past the kernel's queueing discipline and traffic control"),
    ],
    init: init,
}
