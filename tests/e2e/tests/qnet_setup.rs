//! What an administrator does with Qnet: options, files for other nodes, keys of nodes set up anew.

mod nodes;

use io_net_e2e::{Need, Outcome, holds_within, lab, wait_for};
use nodes::{LIMIT, Node, expect, pair, two};
use std::fs;
use std::path::{Path, PathBuf};

/// The process of the io-net-node that serves a node.
fn service(node: &Node<'_>) -> Option<String> {
    let file = node.ion.run_dir().join("name/local/io-net/files");
    let entry = fs::read_to_string(file).ok()?;
    let pid = entry.split_whitespace().next()?.to_owned();
    Path::new("/proc").join(&pid).exists().then_some(pid)
}

/// Kills a process by its number, which is nobody else's yet.
fn kill(pid: &str) -> Outcome {
    let killed = std::process::Command::new("sh")
        .args(["-c", &format!("kill -KILL {pid}")])
        .status();
    match killed {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("kill {pid}: {other:?}")),
    }
}

#[test]
fn io_net_alone_shows_other_nodes_files() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let drivers = format!("-d pipe path={}/pipe", lab.dir().display());
        let mount = lab.dir().join("net");
        let options = format!("net={}", mount.display());
        let west = Node::start(lab, &nets[0], "west", &drivers, &options)?;
        let east = Node::start(lab, &nets[1], "east", &drivers, "export=/etc:ro,spawn")?;
        // The mount is in the namespaces of its io-net.
        let root = PathBuf::from(format!("/proc/{}/root", west.ion.program().pid()));
        let net = root.join(mount.strip_prefix("/").unwrap_or(&mount));
        let far = net.join("east/etc/hostname");
        let hostname = fs::read_to_string("/etc/hostname").map_err(|e| e.to_string())?;
        let reads = || fs::read_to_string(&far).is_ok_and(|text| text == hostname);
        holds_within(LIMIT, "east's file in /net", reads)?;
        let mut on = west.ion.control("on");
        let printed = lab.output(on.args(["-n", "east", "echo", "there"]))?;
        expect(&printed, "there")?;
        // Each of the two services is killed, and is back.
        for node in [&west, &east] {
            let pid = service(node).ok_or("no io-net-node")?;
            kill(&pid)?;
            let other = || service(node).filter(|other| *other != pid);
            wait_for("another io-net-node", LIMIT, other)?;
            holds_within(LIMIT, "east's file in /net again", reads)?;
            expect(&node.ion.program().printed(), "started again in")?;
        }
        // It ends with its io-net, and takes the mount away; and where that one is killed, too.
        let pids = [&west, &east].map(|node| service(node).unwrap_or_default());
        let gone = |pid: &str| !pid.is_empty() && !Path::new("/proc").join(pid).exists();
        let here = nets[0].run(&format!("cat /proc/{}/mounts", nets[0].pid()))?;
        expect(&here, &mount.display().to_string())?;
        west.ion.stop()?;
        holds_within(LIMIT, "its io-net-node to end", || gone(&pids[0]))?;
        let here = nets[0].run(&format!("cat /proc/{}/mounts", nets[0].pid()))?;
        if here.contains(&mount.display().to_string()) {
            return Err(format!("the mount is still there: {here}"));
        }
        east.ion.program().signal("KILL")?;
        holds_within(LIMIT, "the other io-net-node to end", || gone(&pids[1]))
    });
}

#[test]
fn a_node_that_was_set_up_anew_is_let_in_once_its_key_is_forgotten() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let server = east.serve("")?;
        expect(&west.call("east", &server, "echo 64")?, "echoed 1")?;
        drop(server);
        east.ion.stop()?;
        let file = |end: &str| lab.dir().join(format!("east.{end}"));
        for end in ["key", "known"] {
            fs::remove_file(file(end)).map_err(|e| e.to_string())?;
        }
        let drivers = format!("-d pipe path={}/pipe0", lab.dir().display());
        let east = Node::start(lab, &nets[1], "east", &drivers, "")?;
        let server = east.serve("")?;
        // It is refused, and what is said of it says what to do.
        let advice = "io-netctl qnet forget east.lan";
        holds_within(LIMIT, "advice", || {
            let refused = west.call("east", &server, "echo 64").is_err();
            refused && west.ion.program().printed().contains(advice)
        })?;
        let refused = west.call("east", &server, "echo 64").err();
        expect(&refused.unwrap_or_default(), "Key was rejected")?;
        let unknown = west.ion.ctl("qnet forget north").err();
        expect(&unknown.unwrap_or_default(), "no key of north.lan is known")?;
        west.ion.ctl("qnet forget east")?;
        holds_within(LIMIT, "east to be let in", || {
            west.call("east", &server, "echo 64").is_ok()
        })?;
        // What is known now is the new key.
        let known = fs::read_to_string(lab.dir().join("west.known"));
        let known = known.map_err(|e| e.to_string())?;
        match known.matches("east.lan ").count() {
            1 => Ok(()),
            _ => Err(format!("known: {known}")),
        }
    });
}

