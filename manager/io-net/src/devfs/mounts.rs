//! The mounts themselves: made, watched and taken away by the thread `devfs`.

use super::files::Files;
use super::{Host, Order};
use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

/// ENOTCONN: whoever served this mount is gone.
const NOT_CONNECTED: i32 = 107;

/// One registrant's mount.
struct Mounted {
    /// Tells the end of this mount from that of an earlier one of the same name.
    generation: u64,
    link: bool,
    unmounter: SessionUnmounter,
}

/// What the thread `devfs` owns.
pub(super) struct Mounts {
    dir: PathBuf,
    /// Whether `dir` was made by us.
    made: bool,
    host: Arc<dyn Host>,
    orders: Sender<Order>,
    mounted: HashMap<String, Mounted>,
    generation: u64,
}

impl Mounts {
    pub(super) fn new(
        dir: PathBuf,
        made: bool,
        host: Arc<dyn Host>,
        orders: Sender<Order>,
    ) -> Self {
        Mounts {
            dir,
            made,
            host,
            orders,
            mounted: HashMap::new(),
            generation: 0,
        }
    }

    /// The thread: carries out orders until it is told to quit.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        self.clean();
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Appear { name, link } => self.appear(name, link),
                Order::Vanish(name) => self.vanish(&name),
                Order::Ended { name, generation } => self.ended(&name, generation),
                Order::Settle(done) => drop(done),
                Order::Quit => break,
            }
        }
        let names: Vec<String> = self.mounted.keys().cloned().collect();
        names.iter().for_each(|name| self.vanish(name));
        if self.made {
            // Empty unless somebody else keeps something there.
            let _ = fs::remove_dir(&self.dir);
        }
    }

    fn appear(&mut self, name: String, link: bool) {
        if self.mounted.contains_key(&name) {
            return;
        }
        if let Err(error) = self.mount(&name, link) {
            let path = self.dir.join(&name);
            let _ = fs::remove_dir(&path);
            self.host
                .warn(format!("cannot mount {}: {error}", path.display()));
        }
    }

    fn mount(&mut self, name: &str, link: bool) -> io::Result<()> {
        let path = self.dir.join(name);
        make_place(&path)?;
        let files = Files::new(name.to_owned(), link, self.host.clone());
        let mut session = Session::new(files, &path, &config())?;
        let unmounter = session.unmount_callable();
        self.generation += 1;
        let generation = self.generation;
        let end = Order::Ended {
            name: name.to_owned(),
            generation,
        };
        let orders = self.orders.clone();
        std::thread::Builder::new()
            .name(format!("devfs-{name}"))
            .spawn(move || {
                let _ = session.run();
                let _ = orders.send(end);
            })?;
        let mounted = Mounted {
            generation,
            link,
            unmounter,
        };
        self.mounted.insert(name.to_owned(), mounted);
        Ok(())
    }

    fn vanish(&mut self, name: &str) {
        let Some(mut mounted) = self.mounted.remove(name) else {
            return;
        };
        let path = self.dir.join(name);
        if mounted.unmounter.unmount().is_err() {
            // Somebody is in there. He keeps what he has open; the place is free.
            let _ = io_net_os::mount::detach(&path);
        }
        if let Err(error) = fs::remove_dir(&path) {
            self.host
                .warn(format!("cannot remove {}: {error}", path.display()));
        }
    }

    /// A mount is gone. Where it was not us who took it away, the operator did.
    fn ended(&mut self, name: &str, generation: u64) {
        let ours = |mounted: &Mounted| mounted.generation == generation;
        if !self.mounted.get(name).is_some_and(ours) {
            return;
        }
        let link = self
            .mounted
            .remove(name)
            .is_some_and(|mounted| mounted.link);
        let _ = fs::remove_dir(self.dir.join(name));
        let (host, orders, name) = (self.host.clone(), self.orders.clone(), name.to_owned());
        let unload = move || {
            if !host.unload(&name) {
                let _ = orders.send(Order::Appear { name, link });
            }
        };
        let thread = std::thread::Builder::new().name("devfs-unload".into());
        if let Err(error) = thread.spawn(unload) {
            self.host
                .warn(format!("cannot unload what was unmounted: {error}"));
        }
    }

    /// Takes away what an io-net that was killed has left.
    fn clean(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_dead(&path) {
                let _ = io_net_os::mount::detach(&path);
            }
            // Only an empty directory goes.
            let _ = fs::remove_dir(&path);
        }
    }
}

fn config() -> Config {
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("io-net".into()),
        MountOption::CUSTOM("subtype=io-net".into()),
        MountOption::DefaultPermissions,
        MountOption::RO,
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    // Another user may look only at what root has mounted, unless /etc/fuse.conf says otherwise.
    config.acl = if root {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config
}

/// Makes the directory to mount at. A mount that is dead is taken away first; one that lives is
/// somebody else's.
fn make_place(path: &Path) -> io::Result<()> {
    if is_dead(path) {
        io_net_os::mount::detach(path)?;
    }
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let parent = path.parent().unwrap_or(path);
    if fs::metadata(path)?.dev() != fs::metadata(parent)?.dev() {
        let text = "something is mounted there already; is another io-net running?";
        return Err(io::Error::other(text));
    }
    Ok(())
}

fn is_dead(path: &Path) -> bool {
    matches!(fs::metadata(path), Err(e) if e.raw_os_error() == Some(NOT_CONNECTED))
}
