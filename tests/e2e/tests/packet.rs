//! io-net on one end of a veth pair, by devn-packet; the kernel on the other.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, holds_within, lab};
use std::time::Duration;

const LINE: &str = "-d packet if=veth0 -p tcpip addr=10.9.0.2/24";
const LIMIT: Duration = Duration::from_secs(20);

/// `here` with veth0 for io-net, `there` with veth1 at 10.9.0.1/24.
fn pair(lab: &Lab, mtu: u32) -> Outcome<(Namespace, Namespace)> {
    let (here, there) = (lab.namespace()?, lab.namespace()?);
    wire(&here, &there, mtu)?;
    Ok((here, there))
}

fn wire(here: &Namespace, there: &Namespace, mtu: u32) -> Outcome {
    let peer = format!("peer name veth1 mtu {mtu} netns {}", there.pid());
    here.ip(&format!("link add veth0 mtu {mtu} type veth {peer}"))?;
    here.ip("link set veth0 up")?;
    there.ip("addr add 10.9.0.1/24 dev veth1")?;
    there.ip("link set veth1 up").map(|_| ())
}

fn packet(lab: &Lab, test: impl FnOnce(&Namespace, &IoNet<'_>) -> Outcome) -> Outcome {
    let (here, there) = pair(lab, 1500)?;
    let ion = lab.io_net(&here, LINE)?;
    test(&there, &ion)?;
    ion.stop().map(|_| ())
}

/// Three echoes of `size` bytes from `net` to `peer`, each of which comes back. One at a time: after
/// the last of several, ping waits only as long as the others took.
fn echoes(net: &Namespace, peer: &str, size: u32, more: &str) -> Outcome {
    for _ in 0..3 {
        let line = format!("ping -c 1 -W 10 -s {size} {more} {peer}");
        let said = net.run(&line).map_err(|why| format!("{line}: {why}"))?;
        assert!(said.contains("1 received"), "{line}: {said}");
    }
    Ok(())
}

/// Bytes no stretch of which is like another.
fn noise(len: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        Some(*state as u8)
    };
    std::iter::from_fn(|| Some(()))
        .scan(0x9e37_79b9_7f4a_7c15, |state, ()| step(state))
        .take(len)
        .collect()
}

fn same(lab: &Lab, name: &str, expected: &[u8]) -> Outcome {
    let got = std::fs::read(lab.dir().join(name)).map_err(|e| e.to_string())?;
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(a, b)| a != b);
    Err(format!(
        "{name}: {} bytes of {}, first wrong at {at:?}",
        got.len(),
        expected.len()
    ))
}

#[test]
fn pings_of_every_size_come_back() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        packet(lab, |there, _| {
            for size in [0, 1, 56, 1471, 1472, 1473, 8000, 65_507] {
                echoes(there, "10.9.0.2", size, "")?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_jumbo_mtu_is_the_interfaces() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let (here, there) = pair(lab, 65_535)?;
        let ion = lab.io_net(&here, LINE)?;
        for size in [1472, 9000, 65_507] {
            echoes(&there, "10.9.0.2", size, "-M do")?;
        }
        ion.stop().map(|_| ())
    });
}

#[test]
fn files_arrive_whole_both_ways() {
    let needs = [Need::Stage, Need::Program("curl"), Need::Program("python3")];
    lab(&needs, |lab| {
        let bytes = noise(16 << 20);
        let site = lab.dir().join("site");
        std::fs::create_dir_all(&site).map_err(|e| e.to_string())?;
        lab.file("site/data", &bytes)?;
        packet(lab, |there, ion| {
            let serve = ["-u", "-m", "http.server", "8000", "--directory"];
            let mut ours = lab.start(ion.command("python3").args(serve).arg(&site))?;
            ours.wait_printed("Serving", LIMIT)?;
            let theirs = lab.start(there.command("python3").args(serve).arg(&site))?;
            theirs.wait_listening(8000, LIMIT)?;
            let fetch = |name: &str, from: &str| {
                let to = lab.dir().join(name).display().to_string();
                format!("curl -sS --max-time 60 -o {to} http://{from}:8000/data")
            };
            there.run(&fetch("out", "10.9.0.2"))?;
            same(lab, "out", &bytes)?;
            ion.run(&fetch("in", "10.9.0.1"))?;
            same(lab, "in", &bytes)
        })
    });
}

