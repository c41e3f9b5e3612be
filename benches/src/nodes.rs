//! Two nodes of Qnet, and how they are joined.

use crate::exchange::{self, Cores};
use io_net_e2e::{IoNet, Lab, Namespace, Outcome, Program, wait_for};
use std::process::Command;
use std::time::Duration;

/// A server on one node and its clients on another.
#[derive(Clone, Copy)]
pub(crate) struct Nodes<'a> {
    lab: &'a Lab,
    server: &'a IoNet<'a>,
    client: &'a IoNet<'a>,
    cores: Cores,
}

/// Joined by a shared-memory pipe.
///
/// # Errors
/// As `then`'s.
pub(crate) fn pipe<T>(
    lab: &Lab,
    cores: Cores,
    then: impl FnOnce(Nodes<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let (a, b) = (lab.namespace()?, lab.namespace()?);
    // Frames cross with their metadata, whole: the larger, the fewer.
    let link = format!(
        "-d pipe path={},mtu=65521",
        lab.dir().join("pipe").display()
    );
    nodes(lab, cores, [(&a, &link), (&b, &link)], then)
}

/// Joined by the kernel's veth.
///
/// # Errors
/// As `then`'s.
pub(crate) fn veth<T>(
    lab: &Lab,
    cores: Cores,
    then: impl FnOnce(Nodes<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let (a, b) = (lab.namespace()?, lab.namespace()?);
    a.ip(&format!(
        "link add veth0 type veth peer name veth0 netns {}",
        b.pid()
    ))?;
    for net in [&a, &b] {
        net.ip("link set veth0 up")?;
    }
    nodes(lab, cores, [(&a, PACKET), (&b, PACKET)], then)
}

/// The driver over veth.
const PACKET: &str = "-d packet if=veth0";

/// The middle of two links between two nodes: a bridge for each, whose ports can be made slow, or
/// dead without either end being told.
pub(crate) struct Middle {
    net: Namespace,
}

impl Middle {
    /// Joins veth0 and veth1 of `a` and `b`, which it makes, by bridges.
    fn new(lab: &Lab, a: &Namespace, b: &Namespace) -> Outcome<Self> {
        let net = lab.namespace()?;
        for link in 0..2 {
            net.ip(&format!("link add br{link} type bridge"))?;
            net.ip(&format!("link set br{link} up"))?;
            for (side, end) in [("a", a), ("b", b)] {
                let port = format!("{side}{link}");
                net.ip(&format!(
                    "link add {port} type veth peer name veth{link} netns {}",
                    end.pid()
                ))?;
                net.ip(&format!("link set {port} master br{link} up"))?;
                end.ip(&format!("link set veth{link} up"))?;
            }
        }
        Ok(Self { net })
    }

    /// Lets no more than `megabits` a second through either link, each way.
    ///
    /// # Errors
    /// The kernel has no such queue.
    pub(crate) fn limit(&self, megabits: u32) -> Outcome {
        for port in ["a0", "a1", "b0", "b1"] {
            let bucket = format!("rate {megabits}mbit burst 256kb limit 1mb");
            self.net
                .run(&format!("tc qdisc add dev {port} root tbf {bucket}"))?;
        }
        Ok(())
    }

    /// Cuts the first link.
    ///
    /// # Errors
    /// It is cut already.
    pub(crate) fn cut(&self) -> Outcome {
        self.net.ip("link set a0 nomaster").map(drop)
    }

    /// Mends it.
    ///
    /// # Errors
    /// The bridge has gone.
    pub(crate) fn mend(&self) -> Outcome {
        self.net.ip("link set a0 master br0").map(drop)
    }
}

/// Joined by two links with something in the middle.
///
/// # Errors
/// As `then`'s.
pub(crate) fn two_links<T>(
    lab: &Lab,
    then: impl FnOnce(Nodes<'_>, &Middle) -> Outcome<T>,
) -> Outcome<T> {
    let (a, b) = (lab.namespace()?, lab.namespace()?);
    let middle = Middle::new(lab, &a, &b)?;
    let links = "-d packet if=veth0 -d packet if=veth1";
    nodes(lab, Cores::Any, [(&a, links), (&b, links)], |nodes| {
        then(nodes, &middle)
    })
}

fn nodes<T>(
    lab: &Lab,
    cores: Cores,
    [server, client]: [(&Namespace, &str); 2],
    then: impl FnOnce(Nodes<'_>) -> Outcome<T>,
) -> Outcome<T> {
    // The client is on 0, the server on 1.
    let [server_cpu, client_cpu] = match cores {
        Cores::Crosswise => ["--cpu 0", "--cpu 1"],
        _ => ["", ""],
    };
    let server = node(lab, "server", server, server_cpu)?;
    let client = node(lab, "client", client, client_cpu)?;
    then(Nodes {
        cores,
        lab,
        server: &server,
        client: &client,
    })
}

/// An io-net with `link` and Qnet, its keys beside the bench's files.
fn node<'a>(
    lab: &'a Lab,
    host: &str,
    (net, link): (&'a Namespace, &str),
    cpu: &str,
) -> Outcome<IoNet<'a>> {
    let file = |end| lab.dir().join(format!("{host}.{end}"));
    let (key, known) = (file("key"), file("known"));
    let (key, known) = (key.display(), known.display());
    let qnet = format!("-p qnet host={host},key={key},known={known}");
    lab.io_net(net, &format!("{link} {qnet} {cpu}"))
}

impl Nodes<'_> {
    /// Starts the server, and waits until the client's node reaches it.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn serve(&self) -> Outcome<Program> {
        let mut command = exchange::program("msg");
        let command = command.env("SOCK", self.server.run_dir());
        let server = exchange::serve(self.lab, self.cores, command.args(["serve", "block"]))?;
        wait_for("the nodes to meet", Duration::from_secs(20), || {
            let mut once = self.client("gap", "");
            self.lab.output(once.arg("0")).ok()
        })?;
        Ok(server)
    }

    /// A client that does `what` with the server, by links of this quality of service
    /// (`~exclusive:en0`).
    pub(crate) fn client(&self, what: &str, quality: &str) -> Command {
        let mut command = exchange::program("msg");
        command.env("SOCK", self.client.run_dir());
        command.args([what, &format!("/net/server{quality}/dev/name/local/bench")]);
        match self.cores {
            Cores::Any => command,
            cores => cores.pin(&command, false),
        }
    }
}
