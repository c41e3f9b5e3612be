//! devn-memif against DPDK's driver.

use io_net_e2e::{Lab, Need, Outcome, Program, holds_within, lab};
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Need] = &[Need::Stage, Need::Root, Need::Program("dpdk-testpmd")];

/// testpmd with one memif port, which it floods or answers on.
fn testpmd(lab: &Lab, role: &str, mode: &str) -> Outcome<Program> {
    let socket = lab.dir().join("memif");
    let mut command = Command::new("stdbuf");
    command
        .args([
            "-oL",
            "dpdk-testpmd",
            "--no-pci",
            "--no-huge",
            "-m",
            "256",
            "--lcores",
            "0@0,1@1",
        ])
        .arg(format!("--file-prefix=e2e-{}-{role}", std::process::id()))
        .arg(format!(
            "--vdev=net_memif0,role={role},id=0,socket={},socket-abstract=no",
            socket.display()
        ))
        .args([
            "--",
            "--nb-cores=1",
            "--total-num-mbufs=16384",
            "--stats-period=1",
            &format!("--forward-mode={mode}"),
        ]);
    lab.start(&mut command)
}

#[test]
fn frames_from_dpdk_come_back_through_io_net() {
    lab(NEEDS, |lab| {
        let net = lab.namespace()?;
        let socket = lab.dir().join("memif").display().to_string();
        let ion = lab.io_net(&net, &format!(
            "-d memif socket={socket},role=server,id=0 -d tap name=tap0,up -f bridge above=en0:en1"
        ))?;
        let pmd = testpmd(lab, "client", "txonly")?;
        holds_within(
            Duration::from_secs(40),
            "frames from testpmd on the tap",
            || {
                let Ok(text) = net.run("cat /proc/net/dev") else {
                    return false;
                };
                let line = text.lines().find_map(|l| l.trim().strip_prefix("tap0:"));
                let packets = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
                packets.is_some_and(|n| n > 1000)
            },
        )?;
        drop(pmd);
        ion.stop().map(|_| ())
    });
}

#[test]
fn io_net_is_the_client_too() {
    lab(NEEDS, |lab| {
        let net = lab.namespace()?;
        let mut pmd = testpmd(lab, "server", "icmpecho")?;
        pmd.wait_printed("Port statistics", Duration::from_secs(40))?;
        let socket = lab.dir().join("memif").display().to_string();
        let ion = lab.io_net(
            &net,
            &format!(
                "-d memif socket={socket},role=client,id=0 -d tap name=tap0,addr=10.9.0.1/24 \
             -f bridge above=en0:en1"
            ),
        )?;
        // testpmd answers ARP and echo requests for any address.
        let said = net.run("ping -c 5 -i 0.05 -W 10 10.9.0.99")?;
        assert!(said.contains("5 received"), "{said}");
        drop(pmd);
        ion.stop().map(|_| ())
    });
}
