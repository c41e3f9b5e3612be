//! Two io-net joined by devn-pipe.

use io_net_e2e::{Need, lab};
use std::time::Duration;

#[test]
fn programs_on_two_io_net_talk_through_a_pipe() {
    lab(&[Need::Stage, Need::Program("iperf3")], |lab| {
        let (a, b) = (lab.namespace()?, lab.namespace()?);
        let path = lab.dir().join("pipe").display().to_string();
        let left = lab.io_net(
            &a,
            &format!("-d pipe path={path} -p tcpip addr=10.7.0.1/24"),
        )?;
        let right = lab.io_net(
            &b,
            &format!("-d pipe path={path} -p tcpip addr=10.7.0.2/24"),
        )?;
        for way in ["", "-R"] {
            let mut server = left.start_on("iperf3 -s -1 --forceflush")?;
            server.wait_printed("listening", Duration::from_secs(20))?;
            let said = right.run(&format!("iperf3 -c 10.7.0.1 -t 1 {way}"))?;
            assert!(said.contains("receiver"), "{said}");
            server.finish(Duration::from_secs(20))?;
        }
        right.stop()?;
        left.stop().map(|_| ())
    });
}
