//! A server of etcd, of the test's own.

use io_net_e2e::{Lab, Namespace, Outcome, Program, holds_within};
use std::path::PathBuf;
use std::time::Duration;

/// It makes its files durable, which takes time on a busy disk.
const UP: Duration = Duration::from_secs(60);

/// A server, alone in its cluster.
pub(crate) struct Etcd {
    program: Program,
    data: PathBuf,
    ip: String,
}

impl Etcd {
    /// Starts one in a namespace at one of its addresses.
    pub(crate) fn start(lab: &Lab, net: &Namespace, ip: &str) -> Outcome<Self> {
        Self::start_on(lab, net, ip, lab.dir().join("etcd"))
    }

    fn start_on(lab: &Lab, net: &Namespace, ip: &str, data: PathBuf) -> Outcome<Self> {
        let (client, peer) = (format!("http://{ip}:2379"), format!("http://{ip}:2380"));
        let mut etcd = net.command("etcd");
        etcd.arg("--data-dir").arg(&data);
        etcd.args(["--listen-client-urls", &client]);
        etcd.args(["--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer]);
        etcd.args(["--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}")]);
        let mut program = lab.start(&mut etcd)?;
        program.wait_printed("ready to serve client requests", UP)?;
        Ok(Self {
            program,
            data,
            ip: ip.to_owned(),
        })
    }

    /// Its address and port.
    pub(crate) fn client(&self) -> String {
        format!("{}:2379", self.ip)
    }

    /// Kills it, does something, and starts it again on its files.
    pub(crate) fn restart(
        mut self,
        lab: &Lab,
        net: &Namespace,
        meanwhile: impl FnOnce() -> Outcome,
    ) -> Outcome<Self> {
        self.program.signal("KILL")?;
        holds_within(UP, "etcd to end", || !self.program.is_running())?;
        meanwhile()?;
        Self::start_on(lab, net, &self.ip, self.data.clone())
    }
}
