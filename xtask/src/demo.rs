//! The main job on real programs, in a private namespace, on one screen.

use crate::shell::{self, Outcome};
use crate::stage;
use io_net_e2e::{IoNet, Lab, Namespace, Need, Program, holds_within};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes that the servers serve.
const FILE_LEN: usize = 96 << 20;

/// How fast the long download may go, so that it lasts while a driver comes and goes.
const LONG_RATE: &str = "12M";

/// How long any step may take; generous, for slow machines.
const LIMIT: Duration = Duration::from_secs(60);

/// The kernel's address on the TAP, and io-net's.
const KERNEL: &str = "10.9.0.1";
const IO_NET: &str = "10.9.0.2";

/// Stages, and shows.
pub(crate) fn run() -> Outcome {
    let programs = ["curl", "python3", "ip"].map(Need::Program);
    if let Some(why) = Lab::missing(&programs) {
        return Err(format!("the demo cannot run here: {why}"));
    }
    println!("building");
    stage::build(false)?;
    let lab = Lab::new("demo")?;
    let start = Instant::now();
    let rates = show(&lab)?;
    println!(
        "all of this took {:.1} s; {rates}",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn show(lab: &Lab) -> Outcome<String> {
    let site = make_site(lab)?;
    let net = lab.namespace()?;
    say("io-net -d tap -p tcpip: a driver and a TCP/IP stack, in a namespace of their own");
    let line = format!("-d tap name=tap0,addr={KERNEL}/24 -p tcpip addr={IO_NET}/24");
    let ion = lab.io_net(&net, &line)?;

    let _server = serve(lab, &ion, &site)?;
    let inward = fetch(
        lab,
        net.command("curl"),
        &format!("http://{IO_NET}:8000/data"),
    )?;
    say(&format!(
        "unmodified python3 -m http.server on io-net, curl on the kernel: {inward}"
    ));
    let mut theirs = net.command("python3");
    theirs
        .args(["-u", "-m", "http.server", "8001", "--directory"])
        .arg(&site);
    let theirs = lab.start(&mut theirs)?;
    theirs.wait_listening(8001, LIMIT)?;
    let outward = fetch(
        lab,
        ion.command("curl"),
        &format!("http://{KERNEL}:8001/data"),
    )?;
    say(&format!(
        "unmodified curl on io-net, python3 -m http.server on the kernel: {outward}"
    ));

    hot_load(lab, &net, &ion)?;
    println!("\n{}", ion.ctl("graph")?);
    println!("{}", counters(&ion)?);
    ion.stop()?;
    Ok(format!(
        "{inward} out of io-net, {outward} into it; packet buffers leaked: 0"
    ))
}

/// A directory with one large file.
fn make_site(lab: &Lab) -> Outcome<std::path::PathBuf> {
    let site = lab.dir().join("site");
    shell::make_dir(&site)?;
    let mut command = Command::new("head");
    command.args(["-c", &FILE_LEN.to_string(), "/dev/urandom"]);
    let out = command
        .output()
        .map_err(|e| format!("head does not start: {e}"))?;
    lab.file("site/data", out.stdout)?;
    Ok(site)
}

/// An unmodified HTTP server on io-net.
fn serve(lab: &Lab, ion: &IoNet<'_>, site: &Path) -> Outcome<Program> {
    let mut command = ion.command("python3");
    command
        .args(["-u", "-m", "http.server", "8000", "--directory"])
        .arg(site);
    let mut server = lab.start(&mut command)?;
    server.wait_printed("Serving", LIMIT)?;
    Ok(server)
}

/// Fetches `url`, checks every byte and tells the rate.
fn fetch(lab: &Lab, mut curl: Command, url: &str) -> Outcome<String> {
    let got = lab.dir().join("got");
    curl.args(["-sS", "--max-time", "60", "-w", "%{speed_download}", "-o"])
        .arg(&got)
        .arg(url);
    let bytes_a_second: f64 = lab.output(&mut curl)?.trim().parse().unwrap_or(0.0);
    same_bytes(lab, &got)?;
    Ok(format!("{:.1} Gbit/s", bytes_a_second * 8.0 / 1e9))
}

fn same_bytes(lab: &Lab, got: &Path) -> Outcome {
    let sum = |path: &Path| -> Outcome<String> {
        let said = lab.output(Command::new("sha256sum").arg(path))?;
        Ok(said
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    };
    let (sent, received) = (sum(&lab.dir().join("site/data"))?, sum(got)?);
    if sent == received {
        return Ok(());
    }
    Err(format!(
        "the bytes differ: sha256 {sent} was sent, {received} received"
    ))
}

/// While a download runs, a driver is mounted, carries traffic and is unmounted.
fn hot_load(lab: &Lab, net: &Namespace, ion: &IoNet<'_>) -> Outcome {
    let got = lab.dir().join("long");
    let mut long = net.command("curl");
    long.args(["-sS", "--max-time", "60", "--limit-rate", LONG_RATE, "-o"])
        .arg(&got);
    let mut long = lab.start(long.arg(format!("http://{IO_NET}:8000/data")))?;
    holds_within(LIMIT, "the long download to begin", || got.exists())?;

    let other_net = lab.namespace()?;
    let pipe = lab.dir().join("pipe").display().to_string();
    let other = lab.io_net(
        &other_net,
        &format!("-d pipe path={pipe} -p tcpip addr=10.7.0.1/24"),
    )?;
    ion.ctl(&format!("mount -o path={pipe} devn-pipe.so"))?;
    ion.ctl("ifconfig en1 10.7.0.2/24")?;
    say("while a download runs: mounted devn-pipe, which joins a second io-net");
    let through = fetch(lab, other.command("curl"), "http://10.7.0.2:8000/data")?;
    say(&format!(
        "curl on the second io-net, through the pipe: {through}"
    ));
    if !long.is_running() {
        return Err("the download was over before the driver had gone".into());
    }
    ion.ctl("umount en1")?;
    long.finish(LIMIT)?;
    same_bytes(lab, &got)?;
    say("unmounted it; the download went on and its bytes are right");
    other.stop().map(|_| ())
}

/// The adaptor's counters and the packet pool's.
fn counters(ion: &IoNet<'_>) -> Outcome<String> {
    let stats = ion.stats()?;
    let of = |name: &str, wanted: &[&str]| -> String {
        let all = &stats["counters"][name];
        let shown = wanted.iter().map(|key| format!("{key} {}", all[key]));
        format!("{name}: {}", shown.collect::<Vec<_>>().join("  "))
    };
    let adaptor = of("en0", &["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"]);
    let drops: u64 = stats["counters"].as_object().map_or(0, |all| {
        let counters = all.values().filter_map(|c| c.as_object()).flatten();
        let drops = counters.filter(|(name, _)| name.contains("drop"));
        drops.filter_map(|(_, value)| value.as_u64()).sum()
    });
    Ok(format!("{adaptor}\nall drop counters together: {drops}"))
}

fn say(text: &str) {
    println!("* {text}");
}
