//! The built module against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    conformance::run(built_module("npm-qnet"), "");
}
