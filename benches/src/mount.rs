//! Mounting and unmounting a driver while another carries traffic.

use crate::ends;
use crate::series::{Comparison, Run};
use io_net_e2e::{IoNet, Lab, Namespace, Outcome};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Mounts of one run.
const CYCLES: u32 = 20;

/// `mount`: milliseconds to mount a driver and unmount it again; the peer adds and deletes a veth
/// of the kernel's. `lost` counts echo requests on the other interface that got no answer.
///
/// # Errors
/// A run fails.
pub(crate) fn cycle(lab: &Lab) -> Outcome<Value> {
    let comparison = Comparison {
        bench: "mount",
        peer: "ip link add and del (veth)",
        unit: "ms",
    };
    ends::tap(lab, |net, ion| {
        let mut echo = net.command("ping");
        echo.args(["-q", "-i", "0.002", "10.78.0.2"]);
        let mut echo = lab.start(&mut echo)?;
        let mut result = comparison.alternate(
            || per_cycle(|n| mount_ours(lab, ion, n)).map(Run::of),
            || per_cycle(|_| add_veth(net)).map(Run::of),
        )?;
        echo.signal("INT")?;
        let said = echo.finish(Duration::from_secs(10))?;
        result["lost"] = json!(lost(&said)?);
        Ok(result)
    })
}

fn per_cycle(mut cycle: impl FnMut(u32) -> Outcome) -> Outcome<f64> {
    let start = Instant::now();
    for n in 0..CYCLES {
        cycle(n)?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(CYCLES))
}

fn mount_ours(lab: &Lab, ion: &IoNet<'_>, n: u32) -> Outcome {
    let socket = lab.dir().join(format!("p{n}"));
    ion.ctl(&format!(
        "mount -o path={},lan=9 devn-pipe.so",
        socket.display()
    ))?;
    ion.ctl("umount en9").map(|_| ())
}

fn add_veth(net: &Namespace) -> Outcome {
    net.ip("link add veth9 type veth peer name veth8")?;
    net.ip("link del veth9").map(|_| ())
}

/// Requests without a reply, from ping's summary.
fn lost(said: &str) -> Outcome<u64> {
    let line = said
        .lines()
        .find(|line| line.contains("packets transmitted"));
    let mut numbers = line
        .unwrap_or_default()
        .split([' ', ','])
        .filter_map(|word| word.parse::<u64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(sent), Some(received)) => Ok(sent.saturating_sub(received)),
        _ => Err(format!("ping told no sum: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn the_sum_is_read() {
        let said = "--- 10.0.0.2 ping statistics ---\n\
                    1000 packets transmitted, 997 received, 0.3% packet loss, time 1999ms\n";
        assert_eq!(lost(said), Ok(3));
        assert!(lost("").is_err());
    }
}
