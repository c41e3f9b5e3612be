//! io-net on some flows of one end of a veth pair, by devn-xdp; the kernel on the rest, and on the
//! other end.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, Program, holds_within, lab};
use std::time::Duration;

/// io-net has an address beside the kernel's 10.9.0.3.
const LINE: &str = "-d xdp if=veth0,addr=10.9.0.2 -p tcpip addr=10.9.0.2/24";
const LIMIT: Duration = Duration::from_secs(20);

/// `here` with veth0, the kernel's at 10.9.0.3/24; `there` with veth1 at 10.9.0.1/24.
fn pair(lab: &Lab, mtu: u32) -> Outcome<(Namespace, Namespace)> {
    let (here, there) = (lab.namespace()?, lab.namespace()?);
    wire(&here, &there, mtu)?;
    Ok((here, there))
}

fn wire(here: &Namespace, there: &Namespace, mtu: u32) -> Outcome {
    let peer = format!("peer name veth1 mtu {mtu} netns {}", there.pid());
    here.ip(&format!("link add veth0 mtu {mtu} type veth {peer}"))?;
    here.ip("addr add 10.9.0.3/24 dev veth0")?;
    here.ip("link set veth0 up")?;
    there.ip("addr add 10.9.0.1/24 dev veth1")?;
    there.ip("link set veth1 up")?;
    // What the kernel sends is to have its checksums: a program cannot see that they are missing.
    there.run("ethtool -K veth1 tx off").map(|_| ())
}

const NEEDS: &[Need] = &[
    Need::Stage,
    Need::Root,
    Need::Program("ethtool"),
    Need::Program("ping"),
    Need::Program("curl"),
    Need::Program("python3"),
];

fn needs(more: &[Need]) -> Vec<Need> {
    NEEDS.iter().chain(more).copied().collect()
}

/// Three echoes of `size` bytes from `net` to `peer`, each of which comes back.
fn echoes(net: &Namespace, peer: &str, size: u32) -> Outcome {
    for _ in 0..3 {
        let line = format!("ping -c 1 -W 10 -s {size} {peer}");
        net.run(&line).map_err(|why| format!("{line}: {why}"))?;
    }
    Ok(())
}

/// A file of bytes no stretch of which is like another, and a server of it on port 8000.
struct Site {
    bytes: Vec<u8>,
}

impl Site {
    fn new(lab: &Lab, len: usize) -> Outcome<Self> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        let bytes: Vec<u8> = (0..len).map(|_| step()).collect();
        std::fs::create_dir_all(lab.dir().join("site")).map_err(|e| e.to_string())?;
        lab.file("site/data", &bytes)?;
        Ok(Site { bytes })
    }

    fn serve(&self, lab: &Lab, mut python: std::process::Command) -> Outcome<Program> {
        let directory = lab.dir().join("site");
        python.args(["-u", "-m", "http.server", "8000", "--directory"]);
        let mut server = lab.start(python.arg(directory))?;
        server.wait_printed("Serving", LIMIT)?;
        Ok(server)
    }

    /// Fetches the file with `run` and compares.
    fn fetch(&self, lab: &Lab, from: &str, run: impl FnOnce(&str) -> Outcome<String>) -> Outcome {
        let to = lab.dir().join("fetched");
        let path = to.display();
        run(&format!(
            "curl -sS --max-time 90 -o {path} http://{from}:8000/data"
        ))?;
        let got = std::fs::read(&to).map_err(|e| e.to_string())?;
        match got == self.bytes {
            true => Ok(()),
            false => Err(format!("from {from}: {} bytes, not the same", got.len())),
        }
    }
}

fn has_program(net: &Namespace) -> Outcome<bool> {
    let said = net.ip("-details link show veth0")?;
    Ok(said.contains("prog/xdp"))
}

#[test]
fn io_net_and_the_kernel_share_an_interface() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let site = Site::new(lab, 4 << 20)?;
        let _kernels = site.serve(lab, here.command("python3"))?;
        let ion = lab.io_net(&here, LINE)?;
        assert!(has_program(&here)?);
        for size in [0, 56, 1472, 1473, 8000, 65_507] {
            echoes(&there, "10.9.0.2", size)?;
            echoes(&there, "10.9.0.3", size)?;
        }
        let _ours = site.serve(lab, ion.command("python3"))?;
        for address in ["10.9.0.2", "10.9.0.3", "10.9.0.2"] {
            site.fetch(lab, address, |line| there.run(line))?;
        }
        let _theirs = site.serve(lab, there.command("python3"))?;
        site.fetch(lab, "10.9.0.1", |line| ion.run(line))?;
        site.fetch(lab, "10.9.0.1", |line| here.run(line))?;
        ion.stop()?;
        assert!(!has_program(&here)?);
        site.fetch(lab, "10.9.0.3", |line| there.run(line))
    });
}

