//! Peers that die and come back: the link comes back with them, and nothing is leaked.

use io_net_e2e::{Lab, Namespace, Need, Outcome, holds_within, lab};
use std::time::Duration;

const NEEDS: &[Need] = &[Need::Stage, Need::Program("ping")];
const LIMIT: Duration = Duration::from_secs(30);

/// Kills and replaces the io-net behind the driver `ours` three times under traffic; its own driver
/// is `theirs`. All interfaces have `mtu`, and pings that fill it pass.
fn survives(lab: &Lab, ours: &str, theirs: &str, mtu: u32) -> Outcome {
    let (here, there) = (lab.namespace()?, lab.namespace()?);
    let line = |driver: &str, n: u8| {
        format!(
            "-d {driver},mtu={mtu} -d tap name=t{n},addr=10.9.0.{n}/24,mtu={mtu} \
             -f bridge above=en0:en1"
        )
    };
    let ion = lab.io_net(&here, &line(ours, 1))?;
    for _ in 0..3 {
        let peer = lab.io_net(&there, &line(theirs, 2))?;
        // The new TAP has another address than the last.
        here.ip("neigh flush all")?;
        holds_within(LIMIT, "the link to come up", || answers(&here, 56))?;
        let largest = mtu - 28;
        holds_within(LIMIT, "the largest packets to pass", || {
            answers(&here, largest)
        })?;
        // Killed with packets in the shared rings.
        let mut flood = here.command("ping");
        let flood = lab.start(flood.args(["-i", "0.002", "-s", "1000", "10.9.0.2"]))?;
        holds_within(LIMIT, "traffic", || {
            flood.printed().matches("bytes from").count() > 50
        })?;
        drop(peer);
        if answers(&here, 56) {
            return Err("something answers in the place of the dead".into());
        }
        drop(flood);
    }
    ion.stop().map(|_| ())
}

fn answers(net: &Namespace, size: u32) -> bool {
    let said = net.run(&format!("ping -c 1 -W 1 -M do -s {size} 10.9.0.2"));
    said.is_ok_and(|said| said.contains("1 received"))
}

fn in_lab(lab: &Lab, name: &str) -> String {
    lab.dir().join(name).display().to_string()
}

#[test]
fn the_other_end_of_a_pipe() {
    lab(NEEDS, |lab| {
        let driver = format!("pipe path={}", in_lab(lab, "pipe"));
        survives(lab, &driver, &driver, 1500)
    });
}

#[test]
fn the_other_end_of_a_pipe_with_jumbo_frames() {
    lab(NEEDS, |lab| {
        let driver = format!("pipe path={}", in_lab(lab, "pipe"));
        survives(lab, &driver, &driver, 9000)
    });
}

#[test]
fn a_client_of_memif() {
    lab(NEEDS, |lab| {
        let socket = in_lab(lab, "memif");
        let server = format!("memif socket={socket},role=server");
        let client = format!("memif socket={socket},role=client");
        survives(lab, &server, &client, 1500)
    });
}

/// Frames of several buffers: those of memif stay at 2 KiB.
#[test]
fn a_server_of_memif_with_jumbo_frames_in_chained_buffers() {
    lab(NEEDS, |lab| {
        let socket = in_lab(lab, "memif");
        let server = format!("memif socket={socket},role=server");
        let client = format!("memif socket={socket},role=client");
        survives(lab, &client, &server, 9000)
    });
}

/// The kernel's device goes down and up.
#[test]
fn a_tap_that_goes_down() {
    lab(NEEDS, |lab| {
        let here = lab.namespace()?;
        let ion = lab.io_net(
            &here,
            "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24",
        )?;
        for _ in 0..3 {
            holds_within(LIMIT, "answers", || answers(&here, 56))?;
            here.ip("link set tap0 down")?;
            assert!(!answers(&here, 56));
            here.ip("link set tap0 up")?;
        }
        holds_within(LIMIT, "answers", || answers(&here, 1400))?;
        ion.stop().map(|_| ())
    });
}
