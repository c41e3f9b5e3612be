//! Unmodified programs on io-net's sockets, as servers and as clients.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, lab};
use std::time::Duration;

const LINE: &str = "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24";
const LIMIT: Duration = Duration::from_secs(20);

fn tap(lab: &Lab, test: impl FnOnce(&Namespace, &IoNet<'_>) -> Outcome) -> Outcome {
    let net = lab.namespace()?;
    let ion = lab.io_net(&net, LINE)?;
    test(&net, &ion)?;
    ion.stop().map(|_| ())
}

#[test]
fn nginx_serves_with_several_workers() {
    lab(
        &[Need::Stage, Need::Program("nginx"), Need::Program("curl")],
        |lab| {
            let dir = lab.dir().display().to_string();
            lab.file("index.html", "hello from io-net\n")?;
            let config = lab.file("nginx.conf", format!(
            "daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir};\n\
             fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};\n\
             server {{ listen 8080; root {dir}; }} }}\n"
        ))?;
            tap(lab, |net, ion| {
                let mut server = ion.start_on(&format!(
                    "nginx -p {dir} -e {dir}/error.log -c {}",
                    config.display()
                ))?;
                io_net_e2e::holds_within(LIMIT, "nginx to answer", || {
                    net.run("curl -sS --max-time 5 http://10.9.0.2:8080/")
                        .is_ok()
                })?;
                for _ in 0..20 {
                    let said = net.run("curl -sS --max-time 10 http://10.9.0.2:8080/")?;
                    assert_eq!(said, "hello from io-net\n");
                }
                server.signal("QUIT")?;
                server.wait(LIMIT).map(|_| ())
            })
        },
    );
}

#[test]
fn redis_serves_redis_cli_both_ways() {
    let needs = [
        Need::Stage,
        Need::Program("redis-server"),
        Need::Program("redis-cli"),
    ];
    lab(&needs, |lab| {
        tap(lab, |net, ion| {
            let redis = "redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save";
            let mut words: Vec<&str> = redis.split(' ').collect();
            words.push("");
            let mut on_ion = lab.start(ion.command(words[0]).args(&words[1..]))?;
            on_ion.wait_printed("Ready to accept", LIMIT)?;
            assert_eq!(net.run("redis-cli -h 10.9.0.2 set key value")?, "OK\n");
            assert_eq!(net.run("redis-cli -h 10.9.0.2 get key")?, "value\n");
            let mut on_kernel = lab.start(net.command(words[0]).args(&words[1..]))?;
            on_kernel.wait_printed("Ready to accept", LIMIT)?;
            assert_eq!(ion.run("redis-cli -h 10.9.0.1 set other way")?, "OK\n");
            assert_eq!(ion.run("redis-cli -h 10.9.0.1 get other")?, "way\n");
            Ok(())
        })
    });
}

#[test]
fn redis_benchmark_drives_fifty_connections() {
    let needs = [
        Need::Stage,
        Need::Program("redis-server"),
        Need::Program("redis-benchmark"),
    ];
    lab(&needs, |lab| {
        tap(lab, |net, ion| {
            let mut server = ion.command("redis-server");
            server.args(["--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]);
            let mut server = lab.start(&mut server)?;
            server.wait_printed("Ready to accept", LIMIT)?;
            for pipeline in ["1", "16"] {
                let said = net.run(&format!(
                    "redis-benchmark -h 10.9.0.2 -t set,get -c 50 -n 20000 -P {pipeline} --csv"
                ))?;
                assert!(
                    said.contains("\"GET\"") && said.contains("\"SET\""),
                    "{said}"
                );
            }
            Ok(())
        })
    });
}

#[test]
fn iperf3_serves_and_calls() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        tap(lab, |net, ion| {
            // A server for each client: between two it closes its listener for a moment.
            let serve = ["-s", "-1", "--forceflush"];
            for way in ["", "-R", "-P 4"] {
                let mut server = lab.start(ion.command("iperf3").args(serve))?;
                server.wait_printed("listening", LIMIT)?;
                let said = net.run(&format!("iperf3 -c 10.9.0.2 -t 1 {way}"))?;
                assert!(said.contains("receiver"), "{said}");
                server.finish(LIMIT)?;
            }
            for way in ["", "-R", "-u -b 50M"] {
                let mut server = lab.start(net.command("iperf3").args(serve))?;
                server.wait_printed("listening", LIMIT)?;
                let said = ion.run(&format!("iperf3 -c 10.9.0.1 -t 1 {way}"))?;
                assert!(said.contains("receiver"), "{said}");
                server.finish(LIMIT)?;
            }
            Ok(())
        })
    });
}

#[test]
fn socat_echoes_over_tcp_and_udp() {
    lab(&[Need::Stage, Need::Program("socat")], |lab| {
        tap(lab, |net, ion| {
            let _tcp = ion.start_on("socat TCP4-LISTEN:7,fork,reuseaddr EXEC:/bin/cat")?;
            let _udp = ion.start_on("socat UDP4-RECVFROM:7,fork EXEC:/bin/cat")?;
            for kind in ["TCP4", "UDP4"] {
                let ask = format!("echo hello | socat -t 2 - {kind}:10.9.0.2:7");
                io_net_e2e::holds_within(LIMIT, &format!("an echo over {kind}"), || {
                    let out = net.command("sh").args(["-c", &ask]).output();
                    out.is_ok_and(|out| out.stdout == b"hello\n")
                })?;
            }
            let mut listen = net.command("socat");
            listen.args(["TCP4-LISTEN:8,fork,reuseaddr", "EXEC:/bin/cat"]);
            let server = lab.start(&mut listen)?;
            server.wait_listening(8, LIMIT)?;
            let mut ask = ion.command("sh");
            ask.args(["-c", "echo there and back | socat -t 5 - TCP4:10.9.0.1:8"]);
            assert_eq!(lab.output(&mut ask)?, "there and back\n");
            Ok(())
        })
    });
}

#[test]
fn a_program_without_io_net_is_told_so() {
    lab(&[Need::Stage], |lab| {
        let net = lab.namespace()?;
        let mut run = net.command(lab.stage().bin("io-net-run"));
        run.env("SOCK", lab.dir().join("nowhere")).arg("true");
        let why = lab.output(&mut run).err().unwrap_or_default();
        assert!(why.contains("nowhere"), "{why}");
        Ok(())
    });
}
