//! Message passing between programs on two nodes and more.

mod nodes;

use io_net_e2e::{Lab, Need, Outcome, lab};
use nodes::{LIMIT, Node, Server, expect, pair, two};

/// Everything that a client can ask of a server of node `on`.
fn all_calls(client: &Node<'_>, on: &str, server: &mut Server) -> Outcome {
    for (what, wanted) in [
        ("echo 64 100", "echoed 100"),
        ("echo 0", "echoed 1"),
        ("echo 5000 20", "echoed 20"),
        ("echo 100000 5", "echoed 5"),
        ("echo 3000000", "echoed 1"),
        ("sum 1", "summed 1"),
        ("sum 2000000", "summed 2000000"),
        ("get 7", "got 7"),
        ("get 2000000", "got 2000000"),
        ("fail", "error 13"),
        ("event", "event 5 77"),
        ("count 200", "counted 200 failed 0"),
        ("pulse 3 44", "sent"),
    ] {
        expect(&client.call(on, server, what)?, wanted)?;
    }
    server.program.wait_printed("pulse 3 44", LIMIT)
}

fn two_nodes(lab: &Lab, options: &str) -> Outcome {
    let nets = two(lab)?;
    let (west, east) = pair(lab, &nets, 1, options)?;
    let mut server = east.serve("")?;
    all_calls(&west, "east", &mut server)?;
    // The other way round, and from a program of the same node.
    let mut back = west.serve("")?;
    all_calls(&east, "west.lan", &mut back)?;
    all_calls(&east, "east", &mut server)?;
    drop((server, back));
    west.ion.stop()?;
    east.ion.stop().map(drop)
}

#[test]
fn all_that_a_client_can_do_it_can_do_on_another_node() {
    lab(&[Need::Stage], |lab| two_nodes(lab, ""));
}

#[test]
fn a_trusted_lan_needs_no_keys() {
    lab(&[Need::Stage], |lab| two_nodes(lab, "security=none"));
}

#[test]
fn nodes_have_names_and_numbers() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let name = |node: &Node<'_>, of: &str| lab.output(&mut node.peer(&format!("node {of}")));
        expect(&name(&west, "west")?, "0 west")?;
        let far = name(&west, "east")?;
        if far.starts_with("0 ") || !far.contains(" east") {
            return Err(format!("east is {far} to west"));
        }
        expect(&name(&west, "/net/east.lan/dev/ser1")?, far.trim())?;
        expect(&name(&west, "east~exclusive:en0")?, "east~exclusive:en0")?;
        expect(&name(&east, "west")?, " west")?;
        for nobody in ["north", "east~exclusive:en7", "..", "east~loudly"] {
            if let Ok(found) = name(&west, nobody) {
                return Err(format!("{nobody} is {found}"));
            }
        }
        let nodes = west.ion.ctl("qnet nodes")?;
        expect(&nodes, "west.lan")?;
        expect(&nodes, "east.lan")?;
        expect(&west.ion.ctl("qnet links")?, "en0")
    });
}

#[test]
fn names_are_found_on_other_nodes() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let open = |node: &Node<'_>, what: &str| {
            let line = format!("open {what} echo 100 3");
            lab.output(&mut node.peer(&line))
        };
        let near = east.serve("local counter/1")?;
        let far = "/net/east/dev/name/local/counter/1";
        expect(&open(&west, &format!("local {far}"))?, "echoed 3")?;
        expect(&open(&east, "local counter/1")?, "echoed 3")?;
        // A global name is found wherever it is, by those who know that node.
        let wide = east.serve("global weather")?;
        expect(&open(&west, "global weather")?, "echoed 3")?;
        expect(
            &open(&west, "global /net/east/dev/name/global/weather")?,
            "echoed 3",
        )?;
        drop((near, wide));
        for gone in [
            format!("local {far}"),
            "global weather".into(),
            "local /net/east/dev/name/local/../../x".into(),
            "local /net/nowhere/dev/name/local/x".into(),
        ] {
            if let Ok(printed) = open(&west, &gone) {
                return Err(format!("{gone} is there: {printed}"));
            }
        }
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn a_server_sees_who_the_client_is_here() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        for (options, wanted) in [
            ("", "uid=65534 gid=65534"),
            ("maproot=same", "uid=0 gid=0"),
            ("maproot=1234:99", "uid=1234 gid=99"),
        ] {
            let (west, east) = pair(lab, &nets, 1, options)?;
            let server = east.serve("")?;
            let who = west.call("east", &server, "who")?;
            expect(&who, wanted)?;
            if who.contains("nd=0 ") {
                return Err(format!("a client of another node seems to be here: {who}"));
            }
            expect(&east.call(".", &server, "who")?, "nd=0 ")?;
        }
        Ok(())
    });
}

