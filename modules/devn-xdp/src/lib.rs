//! `devn-xdp`: an interface over some flows of an existing interface of the Linux kernel, by `AF_XDP`.
//!
//! The packet pool itself is registered with the kernel, so frames are received into packets and
//! sent from them with no copy in this process. A program in the kernel hands over only what the
//! options name; everything else stays the kernel's, as it was.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `options`, `steering` | the options, checked |
//! | `assembler`, `program` | the program in the kernel |
//! | `umem`, `sharing` | the pool as the kernel sees it; who else has registered it |
//! | `device` | the interface, the program on it and the sockets; opened on any thread |
//! | `adaptor` | the registrant: events, adverts, devctl; home worker |
//! | `rx`, `tx` | bursts from and to the interface; home worker |
#![deny(unsafe_code)]

mod adaptor;
mod assembler;
mod device;
mod options;
mod program;
mod rx;
mod sharing;
mod steering;
mod tx;
mod umem;

use adaptor::Adaptor;
use device::Device;
use io_net_ddk::prelude::*;
use io_net_ddk::{flag, mac, number, text};
use options::XdpOptions;
use umem::PoolMemory;

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = XdpOptions::parse(init.options())?;
    let fd = init
        .pool_memory()
        .map_err(|error| Failure::io("cannot hold the packet memory", &error))?;
    let memory = PoolMemory::new(&init.pool_info(), fd)?;
    let device = Device::open_patiently(&options, &memory)?;
    let place = Place::driver(c"en", c"en");
    init.register(place, |cx| Adaptor::new(options, memory, device, cx))
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-xdp",
    summary: c"An interface over some flows of an interface of the kernel, by AF_XDP.",
    options: [
        text(c"if", false, c"the kernel's interface, such as eth0; needed"),
        text(c"addr", true, c"take packets to this IPv4 or IPv6 address, and ARP and NDP for it"),
        text(c"port", true, c"take TCP, UDP and SCTP packets to this port, or to a range as 80-89"),
        text(c"proto", true, c"take IP packets of this protocol: tcp, udp, sctp, icmp, icmp6, a number"),
        text(c"flow", true, c"take one flow: PROTO/SOURCE/PORT/DESTINATION/PORT with * for any"),
        text(c"ethertype", true, c"take frames of this type, such as 0x8204"),
        flag(c"all", c"take every frame: the kernel receives nothing there any more"),
        mac(c"mac", c"address of io-net's interface (default: the interface's own)"),
        number(c"mtu", c"largest packet, 68 or more (default, and at most: the interface's)"),
        number(c"queues", c"queues of the interface to serve, 1 to 64 (default: all)"),
        text(c"mode", false, c"auto, copy or zerocopy (default auto: without copies where it can)"),
        flag(c"generic", c"run the program behind the interface's driver even if that could"),
        number(c"busy_poll", c"serve the interface by polling, this many microseconds a call"),
        flag(c"promiscuous", c"take frames for any address, as nfm-bridge needs"),
    ],
    init: init,
}
