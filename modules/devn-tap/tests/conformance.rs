//! The built driver against what io-net expects of every module.

use io_net_testkit::{built_module, conformance, namespace};

#[test]
fn it_conforms() {
    namespace::run("devn-tap", "it_conforms", || {
        conformance::run(built_module("devn-tap"), "name=t0,up");
    });
}

#[test]
fn it_conforms_with_several_queues() {
    namespace::run("devn-tap", "it_conforms_with_several_queues", || {
        conformance::run(
            built_module("devn-tap"),
            "name=t1,queues=3,addr=10.9.0.1/24",
        );
    });
}
