//! nfm-forward between interfaces, and filters that come and go under full load.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, lab, wait_for};
use serde_json::Value;
use std::time::Duration;

/// Two TAPs joined by rules.
const JOINED: &str = "-d tap name=tap0,addr=10.9.0.1/24 -d tap name=tap1 \
     -f forward above=en0:en1,rule=in:en0+up+redirect:en1,rule=in:en1+up+redirect:en0";

/// Sends numbered frames into tap0 as fast as they come out of tap1, 128 on the way at the most, until
/// the file of its argument is there; then tells what was lost or came in another order.
const NUMBERS: &str = r#"
import os, select, socket, sys
ETHERTYPE = 0x88b5
def opened(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    s.bind((name, ETHERTYPE))
    return s
tx, rx = opened("tap0"), opened("tap1")
head = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + ETHERTYPE.to_bytes(2, "big")
pad = b"\0" * 42
sent = got = wrong = 0
print("ready", flush=True)
ending = False
while True:
    if sent % 4096 == 0 and os.path.exists(sys.argv[1]):
        ending = True
    if ending and got == sent:
        break
    while not ending and sent - got < 128:
        tx.send(head + sent.to_bytes(4, "big") + pad)
        sent += 1
        if sent % 4096 == 0:
            break
    if not select.select([rx], [], [], 10)[0]:
        print("lost", sent - got, "from", got, flush=True)
        sys.exit(1)
    while True:
        try:
            frame = rx.recv(2048, socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        number = int.from_bytes(frame[14:18], "big")
        if number != got:
            wrong += 1
            print("frame", number, "in the place of", got, flush=True)
            if wrong > 20:
                sys.exit(1)
        got = number + 1
print("sent", sent, "wrong", wrong, flush=True)
sys.exit(wrong != 0)
"#;

/// Runs `change` while numbered frames go from tap0 to tap1, and holds that none is lost or
/// overtaken.
fn under_load(lab: &Lab, net: &Namespace, change: impl FnOnce() -> Outcome) -> Outcome {
    let script = lab.file("numbers.py", NUMBERS)?;
    let end = lab.dir().join("end");
    for tap in ["tap0", "tap1"] {
        net.ip(&format!("link set {tap} up"))?;
    }
    let mut numbers = lab.start(net.command("python3").arg(script).arg(&end))?;
    numbers.wait_printed("ready", Duration::from_secs(20))?;
    change()?;
    lab.file("end", "")?;
    let said = numbers.finish(Duration::from_secs(60))?;
    assert!(said.contains("wrong 0"), "{said}");
    Ok(())
}

fn count(ion: &IoNet<'_>, of: &str, name: &str) -> Outcome<u64> {
    let stats: Value = ion.stats()?;
    let count = stats["counters"][of][name].as_u64();
    count.ok_or_else(|| format!("{of} does not count {name}"))
}

#[test]
fn rules_join_two_segments() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let (here, there) = (lab.namespace()?, lab.namespace()?);
        let ion = lab.io_net(&here, JOINED)?;
        here.ip(&format!("link set tap1 netns {}", there.pid()))?;
        there.ip("addr add 10.9.0.3/24 dev tap1")?;
        there.ip("link set tap1 up")?;
        let said = here.run("ping -c 5 -i 0.01 -W 5 10.9.0.3")?;
        assert!(said.contains("5 received"), "{said}");
        // Pings are stopped by a rule before the others, ARP is not.
        ion.ctl(
            r#"devctl forward {"cmd":"set","rules":["proto:icmp+drop","in:en0+up+redirect:en1","in:en1+up+redirect:en0"]}"#,
        )?;
        assert!(here.run("ping -c 2 -i 0.01 -W 1 10.9.0.3").is_err());
        let list = ion.ctl(r#"devctl forward {"cmd":"list"}"#)?;
        let list: Value = serde_json::from_str(&list).map_err(|e| e.to_string())?;
        assert_eq!(list["rules"][0]["packets"], 2, "{list}");
        let refused = ion.ctl(r#"devctl forward {"cmd":"set","rules":["in:en0+mirror:en0"]}"#);
        assert!(refused.is_err_and(|why| why.contains("back to en0")));
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_mirror_shows_both_ways() {
    let needs = [Need::Stage, Need::Program("ping"), Need::Program("tshark")];
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let file = lab.dir().join("mirror.pcapng").display().to_string();
        let ion = lab.io_net(
            &net,
            &format!(
                "-d tap name=tap0,addr=10.9.0.1/24 -d pcap write={file} -p tcpip addr=10.9.0.2/24 \
                 -f forward above=en0:en1,rule=in:en0+proto:icmp+mirror:en1"
            ),
        )?;
        let said = net.run("ping -c 5 -i 0.01 -W 5 10.9.0.2")?;
        assert!(said.contains("5 received"), "{said}");
        assert_eq!(count(&ion, "forward", "mirrored")?, 10);
        ion.stop()?;
        let said = net.run(&format!("tshark -n -r {file}"))?;
        for what in ["Echo (ping) request", "Echo (ping) reply"] {
            let lines = said.lines().filter(|line| line.contains(what)).count();
            assert_eq!(lines, 5, "{said}");
        }
        Ok(())
    });
}

/// Mounts and unmounts 24 filters in the way of numbered frames; `more` is added to io-net's line, and
/// `place` to each filter's options.
fn come_and_go(lab: &Lab, more: &str, place: &str) -> Outcome {
    let net = lab.namespace()?;
    let ion = lab.io_net(&net, &format!("{more} {JOINED}"))?;
    under_load(lab, &net, || {
        let capture = lab.dir().join("capture.pcapng").display().to_string();
        for round in 0..8 {
            for (module, options) in [
                ("forward", "above=en0:en1,pos=-1"),
                ("fault", "above=en1,pos=-2"),
                (
                    "capture",
                    &format!("above=en0,pos=-3,count=1000,file={capture}"),
                ),
            ] {
                ion.ctl(&format!("mount nfm-{module}.so -o as=x,{options}{place}"))?;
                wait_for("packets in the new filter", Duration::from_secs(20), || {
                    count(&ion, "x", "packets_in").ok().filter(|&n| n > 0)
                })
                .map_err(|why| format!("round {round}: {why}"))?;
                ion.ctl("umount x")?;
            }
        }
        Ok(())
    })?;
    ion.stop().map(|_| ())
}

#[test]
fn filters_come_and_go_under_full_load() {
    lab(&[Need::Stage, Need::Program("python3")], |lab| {
        come_and_go(lab, "", "")
    });
}

#[test]
fn filters_come_and_go_on_another_worker_too() {
    lab(&[Need::Stage, Need::Program("python3")], |lab| {
        come_and_go(lab, "-t 2", ",worker=1")
    });
}

#[test]
fn rules_change_under_full_load() {
    lab(&[Need::Stage, Need::Program("python3")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, JOINED)?;
        under_load(lab, &net, || {
            for n in 0..20 {
                let body = format!(
                    r#"{{"cmd":"set","rules":["in:en0+up+vlan:{n}+drop","in:en0+up+redirect:en1"]}}"#
                );
                ion.ctl(&format!("devctl forward {body}"))?;
            }
            Ok(())
        })?;
        ion.stop().map(|_| ())
    });
}
