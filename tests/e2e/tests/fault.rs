//! nfm-fault between the kernel and io-net.

use io_net_e2e::{IoNet, Lab, Need, Outcome, lab};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// io-net at 10.9.0.2 behind a line with `options`, the kernel at 10.9.0.1.
fn behind(
    lab: &Lab,
    options: &str,
    test: impl FnOnce(&io_net_e2e::Namespace, &IoNet<'_>) -> Outcome,
) -> Outcome {
    let net = lab.namespace()?;
    let line = format!(
        "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24 -f fault above=en0{options}"
    );
    let ion = lab.io_net(&net, &line)?;
    test(&net, &ion)?;
    ion.stop().map(|_| ())
}

/// A counter of the filter.
fn counted(ion: &IoNet<'_>, name: &str) -> Outcome<u64> {
    let count = ion.stats()?["counters"]["fault"][name].as_u64();
    count.ok_or_else(|| format!("the filter does not count {name}"))
}

/// Replaces the filter's options.
fn set(ion: &IoNet<'_>, options: &str, direction: &str) -> Outcome {
    let body = format!("{{\"cmd\":\"set\",\"options\":\"{options}\"{direction}}}");
    ion.ctl(&format!("devctl fault {body}")).map(|_| ())
}

#[test]
fn delay_and_loss_are_what_ping_sees() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        behind(lab, ",delay=20ms", |net, ion| {
            let start = Instant::now();
            let said = net.run("ping -c 1 -W 10 10.9.0.2")?;
            assert!(said.contains("1 received"), "{said}");
            // The echo and its answer at the least, perhaps ARP before them.
            assert!(start.elapsed() >= Duration::from_millis(40), "{said}");
            set(ion, "loss=100%", ",\"direction\":\"up\"")?;
            assert!(net.run("ping -c 2 -i 0.01 -W 1 10.9.0.2").is_err());
            assert_eq!(counted(ion, "down_lost")?, 0);
            assert!(counted(ion, "up_lost")? >= 2);
            set(ion, "", "")?;
            let said = net.run("ping -c 5 -i 0.01 -W 10 10.9.0.2")?;
            assert!(said.contains("5 received"), "{said}");
            Ok(())
        })
    });
}

#[test]
fn a_file_crosses_a_bad_line_whole() {
    let needs = [Need::Stage, Need::Program("curl"), Need::Program("python3")];
    lab(&needs, |lab| {
        let options = ",loss=0.5%,duplicate=1%,reorder=1%,corrupt=0.2%,burst-loss=0.05%:30%,seed=3";
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        lab.file("data", &bytes)?;
        behind(lab, options, |net, ion| {
            let serve = ["-u", "-m", "http.server", "8000", "--directory"];
            let mut server = lab.start(ion.command("python3").args(serve).arg(lab.dir()))?;
            server.wait_printed("Serving", LIMIT)?;
            let to = lab.dir().join("got").display().to_string();
            net.run(&format!(
                "curl -sS --max-time 120 -o {to} http://10.9.0.2:8000/data"
            ))?;
            assert!(
                std::fs::read(&to).is_ok_and(|got| got == bytes),
                "the file is another"
            );
            for name in ["lost", "duplicated", "reordered", "corrupted"] {
                assert!(counted(ion, &format!("down_{name}"))? > 0, "{name}");
            }
            Ok(())
        })
    });
}

#[test]
fn a_rate_is_not_exceeded_and_what_cannot_wait_is_counted() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        behind(lab, ",rate=20M,limit=50", |net, ion| {
            let mut server = ion.start_on("iperf3 -s --forceflush")?;
            server.wait_printed("listening", LIMIT)?;
            let said = net.run("iperf3 -c 10.9.0.2 -u -b 60M -l 1400 -t 2 --json")?;
            let said: serde_json::Value = serde_json::from_str(&said).map_err(|e| e.to_string())?;
            let sum = &said["end"]["sum_received"];
            let (bytes, seconds) = (sum["bytes"].as_f64(), sum["seconds"].as_f64());
            let rate = bytes
                .zip(seconds)
                .map(|(bytes, seconds)| bytes * 8.0 / seconds);
            let rate = rate.ok_or("iperf3 tells no rate")?;
            // The payload's share of a frame is 1400 of 1442.
            assert!((5e6..20.5e6).contains(&rate), "{rate}");
            assert!(counted(ion, "up_queue_full")? > 0);
            Ok(())
        })
    });
}
