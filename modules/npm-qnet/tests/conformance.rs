//! The built protocol against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let options = format!("host=lab1,prefix={at},key={at}/key,known={at}/known");
    conformance::run(built_module("npm-qnet"), &options);
}
