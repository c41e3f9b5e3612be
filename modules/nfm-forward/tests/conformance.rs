//! The built module against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn without_rules_it_conforms() {
    conformance::run(built_module("nfm-forward"), "");
}

#[test]
fn with_rules_it_conforms() {
    let options = "rule=in:en0+up+proto:udp+redirect:en1,rule=in:en0+mirror:en7,\
                   rule=vlan:5+dport:53+drop,rule=src:10.0.0.0/8+pass";
    conformance::run(built_module("nfm-forward"), options);
}
