//! Two ends of a link between which programs talk: over the kernel, over io-net, or one of each.

use io_net_e2e::{IoNet, Lab, Namespace, Outcome};
use std::process::Command;

/// Where a program runs.
#[derive(Clone, Copy)]
pub(crate) enum End<'a> {
    /// On the kernel's stack, in a namespace.
    Kernel(&'a Namespace),
    /// On io-net's stack.
    IoNet(&'a IoNet<'a>),
}

impl End<'_> {
    /// A command that runs `program` here.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Kernel(net) => net.command(program),
            Self::IoNet(ion) => ion.command(program),
        }
    }
}

/// A link with a server's end and a client's.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) server: End<'a>,
    pub(crate) client: End<'a>,
    /// IPv4 address of the server's end.
    pub(crate) address: &'static str,
}

/// The kernel's own: veth between two namespaces.
///
/// # Errors
/// As `then`'s.
pub(crate) fn veth<T>(lab: &Lab, then: impl FnOnce(Ends<'_>) -> Outcome<T>) -> Outcome<T> {
    let (a, b) = (lab.namespace()?, lab.namespace()?);
    a.ip(&format!(
        "link add veth0 type veth peer name veth0 netns {}",
        b.pid()
    ))?;
    for (net, address) in [(&a, "10.77.0.1/24"), (&b, "10.77.0.2/24")] {
        net.ip(&format!("addr add {address} dev veth0"))?;
        net.ip("link set veth0 up")?;
    }
    then(Ends {
        server: End::Kernel(&a),
        client: End::Kernel(&b),
        address: "10.77.0.1",
    })
}

/// A TAP with the server on io-net.
///
/// # Errors
/// As `then`'s.
pub(crate) fn tap_in<T>(lab: &Lab, then: impl FnOnce(Ends<'_>) -> Outcome<T>) -> Outcome<T> {
    tap(lab, |net, ion| {
        then(Ends {
            server: End::IoNet(ion),
            client: End::Kernel(net),
            address: "10.78.0.2",
        })
    })
}

/// A TAP with the client on io-net.
///
/// # Errors
/// As `then`'s.
pub(crate) fn tap_out<T>(lab: &Lab, then: impl FnOnce(Ends<'_>) -> Outcome<T>) -> Outcome<T> {
    tap(lab, |net, ion| {
        then(Ends {
            server: End::Kernel(net),
            client: End::IoNet(ion),
            address: "10.78.0.1",
        })
    })
}

/// An io-net with a TAP and TCP/IP at 10.78.0.2; the kernel's side is 10.78.0.1.
///
/// # Errors
/// As `then`'s.
pub(crate) fn tap<T>(
    lab: &Lab,
    then: impl FnOnce(&Namespace, &IoNet<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let net = lab.namespace()?;
    let line = "-d tap name=tap0,addr=10.78.0.1/24 -p tcpip addr=10.78.0.2/24";
    let ion = lab.io_net(&net, line)?;
    then(&net, &ion)
}

/// Two io-net joined by a shared-memory pipe.
///
/// # Errors
/// As `then`'s.
pub(crate) fn pipe<T>(lab: &Lab, then: impl FnOnce(Ends<'_>) -> Outcome<T>) -> Outcome<T> {
    let (a, b) = (lab.namespace()?, lab.namespace()?);
    let socket = lab.dir().join("pipe");
    let line = |address| {
        format!(
            "-d pipe path={} -p tcpip addr={address}/24",
            socket.display()
        )
    };
    let server = lab.io_net(&a, &line("10.79.0.1"))?;
    let client = lab.io_net(&b, &line("10.79.0.2"))?;
    then(Ends {
        server: End::IoNet(&server),
        client: End::IoNet(&client),
        address: "10.79.0.1",
    })
}
