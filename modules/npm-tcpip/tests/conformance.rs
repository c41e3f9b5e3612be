//! The built protocol against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    let dir = std::env::temp_dir().join(format!("npm-tcpip-conformance-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let options = format!("addr=10.0.0.1/24,prefix={}", dir.display());
    conformance::run(built_module("npm-tcpip"), &options);
    std::fs::remove_dir_all(&dir).unwrap();
}