#[test]
fn iperf3_runs_both_ways() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        packet(lab, |there, ion| {
            let mut server = there.command("iperf3");
            let mut server = lab.start(server.args(["-s", "--forceflush"]))?;
            server.wait_printed("listening", LIMIT)?;
            for line in ["-t 1", "-t 1 -R", "-t 1 -P 4 --bidir", "-u -b 200M -t 1"] {
                let said = ion.run(&format!("iperf3 -c 10.9.0.1 {line}"))?;
                assert!(said.contains("receiver"), "{said}");
            }
            Ok(())
        })
    });
}

#[test]
fn a_bridge_joins_it_with_a_tap() {
    let needs = [Need::Stage, Need::Program("ping"), Need::Program("iperf3")];
    lab(&needs, |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(
            &here,
            "-d packet if=veth0,promiscuous -d tap name=tap0,addr=10.9.0.3/24 \
             -f bridge above=en0:en1 -p tcpip addr=10.9.0.2/24",
        )?;
        for (net, peer) in [
            (&here, "10.9.0.1"),
            (&there, "10.9.0.3"),
            (&there, "10.9.0.2"),
            (&here, "10.9.0.2"),
        ] {
            for size in [56, 8000] {
                echoes(net, peer, size, "")?;
            }
        }
        let mut server = there.command("iperf3");
        let mut server = lab.start(server.args(["-s", "--forceflush"]))?;
        server.wait_printed("listening", LIMIT)?;
        for reverse in ["", "-R"] {
            let said = here.run(&format!("iperf3 -c 10.9.0.1 -t 1 {reverse}"))?;
            assert!(said.contains("receiver"), "{said}");
        }
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_transfer_survives_the_interfaces_going_down() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, LINE)?;
        let answers = || there.run("ping -c 1 -W 1 10.9.0.2").is_ok();
        holds_within(LIMIT, "an answer", answers)?;
        here.ip("link set veth0 down")?;
        holds_within(LIMIT, "nicinfo to say so", || {
            let said = lab.output(ion.control("nicinfo").arg("en0"));
            said.is_ok_and(|said| said.contains("Down"))
        })?;
        here.ip("link set veth0 up")?;
        holds_within(LIMIT, "an answer after the flap", answers)?;
        // Gone, and another of its name.
        here.ip("link delete veth0")?;
        wire(&here, &there, 1500)?;
        holds_within(LIMIT, "an answer by the new interface", answers)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn several_queues_and_the_bypass_serve_as_one_does() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        let (here, there) = pair(lab, 1500)?;
        let line = "-d packet if=veth0,queues=4,bypass,mac=02:00:00:00:00:77 \
                    -p tcpip addr=10.9.0.2/24";
        let ion = lab.io_net(&here, line)?;
        let mut server = ion.start_on("iperf3 -s --forceflush")?;
        server.wait_printed("listening", LIMIT)?;
        let said = there.run("iperf3 -c 10.9.0.2 -t 1 -P 8")?;
        assert!(said.contains("receiver"), "{said}");
        drop(server);
        ion.stop().map(|_| ())
    });
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    lab(&[Need::Stage, Need::Program("setpriv")], |lab| {
        let (here, _there) = pair(lab, 1500)?;
        let why = |line: &str| lab.io_net(&here, line).err().unwrap_or_default();
        assert!(why("-d packet").contains("if="), "{}", why("-d packet"));
        assert!(why("-d packet if=lo").contains("loopback"));
        assert!(why("-d packet if=nothing").contains("no such interface"));
        // Without the capability.
        let mut command = here.command("setpriv");
        command
            .args(["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"])
            .arg(lab.stage().bin("io-net"))
            .args(["-d", "packet", "if=veth0", "--run-dir"])
            .arg(lab.dir())
            .arg("--module-path")
            .arg(lab.stage().modules());
        let said = lab.output(&mut command).err().unwrap_or_default();
        assert!(said.contains("CAP_NET_RAW"), "{said}");
        Ok(())
    });
}