#[test]
fn three_nodes_on_one_lan_all_reach_each_other() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        net.ip("link add br0 type bridge")?;
        net.ip("link set br0 up")?;
        let start = |n: usize, name: &str| -> Outcome<Node<'_>> {
            let tap = format!("-d tap name=tap{n},up");
            let node = Node::start(lab, &net, name, &tap, "")?;
            net.ip(&format!("link set tap{n} master br0"))?;
            Ok(node)
        };
        let all = [start(0, "north")?, start(1, "south")?, start(2, "middle")?];
        for server_node in &all {
            let server = server_node.serve("")?;
            for client in &all {
                let printed = client.call(&server_node.name, &server, "echo 2000 20")?;
                expect(&printed, "echoed 20")?;
            }
            let connections = server_node.ion.ctl("qnet connections")?;
            expect(&connections, "SIDE")?;
        }
        for node in all {
            node.ion.stop()?;
        }
        Ok(())
    });
}

#[test]
fn nodes_reach_each_other_over_ip() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let names = lab.file("nodes", "west.lan 10.8.0.1\neast.lan 10.8.0.2\n")?;
        let start = |n: usize, name: &str| {
            let drivers = format!(
                "-d pipe path={}/pipe -n qnet-ip addr=10.8.0.{}/24",
                lab.dir().display(),
                n + 1
            );
            let options = format!("bind=ip,resolve=file:{}", names.display());
            Node::start(lab, &nets[n], name, &drivers, &options)
        };
        let (west, east) = (start(0, "west")?, start(1, "east")?);
        let mut server = east.serve("")?;
        all_calls(&west, "east", &mut server)?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn sixteen_nodes_on_one_lan() {
    const NODES: usize = 16;
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        net.ip("link add br0 type bridge")?;
        net.ip("link set br0 up")?;
        let start = |n: usize| -> Outcome<Node<'_>> {
            let tap = format!("-d tap name=tap{n},up");
            let node = Node::start(lab, &net, &format!("node{n}"), &tap, "")?;
            net.ip(&format!("link set tap{n} master br0"))?;
            Ok(node)
        };
        let all: Vec<_> = (0..NODES).map(start).collect::<Outcome<_>>()?;
        let servers: Vec<_> = all
            .iter()
            .map(|node| node.serve(""))
            .collect::<Outcome<_>>()?;
        // Each calls all others at once.
        for (n, node) in all.iter().enumerate() {
            let others = (0..NODES).filter(|other| *other != n);
            let mut calls: Vec<_> = others
                .map(|other| node.start_call(&format!("node{other}"), &servers[other], "count 50"))
                .collect::<Outcome<_>>()?;
            for call in &mut calls {
                expect(&call.finish(LIMIT)?, "counted 50 failed 0")?;
            }
        }
        let nodes = all[0].ion.ctl("qnet nodes")?;
        if nodes.matches(" up ").count() != NODES - 1 {
            return Err(format!("not all nodes are up: {nodes}"));
        }
        drop(servers);
        for node in all {
            node.ion.stop()?;
        }
        Ok(())
    });
}

#[test]
fn many_clients_call_one_server_at_once() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let server = east.serve("")?;
        let start = |_| west.start_call("east", &server, "count 100");
        let mut calls: Vec<_> = (0..40).map(start).collect::<Outcome<_>>()?;
        for call in &mut calls {
            expect(&call.finish(LIMIT)?, "counted 100 failed 0")?;
        }
        // More threads than there are places for messages between two processes.
        expect(&west.call("east", &server, "crowd 100 20")?, "crowded 2000")?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}
