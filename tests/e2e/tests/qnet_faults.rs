//! What becomes of messages when something dies, links fail, or somebody misbehaves.

mod nodes;

use io_net_e2e::{Lab, Namespace, Need, Outcome, Program, holds_within, lab, wait_for};
use nodes::{LIMIT, Node, expect, pair, two};
use std::time::Duration;

const ESRCH: &str = "error 3";
const TIMED_OUT: &str = "error 110";

#[test]
fn a_server_that_dies_ends_its_clients_calls() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let mut server = east.serve("")?;
        let mut waiting = west.start_call("east", &server, "hold")?;
        server.program.wait_printed("holding", LIMIT)?;
        server.program.signal("KILL")?;
        expect(&waiting.finish(LIMIT)?, ESRCH)?;
        // One that ends by itself, while it is asked to.
        let server = east.serve("")?;
        expect(&west.call("east", &server, "die")?, ESRCH)?;
        expect(&west.call("east", &server, "die")?, ESRCH)?;
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn a_server_hears_of_a_client_that_dies() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let mut server = east.serve("")?;
        let waiting = west.start_call("east", &server, "hold")?;
        server.program.wait_printed("holding", LIMIT)?;
        waiting.signal("KILL")?;
        server.program.wait_printed("disconnect", LIMIT)?;
        expect(&west.call("east", &server, "echo 10")?, "echoed")?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn a_node_that_dies_ends_all_calls_to_it_and_comes_back() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, mut east) = pair(lab, &nets, 1, "")?;
        let drivers = format!("-d pipe path={}/pipe0", lab.dir().display());
        for _ in 0..2 {
            let mut server = east.serve("")?;
            let mut waiting = west.start_call("east", &server, "hold")?;
            server.program.wait_printed("holding", LIMIT)?;
            // All of the node's programs go with it.
            east.ion.program().signal("KILL")?;
            drop((server, east));
            expect(&waiting.finish(LIMIT)?, "error ")?;
            east = Node::start(lab, &nets[1], "east", &drivers, "")?;
            let server = east.serve("")?;
            holds_within(LIMIT, "the node to be reached again", || {
                west.call("east", &server, "echo 64 10").is_ok()
            })?;
        }
        Ok(())
    });
}