#[test]
fn iperf3_runs_both_ways() {
    lab(&needs(&[Need::Program("iperf3")]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, LINE)?;
        let mut server = there.command("iperf3");
        let mut server = lab.start(server.args(["-s", "--forceflush"]))?;
        server.wait_printed("listening", LIMIT)?;
        for line in ["-t 1", "-t 1 -R", "-t 1 -P 4 --bidir", "-u -b 100M -t 1"] {
            let said = ion.run(&format!("iperf3 -c 10.9.0.1 {line}"))?;
            assert!(said.contains("receiver"), "{said}");
        }
        ion.stop().map(|_| ())
    });
}

#[test]
fn jumbo_frames_pass() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 9000)?;
        let site = Site::new(lab, 4 << 20)?;
        let ion = lab.io_net(&here, LINE)?;
        for size in [1472, 1800, 4000, 8972, 20_000] {
            echoes(&there, "10.9.0.2", size)?;
        }
        let _ours = site.serve(lab, ion.command("python3"))?;
        site.fetch(lab, "10.9.0.2", |line| there.run(line))?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_killed_io_net_leaves_the_interface_as_it_was() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        for _ in 0..3 {
            let mut ion = lab.io_net(&here, LINE)?;
            echoes(&there, "10.9.0.2", 56)?;
            assert!(has_program(&here)?);
            ion.program().signal("KILL")?;
            holds_within(LIMIT, "its end", || !ion.is_running())?;
            holds_within(LIMIT, "the program to go", || {
                has_program(&here).is_ok_and(|has| !has)
            })?;
            echoes(&there, "10.9.0.3", 56)?;
        }
        let ion = lab.io_net(&here, LINE)?;
        echoes(&there, "10.9.0.2", 56)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn the_kernels_traffic_does_not_notice_mounting() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, "-p tcpip addr=10.9.0.2/24")?;
        let site = Site::new(lab, 32 << 20)?;
        let _kernels = site.serve(lab, here.command("python3"))?;
        let mut fetching = there.command("sh");
        let line = "for n in 1 2 3 4 5 6; do \
                    curl -sS --fail --max-time 90 -o /dev/null http://10.9.0.3:8000/data || exit 1; \
                    done";
        let mut fetching = lab.start(fetching.args(["-c", line]))?;
        let mut rounds = 0;
        while fetching.is_running() && rounds < 40 {
            ion.ctl("mount -o if=veth0,addr=10.9.0.2,lan=3 devn-xdp.so")?;
            ion.ctl("umount en3")?;
            rounds += 1;
        }
        let status = fetching.wait(Duration::from_secs(120))?;
        assert!(status.success(), "{}", fetching.printed());
        assert!(rounds > 1, "{rounds}");
        ion.ctl("mount -o if=veth0,addr=10.9.0.2 devn-xdp.so")?;
        holds_within(LIMIT, "an answer", || {
            there.run("ping -c 1 -W 1 10.9.0.2").is_ok()
        })?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn mounting_under_io_nets_own_traffic_leaks_nothing() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, "-p tcpip addr=10.9.0.2/24")?;
        let mut flood = there.command("ping");
        let _flood = lab.start(flood.args(["-q", "-i", "0.002", "-s", "1000", "10.9.0.2"]))?;
        for _ in 0..10 {
            ion.ctl("mount -o if=veth0,addr=10.9.0.2,lan=3 devn-xdp.so")?;
            holds_within(LIMIT, "frames", || received(&ion, "en3") > 0)?;
            ion.ctl("umount en3")?;
        }
        // Fails where packets have leaked.
        ion.stop().map(|_| ())
    });
}

fn received(ion: &IoNet<'_>, name: &str) -> u64 {
    let stats = ion.stats().unwrap_or_default();
    stats["counters"][name]["rx_packets"].as_u64().unwrap_or(0)
}

