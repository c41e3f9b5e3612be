//! The kernel's interface, and the sockets on it.

use crate::options::PacketOptions;
use io_net_ddk::abi::{CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO};
use io_net_ddk::{Failure, errno};
use io_net_os::link::{Link, LinkKind};
use io_net_os::packet::{Membership, PacketSocket};
use io_net_os::packet_ring::ReceiveRing;
use std::io;
use std::ops::RangeInclusive;

/// Bytes of a queue's ring, about, and its places, at the least and at the most: those for the usual
/// MTU last 2 ms at a million frames a second, for a worker that has to wait for its processor.
const RING_BYTES: usize = 8 << 20;
const PLACES: RangeInclusive<usize> = 128..=2048;
/// Bytes of a frame beside its packet: the Ethernet header and a tag.
const BESIDE: usize = 18;
/// Bytes of long frames under way, each way.
const SOCKET_BUFFER: i32 = 16 << 20;

/// An interface with at least one socket bound to it.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) link: Link,
    pub(crate) queues: Vec<Queue>,
    /// Up to which MTU the rings have room for whole frames.
    pub(crate) mtu_max: u32,
}

/// A socket that gets some of the interface's flows. The first one sends, too.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) socket: PacketSocket,
    pub(crate) ring: ReceiveRing,
    /// epoll will tell of the next frame.
    pub(crate) is_watched: bool,
}

impl Device {
    /// Opens what `options` name.
    ///
    /// # Errors
    /// The kernel's errno, or EINVAL for an interface that is not Ethernet or cannot carry the MTU
    /// asked for; with what to do about it.
    pub(crate) fn open(options: &PacketOptions) -> Result<Self, Failure> {
        let name = &options.interface;
        let link = Link::find(name).map_err(|error| explain(name, &error))?;
        check(name, &link, options.mtu)?;
        let queues = open_queues(&link, options).map_err(|error| explain(name, &error))?;
        let mtu_max = link.mtu;
        let device = Device {
            link,
            queues,
            mtu_max,
        };
        device
            .ask_for_more(options)
            .map_err(|error| explain(name, &error))?;
        Ok(device)
    }

    /// The socket that sends.
    #[inline]
    pub(crate) fn sender(&self) -> &PacketSocket {
        &self.queues[0].socket
    }

    /// Turns the interface's promiscuous mode on or off, as far as we have asked for it.
    ///
    /// # Errors
    /// The kernel's: the interface has gone.
    pub(crate) fn set_promiscuous(&self, on: bool) -> io::Result<()> {
        self.sender()
            .set_membership(self.link.index, Membership::Promiscuous, on)
    }

    fn ask_for_more(&self, options: &PacketOptions) -> io::Result<()> {
        let ask = |membership| {
            self.sender()
                .set_membership(self.link.index, membership, true)
        };
        ask(Membership::AllMulticast)?;
        if let Some(mac) = options.mac.filter(|&mac| mac != self.link.mac) {
            ask(Membership::Unicast(mac))?;
        }
        if options.promiscuous {
            ask(Membership::Promiscuous)?;
        }
        Ok(())
    }
}

fn open_queues(link: &Link, options: &PacketOptions) -> io::Result<Vec<Queue>> {
    let longest = link.mtu as usize + BESIDE;
    let places = (RING_BYTES / longest).clamp(*PLACES.start(), *PLACES.end());
    let mut queues = Vec::with_capacity(options.queues);
    let mut group = None;
    while queues.len() < options.queues {
        let socket = PacketSocket::open()?;
        socket.set_buffers(SOCKET_BUFFER)?;
        if options.bypass {
            socket.bypass_qdisc()?;
        }
        let ring = socket.receive_ring(places, longest)?;
        socket.bind(link.index)?;
        match group {
            Some(group) => socket.join_group(group)?,
            None if options.queues > 1 => group = Some(socket.found_group()?),
            None => {}
        }
        queues.push(Queue {
            socket,
            ring,
            is_watched: false,
        });
    }
    Ok(queues)
}

