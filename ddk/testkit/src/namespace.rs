//! Tests in a network namespace of their own: the test program starts itself again inside one.

use crate::built_module;
use std::process::Command;

/// Says that the program runs inside already.
const INSIDE: &str = "IO_NET_TEST_INSIDE";

/// Runs `body`, which is the body of the test called `name`, in a private network namespace, with
/// `module` built.
///
/// Where the system lets nobody make one, the test is skipped with the reason, unless `CI` is set.
///
/// # Panics
/// The body has failed inside, or `CI` is set and there are no namespaces.
pub fn run(module: &str, name: &str, body: impl FnOnce()) {
    // A user namespace too, so that root is not needed.
    let arguments = ["--net", "--user", "--map-root-user"];
    let lacking = "this system allows no user namespaces (unshare --net --user)";
    run_behind(&arguments, lacking, module, name, body);
}

/// As [`run`], with the system's own root, which alone may load programs into the kernel.
///
/// # Panics
/// As [`run`].
pub fn run_as_root(module: &str, name: &str, body: impl FnOnce()) {
    let lacking = "only root may make a network namespace of this kind (unshare --net)";
    run_behind(&["--net"], lacking, module, name, body);
}

fn run_behind(arguments: &[&str], lacking: &str, module: &str, name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let possible = Command::new("unshare").args(arguments).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no namespaces to be had");
        println!("skipped: {lacking}");
        return;
    }
    let module = built_module(module);
    let modules = module.parent().expect("a module lies in a directory");
    let program = std::env::current_exe().expect("the test's own path");
    let output = Command::new("unshare")
        .args(arguments)
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .env("IO_NET_TEST_MODULES", modules)
        .output()
        .expect("unshare starts, as it just did");
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}
