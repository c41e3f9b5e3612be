//! What happens when the shim is loaded: fork handlers, and sockets inherited over exec.

use std::ffi::c_int;

use io_net_socket::fork;

use crate::message::adopt;

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn prepare() {
    fork::prepare();
}

extern "C" fn parent() {
    fork::parent();
}

extern "C" fn child() {
    fork::child();
}

extern "C" fn start() {
    // The first question remembers which process this is.
    let _ = fork::is_own_process();
    // SAFETY: the handlers live as long as the process, as the shim is never unloaded.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    inherit();
}

/// Looks for sockets of io-net's among the descriptors that came over exec. There are none in most
/// processes, which costs one look at each descriptor.
fn inherit() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let number = |name: std::ffi::OsString| name.to_str()?.parse::<c_int>().ok();
    let fds: Vec<c_int> = entries
        .flatten()
        .filter_map(|e| number(e.file_name()))
        .collect();
    fds.into_iter().for_each(adopt);
}
