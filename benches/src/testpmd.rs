//! DPDK's testpmd as the traffic generator and as the peer that forwards.
//!
//! Generator and forwarder have a processor each. The generator is memif's client, because it
//! offers the memory; its sockets are `m0` and `m1` in the bench's directory.

use io_net_e2e::{Lab, Namespace, Outcome, Program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Huge pages of 2 MiB for both programs.
const HUGE_PAGES: u32 = 512;

/// Lines of `Rx-pps` that are passed over while the link comes up and the caches warm.
const WARM_LINES: usize = 6;

/// Lines of `Rx-pps` that are counted: two ports, once a second.
const LINES: usize = 6;

/// Huge pages reserved and a file system of them, which is unmounted when it goes: programs leave
/// their files behind. The number that is reserved goes back to what it was.
#[derive(Debug)]
pub(crate) struct HugePages {
    before: u32,
    dir: PathBuf,
}

const HUGE_PAGES_DIR: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

impl HugePages {
    /// Reserves them.
    ///
    /// # Errors
    /// The kernel gives none.
    pub(crate) fn reserve(lab: &Lab) -> Outcome<Self> {
        let number = |name: &str| -> Outcome<u32> {
            let path = format!("{HUGE_PAGES_DIR}/{name}");
            let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
            text.trim()
                .parse()
                .map_err(|_| format!("{path} holds no number"))
        };
        let before = number("nr_hugepages")?;
        // Some may be taken by others.
        let lacking = HUGE_PAGES.saturating_sub(number("free_hugepages")?);
        set_huge_pages(before + lacking).map_err(|e| format!("no huge pages: {e}"))?;
        let dir = huge_dir(lab);
        fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let this = Self { before, dir };
        lab.output(
            Command::new("mount")
                .args(["-t", "hugetlbfs", "none"])
                .arg(&this.dir),
        )?;
        Ok(this)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.dir).status();
        let _ = set_huge_pages(self.before);
    }
}

fn set_huge_pages(number: u32) -> std::io::Result<()> {
    fs::write(format!("{HUGE_PAGES_DIR}/nr_hugepages"), number.to_string())
}

fn huge_dir(lab: &Lab) -> PathBuf {
    lab.dir().join("huge")
}

/// The path of port `n`'s socket.
pub(crate) fn socket(dir: &Path, n: u32) -> PathBuf {
    dir.join(format!("m{n}"))
}

/// Starts the generator on processor 1.
///
/// # Errors
/// It does not start.
pub(crate) fn generate(lab: &Lab) -> Outcome<Program> {
    let mut command = testpmd(lab, "client", "2@1,3@1", "generator");
    lab.start(command.arg("--forward-mode=flowgen"))
}

/// Starts the forwarder on processor 0, and waits until it listens.
///
/// # Errors
/// It does not start.
pub(crate) fn forward(lab: &Lab) -> Outcome<Program> {
    let mut command = testpmd(lab, "server", "0@0,1@0", "forwarder");
    let mut forwarder =
        lab.start(command.args(["--forward-mode=macswap", "--record-core-cycles"]))?;
    // A client that comes too early does not try again.
    wait_up(&mut forwarder)?;
    Ok(forwarder)
}

/// Waits until a forwarder counts, which it does once its ports are up.
///
/// # Errors
/// It does not.
pub(crate) fn wait_up(forwarder: &mut Program) -> Outcome {
    forwarder.wait_printed("Port statistics", Duration::from_secs(20))
}

fn testpmd(lab: &Lab, role: &str, cores: &str, prefix: &str) -> Command {
    let vdev = |n| {
        let socket = socket(lab.dir(), n);
        format!(
            "net_memif{n},role={role},id={n},socket={},socket-abstract=no",
            socket.display()
        )
    };
    // Line by line, so that its figures can be read while it runs.
    let command = Command::new("stdbuf");
    with_vdevs(lab, command, &[vdev(0), vdev(1)], cores, prefix)
}

/// testpmd in `net` with the virtual devices `vdevs`.
pub(crate) fn over(
    lab: &Lab,
    net: &Namespace,
    vdevs: &[String],
    cores: &str,
    prefix: &str,
) -> Command {
    with_vdevs(lab, net.command("stdbuf"), vdevs, cores, prefix)
}

fn with_vdevs(
    lab: &Lab,
    mut command: Command,
    vdevs: &[String],
    cores: &str,
    prefix: &str,
) -> Command {
    command.args(["-oL", "dpdk-testpmd"]);
    command.args([
        "--lcores",
        cores,
        "--no-pci",
        "-m",
        "256",
        "--single-file-segments",
    ]);
    command.arg(format!("--file-prefix={prefix}-{}", std::process::id()));
    command.arg("--huge-dir").arg(huge_dir(lab));
    for vdev in vdevs {
        command.arg(format!("--vdev={vdev}"));
    }
    command.args(["--", "--nb-cores=1", "--stats-period=1"]);
    command
}

/// Packets a second that come back to the generator on both ports, the median second.
///
/// # Errors
/// It ends, or nothing comes.
pub(crate) fn rate(generator: &mut Program) -> Outcome<f64> {
    let what = "the generator's rates";
    let lines = io_net_e2e::wait_for(what, Duration::from_secs(40), || {
        let ended = !generator.is_running();
        let rates = rx_rates(&generator.printed());
        let busy = rates.iter().position(|rate| *rate > 0.0);
        let counted = busy.and_then(|at| rates.get(at + WARM_LINES..at + WARM_LINES + LINES));
        counted.map(<[f64]>::to_vec).or(ended.then(Vec::new))
    })?;
    if lines.is_empty() {
        return Err(format!("the generator ended: {}", generator.printed()));
    }
    let seconds = lines.chunks(2).map(|ports| ports.iter().sum());
    Ok(crate::series::median(seconds.collect()))
}

fn rx_rates(text: &str) -> Vec<f64> {
    text.lines()
        .filter_map(|line| {
            let rest = line.trim().strip_prefix("Rx-pps:")?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .collect()
}

/// Ends the forwarder and returns the cycles a packet that it spent, empty polls apart.
///
/// # Errors
/// It does not say.
pub(crate) fn cycles_a_packet(mut forwarder: Program) -> Outcome<f64> {
    forwarder.signal("INT")?;
    forwarder.wait(Duration::from_secs(20))?;
    let said = forwarder.printed();
    let line = said
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("CPU cycles/packet="));
    line.and_then(|rest| rest.split([' ', '(']).next()?.parse().ok())
        .ok_or_else(|| format!("testpmd did not tell its cycles: {said}"))
}

#[cfg(test)]
mod tests {
    use super::rx_rates;

    #[test]
    fn rates_are_read() {
        let text = "  Rx-pps:      6741266          Rx-bps:   3235808064\n  Tx-pps: 1\n";
        assert_eq!(rx_rates(text), [6_741_266.0]);
    }
}
