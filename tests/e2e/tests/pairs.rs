//! Every driver bridged to every driver: the kernel behind one pings and fetches from the kernel
//! behind the other. What the drivers cannot do for each other (checksums, segmentation, MTU) has to
//! be made up for on the way.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, lab};
use std::time::Duration;

const NEEDS: &[Need] = &[
    Need::Stage,
    Need::Root,
    Need::Program("ping"),
    Need::Program("python3"),
    Need::Program("curl"),
    Need::Program("ethtool"),
];

#[derive(Clone, Copy, Debug)]
enum Driver {
    Tap,
    Packet,
    Xdp,
    Pipe,
    Memif,
}

const DRIVERS: [Driver; 5] = [
    Driver::Tap,
    Driver::Packet,
    Driver::Xdp,
    Driver::Pipe,
    Driver::Memif,
];

/// One end of a pair: a driver of the bridge's, and the namespace behind it.
struct Side<'a> {
    driver: Driver,
    /// 0 or 1.
    n: u8,
    lab: &'a Lab,
    bridge: &'a Namespace,
    net: Namespace,
}

impl Side<'_> {
    fn path(&self, name: &str) -> String {
        let file = self.lab.dir().join(format!("{name}{}", self.n));
        file.display().to_string()
    }

    /// Makes what the driver needs; returns its options.
    fn prepare(&self) -> Outcome<String> {
        let n = self.n;
        if let Driver::Packet | Driver::Xdp = self.driver {
            let peer = self.net.pid();
            self.bridge.ip(&format!(
                "link add v{n} type veth peer name w{n} netns {peer}"
            ))?;
            self.bridge.ip(&format!("link set v{n} up"))?;
        }
        Ok(match self.driver {
            Driver::Tap => format!("tap name=t{n}"),
            Driver::Packet => format!("packet if=v{n},promiscuous"),
            Driver::Xdp => format!("xdp if=v{n},all,promiscuous"),
            Driver::Pipe => format!("pipe path={}", self.path("pipe")),
            Driver::Memif => format!("memif socket={},role=server,id=0", self.path("memif")),
        })
    }

    /// Connects the namespace to the driver that is there now, through a second io-net where that
    /// takes one.
    fn connect(&self) -> Outcome<Option<IoNet<'_>>> {
        let n = self.n;
        let through = |driver: String| {
            let line = format!("-d {driver} -d tap name=t{n} -f bridge above=en0:en1");
            self.lab.io_net(&self.net, &line).map(Some)
        };
        let second = match self.driver {
            Driver::Tap => {
                let peer = self.net.pid();
                self.bridge.ip(&format!("link set t{n} netns {peer}"))?;
                None
            }
            Driver::Packet | Driver::Xdp => None,
            Driver::Pipe => through(format!("pipe path={}", self.path("pipe")))?,
            Driver::Memif => through(format!(
                "memif socket={},role=client,id=0",
                self.path("memif")
            ))?,
        };
        let device = match self.driver {
            Driver::Packet | Driver::Xdp => format!("w{n}"),
            _ => format!("t{n}"),
        };
        self.net
            .ip(&format!("addr add 10.9.0.{}/24 dev {device}", n + 1))?;
        self.net.ip(&format!("link set {device} up"))?;
        if let Driver::Xdp = self.driver {
            // XDP does not show which checksums are still to be made.
            self.net.run(&format!("ethtool -K {device} tx off"))?;
        }
        Ok(second)
    }
}

fn pair(lab: &Lab, one: Driver, two: Driver) -> Outcome {
    let bridge = lab.namespace()?;
    let side = |driver, n| {
        Ok::<_, String>(Side {
            driver,
            n,
            lab,
            bridge: &bridge,
            net: lab.namespace()?,
        })
    };
    let (a, b) = (side(one, 0)?, side(two, 1)?);
    let line = format!(
        "-d {} -d {} -f bridge above=en0:en1",
        a.prepare()?,
        b.prepare()?
    );
    let ion = lab.io_net(&bridge, &line)?;
    let seconds = [a.connect()?, b.connect()?];
    for size in [18, 1472] {
        let said = a
            .net
            .run(&format!("ping -c 3 -i 0.2 -W 10 -s {size} 10.9.0.2"))?;
        if !said.contains(" 0% packet loss") {
            return Err(said);
        }
    }
    transfer(lab, &a.net, &b.net)?;
    for second in seconds.into_iter().flatten() {
        second.stop()?;
    }
    ion.stop().map(|_| ())
}

/// Fetches a file over TCP, from the second namespace to the first.
fn transfer(lab: &Lab, to: &Namespace, from: &Namespace) -> Outcome {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n ^ n >> 7) as u8).collect();
    std::fs::create_dir_all(lab.dir().join("site")).map_err(|e| e.to_string())?;
    lab.file("site/data", &bytes)?;
    let mut serve = from.command("python3");
    serve.args(["-u", "-m", "http.server", "8000", "--directory"]);
    let mut server = lab.start(serve.arg(lab.dir().join("site")))?;
    server.wait_printed("Serving", Duration::from_secs(20))?;
    let got = lab.dir().join("got");
    to.run(&format!(
        "curl -sS --max-time 30 -o {} http://10.9.0.2:8000/data",
        got.display()
    ))?;
    match std::fs::read(&got).map_err(|e| e.to_string())? == bytes {
        true => Ok(()),
        false => Err("other bytes came than were sent".into()),
    }
}

/// Pairs of `one` with itself and those behind it in the list.
fn pairs_from(one: usize) {
    for two in &DRIVERS[one..] {
        lab(NEEDS, |lab| {
            println!("{:?} to {two:?}", DRIVERS[one]);
            pair(lab, DRIVERS[one], *two)
                .map_err(|error| format!("{:?} to {two:?}: {error}", DRIVERS[one]))
        });
    }
}

#[test]
fn tap_and_each() {
    pairs_from(0);
}

#[test]
fn packet_and_each() {
    pairs_from(1);
}

#[test]
fn xdp_and_each() {
    pairs_from(2);
}

#[test]
fn pipe_and_each() {
    pairs_from(3);
}

#[test]
fn memif_and_memif() {
    pairs_from(4);
}
