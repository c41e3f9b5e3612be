//! The Debian packages that the tests and the benches use, and their installation.

use crate::shell::{self, Outcome};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that a test or a bench runs and a bare Debian lacks. This is the only list.
pub(crate) const PACKAGES: &[&str] = &[
    "curl",
    "dnsmasq-base",
    "dpdk-dev",
    "ethtool",
    "etcd-server",
    "fuse3",
    "gcc",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libc6-dev",
    "librte-mempool-ring23",
    "librte-net-af-packet23",
    "librte-net-af-xdp23",
    "librte-net-memif23",
    "libzmq3-dev",
    "nginx-light",
    "openvswitch-switch",
    "python3",
    "qemu-system-x86",
    "redis-server",
    "redis-tools",
    "socat",
    "tshark",
    "util-linux",
];

/// Installs what is missing of all, as [`install_these`].
pub(crate) fn install() -> Outcome {
    install_these(PACKAGES)
}

/// Installs what is missing of `packages`, where this is Debian and the user is root; else says
/// what is missing.
pub(crate) fn install_these(packages: &[&str]) -> Outcome {
    if !Path::new("/etc/debian_version").exists() {
        println!("not Debian: tests whose programs are missing are skipped");
        return Ok(());
    }
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|p| !is_installed(p))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        println!(
            "not root: install these for the tests that need them: {}",
            missing.join(" ")
        );
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    let _no_services = NoServices::new()?;
    shell::run(apt().args(["update", "--quiet=2"]))?;
    let install = ["install", "--yes", "--quiet=2", "--no-install-recommends"];
    shell::run(apt().args(install).args(missing))
}

/// Whether this process may install packages.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn is_installed(package: &str) -> bool {
    let query = ["--show", "--showformat=${db:Status-Status}", package];
    let out = Command::new("dpkg-query").args(query).output();
    out.is_ok_and(|out| out.stdout == b"installed")
}

/// A quiet apt-get that asks nothing.
pub(crate) fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null());
    apt
}

/// While it lives, packages install without starting their services.
struct NoServices(Option<PathBuf>);

impl NoServices {
    fn new() -> Outcome<Self> {
        let policy = PathBuf::from("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        shell::write(&policy, "#!/bin/sh\nexit 101\n")?;
        std::fs::set_permissions(&policy, PermissionsExt::from_mode(0o755))
            .map_err(|e| format!("cannot set the mode of {}: {e}", policy.display()))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}
