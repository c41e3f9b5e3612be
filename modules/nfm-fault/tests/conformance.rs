//! The built module against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn a_clear_line_conforms() {
    conformance::run(built_module("nfm-fault"), "");
}

#[test]
fn a_bad_line_conforms() {
    let options = "rate=100M,delay=1ms,jitter=500us,loss=5%,burst-loss=1%:20%,duplicate=5%,\
                   reorder=5%,corrupt=20%,limit=200";
    conformance::run(built_module("nfm-fault"), options);
}
