//! Global names: gns with servers, and with etcd.

mod etcd;
mod nodes;

use etcd::Etcd;
use io_net_e2e::{Lab, Namespace, Need, Outcome, Program, holds_within, lab};
use nodes::{LIMIT, Node, expect};

/// Nodes on one LAN that know nothing of each other but by name.
fn lan<'a>(lab: &'a Lab, net: &'a Namespace, names: &[&str]) -> Outcome<Vec<Node<'a>>> {
    net.ip("link add br0 type bridge")?;
    net.ip("link set br0 up")?;
    let start = |(n, name): (usize, &&str)| -> Outcome<Node<'a>> {
        let tap = format!("-d tap name=tap{n},up");
        let node = Node::start(lab, net, name, &tap, "auto_add=0")?;
        net.ip(&format!("link set tap{n} master br0"))?;
        Ok(node)
    };
    names.iter().enumerate().map(start).collect()
}

/// Starts gns on a node; with servers it waits until one has been told of the node's names.
fn gns(lab: &Lab, node: &Node<'_>, line: &str) -> Outcome<Program> {
    let mut gns = node.ion.control("gns");
    let mut gns = lab.start(gns.arg("-v").args(line.split(' ')))?;
    gns.wait_printed("serving", LIMIT)?;
    Ok(gns)
}

/// Opens a global name on a node, and calls what has it.
fn open(lab: &Lab, node: &Node<'_>, name: &str) -> Outcome<String> {
    let line = format!("open global {name} echo 100 3");
    lab.output(&mut node.peer(&line))
}

/// Opens it, where it must be found at once.
fn found(lab: &Lab, node: &Node<'_>, name: &str) -> Outcome {
    expect(&open(lab, node, name)?, "echoed 3")
}

/// Opens it, where nobody may be found.
fn lost(lab: &Lab, node: &Node<'_>, name: &str, why: &str) -> Outcome {
    match open(lab, node, name) {
        Ok(printed) => Err(format!("{name} is there: {printed}")),
        Err(printed) => expect(&printed, why),
    }
}

fn kill(mut program: Program) -> Outcome {
    program.signal("KILL")?;
    program.wait(LIMIT).map(drop)
}

const NONE: &str = "No such file or directory";

#[test]
fn a_name_is_found_through_any_server_and_goes_with_its_owner() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let nodes = lan(lab, &net, &["north", "south", "middle"])?;
        let [north, south, middle] = &nodes[..] else {
            return Err("there are three".into());
        };
        let mut first = gns(lab, north, "-s south")?;
        let mut second = gns(lab, south, "-s north")?;
        first.wait_printed("south.lan tells", LIMIT)?;
        second.wait_printed("north.lan tells", LIMIT)?;
        let mut client = gns(lab, middle, "-c north south")?;
        client.wait_printed("north is told", LIMIT)?;
        client.wait_printed("south is told", LIMIT)?;
        // Whoever has attached it, it is known everywhere when that returns.
        let weather = middle.serve("global weather")?;
        for node in &nodes {
            found(lab, node, "weather")?;
        }
        let tide = south.serve("global sea/tide")?;
        for node in &nodes {
            found(lab, node, "sea/tide")?;
        }
        // A name that is taken on this node, and is not on another.
        let twice = lab.output(&mut middle.peer("serve global weather"));
        expect(&twice.err().unwrap_or_default(), "File exists")?;
        let again = north.serve("global weather")?;
        kill(weather.program)?;
        found(lab, south, "weather")?;
        found(lab, middle, "weather")?;
        // The owner dies: nobody has it any more, at once.
        kill(again.program)?;
        for node in &nodes {
            lost(lab, node, "weather", NONE)?;
        }
        // A server dies, and there is the other.
        kill(first)?;
        found(lab, middle, "sea/tide")?;
        let snow = middle.serve("global snow")?;
        found(lab, south, "snow")?;
        // It comes back, and is told all that there is.
        let mut first = gns(lab, north, "-s south")?;
        first.wait_printed("middle.lan tells", LIMIT)?;
        second.signal("TERM")?;
        second.finish(LIMIT)?;
        holds_within(LIMIT, "the first server to know all", || {
            found(lab, north, "snow").is_ok()
        })?;
        drop((tide, snow, client));
        Ok(())
    });
}

#[test]
fn the_names_of_a_node_go_with_it_and_another_has_them() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let mut nodes = lan(lab, &net, &["north", "south", "middle"])?;
        let mut server = gns(lab, &nodes[0], "-s")?;
        let mut clients = [gns(lab, &nodes[1], "north")?, gns(lab, &nodes[2], "north")?];
        for client in &mut clients {
            client.wait_printed("north is told", LIMIT)?;
        }
        let _middle = nodes[2].serve("global weather")?;
        let _south = nodes[1].serve("global weather")?;
        found(lab, &nodes[0], "weather")?;
        let gone = nodes.pop().ok_or("no node")?;
        drop(gone);
        // The other one, whoever was the first.
        found(lab, &nodes[0], "weather")?;
        found(lab, &nodes[1], "weather")?;
        server.wait_printed("middle.lan has gone", LIMIT)
    });
}