#[test]
fn programs_hear_of_the_end_of_their_own_nodes_qnet() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let mut server = east.serve("")?;
        let mut waiting = west.start_call("east", &server, "hold")?;
        server.program.wait_printed("holding", LIMIT)?;
        west.ion.ctl("umount qnet")?;
        expect(&waiting.finish(LIMIT)?, ESRCH)?;
        server.program.wait_printed("disconnect", LIMIT)?;
        let refused = west
            .call("east", &server, "echo 1")
            .err()
            .unwrap_or_default();
        expect(&refused, "strtond")?;
        // Qnet of the server's node goes: the next client's call ends too.
        let files = format!("{}/again", lab.dir().display());
        let mount = format!(
            "mount -o host=west,domain=lan,key={files}.key,known={files}.known,security=encrypted npm-qnet"
        );
        let known = lab.dir().join("east.known");
        std::fs::remove_file(&known).map_err(|e| e.to_string())?;
        east.ion.ctl("umount qnet")?;
        let east_files = format!("{}/east", lab.dir().display());
        east.ion.ctl(&format!(
            "mount -o host=east,domain=lan,key={east_files}.key,known={east_files}.known npm-qnet"
        ))?;
        west.ion.ctl(&mount)?;
        let mut server = east.serve("")?;
        let mut waiting = west.start_call("east", &server, "hold")?;
        server.program.wait_printed("holding", LIMIT)?;
        east.ion.ctl("umount qnet")?;
        expect(&waiting.finish(LIMIT)?, "error ")?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn a_client_is_unblocked_as_the_server_says() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let mut server = east.serve("")?;
        expect(&west.call("east", &server, "hold 2000")?, "status 42")?;
        server.program.wait_printed("unblock", LIMIT)?;
        let plain = east.serve("plain")?;
        expect(&west.call("east", &plain, "hold 300")?, TIMED_OUT)?;
        expect(&west.call("east", &plain, "echo 64 10")?, "echoed")?;
        drop((server, plain));
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn messages_go_on_over_the_other_link_when_one_fails() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 2, "")?;
        let server = east.serve("")?;
        expect(&west.call("east", &server, "echo 64 10")?, "echoed")?;
        for (gone, at) in [("en0", 0), ("en1", 1)] {
            let mut counting = west.start_call("east", &server, "count 3000")?;
            std::thread::sleep(Duration::from_millis(50));
            east.ion.ctl(&format!("umount {gone}"))?;
            expect(&counting.finish(LIMIT)?, "counted")?;
            let path = format!("path={}/pipe{at}", lab.dir().display());
            let lan = &gone[2..];
            east.ion
                .ctl(&format!("mount -o {path},lan={lan} devn-pipe"))?;
            wait_for("both links", LIMIT, || {
                let links = east.ion.ctl("nicinfo").ok()?;
                (links.matches("en0").count() > 0 && links.matches("en1").count() > 0).then_some(())
            })?;
        }
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn a_node_with_another_key_is_not_let_in() {
    lab(&[Need::Stage], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let server = east.serve("")?;
        expect(&west.call("east", &server, "echo 64")?, "echoed")?;
        drop(server);
        east.ion.stop()?;
        std::fs::remove_file(lab.dir().join("east.key")).map_err(|e| e.to_string())?;
        let drivers = format!("-d pipe path={}/pipe0", lab.dir().display());
        let east = Node::start(lab, &nets[1], "east", &drivers, "")?;
        let server = east.serve("")?;
        // It may first have to be found where it is now.
        holds_within(LIMIT, "the node to be refused", || {
            let printed = west.call("east", &server, "echo 64");
            assert!(printed.is_err(), "another key was good too: {printed:?}");
            west.ion
                .program()
                .printed()
                .contains("somebody poses as it")
        })?;
        if west.counter("nodes_refused")? == 0 {
            return Err("nothing was counted".into());
        }
        Ok(())
    });
}

/// Runs a script of Python's to its end.
fn script(lab: &Lab, net: &Namespace, text: &str, args: &[&str]) -> Outcome<Program> {
    let path = lab.file("script.py", text)?;
    let mut command = net.command("python3");
    command.arg(path).args(args);
    lab.start(&mut command)
}

#[test]
fn programs_that_misbehave_at_the_door_disturb_nobody() {
    lab(&[Need::Stage, Need::Program("python3")], |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, "")?;
        let server = east.serve("")?;
        let door = west.ion.run_dir().join("msg/qnet").display().to_string();
        for _ in 0..3 {
            let knocking =
                script(lab, &nets[0], include_str!("nodes/door.py"), &[&door])?.finish(LIMIT)?;
            expect(&knocking, "done")?;
            expect(&west.call("east", &server, "echo 64 100")?, "echoed")?;
        }
        if west.counter("sessions_refused")? == 0 {
            return Err("nothing was counted".into());
        }
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn forged_and_repeated_frames_disturb_nobody() {
    let needs = [Need::Stage, Need::Root, Need::Program("python3")];
    lab(&needs, |lab| {
        for options in ["", "security=none"] {
            let net = lab.namespace()?;
            net.ip("link add br0 type bridge")?;
            net.ip("link set br0 up")?;
            let start = |n: usize, name: &str| -> Outcome<Node<'_>> {
                let tap = format!("-d tap name=tap{n},up");
                let node = Node::start(lab, &net, name, &tap, options)?;
                net.ip(&format!("link set tap{n} master br0"))?;
                Ok(node)
            };
            let (west, east) = (start(0, "west")?, start(1, "east")?);
            let server = east.serve("")?;
            let text = include_str!("nodes/frames.py");
            let mut forger = script(lab, &net, text, &["br0", "2"])?;
            forger.wait_printed("listening", LIMIT)?;
            expect(&west.call("east", &server, "count 300")?, "failed 0")?;
            forger.wait_printed("heard", LIMIT)?;
            while forger.is_running() {
                let calls = west.call("east", &server, "count 100");
                // Without security a forged frame may end a session, but no message comes twice.
                if options.is_empty() {
                    expect(&calls?, "counted 100 failed 0")?;
                } else if let Err(why) = calls {
                    expect(&why, "strtond").or_else(|_| expect(&why, "attach"))?;
                }
            }
            expect(&forger.finish(LIMIT)?, "done")?;
            holds_within(LIMIT, "quiet calls", || {
                let calls = west.call("east", &server, "count 100");
                calls.is_ok_and(|printed| printed.contains("failed 0"))
            })?;
            if east.counter("drop_malformed")? == 0 {
                return Err("no malformed frame was counted".into());
            }
            drop(server);
            west.ion.stop()?;
            east.ion.stop()?;
        }
        Ok(())
    });
}

