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

/// Connects, then writes noise over the memory that it shares with io-net, until that kills it.
const VANDAL: &str = r#"
import os, random, socket, sys
seed = int(sys.argv[1])
random.seed(seed)
listener = socket.socket()
listener.bind(("0.0.0.0", 6000))
listener.listen()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("0.0.0.0", 6001))
streams = []
for _ in range(4):
    stream = socket.socket()
    stream.connect(("10.9.0.1", 6002))
    stream.send(b"x" * 1000)
    streams.append(stream)
shared = []
for line in open("/proc/self/maps"):
    words = line.split()
    if words[1].startswith("rw-s"):
        first, last = (int(part, 16) for part in words[0].split("-"))
        shared.append((first, last))
print("maps", len(shared), flush=True)
memory = os.open("/proc/self/mem", os.O_RDWR)
for first, last in shared:
    for _ in range(3000):
        # Half of the writes go to the first pages, where control words are.
        span = min(last - first, 1 << 16) if random.random() < 0.5 else last - first
        at = first + random.randrange(span) & ~3
        word = random.choice([0, 1, 0xffffffff, 0x7fffffff, 0x80000000, random.getrandbits(32)])
        try:
            os.pwrite(memory, word.to_bytes(4, "little"), at)
        except OSError:
            pass
print("done", flush=True)
for stream in streams:
    try:
        stream.settimeout(0.05)
        stream.send(b"y")
    except OSError:
        pass
"#;

#[test]
fn rubbish_in_shared_memory_hurts_nobody_else() {
    let needs = [
        Need::Stage,
        Need::Program("python3"),
        Need::Program("socat"),
    ];
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let mut ion = lab.io_net(&net, LINE)?;
        let mut sink = net.command("socat");
        sink.args(["-u", "TCP4-LISTEN:6002,fork,reuseaddr", "OPEN:/dev/null"]);
        let sink = lab.start(&mut sink)?;
        sink.wait_listening(6002, LIMIT)?;
        let script = lab.file("vandal.py", VANDAL)?;
        for seed in 0..12 {
            let mut vandal = ion.start_on(&format!("python3 {} {seed}", script.display()))?;
            // It may die of its own doing, or hang; io-net must not care.
            let _ = vandal.wait(Duration::from_secs(5));
            let said = vandal.printed();
            assert!(said.contains("maps ") && !said.contains("maps 0"), "{said}");
            drop(vandal);
            assert!(ion.is_running(), "io-net died of seed {seed}");
            holds_within(LIMIT, &format!("an echo after seed {seed}"), || {
                net.run("ping -c 1 -W 2 10.9.0.2").is_ok()
            })?;
        }
        let mut ask = ion.command("sh");
        ask.args(["-c", "echo still here | socat -u - TCP4:10.9.0.1:6002"]);
        lab.output(&mut ask)?;
        ion.stop().map(|_| ())
    });
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
