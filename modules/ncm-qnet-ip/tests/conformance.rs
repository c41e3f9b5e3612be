//! The built converter against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    conformance::run(built_module("ncm-qnet-ip"), "addr=10.0.0.1/24");
}