/// Two nodes on two LANs, as the bridges `br0` and `br1`.
fn on_two_lans<'a>(lab: &'a Lab, net: &'a Namespace) -> Outcome<(Node<'a>, Node<'a>)> {
    for n in 0..2 {
        net.ip(&format!("link add br{n} type bridge"))?;
        net.ip(&format!("link set br{n} up"))?;
    }
    let start = |name: &str, taps: [usize; 2]| -> Outcome<Node<'a>> {
        let drivers = taps.map(|tap| format!("-d tap name=tap{tap},up")).join(" ");
        let node = Node::start(lab, net, name, &drivers, "")?;
        for (bridge, tap) in taps.into_iter().enumerate() {
            net.ip(&format!("link set tap{tap} master br{bridge}"))?;
        }
        Ok(node)
    };
    Ok((start("west", [0, 1])?, start("east", [2, 3])?))
}

#[test]
fn a_link_that_is_cut_without_a_word_loses_nothing() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let (west, east) = on_two_lans(lab, &net)?;
        let server = east.serve("")?;
        for (way, cut) in [
            ("east~preferred:en0", 0),
            ("east~preferred:en1", 1),
            ("east~loadbalance", 0),
        ] {
            expect(&west.call(way, &server, "echo 64 100")?, "echoed")?;
            let mut counting = west.start_call(way, &server, "steady 400")?;
            counting.wait_printed("begun", LIMIT)?;
            net.ip(&format!("link set br{cut} down"))?;
            let printed = counting.finish(LIMIT)?;
            expect(&printed, "counted 400 failed 0")?;
            net.ip(&format!("link set br{cut} up"))?;
            // It is used again before it is the other link's turn.
            holds_within(LIMIT, "the link to be up again", || {
                let nodes = west.ion.ctl("qnet nodes").unwrap_or_default();
                nodes.contains("east.lan") && !nodes.contains("(down)")
            })?;
        }
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn an_exclusive_connection_never_takes_another_link() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let net = lab.namespace()?;
        let (west, east) = on_two_lans(lab, &net)?;
        let server = east.serve("")?;
        let way = "east~exclusive:en1";
        expect(&west.call(way, &server, "echo 64 100")?, "echoed")?;
        net.ip("link set br1 down")?;
        let printed = west.call(way, &server, "count 3")?;
        expect(&printed, "counted 0 failed 3")?;
        expect(
            &west.call("east", &server, "count 3")?,
            "counted 3 failed 0",
        )?;
        net.ip("link set br1 up")?;
        holds_within(LIMIT, "the link to be used again", || {
            let printed = west.call(way, &server, "count 3");
            printed.is_ok_and(|printed| printed.contains("counted 3"))
        })?;
        drop(server);
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}