/// Whether the interface is one that we can be on.
fn check(name: &str, link: &Link, mtu: Option<u32>) -> Result<(), Failure> {
    let text = match (link.kind, mtu) {
        (LinkKind::Loopback, _) => format!(
            "{name} is the kernel's loopback interface, which brings back what is sent: give an \
             Ethernet interface, or use devn-loop"
        ),
        (LinkKind::Other(kind), _) => format!(
            "{name} is no Ethernet interface (hardware type {kind}): give one of `ip link` with \
             link/ether"
        ),
        (LinkKind::Ethernet, Some(mtu)) if mtu > link.mtu => format!(
            "option mtu={mtu}: {name} carries {} at most; raise that first (ip link set {name} mtu \
             {mtu})",
            link.mtu
        ),
        _ => return Ok(()),
    };
    Err(Failure::new(errno::EINVAL, text))
}

/// Says what a failure to open means.
fn explain(name: &str, error: &io::Error) -> Failure {
    let advice = match error.raw_os_error() {
        Some(errno::ENODEV) => {
            "there is no such interface in this network namespace (ip link shows what there is)"
        }
        Some(errno::EPERM) => {
            "permission denied: run io-net with CAP_NET_RAW (setcap cap_net_raw+ep, or as root)"
        }
        Some(errno::ENOPROTOOPT) => "this kernel's AF_PACKET is too old: Linux 4.20 is needed",
        Some(errno::EAFNOSUPPORT) => "this kernel has no AF_PACKET: load it (modprobe af_packet)",
        Some(errno::EINVAL) => "with queues= above 1 it must be up first (ip link set NAME up)",
        _ => return Failure::io(format_args!("cannot open {name}"), error),
    };
    let number = error.raw_os_error().unwrap_or(errno::EIO);
    Failure::new(number, format!("cannot open {name}: {advice}"))
}

/// What the kernel does for us. It cuts runs of UDP datagrams since Linux 6.2.
pub(crate) fn caps() -> u32 {
    let caps = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_MULTICAST;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match version(&release) >= (6, 2) {
        true => caps | CAP_USO,
        false => caps,
    }
}

/// Major and minor number of a kernel's release; 0 for what cannot be read.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_open_say_what_to_do() {
        for (number, advice) in [
            (errno::ENODEV, "ip link"),
            (errno::EPERM, "CAP_NET_RAW"),
            (errno::ENOPROTOOPT, "4.20"),
            (errno::EAFNOSUPPORT, "af_packet"),
            (errno::EINVAL, "up first"),
            (errno::ENOMEM, "memory"),
        ] {
            let failure = explain("eth7", &io::Error::from_raw_os_error(number));
            assert_eq!(failure.errno, number);
            assert!(failure.text.contains("eth7"), "{failure}");
            assert!(failure.text.contains(advice), "{failure}");
        }
    }

    #[test]
    fn only_ethernet_will_do() {
        let ethernet = Link {
            index: 7,
            kind: LinkKind::Ethernet,
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            is_up: true,
        };
        assert_eq!(check("x", &ethernet, Some(1500)), Ok(()));
        let refused = |kind, mtu| {
            check("x", &Link { kind, ..ethernet }, mtu)
                .unwrap_err()
                .text
        };
        assert!(refused(LinkKind::Ethernet, Some(1501)).contains("mtu=1501"));
        assert!(refused(LinkKind::Loopback, None).contains("loopback"));
        assert!(refused(LinkKind::Other(65534), None).contains("65534"));
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.18.5-amd64\n"), (6, 18));
        assert_eq!(version("5.4"), (5, 4));
        assert_eq!(version("rubbish"), (0, 0));
        assert_eq!(version(""), (0, 0));
        assert_ne!(caps() & CAP_TSO4, 0);
    }
}
