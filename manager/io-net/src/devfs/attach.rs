//! The tree of one io-net: it follows the registrants, and asks the control thread for the rest.

use super::{DevTree, File, Host, text};
use crate::control::ControlHandle;
use crate::lifecycle::{Manager, Observer};
use crate::shared::Shared;
use io_net_proto::control::{Reply, Request};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a mount or unmount through the control socket waits for the tree to follow, so that
/// whoever asked for it finds it done.
const FOLLOW_LIMIT: Duration = Duration::from_secs(1);

/// No such registrant.
const ENOENT: i32 = 2;

/// Mounts the tree of `manager`'s registrants at `dir`, or where it is usual for `instance`, and
/// keeps it. Where that cannot be, the log says why.
pub fn attach(manager: &mut Manager, control: ControlHandle, dir: Option<&Path>, instance: u32) {
    let usual = || match instance {
        0 => PathBuf::from("/dev/io-net"),
        n => PathBuf::from(format!("/dev/io-net{n}")),
    };
    let dir = dir.map_or_else(usual, Path::to_owned);
    let shared = manager.shared().clone();
    match DevTree::start(&dir, Arc::new(Inside { control, shared })) {
        Ok(tree) => manager.observe(Box::new(Follower(tree))),
        Err(why) => manager.shared().log.info(why),
    }
}

/// The tree, on the control thread.
struct Follower(DevTree);

impl Observer for Follower {
    fn appeared(&mut self, name: &str, interface: bool) {
        self.0.appear(name, interface);
        self.0.settle(FOLLOW_LIMIT);
    }

    fn gone(&mut self, name: &str) {
        self.0.vanish(name);
        self.0.settle(FOLLOW_LIMIT);
    }
}

/// io-net, on the tree's threads.
struct Inside {
    control: ControlHandle,
    shared: Arc<Shared>,
}

impl Host for Inside {
    fn text(&self, name: &str, file: File) -> Option<String> {
        let nic = || {
            let name = Some(name.to_owned());
            match self.control.request(Request::Nicinfo { name }) {
                Reply::Nics { nics } => nics.into_iter().next(),
                _ => None,
            }
        };
        match file {
            File::Config => match self.control.request(Request::Graph) {
                Reply::Graph(graph) => text::config(&graph, name, nic().as_ref()),
                _ => None,
            },
            File::Stats => match self.control.request(Request::Stats) {
                Reply::Stats(stats) => Some(text::stats(stats.counters.get(name)?)),
                _ => None,
            },
            File::Link => Some(text::link(&nic()?)),
        }
    }

    fn unload(&self, name: &str) -> bool {
        let name = name.to_owned();
        match self.control.request(Request::Umount { name }) {
            Reply::Error(failure) if failure.errno != ENOENT => {
                self.shared.log.error(failure);
                false
            }
            _ => true,
        }
    }

    fn warn(&self, text: String) {
        self.shared.log.warning(text);
    }
}
