//! Start, rest and end of io-net.

use io_net_e2e::{Need, Outcome, lab};
use std::process::Command;
use std::time::Duration;

const LINE: &str = "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24";

#[test]
fn sigterm_ends_it_within_two_seconds_under_load() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let mut server = ion.start_on("iperf3 -s --forceflush")?;
        server.wait_printed("listening", Duration::from_secs(20))?;
        let mut client = net.command("iperf3");
        let _client = lab.start(client.args(["-c", "10.9.0.2", "-t", "60"]))?;
        server.wait_printed("sec", Duration::from_secs(20))?;
        let took = ion.stop()?;
        assert!(took < Duration::from_secs(2), "{took:?}");
        Ok(())
    });
}

#[test]
fn at_rest_it_costs_next_to_nothing() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let rested = || -> Outcome<f64> {
            let span = Duration::from_secs(4);
            let before = ion.program().cpu_time()?;
            std::thread::sleep(span);
            let used = ion.program().cpu_time()?.saturating_sub(before);
            Ok(used.as_secs_f64() / span.as_secs_f64())
        };
        let share = rested()?.min(rested()?);
        assert!(share < 0.01, "{share} of a processor");
        let resident = ion.program().resident_kib()?;
        assert!(resident < 64 * 1024, "{resident} KiB");
        ion.stop().map(|_| ())
    });
}

#[test]
fn options_may_be_glued_as_in_qnx() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, "-dtap name=tap0 -ptcpip -v -t2")?;
        let graph = ion.ctl("graph")?;
        for name in ["en0", "ip_en", "tcpip"] {
            assert!(graph.contains(name), "no {name}: {graph}");
        }
        let nic = ion.ctl("nicinfo en0")?;
        assert!(nic.contains("Physical Node ID"), "{nic}");
        ion.stop().map(|_| ())
    });
}

#[test]
fn it_comes_up_and_goes_again_and_again() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        for _ in 0..20 {
            lab.io_net(&net, LINE)?.stop()?;
        }
        Ok(())
    });
}

#[test]
fn a_file_says_what_the_command_line_says() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        let net = lab.namespace()?;
        let file = lab.file(
            "io-net.toml",
            "[[module]]\ndriver = \"tap\"\n\
             options = { name = \"tap0\", addr = \"10.9.0.1/24\" }\n\
             [[module]]\nprotocol = \"tcpip\"\noptions = { addr = \"10.9.0.2/24\" }\n",
        )?;
        let ion = lab.io_net(&net, &format!("-c {}", file.display()))?;
        net.run("ping -c 1 -W 5 10.9.0.2")?;
        ion.stop().map(|_| ())
    });
}

/// A command line that must be refused, and words that the refusal must contain.
struct Bad {
    line: &'static str,
    says: &'static [&'static str],
}

const BAD: &[Bad] = &[
    Bad {
        line: "-d nosuch",
        says: &["nosuch"],
    },
    Bad {
        line: "-d /etc/passwd",
        says: &["/etc/passwd"],
    },
    Bad {
        line: "-d /lib/x86_64-linux-gnu/libc.so.6",
        says: &["libc.so.6", "io_net_module"],
    },
    Bad {
        line: "-d tap nosuch=1",
        says: &["nosuch"],
    },
    Bad {
        line: "-d tap mtu=many",
        says: &["mtu"],
    },
    Bad {
        line: "-d tap mtu=1",
        says: &["mtu"],
    },
    Bad {
        line: "-d tap name=an-overlong-device-name",
        says: &["name"],
    },
    Bad {
        line: "-d tap lan=3 -d tap lan=3",
        says: &["en3"],
    },
    Bad {
        line: "-p tcpip addr=300.1.2.3/24",
        says: &["addr"],
    },
    Bad {
        line: "-p tap",
        says: &["tap"],
    },
    Bad {
        line: "-t none",
        says: &["-t"],
    },
    Bad {
        line: "-x",
        says: &["-x"],
    },
    Bad {
        line: "-c /no/such/file",
        says: &["/no/such/file"],
    },
    Bad {
        line: "-d",
        says: &["-d"],
    },
    Bad {
        line: "-f bridge above=en9",
        says: &["en9"],
    },
];

#[test]
fn bad_command_lines_are_refused_with_the_reason() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let wrongs: Vec<String> = BAD
            .iter()
            .filter_map(|bad| {
                let why = match lab.io_net(&net, bad.line) {
                    Ok(_) => return Some(format!("`{}` was taken", bad.line)),
                    Err(why) => why,
                };
                let panicked = why.contains("panicked");
                let said = bad.says.iter().all(|word| why.contains(word));
                (panicked || !said || !why.contains("ended"))
                    .then(|| format!("`{}` says: {why}", bad.line))
            })
            .collect();
        assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
        Ok(())
    });
}

#[test]
fn a_tap_without_permission_says_what_to_do() {
    lab(
        &[Need::Stage, Need::Root, Need::Program("setpriv")],
        |lab| {
            let net = lab.namespace()?;
            let mut plain: Command = net.command("setpriv");
            plain
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(lab.stage().bin("io-net"))
                .args([
                    "-d",
                    "tap",
                    "--no-dev",
                    "--run-dir",
                    "/tmp/io-net-nobody-e2e",
                ])
                .arg("--module-path")
                .arg(lab.stage().modules());
            let why = lab.output(&mut plain).err().unwrap_or_default();
            let _ = std::fs::remove_dir_all("/tmp/io-net-nobody-e2e");
            assert!(
                why.contains("/dev/net/tun") || why.contains("CAP_NET_ADMIN"),
                "{why}"
            );
            Ok(())
        },
    );
}

#[test]
fn a_second_io_net_in_one_directory_is_refused() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, LINE)?;
        let mut second = net.command(lab.stage().bin("io-net"));
        second.args(["--no-dev", "--run-dir"]).arg(ion.run_dir());
        let why = lab.output(&mut second).err().unwrap_or_default();
        assert!(why.contains(&ion.run_dir().display().to_string()), "{why}");
        net.run("true")?;
        assert!(
            ion.ctl("graph").is_ok(),
            "the first one has lost its socket"
        );
        ion.stop().map(|_| ())
    });
}
