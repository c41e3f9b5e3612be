//! Open vSwitch, in a namespace, with its userspace datapath.

use crate::{Lab, Namespace, Outcome, Program, wait_for};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const UP_LIMIT: Duration = Duration::from_secs(30);

/// A switch of Open vSwitch's with one bridge, `br0`. Dropping it kills its programs.
#[derive(Debug)]
pub struct Ovs<'a> {
    net: &'a Namespace,
    dir: PathBuf,
    _programs: [Program; 2],
}

impl<'a> Ovs<'a> {
    /// Starts it in `net`, with no ports.
    ///
    /// # Errors
    /// It does not start, with what it said.
    pub fn start(lab: &Lab, net: &'a Namespace) -> Outcome<Self> {
        let dir = lab.dir().join("ovs");
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let file = |name: &str| dir.join(name).display().to_string();
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        lab.output(Command::new("ovsdb-tool").args(["create", &file("conf.db"), schema]))?;
        let program = |name: &str, args: &[&str]| {
            let mut command = net.command(name);
            command.env("OVS_RUNDIR", &dir).args(args);
            lab.start(&mut command)
        };
        let remote = format!("punix:{}", file("db.sock"));
        let database = program("ovsdb-server", &[&file("conf.db"), "--remote", &remote])?;
        wait_for("Open vSwitch's database", UP_LIMIT, || {
            dir.join("db.sock").exists().then_some(())
        })?;
        let switch = program("ovs-vswitchd", &[&format!("unix:{}", file("db.sock"))])?;
        let this = Self {
            net,
            dir,
            _programs: [database, switch],
        };
        this.set("init -- add-br br0 -- set bridge br0 datapath_type=netdev")?;
        this.set("set Open_vSwitch . other_config:vlan-limit=2")?;
        Ok(this)
    }

    /// Runs `ovs-vsctl` with `line`, and waits until the switch has done it.
    ///
    /// # Errors
    /// It fails or takes too long, with what it said.
    pub fn set(&self, line: &str) -> Outcome<String> {
        let mut command = self.net.command("ovs-vsctl");
        let database = format!("--db=unix:{}", self.dir.join("db.sock").display());
        command.args([&database, "--timeout=30"]);
        crate::namespace::output(command.args(line.split_whitespace()))
    }
}