#[test]
fn without_any_server_that_is_said_and_names_from_before_gns_are_told() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let nodes = lan(lab, &net, &["north", "south"])?;
        let [north, south] = &nodes[..] else {
            return Err("there are two".into());
        };
        let _early = south.serve("global weather")?;
        let mut client = gns(lab, south, "north")?;
        client.wait_printed("north is not told for now: no gns there", LIMIT)?;
        lost(lab, south, "tide", "No route to host")?;
        let server = gns(lab, north, "-s")?;
        client.wait_printed("north is told", LIMIT)?;
        found(lab, north, "weather")?;
        lost(lab, south, "tide", NONE)?;
        // Two on a node, and a server that is none.
        let third = gns(lab, north, "south");
        expect(&third.err().unwrap_or_default(), "has a gns already")?;
        kill(server)?;
        let mut mutual = gns(lab, north, "south")?;
        mutual.wait_printed("it keeps no names: start it with -s", LIMIT)
    });
}

#[test]
fn etcd_keeps_names_and_loses_them_with_their_owners() {
    let needs = [Need::Stage, Need::Root, Need::Program("etcd")];
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let nodes = lan(lab, &net, &["north", "south"])?;
        let [north, south] = &nodes[..] else {
            return Err("there are two".into());
        };
        let etcd = Etcd::start(lab, &net, "127.0.0.1")?;
        // The first server of the list is none.
        let line = format!("-e 127.0.0.1:1,{}", etcd.client());
        let mut near = gns(lab, north, &line)?;
        let mut far = gns(lab, south, &line)?;
        near.wait_printed("etcd is told", LIMIT)?;
        far.wait_printed("etcd is told", LIMIT)?;
        let weather = south.serve("global weather")?;
        let _tide = south.serve("global sea/tide")?;
        found(lab, north, "weather")?;
        found(lab, north, "sea/tide")?;
        lost(lab, north, "sea", NONE)?;
        kill(weather.program)?;
        lost(lab, north, "weather", NONE)?;
        // The server goes and comes back, with what it had.
        let etcd = etcd.restart(lab, &net, || {
            lost(lab, north, "sea/tide", "No route to host")
        })?;
        holds_within(LIMIT, "etcd to be asked again", || {
            found(lab, north, "sea/tide").is_ok()
        })?;
        // gns ends: its names are gone from there.
        far.signal("TERM")?;
        far.finish(LIMIT)?;
        lost(lab, north, "sea/tide", NONE)?;
        drop(etcd);
        Ok(())
    });
}

#[test]
fn a_server_that_hangs_is_passed_over_and_told_again_later() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let nodes = lan(lab, &net, &["north", "south", "middle"])?;
        let [north, south, middle] = &nodes[..] else {
            return Err("there are three".into());
        };
        let hanging = gns(lab, north, "-s")?;
        let _second = gns(lab, south, "-s")?;
        let mut client = gns(lab, middle, "north south")?;
        client.wait_printed("north is told", LIMIT)?;
        client.wait_printed("south is told", LIMIT)?;
        let _tide = south.serve("global tide")?;
        hanging.signal("STOP")?;
        found(lab, middle, "tide")?;
        client.wait_printed("north is not told for now", LIMIT)?;
        for _ in 0..5 {
            found(lab, middle, "tide")?;
        }
        hanging.signal("CONT")?;
        holds_within(LIMIT, "north to be told again", || {
            client.printed().matches("north is told").count() == 2
        })
    });
}

#[test]
fn sixteen_nodes_in_their_namespaces_find_each_others_names() {
    const NODES: usize = 16;
    lab(&[Need::Stage, Need::Root], |lab| {
        let hub = lab.namespace()?;
        hub.ip("link add br0 type bridge")?;
        hub.ip("link set br0 up")?;
        let nets: Vec<Namespace> = (0..NODES)
            .map(|_| lab.namespace())
            .collect::<Outcome<_>>()?;
        let start = |n: usize| -> Outcome<Node<'_>> {
            let (net, to) = (&nets[n], nets[n].pid());
            hub.ip(&format!("link add v{n} type veth peer name w0 netns {to}"))?;
            hub.ip(&format!("link set v{n} master br0 up"))?;
            net.ip("link set w0 up")?;
            let name = format!("node{n}");
            Node::start(lab, net, &name, "-d packet if=w0", "auto_add=0")
        };
        let all: Vec<_> = (0..NODES).map(start).collect::<Outcome<_>>()?;
        let mut services = vec![
            gns(lab, &all[0], "-s node1")?,
            gns(lab, &all[1], "-s node0")?,
        ];
        for node in &all[2..] {
            services.push(gns(lab, node, "node0 node1")?);
        }
        for (n, service) in services.iter_mut().enumerate() {
            for server in (0..2).filter(|server| *server != n) {
                service.wait_printed(&format!("node{server} is told"), LIMIT)?;
            }
        }
        let names = all
            .iter()
            .map(|node| node.serve(&format!("global of-{}", node.name)));
        let servers: Vec<_> = names.collect::<Outcome<_>>()?;
        // Each calls all others at once, every message counted once.
        for (n, node) in all.iter().enumerate() {
            let others = (0..NODES).filter(|other| *other != n);
            let call = |other: usize| {
                let line = format!("open global of-node{other} count 20");
                lab.start(&mut node.peer(&line))
            };
            let mut calls: Vec<_> = others.map(call).collect::<Outcome<_>>()?;
            for call in &mut calls {
                expect(&call.finish(LIMIT)?, "counted 20 failed 0")?;
            }
        }
        drop((servers, services));
        for node in all {
            node.ion.stop()?;
        }
        Ok(())
    });
}
