//! The built filter against what io-net expects of every module.

use io_net_testkit::{built_module, conformance};

#[test]
fn it_conforms() {
    let module = built_module("nfm-capture");
    let name = format!("nfm-capture-conformance-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir).unwrap();
    // The suite tries odd file names, which are relative.
    std::env::set_current_dir(&dir).unwrap();
    conformance::run(module, "file=capture");
    std::fs::remove_dir_all(&dir).unwrap();
}
