//! Nodes on different IP networks, found by real servers: etcd and a name server.

mod etcd;
mod nodes;

use etcd::Etcd;
use io_net_e2e::{Lab, Namespace, Need, Outcome, Program, holds_within, lab};
use nodes::{LIMIT, Node, Server, expect};

/// Two networks with a router between them, which is the kernel. The servers run on it.
///
/// `west` is 10.1.0.2, `east` 10.2.0.2; the router is the first of each. Its other address, 10.1.0.9,
/// is where servers listen, so that they are reached while a node's own kernel has no route.
struct Networks {
    west: Namespace,
    east: Namespace,
    router: Namespace,
}

impl Networks {
    fn new(lab: &Lab) -> Outcome<Self> {
        let this = Self {
            west: lab.namespace()?,
            east: lab.namespace()?,
            router: lab.namespace()?,
        };
        this.router.run("sysctl -q -w net.ipv4.ip_forward=1")?;
        for (n, net) in [(1, &this.west), (2, &this.east)] {
            // One pair of interfaces for io-net, one for the kernel's sockets of io-net itself.
            for (kind, address) in [("q", format!("10.{n}.0.1")), ("k", format!("10.{n}.1.1"))] {
                let (ours, theirs) = (format!("{kind}{n}"), format!("{kind}0"));
                let to = net.pid();
                this.router.ip(&format!(
                    "link add {ours} type veth peer name {theirs} netns {to}"
                ))?;
                this.router
                    .ip(&format!("address add {address}/24 dev {ours}"))?;
                this.router.ip(&format!("link set {ours} up"))?;
                net.ip(&format!("link set {theirs} up"))?;
            }
            net.ip(&format!("address add 10.{n}.1.2/24 dev k0"))?;
            net.ip(&format!("route add default via 10.{n}.1.1"))?;
        }
        Ok(this)
    }

    /// Starts node `name` in network `n`, with the last byte of its address.
    fn node<'a>(
        &'a self,
        lab: &'a Lab,
        n: u8,
        name: &str,
        last: u8,
        options: &str,
    ) -> Outcome<Node<'a>> {
        let net = if n == 1 { &self.west } else { &self.east };
        let drivers = format!("-d packet if=q0 -n qnet-ip addr=10.{n}.0.{last}/24,gw=10.{n}.0.1");
        Node::start(lab, net, name, &drivers, &format!("bind=ip,{options}"))
    }
}

/// Calls it until that succeeds: who was looked for in vain is looked for anew.
fn reaches(client: &Node<'_>, on: &str, server: &Server) -> Outcome {
    holds_within(LIMIT, &format!("{on} to be reached"), || {
        client.call(on, server, "echo 3000 5").is_ok()
    })
}

/// What becomes of a call that cannot be made.
fn fails(client: &Node<'_>, on: &str, server: &Server, why: &str) -> Outcome {
    match client.call(on, server, "echo 64") {
        Ok(printed) => Err(format!("{on} is reached: {printed}")),
        Err(printed) => expect(&printed, why),
    }
}

fn said(node: &Node<'_>, text: &str) -> Outcome {
    let what = format!("{} to say {text}", node.name);
    holds_within(LIMIT, &what, || node.ion.program().printed().contains(text))
}

