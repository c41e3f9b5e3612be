//! `devn-tap`: an interface over a TAP device of the Linux kernel.
//!
//! Frames cross with virtio-net headers, so checksums and segmentation pass either way undone: a
//! 64 KiB TCP segment is one packet, one system call.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options` | the options, checked |
//! | `device` | opening and configuring the TAP device; control thread |
//! | `adaptor` | the registrant: events, adverts, devctl; home worker |
//! | `rx`, `tx` | bursts from and to the device; home worker |
#![deny(unsafe_code)]

mod adaptor;
mod device;
mod options;
mod rx;
mod tx;

use adaptor::Adaptor;
use device::Device;
use io_net_ddk::prelude::*;
use io_net_ddk::{flag, ipv4, mac, number, text};
use options::TapOptions;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = TapOptions::parse(init.options())?;
    let device = Device::open(&options)?;
    for remark in &device.remarks {
        init.log(io_net_ddk::abi::LOG_WARNING, format_args!("{remark}"));
    }
    let place = Place::driver(c"en", c"en");
    init.register(place, |cx| Adaptor::new(device, options.mac, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-tap",
    summary: c"An interface over a TAP device of the kernel.",
    options: [
        text(c"name", false, c"the TAP device; made if there is none (default: the kernel's choice)"),
        mac(c"mac", c"address of io-net's side (default: random)"),
        number(c"mtu", c"largest packet, 68 to 65521 (default: the device's, 1500)"),
        number(c"queues", c"queues of the device, 1 to 16 (default 1)"),
        flag(c"persist", c"the device outlives io-net"),
        flag(c"up", c"bring the kernel's side up"),
        ipv4(c"addr", false, c"address of the kernel's side; implies up"),
    ],
    init: init,
}
