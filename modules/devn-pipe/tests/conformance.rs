//! The built driver against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

/// One test, since the suite counts the process's descriptors.
#[test]
fn it_conforms() {
    let module = built_module("devn-pipe");
    conformance::run(module.clone(), "both,size=262144");
    let path = std::env::temp_dir().join(format!("devn-pipe-alone-{}", std::process::id()));
    conformance::run(module, &format!("path={}", path.display()));
    assert!(!path.exists(), "it clears its socket away");
}