#[test]
fn an_interface_that_goes_comes_back() {
    lab(&needs(&[]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, LINE)?;
        let answers = || there.run("ping -c 1 -W 1 10.9.0.2").is_ok();
        holds_within(LIMIT, "an answer", answers)?;
        for side in [(&here, "veth0"), (&there, "veth1")] {
            side.0.ip(&format!("link set {} down", side.1))?;
            holds_within(LIMIT, "nicinfo to say so", || {
                let said = lab.output(ion.control("nicinfo").arg("en0"));
                said.is_ok_and(|said| said.contains("Down"))
            })?;
            side.0.ip(&format!("link set {} up", side.1))?;
            holds_within(LIMIT, "an answer after the flap", answers)?;
        }
        here.ip("link set veth0 mtu 3000")?;
        there.ip("link set veth1 mtu 3000")?;
        holds_within(LIMIT, "a longer answer", || {
            there.run("ping -c 1 -W 1 -s 2900 -M do 10.9.0.2").is_ok()
        })?;
        // Gone, and another of its name.
        here.ip("link delete veth0")?;
        wire(&here, &there, 1500)?;
        holds_within(LIMIT, "an answer by the new interface", answers)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn two_interfaces_share_the_pool_and_bridge_uncopied() {
    lab(&needs(&[]), |lab| {
        let (left, here, right) = (lab.namespace()?, lab.namespace()?, lab.namespace()?);
        for (n, far) in [(0, &left), (1, &right)] {
            let peer = format!("peer name veth1 netns {}", far.pid());
            here.ip(&format!("link add x{n} type veth {peer}"))?;
            here.ip(&format!("link set x{n} up"))?;
            far.ip(&format!("addr add 10.9.0.{}/24 dev veth1", n + 1))?;
            far.ip("link set veth1 up")?;
            far.run("ethtool -K veth1 tx off")?;
        }
        let line = "-d xdp if=x0,all,promiscuous -d xdp if=x1,all,promiscuous \
                    -f bridge above=en0:en1";
        let ion = lab.io_net(&here, line)?;
        for size in [56, 1472, 8000] {
            echoes(&left, "10.9.0.2", size)?;
        }
        let site = Site::new(lab, 8 << 20)?;
        let _server = site.serve(lab, right.command("python3"))?;
        site.fetch(lab, "10.9.0.2", |line| left.run(line))?;
        let stats = ion.stats()?;
        for name in ["en0", "en1"] {
            let counters = &stats["counters"][name];
            assert!(counters["tx_packets"].as_u64() > Some(1000), "{counters}");
            assert_eq!(counters["tx_copied"].as_u64(), Some(0), "{counters}");
        }
        ion.stop().map(|_| ())
    });
}

#[test]
fn tshark_finds_nothing_wrong() {
    lab(&needs(&[Need::Program("tshark")]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let ion = lab.io_net(&here, LINE)?;
        let file = lab.dir().join("seen.pcap").display().to_string();
        let mut tshark = there.command("tshark");
        let mut tshark = lab.start(tshark.args(["-q", "-i", "veth1", "-w", &file]))?;
        tshark.wait_printed("Capturing on", LIMIT)?;
        let site = Site::new(lab, 1 << 20)?;
        let _ours = site.serve(lab, ion.command("python3"))?;
        site.fetch(lab, "10.9.0.2", |line| there.run(line))?;
        echoes(&there, "10.9.0.2", 8000)?;
        let captured = || {
            let said = there.run(&format!("tshark -n -r {file} -Y icmp.type==0"));
            said.is_ok_and(|said| !said.is_empty())
        };
        holds_within(LIMIT, "the capture's last frames", captured)?;
        tshark.signal("INT")?;
        tshark.wait(LIMIT)?;
        let wrong = "_ws.malformed||ip.checksum.status==0||tcp.checksum.status==0||\
                     icmp.checksum.status==0";
        let read = format!(
            "tshark -n -r {file} -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -Y {wrong}"
        );
        let said = there.run(&read)?;
        assert_eq!(said, "");
        ion.stop().map(|_| ())
    });
}

#[test]
fn dpdk_answers_at_the_other_end() {
    lab(&needs(&[Need::Program("dpdk-testpmd")]), |lab| {
        let (here, there) = pair(lab, 1500)?;
        let mut testpmd = there.command("stdbuf");
        testpmd.args([
            "-oL",
            "dpdk-testpmd",
            "--no-pci",
            "--no-huge",
            "-m",
            "96",
            "--no-shconf",
        ]);
        testpmd.args(["--lcores", "0,1@0", "--vdev=net_af_xdp0,iface=veth1", "--"]);
        testpmd.args([
            "--total-num-mbufs=8192",
            "--forward-mode=icmpecho",
            "--stats-period=1",
        ]);
        let mut testpmd = lab.start(&mut testpmd)?;
        testpmd.wait_printed("Port statistics", LIMIT)?;
        // DPDK answers whoever asks for whatever address.
        here.ip("addr flush dev veth0")?;
        let line = "-d xdp if=veth0,all,promiscuous -d tap name=tap0,addr=10.8.0.1/24 \
                    -f bridge above=en0:en1";
        let ion = lab.io_net(&here, line)?;
        for size in [56, 1400, 1472] {
            echoes(&here, "10.8.0.9", size)?;
        }
        testpmd.signal("INT")?;
        testpmd.wait(LIMIT)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    lab(&needs(&[Need::Program("setpriv")]), |lab| {
        let (here, _there) = pair(lab, 1500)?;
        let why = |line: &str| lab.io_net(&here, line).err().unwrap_or_default();
        assert!(why("-d xdp").contains("if="));
        assert!(why("-d xdp if=veth0").contains("addr="));
        assert!(why("-d xdp if=lo,all").contains("loopback"));
        assert!(why("-d xdp if=nothing,all").contains("no such interface"));
        let first = lab.io_net(&here, LINE)?;
        let taken = why("-d xdp if=veth0,port=9");
        assert!(
            taken.contains("another program has an XDP socket"),
            "{taken}"
        );
        first.stop()?;
        // Without the capability.
        let mut command = here.command("setpriv");
        let less = "-bpf,-sys_admin";
        command
            .args(["--bounding-set", less, "--inh-caps", less])
            .arg(lab.stage().bin("io-net"))
            .args(["-d", "xdp", "if=veth0,all", "--run-dir"])
            .arg(lab.dir())
            .arg("--module-path")
            .arg(lab.stage().modules());
        let said = lab.output(&mut command).err().unwrap_or_default();
        assert!(said.contains("CAP_BPF"), "{said}");
        Ok(())
    });
}
