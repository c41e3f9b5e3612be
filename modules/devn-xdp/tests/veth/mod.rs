//! A pair of the kernel's interfaces in a network namespace, two queues each: `va` for the driver,
//! `vb` for the kernel or a second driver.

use io_net_testkit::namespace;
use std::process::Command;

/// Runs `body`, the body of the test called `name`, with the pair up and vb at 10.0.0.2/24. Needs
/// root, as XDP programs do.
pub(crate) fn run(name: &str, body: impl FnOnce()) {
    namespace::run_as_root("devn-xdp", name, || {
        make();
        body();
    });
}

/// Makes the pair.
pub(crate) fn make() {
    let queues = "numrxqueues 2 numtxqueues 2";
    ip(&format!(
        "link add va address 02:00:00:00:00:0a {queues} type veth peer name vb \
         address 02:00:00:00:00:0b {queues}"
    ));
    ip("link set lo up");
    for name in ["va", "vb"] {
        // No addresses of IPv6: the kernel has nothing to say of its own accord.
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
    }
    ip("addr add 10.0.0.2/24 dev vb");
}

/// Runs `ip` with `line`, words separated by spaces.
pub(crate) fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "ip {line}");
}
