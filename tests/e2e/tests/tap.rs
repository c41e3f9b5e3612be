//! io-net over a TAP: the kernel on one side, io-net's TCP/IP on the other.

use io_net_e2e::{IoNet, Lab, Namespace, Need, Outcome, lab};
use std::time::Duration;

const LINE: &str = "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24";
const CURL: &[Need] = &[Need::Stage, Need::Program("curl"), Need::Program("python3")];

/// Bytes that no two tests share and no pattern of which hides a shift.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
    }
    bytes.truncate(len);
    bytes
}

/// A directory in the laboratory to serve, with a file `data`, and the file's bytes.
fn site(lab: &Lab, len: usize) -> Outcome<(String, Vec<u8>)> {
    let bytes = noise(len);
    let dir = lab.dir().join("site");
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    lab.file("site/data", &bytes)?;
    Ok((dir.display().to_string(), bytes))
}

fn same(lab: &Lab, name: &str, expected: &[u8]) -> Outcome {
    let got = std::fs::read(lab.dir().join(name)).map_err(|e| e.to_string())?;
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(a, b)| a != b);
    Err(format!(
        "{name}: {} bytes of {}, first wrong at {at:?}",
        got.len(),
        expected.len()
    ))
}

fn tap(lab: &Lab, test: impl FnOnce(&Namespace, &mut IoNet<'_>) -> Outcome) -> Outcome {
    let net = lab.namespace()?;
    let mut ion = lab.io_net(&net, LINE)?;
    test(&net, &mut ion)?;
    ion.stop().map(|_| ())
}

#[test]
fn the_kernel_pings_io_net() {
    lab(&[Need::Stage, Need::Program("ping")], |lab| {
        tap(lab, |net, _| {
            let said = net.run("ping -c 20 -i 0.01 -W 5 10.9.0.2")?;
            assert!(said.contains("20 received"), "{said}");
            let large = net.run("ping -c 3 -i 0.01 -W 5 -s 1472 -M do 10.9.0.2")?;
            assert!(large.contains("3 received"), "{large}");
            Ok(())
        })
    });
}

#[test]
fn the_kernel_fetches_from_a_server_on_io_net() {
    lab(CURL, |lab| {
        let (dir, bytes) = site(lab, 8 << 20)?;
        tap(lab, |net, ion| {
            let serve = format!("python3 -u -m http.server 8000 --directory {dir}");
            let mut server = ion.start_on(&serve)?;
            server.wait_printed("Serving", Duration::from_secs(20))?;
            let out = lab.dir().join("got");
            net.run(&format!(
                "curl -sS --max-time 60 -o {} http://10.9.0.2:8000/data",
                out.display()
            ))?;
            same(lab, "got", &bytes)
        })
    });
}

#[test]
fn a_client_on_io_net_fetches_from_the_kernel() {
    lab(CURL, |lab| {
        let (dir, bytes) = site(lab, 8 << 20)?;
        tap(lab, |net, ion| {
            let mut serve = net.command("python3");
            serve.args(["-u", "-m", "http.server", "8000", "--directory", &dir]);
            let server = lab.start(&mut serve)?;
            server.wait_listening(8000, Duration::from_secs(20))?;
            let out = lab.dir().join("got");
            ion.run(&format!(
                "curl -sS --max-time 60 -o {} http://10.9.0.1:8000/data",
                out.display()
            ))?;
            same(lab, "got", &bytes)
        })
    });
}

#[test]
fn a_refused_connection_says_so_both_ways() {
    lab(CURL, |lab| {
        tap(lab, |net, ion| {
            for said in [
                net.run("curl -sS --max-time 20 http://10.9.0.2:81/"),
                ion.run("curl -sS --max-time 20 http://10.9.0.1:81/"),
            ] {
                let why = said.err().unwrap_or_default();
                assert!(
                    why.contains("refused") || why.contains("Couldn't connect"),
                    "{why}"
                );
            }
            Ok(())
        })
    });
}

#[test]
fn two_workers_serve_as_one_does() {
    lab(CURL, |lab| {
        let (dir, bytes) = site(lab, 4 << 20)?;
        let net = lab.namespace()?;
        let ion = lab.io_net(&net, &format!("-t 2 {LINE},worker=1"))?;
        let mut server =
            ion.start_on(&format!("python3 -u -m http.server 8000 --directory {dir}"))?;
        server.wait_printed("Serving", Duration::from_secs(20))?;
        let out = lab.dir().join("got").display().to_string();
        net.run(&format!(
            "curl -sS --max-time 60 -o {out} http://10.9.0.2:8000/data"
        ))?;
        same(lab, "got", &bytes)?;
        drop(server);
        ion.stop().map(|_| ())
    });
}
