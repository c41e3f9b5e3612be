//! nfm-capture's files, opened by somebody else's program.

use io_net_e2e::{Need, lab};

#[test]
fn tshark_reads_the_capture() {
    lab(
        &[Need::Stage, Need::Program("tshark"), Need::Program("ping")],
        |lab| {
            let net = lab.namespace()?;
            let file = lab.dir().join("out.pcapng").display().to_string();
            let ion = lab.io_net(
                &net,
                &format!(
                    "-d tap name=tap0,addr=10.9.0.1/24 -p tcpip addr=10.9.0.2/24 \
             -f capture above=en0,file={file}"
                ),
            )?;
            net.run("ping -c 5 -i 0.01 -W 5 10.9.0.2")?;
            ion.stop()?;
            let said = net.run(&format!("tshark -n -r {file}"))?;
            let count = |word: &str| said.lines().filter(|line| line.contains(word)).count();
            assert_eq!(count("Echo (ping) request"), 5, "{said}");
            assert_eq!(count("Echo (ping) reply"), 5, "{said}");
            assert!(count("ARP") >= 1, "{said}");
            Ok(())
        },
    );
}