#[test]
fn nodes_are_found_by_etcd() {
    let needs = [Need::Stage, Need::Root, Need::Program("etcd")];
    lab(&needs, |lab| {
        let nets = Networks::new(lab)?;
        let etcd = Etcd::start(lab, &nets.router, "10.1.1.1")?;
        let options = format!("resolve=etcd:{}", etcd.client());
        let west = nets.node(lab, 1, "west", 2, &options)?;
        let east = nets.node(lab, 2, "east", 2, &options)?;
        let server = east.serve("")?;
        reaches(&west, "east", &server)?;
        fails(&west, "north", &server, "No such file or directory")?;
        // Each listed itself; one that ends is listed no more.
        drop(server);
        east.ion.stop()?;
        let third = nets.node(lab, 2, "south", 3, &options)?;
        let server = third.serve("")?;
        reaches(&west, "south", &server)?;
        // Without the server that is said, and it is used again when it is back.
        let etcd = etcd.restart(lab, &nets.router, || {
            fails(&west, "middle", &server, "temporarily unavailable")?;
            said(
                &west,
                "nodes are not found by etcd: 10.1.1.1:2379 does not answer",
            )?;
            // Who is known is reached without it.
            reaches(&west, "south", &server)
        })?;
        fails(&west, "middle", &server, "No such file or directory")?;
        said(&west, "nodes are found by etcd again")?;
        let fourth = nets.node(lab, 2, "middle", 4, &options)?;
        let server = fourth.serve("")?;
        reaches(&west, "middle", &server)?;
        drop(etcd);
        Ok(())
    });
}

/// A name server on the router, with these lines of hosts; it reads them anew when told to.
fn name_server(lab: &Lab, net: &Namespace, hosts: &str) -> Outcome<Program> {
    let file = lab.file("hosts", hosts)?;
    let mut dnsmasq = net.command("dnsmasq");
    dnsmasq.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--no-daemon",
    ]);
    dnsmasq.args([
        "--listen-address=10.1.1.1",
        "--bind-interfaces",
        "--user=root",
    ]);
    dnsmasq.args([
        "--conf-file=/dev/null",
        "--pid-file=",
        "--local-ttl=1",
        "--local=/lan/",
    ]);
    dnsmasq.arg(format!("--addn-hosts={}", file.display()));
    let mut program = lab.start(&mut dnsmasq)?;
    program.wait_printed("read ", LIMIT)?;
    Ok(program)
}

#[test]
fn nodes_are_found_by_the_dns() {
    let needs = [Need::Stage, Need::Root, Need::Program("dnsmasq")];
    lab(&needs, |lab| {
        let nets = Networks::new(lab)?;
        let resolv = lab.file("resolv.conf", "nameserver 10.1.1.1\n")?;
        for net in [&nets.west, &nets.east] {
            net.run(&format!(
                "mount --bind {} /etc/resolv.conf",
                resolv.display()
            ))?;
        }
        let mut names = name_server(lab, &nets.router, "10.1.0.2 west.lan\n")?;
        let west = nets.node(lab, 1, "west", 2, "resolve=dns")?;
        let east = nets.node(lab, 2, "east", 2, "resolve=dns")?;
        let server = east.serve("")?;
        fails(&west, "east", &server, "No such file or directory")?;
        // A record comes, with an address that was another's before.
        let read_anew = |names: &Program, hosts: &str| {
            lab.file("hosts", hosts)?;
            names.signal("HUP")
        };
        read_anew(
            &names,
            "10.1.0.2 west.lan\n10.2.0.9 east.lan\n10.2.0.2 east.lan\n",
        )?;
        reaches(&west, "east", &server)?;
        // The node moves.
        drop(server);
        east.ion.stop()?;
        read_anew(&names, "10.1.0.2 west.lan\n10.2.0.3 east.lan\n")?;
        let east = nets.node(lab, 2, "east", 3, "resolve=dns")?;
        let server = east.serve("")?;
        reaches(&west, "east", &server)?;
        // The server goes: who is known is reached, others cannot be looked for, which is said.
        names.signal("KILL")?;
        names.wait(LIMIT)?;
        reaches(&west, "east", &server)?;
        fails(&west, "south", &server, "temporarily unavailable")?;
        said(&west, "nodes are not found by dns: no answer of 10.1.1.1")?;
        let hosts = "10.1.0.2 west.lan\n10.2.0.3 east.lan\n10.2.0.4 south.lan\n";
        let _names = name_server(lab, &nets.router, hosts)?;
        let south = nets.node(lab, 2, "south", 4, "resolve=dns")?;
        let server = south.serve("")?;
        reaches(&west, "south", &server)?;
        said(&west, "nodes are found by dns again")
    });
}