#[test]
fn an_interface_that_is_not_there_is_waited_for_and_that_is_said() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let node = Node::start(lab, &net, "west", "", "bind=en0,bind=en7")?;
        let said = |text: &str| node.ion.program().printed().contains(text);
        holds_within(LIMIT, "a word about en0", || {
            said("en0 is not there; Qnet waits for it") && said("en7 is not there")
        })?;
        let state = |name: &str| -> Outcome<String> {
            let links = node.ion.ctl("qnet links")?;
            let line = links.lines().find(|line| line.starts_with(name));
            Ok(line.unwrap_or_default().to_owned())
        };
        expect(&state("en0")?, "waits")?;
        let path = format!("-o path={}/pipe", lab.dir().display());
        let mut mount = node.ion.control("mount");
        mount.args(["-T", "io-net"]).args(path.split(' '));
        lab.output(mount.arg("devn-pipe.so"))?;
        holds_within(LIMIT, "the link", || {
            state("en0").is_ok_and(|line| line.contains("up"))
        })?;
        expect(&state("en7")?, "waits")?;
        node.ion.ctl("umount en0")?;
        expect(&state("en0")?, "waits")
    });
}

#[test]
fn qnet_and_tcpip_share_an_address() {
    let ping = Need::Program("ping");
    lab(&[Need::Stage, Need::Root, ping], |lab| {
        let nets = two(lab)?;
        let names = lab.file("nodes", "west.lan 10.8.0.1\neast.lan 10.8.0.2\n")?;
        let options = format!("bind=ip,resolve=file:{}", names.display());
        let (net, to) = (&nets[0], nets[1].pid());
        net.ip("link add br0 type bridge")?;
        net.ip("link set br0 up")?;
        net.ip("address add 10.8.0.9/24 dev br0")?;
        let start = |n: usize, name: &str| -> Outcome<Node<'_>> {
            let (near, far) = (format!("v{n}"), format!("w{n}"));
            net.ip(&format!(
                "link add {near} type veth peer name {far} netns {to}"
            ))?;
            net.ip(&format!("link set {near} master br0 up"))?;
            nets[1].ip(&format!("link set {far} up"))?;
            let address = format!("addr=10.8.0.{}/24", n + 1);
            let drivers = format!("-d packet if={far} -p tcpip {address} -n qnet-ip {address}");
            Node::start(lab, &nets[1], name, &drivers, &options)
        };
        let (west, east) = (start(0, "west")?, start(1, "east")?);
        let server = east.serve("")?;
        expect(&west.call("east", &server, "echo 3000 50")?, "echoed 50")?;
        net.run("ping -c 3 -i 0.2 -W 10 10.8.0.2")?;
        // It answers the pings, has seen Qnet's packets, and complains of none.
        let shown = || {
            let stats = east.ion.stats().ok()?;
            let value = |name: &str| stats["counters"]["tcpip"][name].as_u64();
            let all = (value("icmp_out")?, value("ip_in_qnet")?);
            (all.0 >= 3 && all.1 >= 50).then_some((all.0, value("ip_drop_protocol")?))
        };
        let counted = wait_for("TCP/IP's counters", LIMIT, shown)?;
        if counted != (3, 0) {
            return Err(format!("TCP/IP complained: {counted:?}"));
        }
        // One of the two goes, and the address is the other's alone.
        east.ion.ctl("umount tcpip")?;
        net.ip("neighbour flush dev br0")?;
        if let Ok(printed) = net.run("ping -c 1 -W 1 10.8.0.2") {
            return Err(format!("without TCP/IP: {printed}"));
        }
        expect(&net.ip("neighbour show 10.8.0.2")?, "lladdr")?;
        expect(&west.call("east", &server, "echo 3000 50")?, "echoed 50")?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}
