//! The kernel's interface, the program on it, and a socket for each of its queues.

use crate::options::{QUEUES, XdpOptions};
use crate::program;
use crate::sharing;
use crate::steering::Steering;
use crate::umem::{CHUNK, Held, PoolMemory};
use io_net_ddk::pktbuf::{Packet, SharedPacket};
use io_net_ddk::{Failure, errno};
use io_net_os::bpf::{self, Hook, Program, SocketMap};
use io_net_os::link::{Link, LinkKind};
use io_net_os::packet::{Membership, PacketSocket};
use io_net_os::xdp::{Binding, RX_HEADROOM, Rings, XdpSocket};
use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Entries of each ring.
const RING: u32 = 2048;
/// The part of the pool's small packets that may wait in fill rings: one in so many.
const SHARE: usize = 4;
/// Bytes of a frame beside its packet: the Ethernet header and a tag.
const BESIDE: u32 = 18;
/// Bytes of a frame that go into one chunk.
const ROOM: u32 = CHUNK as u32 - RX_HEADROOM;
/// Chunks of a frame, at most: the fragments of a socket buffer (`MAX_SKB_FRAGS`), and its head.
pub(crate) const PIECES_MAX: usize = 17;
/// Bytes of frames under way that the kernel has copied.
const SEND_BUFFER: i32 = 16 << 20;
/// How long the kernel may take to let go of a closed socket's queue, and how often to look.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);
/// Frames that a call of busy polling takes.
const BUSY_BUDGET: i32 = 64;

/// An interface with our program on it and at least one socket. The fields go in this order: first
/// the program, so that frames are the kernel's again before anybody lets them fall.
pub(crate) struct Device {
    _program: bpf::Link,
    /// Where the program runs.
    pub(crate) hook: Hook,
    /// What the interface is asked to receive besides.
    memberships: PacketSocket,
    pub(crate) queues: Vec<Queue>,
    pub(crate) link: Link,
    /// Frames may be of several chunks.
    pub(crate) multi: bool,
    /// Up to which MTU whole frames pass.
    pub(crate) mtu_max: u32,
}

/// A socket on one of the interface's queues, and what the kernel has of ours through it. The first
/// one sends. The socket goes before the packets do.
pub(crate) struct Queue {
    pub(crate) rings: Rings,
    pub(crate) socket: Arc<XdpSocket>,
    /// Empty packets for the kernel to receive into.
    pub(crate) filled: Held<Packet>,
    /// How many of those there should be.
    pub(crate) target: usize,
    /// The beginning of a frame whose end has not been seen.
    pub(crate) partial: Option<Packet>,
    /// Packets that the kernel has not sent yet, a reference for each of their pieces.
    pub(crate) sent: Held<SharedPacket>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        sharing::withdraw(&self.socket);
    }
}

impl Device {
    /// As [`Device::open`], but waits for a queue that has just been closed: the kernel lets go of it
    /// a little later. Not for workers.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub(crate) fn open_patiently(
        options: &XdpOptions,
        memory: &PoolMemory,
    ) -> Result<Self, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            match Device::open(options, memory) {
                Err(busy) if busy.errno == errno::EBUSY && Instant::now() < end => sleep(PAUSE),
                opened => return opened,
            }
        }
    }

    /// Opens what `options` name.
    ///
    /// # Errors
    /// The kernel's errno, or EINVAL for an interface that will not do, with what to do about it:
    /// EBUSY where a queue has a socket, EEXIST where another program is on the interface.
    pub(crate) fn open(options: &XdpOptions, memory: &PoolMemory) -> Result<Self, Failure> {
        let name = &options.interface;
        let link = Link::find(name).map_err(|error| explain(name, &error))?;
        check(name, &link, options.mtu)?;
        let multi = link.mtu + BESIDE > ROOM;
        let queues = open_queues(&link, options, memory, multi)?;
        let memberships = PacketSocket::open().map_err(|error| explain(name, &error))?;
        let sockets = queues.iter().map(|queue| &*queue.socket);
        let (program, hook) = attach(&link, options, sockets)?;
        let pieces = if multi { PIECES_MAX as u32 } else { 1 };
        let device = Device {
            _program: program,
            hook,
            memberships,
            queues,
            link,
            multi,
            mtu_max: pieces * ROOM - BESIDE,
        };
        device
            .ask_for_more(options)
            .map_err(|error| explain(name, &error))?;
        Ok(device)
    }

    /// Whether `link` is this device still, and its frames still fit.
    pub(crate) fn serves(&self, link: &Link) -> bool {
        let fits = link.mtu <= self.mtu_max || self.multi;
        link.index == self.link.index && fits
    }

    /// Turns the interface's promiscuous mode on or off, as far as we have asked for it.
    ///
    /// # Errors
    /// The kernel's: the interface has gone.
    pub(crate) fn set_promiscuous(&self, on: bool) -> io::Result<()> {
        self.memberships
            .set_membership(self.link.index, Membership::Promiscuous, on)
    }

    fn ask_for_more(&self, options: &XdpOptions) -> io::Result<()> {
        if let Some(mac) = options.mac.filter(|&mac| mac != self.link.mac) {
            let unicast = Membership::Unicast(mac);
            self.memberships
                .set_membership(self.link.index, unicast, true)?;
        }
        match options.promiscuous {
            true => self.set_promiscuous(true),
            false => Ok(()),
        }
    }
}

