//! Programs that end badly, or never.

use io_net_e2e::{Need, Outcome, holds_within, lab};
use std::time::Duration;

const LINE: &str = "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24";
const LIMIT: Duration = Duration::from_secs(20);
const IPERF: &[Need] = &[Need::Stage, Need::Program("iperf3")];

#[test]
fn clients_killed_mid_transfer_leave_nothing_behind() {
    lab(IPERF, |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        for round in 0..10 {
            let mut server = net.command("iperf3");
            let mut server = lab.start(server.args(["-s", "-1", "--forceflush"]))?;
            server.wait_printed("listening", LIMIT)?;
            let way = if round % 2 == 0 { "-R" } else { "" };
            let mut client =
                ion.start_on(&format!("iperf3 -c 10.9.0.1 -t 60 --forceflush {way}"))?;
            client.wait_printed("sec", LIMIT)?;
            client.signal("KILL")?;
            client.wait(LIMIT)?;
            // The kernel's side learns of it by a reset or the end of the stream.
            server.wait(LIMIT)?;
        }
        nothing_open(&ion)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_server_killed_mid_transfer_resets_its_clients() {
    lab(IPERF, |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        for _ in 0..5 {
            let mut server = ion.start_on("iperf3 -s --forceflush")?;
            server.wait_printed("listening", LIMIT)?;
            let mut client = net.command("iperf3");
            let mut client = lab.start(client.args(["-c", "10.9.0.2", "-t", "60"]))?;
            server.wait_printed("sec", LIMIT)?;
            server.signal("KILL")?;
            server.wait(LIMIT)?;
            client.wait(LIMIT)?;
        }
        nothing_open(&ion)?;
        ion.stop().map(|_| ())
    });
}

/// No socket is left, after those that wait for the peer have been waited for.
fn nothing_open(ion: &io_net_e2e::IoNet<'_>) -> Outcome {
    holds_within(Duration::from_secs(90), "all sockets to go", || {
        ion.ctl("netstat").is_ok_and(|text| {
            !["ESTABLISHED", "LISTEN", "FIN_WAIT", "CLOSE_WAIT"]
                .iter()
                .any(|s| text.contains(s))
        })
    })
}

#[test]
fn a_stopped_client_does_not_hold_up_the_others() {
    lab(IPERF, |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let mut server = net.command("iperf3");
        let mut server = lab.start(server.args(["-s", "--forceflush"]))?;
        server.wait_printed("listening", LIMIT)?;
        let mut stuck = ion.start_on("iperf3 -c 10.9.0.1 -t 60 -R --forceflush")?;
        stuck.wait_printed("sec", LIMIT)?;
        stuck.signal("STOP")?;
        let said = net.run("ping -c 20 -i 0.01 -W 5 10.9.0.2")?;
        assert!(said.contains("20 received"), "{said}");
        stuck.signal("KILL")?;
        stuck.wait(LIMIT)?;
        ion.stop().map(|_| ())
    });
}
