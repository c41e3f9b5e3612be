//! The built driver against what io-net expects of every module.

mod veth;

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    veth::run("it_conforms", || {
        conformance::run(built_module("devn-xdp"), "if=va,all");
    });
}

#[test]
fn it_conforms_with_every_option() {
    veth::run("it_conforms_with_every_option", || {
        conformance::run(
            built_module("devn-xdp"),
            "if=va,addr=10.0.0.9,port=80,queues=2,mode=copy,generic,busy_poll=20,promiscuous,\
             mtu=1400,mac=02:00:00:00:00:77",
        );
    });
}
