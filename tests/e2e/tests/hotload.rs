//! Modules come and go under traffic.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, Program, lab};
use std::time::Duration;

const LINE: &str = "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24";
const LIMIT: Duration = Duration::from_secs(20);

/// Echo requests without a pause to speak of, until SIGINT.
fn echoes(lab: &Lab, net: &Namespace) -> Outcome<Program> {
    let mut ping = net.command("ping");
    lab.start(ping.args(["-n", "-i", "0.002", "-W", "5", "10.9.0.2"]))
}

/// Ends `echoes`; an error where one was not answered, though one after it was. What was on its
/// way at the end is not waited for by ping, so it says nothing.
fn all_answered(mut echoes: Program) -> Outcome {
    echoes.signal("INT")?;
    let said = echoes.finish(LIMIT)?;
    let sequence = |line: &str| {
        line.split("icmp_seq=")
            .nth(1)?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    let mut answered: Vec<u16> = said.lines().filter_map(sequence).collect();
    answered.sort_unstable();
    let gap = (1..)
        .zip(&answered)
        .find(|&(wanted, &got): &(u16, _)| wanted != got);
    match (answered.is_empty(), gap) {
        (false, None) => Ok(()),
        (true, _) => Err(format!("no echo was answered: {said}")),
        (_, Some((lost, _))) => Err(format!("echo {lost} was lost or came twice")),
    }
}

fn mount_pipe(lab: &Lab, ion: &IoNet<'_>, more: &str) -> Outcome<String> {
    let path = lab.dir().join("pipe");
    ion.ctl(&format!(
        "mount -o path={}{more} devn-pipe.so",
        path.display()
    ))
}

#[test]
fn a_thousand_mounts_under_traffic_leak_nothing() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let before = packets_in_use(&ion)?;
        let echoes = echoes(lab, &net)?;
        for _ in 0..1000 {
            mount_pipe(lab, &ion, ",lan=7")?;
            ion.ctl("umount en7")?;
        }
        all_answered(echoes)?;
        // One leaked a mount would be a thousand; drivers keep a few dozen ready.
        let after = packets_in_use(&ion)?;
        assert!(
            after < before + 100,
            "{before} packets in use before, {after} after"
        );
        // To the last packet, once nobody keeps any.
        ion.stop().map(|_| ())
    });
}

fn packets_in_use(ion: &IoNet<'_>) -> Outcome<u64> {
    let own = &ion.stats()?["counters"]["io-net"];
    let read = |name: &str| {
        own[name]
            .as_u64()
            .ok_or_else(|| format!("no {name} in {own}"))
    };
    Ok(read("pool_packets")?.saturating_sub(read("pool_free")?))
}

#[test]
fn a_second_tap_carries_traffic_and_goes() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let echoes = echoes(lab, &net)?;
        for round in 0..5 {
            ion.ctl("mount -o name=tap1,addr=10.8.0.1/24,lan=1 devn-tap.so")?;
            if round == 0 {
                // The stack remembers it for en1.
                ion.ctl("ifconfig en1 10.8.0.2/24")?;
            }
            let said = net.run("ping -c 5 -i 0.01 -W 5 10.8.0.2")?;
            assert!(said.contains("5 received"), "{said}");
            ion.ctl("umount en1")?;
            assert!(
                net.ip("link show tap1").is_err(),
                "tap1 outlived its driver"
            );
        }
        all_answered(echoes)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn a_download_outlives_a_driver_that_comes_carries_traffic_and_goes() {
    let needs = [Need::Stage, Need::Program("curl"), Need::Program("python3")];
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let bytes = vec![0x5a; 24 << 20];
        lab.file("data", &bytes)?;
        let dir = lab.dir().display();
        let mut server =
            ion.start_on(&format!("python3 -u -m http.server 8000 --directory {dir}"))?;
        server.wait_printed("Serving", LIMIT)?;
        let mut long = net.command("curl");
        long.args([
            "-sS",
            "--max-time",
            "60",
            "--limit-rate",
            "4M",
            "-o",
            "/dev/null",
        ]);
        long.args(["-w", "%{size_download}", "http://10.9.0.2:8000/data"]);
        let mut long = lab.start(&mut long)?;

        let other_net = lab.namespace()?;
        let pipe = lab.dir().join("pipe").display().to_string();
        let other = lab.io_net(
            &other_net,
            &format!("-d pipe path={pipe} -p tcpip addr=10.7.0.1/24"),
        )?;
        mount_pipe(lab, &ion, "")?;
        ion.ctl("ifconfig en1 10.7.0.2/24")?;
        let got = lab.dir().join("got").display().to_string();
        other.run(&format!(
            "curl -sS --max-time 30 -o {got} http://10.7.0.2:8000/data"
        ))?;
        assert!(
            std::fs::read(&got).is_ok_and(|got| got == bytes),
            "wrong bytes by the pipe"
        );
        assert!(
            long.is_running(),
            "the download was over too early to show anything"
        );
        ion.ctl("umount en1")?;
        assert_eq!(
            long.finish(Duration::from_secs(60))?,
            bytes.len().to_string()
        );
        other.stop()?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn filters_come_and_go_with_two_workers_under_traffic() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, &format!("-t 2 {LINE},worker=1"))?;
        let echoes = echoes(lab, &net)?;
        for _ in 0..50 {
            ion.ctl("mount -o above=en0,file=/dev/null nfm-capture.so")?;
            ion.ctl("mount -o above=en0 nfm-bridge.so")?;
            ion.ctl("umount capture")?;
            ion.ctl("umount bridge")?;
        }
        all_answered(echoes)?;
        ion.stop().map(|_| ())
    });
}