fn open_queues(
    link: &Link,
    options: &XdpOptions,
    memory: &PoolMemory,
    multi: bool,
) -> Result<Vec<Queue>, Failure> {
    let most = options.queues.unwrap_or(*QUEUES.end());
    let mut queues = Vec::new();
    while queues.len() < most {
        let binding = Binding {
            index: link.index,
            queue: queues.len() as u32,
            mode: options.mode,
            multi,
            share: None,
        };
        match open_queue(&binding, options, memory) {
            Ok(queue) => queues.push(queue),
            // All that there are.
            Err(error)
                if error.raw_os_error() == Some(errno::EINVAL)
                    && options.queues.is_none()
                    && !queues.is_empty() =>
            {
                break;
            }
            Err(error) => return Err(explain_queue(&options.interface, queues.len(), &error)),
        }
    }
    let target = (RING as usize).min(memory.small / SHARE / queues.len());
    for queue in &mut queues {
        queue.target = target.max(1);
    }
    Ok(queues)
}

fn open_queue(
    binding: &Binding<'_>,
    options: &XdpOptions,
    memory: &PoolMemory,
) -> io::Result<Queue> {
    let (socket, rings) = bind(binding, memory)?;
    socket.set_send_budget(RING);
    socket.set_send_buffer(SEND_BUFFER)?;
    if let Some(us) = options.busy_poll {
        socket.set_busy_poll(us.cast_signed(), BUSY_BUDGET)?;
    }
    Ok(Queue {
        rings,
        socket,
        filled: Held::new(memory.chunks()),
        target: 0,
        partial: None,
        sent: Held::new(memory.chunks()),
    })
}

/// A socket bound with memory that is registered already, or else with its own registration.
fn bind(binding: &Binding<'_>, memory: &PoolMemory) -> io::Result<(Arc<XdpSocket>, Rings)> {
    let fresh = || -> io::Result<_> {
        let socket = XdpSocket::open()?;
        let rings = socket.rings(RING)?;
        Ok((Arc::new(socket), rings))
    };
    let (socket, rings) = fresh()?;
    match sharing::bind_shared(&socket, binding, memory) {
        Ok(()) => return Ok((socket, rings)),
        // Nobody's, or that of an interface of another kind.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(errno::EOPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    let (socket, rings) = fresh()?;
    socket.register(&memory.umem())?;
    socket.bind(binding)?;
    sharing::offer(&socket, binding, memory);
    Ok((socket, rings))
}

/// Loads the program for the sockets and puts it on the interface: in its driver if that can.
fn attach<'a>(
    link: &Link,
    options: &XdpOptions,
    sockets: impl ExactSizeIterator<Item = &'a XdpSocket>,
) -> Result<(bpf::Link, Hook), Failure> {
    let name = &options.interface;
    let program =
        load(&options.steering, sockets).map_err(|refused| explain_program(name, &refused))?;
    if !options.generic {
        match program.attach(link.index, Hook::Native) {
            Ok(attached) => return Ok((attached, Hook::Native)),
            Err(error) if is_taken(&error) => return Err(explain_attach(name, &error)),
            // Its driver has no such hook, or cannot at present.
            Err(_) => {}
        }
    }
    let attached = program.attach(link.index, Hook::Generic);
    attached
        .map(|attached| (attached, Hook::Generic))
        .map_err(|error| explain_attach(name, &error))
}

