//! The built filter against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    let name = format!("nfm-capture-conformance-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let options = format!("file={}", file.display());
    conformance::run(built_module("nfm-capture"), &options);
    std::fs::remove_file(file).unwrap();
}