#[test]
fn the_stack_itself_comes_and_goes() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, "-d tap name=tap0,addr=10.9.0.1/24")?;
        for _ in 0..5 {
            ion.ctl("mount -o addr=10.9.0.2/24 npm-tcpip.so")?;
            let said = net.run("ping -c 3 -i 0.01 -W 5 10.9.0.2")?;
            assert!(said.contains("3 received"), "{said}");
            ion.ctl("umount tcpip")?;
        }
        ion.stop().map(|_| ())
    });
}

#[test]
fn what_others_stand_on_is_busy() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, &format!("{LINE} -f capture above=en0,file=/dev/null"))?;
        let graph = ion.ctl("graph --json")?;
        let converter = ion.ctl("umount ip_en").err().unwrap_or_default();
        let busy = converter.contains("tcpip");
        assert!(
            busy,
            "umount of the converter said `{converter}`; the graph: {graph}"
        );
        let absent = ion.ctl("umount en99").err().unwrap_or_default();
        assert!(absent.contains("en99"), "{absent}");
        ion.stop().map(|_| ())
    });
}

#[test]
fn the_systems_own_umount_unloads_a_driver() {
    let needs = [
        Need::Stage,
        Need::Program("fusermount3"),
        Need::Program("umount"),
    ];
    lab(&needs, |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        mount_pipe(lab, &ion, ",lan=1")?;
        let tree = ion.dev_dir().display().to_string();
        for (file, word) in [("stats", "tx"), ("config", "pipe"), ("link", "")] {
            let said = net.run(&format!("cat {tree}/en1/{file}"))?;
            assert!(said.contains(word) && !said.is_empty(), "{file}: {said}");
        }
        net.run(&format!("umount {tree}/en1"))?;
        io_net_e2e::holds_within(LIMIT, "en1 to go", || {
            ion.ctl("graph").is_ok_and(|graph| !graph.contains("en1"))
        })?;
        let said = net.run(&format!("cat {tree}/en0/link"))?;
        assert!(!said.is_empty());
        ion.stop().map(|_| ())
    });
}

#[test]
fn qnx_mount_and_umount_work_to_the_letter() {
    lab(
        &[Need::Stage, Need::Root, Need::Program("fusermount3")],
        |lab| {
            let net = lab.namespace()?;
            // A private /dev/io-net and /run: the letter of the commands names them.
            net.run("mkdir -p /dev/io-net")?;
            net.run("mount -t tmpfs none /dev/io-net")?;
            net.run("mount -t tmpfs none /run")?;
            let ion = lab.io_net(&net, &format!("{LINE} --dev-dir /dev/io-net"))?;
            net.run(&format!("ln -s {} /run/io-net", ion.run_dir().display()))?;
            let run = |line: &str| -> Outcome<String> {
                let mut words = line.split(' ');
                let mut command = ion.control(words.next().unwrap_or_default());
                lab.output(command.args(words))
            };
            let path = lab.dir().join("pipe").display().to_string();
            run(&format!("mount -T io-net -o path={path} devn-pipe.so"))?;
            assert!(ion.ctl("graph")?.contains("en1"));
            run("umount /dev/io-net/en1")?;
            assert!(!ion.ctl("graph")?.contains("en1"));
            run(&format!(
                "mount -t io-net -o path={path} devn-pipe.so /dev/io-net/en4"
            ))?;
            assert!(ion.ctl("graph")?.contains("en4"));
            run("umount /dev/io-net/en4")?;
            run("mount -t tmpfs none /mnt")?;
            run("umount /mnt")?;
            let nic = run("nicinfo en0")?;
            assert!(nic.contains("Packets Transmitted OK"), "{nic}");
            ion.stop().map(|_| ())
        },
    );
}