/// The program for `sockets`, which serve the queues from 0 on.
fn load<'a>(
    steering: &Steering,
    sockets: impl ExactSizeIterator<Item = &'a XdpSocket>,
) -> Result<Program, bpf::Refused> {
    let refused = |error: io::Error| bpf::Refused {
        error,
        log: String::new(),
    };
    let map = SocketMap::new(sockets.len() as u32).map_err(refused)?;
    for (queue, socket) in (0..).zip(sockets) {
        map.insert(queue, socket).map_err(refused)?;
    }
    let instructions = program::assemble(steering, map.number())
        .ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
    // With frames of several buffers where the kernel has them: else the MTU could not grow.
    Program::load(&instructions, true).or_else(|_| Program::load(&instructions, false))
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

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EBUSY | errno::EEXIST))
}

const PERMISSION: &str = "permission denied: run io-net with CAP_NET_RAW, CAP_NET_ADMIN and \
                          CAP_BPF in the first user namespace (as root)";

/// Says what a failure to open means.
fn explain(name: &str, error: &io::Error) -> Failure {
    let advice = match error.raw_os_error() {
        Some(errno::ENODEV) => {
            "there is no such interface in this network namespace (ip link shows what there is)"
        }
        Some(errno::EPERM) => PERMISSION,
        Some(errno::EAFNOSUPPORT) => "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)",
        _ => return Failure::io(format_args!("cannot open {name}"), error),
    };
    refuse(name, error, advice)
}

fn explain_queue(name: &str, queue: usize, error: &io::Error) -> Failure {
    let advice = match error.raw_os_error() {
        Some(errno::EBUSY) => {
            format!("another program has an XDP socket on its queue {queue} already")
        }
        Some(errno::EINVAL) => {
            format!("it has no queue {queue}: give queues= less, or make more (ethtool -L {name})")
        }
        Some(errno::ENOBUFS) => "locking the packet pool exceeds the limit (ulimit -l): raise it, \
                                 give CAP_IPC_LOCK, or have a smaller --pool"
            .into(),
        Some(errno::EOPNOTSUPP) => {
            "its driver cannot without copies: give mode=auto or mode=copy".into()
        }
        _ => return explain(name, error),
    };
    refuse(name, error, &advice)
}

fn explain_program(name: &str, refused: &bpf::Refused) -> Failure {
    match refused.error.raw_os_error() {
        Some(errno::EPERM) => refuse(name, &refused.error, PERMISSION),
        _ => {
            let said = format!("the kernel refuses the steering program: {refused}");
            refuse(name, &refused.error, &said)
        }
    }
}

fn explain_attach(name: &str, error: &io::Error) -> Failure {
    match is_taken(error) {
        true => {
            let advice = format!(
                "another XDP program is on it (ip link show {name}): end its owner, or take it off \
                 (ip link set {name} xdp off)"
            );
            Failure::new(errno::EEXIST, format!("cannot open {name}: {advice}"))
        }
        false => explain(name, error),
    }
}

fn refuse(name: &str, error: &io::Error, advice: &str) -> Failure {
    let number = error.raw_os_error().unwrap_or(errno::EIO);
    Failure::new(number, format!("cannot open {name}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_open_say_what_to_do() {
        let error = io::Error::from_raw_os_error;
        let told = [
            (explain("eth7", &error(errno::ENODEV)), "ip link"),
            (explain("eth7", &error(errno::EPERM)), "CAP_NET_RAW"),
            (explain("eth7", &error(errno::EAFNOSUPPORT)), "AF_XDP"),
            (explain_queue("eth7", 3, &error(errno::EBUSY)), "queue 3"),
            (
                explain_queue("eth7", 3, &error(errno::EINVAL)),
                "ethtool -L",
            ),
            (
                explain_queue("eth7", 0, &error(errno::ENOBUFS)),
                "ulimit -l",
            ),
            (
                explain_queue("eth7", 0, &error(errno::EOPNOTSUPP)),
                "mode=copy",
            ),
            (explain_attach("eth7", &error(errno::EBUSY)), "xdp off"),
            (explain_attach("eth7", &error(errno::EPERM)), "CAP_BPF"),
        ];
        for (failure, advice) in told {
            assert!(failure.text.contains("eth7"), "{failure}");
            assert!(failure.text.contains(advice), "{failure}");
        }
        let refused = bpf::Refused {
            error: error(errno::EINVAL),
            log: "R1 is odd".into(),
        };
        assert!(explain_program("eth7", &refused).text.contains("R1 is odd"));
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
}
