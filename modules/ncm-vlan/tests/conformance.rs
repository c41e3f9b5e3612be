//! The built module against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    conformance::run(built_module("ncm-vlan"), "vlan=en0:10");
    conformance::run(
        built_module("ncm-vlan"),
        "vlan=en0:10,vlan=en0:100.10,vlan=en1:7,outer=0x8100",
    );
}
