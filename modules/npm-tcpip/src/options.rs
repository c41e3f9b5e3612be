//! The module's options.

use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, InterfaceAddress, Options};
use io_net_proto::segment::{FIFO_CAPACITY_DEFAULT, FIFO_CAPACITY_MAX, SLOTS_DEFAULT};
use io_net_tcpip::Config;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// An address that an interface is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedAddress {
    /// The interface's name; `None` for the first that comes.
    pub(crate) iface: Option<String>,
    pub(crate) address: InterfaceAddress,
}

/// A route that is to be there while an interface has its gateway as a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WantedRoute {
    pub(crate) dest: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) gateway: IpAddr,
}

/// All that an instance can be told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) addresses: Vec<WantedAddress>,
    pub(crate) routes: Vec<WantedRoute>,
    /// Where the session socket goes; `None` for the runtime directory.
    pub(crate) prefix: Option<PathBuf>,
    /// Largest IP packet, on any interface.
    pub(crate) mtu: u32,
    pub(crate) limits: Limits,
    pub(crate) stack: Config,
}

/// Bounds of what programs can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a stream's or datagram socket's receive FIFO.
    pub(crate) receive_buffer: u32,
    /// Bytes of its send FIFO.
    pub(crate) send_buffer: u32,
    /// Sockets of one session.
    pub(crate) sockets: u32,
    /// Sessions.
    pub(crate) sessions: u32,
    /// Slots of a segment.
    pub(crate) slots: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            receive_buffer: FIFO_CAPACITY_DEFAULT,
            send_buffer: FIFO_CAPACITY_DEFAULT,
            sockets: 32_768,
            sessions: 1024,
            slots: SLOTS_DEFAULT,
        }
    }
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// EINVAL, naming the value that makes no sense.
    pub(crate) fn parse(options: Options) -> Result<Self, Failure> {
        let mut limits = Limits::default();
        let mut stack = Config::default();
        if let Some(size) = options.number::<u32>("rcvbuf")? {
            limits.receive_buffer = buffer("rcvbuf", size)?;
        }
        if let Some(size) = options.number::<u32>("sndbuf")? {
            limits.send_buffer = buffer("sndbuf", size)?;
        }
        stack.recv_buffer_max = limits.receive_buffer as usize;
        if let Some(sockets) = options.number::<u32>("sockets")? {
            limits.sockets = within("sockets", sockets, 1, 1 << 20)?;
        }
        if let Some(sessions) = options.number::<u32>("sessions")? {
            limits.sessions = within("sessions", sessions, 1, 65_536)?;
        }
        if let Some(backlog) = options.number::<u32>("somaxconn")? {
            stack.backlog_max = within("somaxconn", backlog, 1, 65_536)? as usize;
        }
        let mtu = options.number::<u32>("mtu")?.unwrap_or(65_535);
        let mut routes = options
            .all("route")
            .map(parse_route)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(gateway) = options.text("gw") {
            routes.push(default_route(gateway)?);
        }
        Ok(Settings {
            addresses: options
                .all("addr")
                .map(parse_address)
                .collect::<Result<_, _>>()?,
            routes,
            prefix: options.text("prefix").map(PathBuf::from),
            mtu: within("mtu", mtu, 68, 65_535)?,
            limits,
            stack,
        })
    }
}

fn malformed(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"))
}

fn within(name: &str, value: u32, low: u32, high: u32) -> Result<u32, Failure> {
    let fits = (low..=high).contains(&value);
    let wanted = || format!("a number from {low} to {high}");
    fits.then_some(value)
        .ok_or_else(|| malformed(name, &value.to_string(), &wanted()))
}

fn buffer(name: &str, size: u32) -> Result<u32, Failure> {
    let size = within(name, size, 4096, FIFO_CAPACITY_MAX)?;
    Ok(size.next_power_of_two())
}

/// Reads `[enN:]A.B.C.D/P`.
pub(crate) fn parse_address(value: &str) -> Result<WantedAddress, Failure> {
    let (iface, text) = match value.rsplit_once(':') {
        Some((iface, text)) => (Some(iface.to_owned()), text),
        None => (None, value),
    };
    let network = parse_network(text).filter(|(address, _)| {
        !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
    });
    let (address, prefix) = network
        .filter(|_| iface.as_deref() != Some(""))
        .ok_or_else(|| malformed("addr", value, "[enN:]ADDRESS/PREFIX, as 10.0.0.1/24"))?;
    let address = IpAddr::V4(address);
    let address = InterfaceAddress { address, prefix };
    Ok(WantedAddress { iface, address })
}

/// Reads `DEST/P:GATEWAY`.
pub(crate) fn parse_route(value: &str) -> Result<WantedRoute, Failure> {
    let parsed = value.split_once(':').and_then(|(network, gateway)| {
        let (dest, prefix) = parse_network(network)?;
        let gateway: Ipv4Addr = gateway.parse().ok()?;
        Some(WantedRoute {
            dest: IpAddr::V4(dest),
            prefix,
            gateway: IpAddr::V4(gateway),
        })
    });
    let wanted = "NETWORK/PREFIX:GATEWAY, as 10.1.0.0/16:10.0.0.254";
    parsed.ok_or_else(|| malformed("route", value, wanted))
}

fn default_route(gateway: &str) -> Result<WantedRoute, Failure> {
    let parsed: Result<Ipv4Addr, _> = gateway.parse();
    let address = parsed.map_err(|_| malformed("gw", gateway, "an address, as 10.0.0.254"))?;
    Ok(WantedRoute {
        dest: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: 0,
        gateway: IpAddr::V4(address),
    })
}

fn parse_network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|&prefix: &u8| prefix <= 32)?;
    Some((address.parse().ok()?, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse(Options::new(text))
    }

    #[test]
    fn options_are_read() {
        let settings = parse(
            "addr=10.0.0.1/24,addr=en1:10.1.0.1/16,gw=10.0.0.254,route=192.168.0.0/16:10.1.0.9,\
             prefix=/tmp/x,rcvbuf=100000,sockets=9,somaxconn=7",
        )
        .unwrap();
        let wanted = |iface: Option<&str>, a, b, prefix| WantedAddress {
            iface: iface.map(str::to_owned),
            address: InterfaceAddress {
                address: IpAddr::V4(Ipv4Addr::new(10, a, 0, b)),
                prefix,
            },
        };
        let expected = [wanted(None, 0, 1, 24), wanted(Some("en1"), 1, 1, 16)];
        assert_eq!(settings.addresses, expected);
        assert_eq!(settings.routes.len(), 2);
        assert_eq!(settings.routes[1].prefix, 0);
        assert_eq!(settings.prefix, Some(PathBuf::from("/tmp/x")));
        assert_eq!(settings.limits.receive_buffer, 131_072);
        assert_eq!(settings.limits.sockets, 9);
        assert_eq!(settings.stack.backlog_max, 7);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "addr=10.0.0.1",
            "addr=10.0.0.1/33",
            "addr=0.0.0.0/8",
            "addr=:10.0.0.1/8",
            "addr=224.0.0.1/8",
            "gw=x",
            "route=10.0.0.0/8",
            "route=10.0.0.0:10.0.0.1",
            "mtu=67",
            "rcvbuf=1",
            "sockets=0",
        ] {
            assert_eq!(parse(text).unwrap_err().errno, EINVAL, "{text}");
        }
    }
}
