//! Running a test again under the shim, and the longer scenarios.

mod descriptors;
mod readiness;
mod transfers;

pub(crate) use descriptors::{descriptors, receive_stream, send_stream, signals};
pub(crate) use readiness::{readiness, triggers};
pub(crate) use transfers::transfers;

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fake::Fake;

/// Set in the preloaded run.
const CHILD: &str = "IO_NET_TEST_UNDER_SHIM";

/// Whether this is the preloaded run.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs `scenario` in this same test of another process, which has the shim.
pub(crate) fn under_shim(test: &str, scenario: impl FnOnce()) {
    if is_child() {
        scenario();
        return;
    }
    let fake = Fake::start();
    let output = preloaded(test, &fake).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{errors}"
    );
    wait_for("sockets to be closed", || fake.sockets() == 0);
}

/// The command that runs `test` again under the shim.
pub(crate) fn preloaded(test: &str, fake: &Fake) -> Command {
    preloaded_at(test, fake.directory())
}

/// The same with any directory.
pub(crate) fn preloaded_at(test: &str, directory: impl AsRef<OsStr>) -> Command {
    let own = std::env::current_exe().unwrap();
    let shim: PathBuf = own.with_file_name("libio_net_preload.so");
    assert!(shim.exists(), "{} is not built", shim.display());
    let mut command = Command::new(&own);
    command.args([test, "--exact", "--nocapture"]);
    command
        .env(CHILD, "1")
        .env("LD_PRELOAD", shim)
        .env("SOCK", directory);
    command
}

/// Waits until `ready`, with a generous deadline.
pub(crate) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A connection with itself.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

/// errno.
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// Checks that a call did not fail and returns what it gave.
pub(crate) fn ok(result: i32) -> i32 {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    result
}
