//! The built driver against what io-net expects of every module.

mod veth;

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    veth::run("it_conforms", || {
        conformance::run(built_module("devn-packet"), "if=va");
    });
}

#[test]
fn it_conforms_with_several_queues() {
    veth::run("it_conforms_with_several_queues", || {
        conformance::run(
            built_module("devn-packet"),
            "if=va,queues=3,promiscuous,bypass,mac=02:00:00:00:00:77",
        );
    });
}
