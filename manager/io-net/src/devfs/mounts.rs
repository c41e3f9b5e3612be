//! The mounts themselves: made, watched and taken away by the thread `devfs`.

use super::files::Files;
use super::mount_table::{MountTable, SUBTYPE};
use super::{Host, Order, Orders};
use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use io_net_os::epoll::{ERR, Epoll, Event, IN};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// ENOTCONN: whoever served this mount is gone.
const NOT_CONNECTED: i32 = 107;

/// Events of the thread's epoll.
const ORDERS: u64 = 0;
const MOUNTS: u64 = 1;

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
    orders: Orders,
    epoll: Epoll,
    table: MountTable,
    mounted: HashMap<String, Mounted>,
    generation: u64,
}

impl Mounts {
    pub(super) fn new(
        dir: &Path,
        made: bool,
        host: Arc<dyn Host>,
        orders: Orders,
    ) -> io::Result<Self> {
        let table = MountTable::open(dir)?;
        let epoll = Epoll::new()?;
        epoll.add(orders.bell.as_fd(), IN, ORDERS)?;
        epoll.add(table.as_fd(), ERR, MOUNTS)?;
        Ok(Mounts {
            dir: dir.to_owned(),
            made,
            host,
            orders,
            epoll,
            table,
            mounted: HashMap::new(),
            generation: 0,
        })
    }

    /// The thread: carries out orders until it is told to quit, and follows what the operator does.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        self.clean();
        while self.turn(inbox) {}
        let names: Vec<String> = self.mounted.keys().cloned().collect();
        names.iter().for_each(|name| self.vanish(name));
        if self.made {
            // Empty unless somebody else keeps something there.
            let _ = fs::remove_dir(&self.dir);
        }
    }

    /// Waits and does what there is; false at the end.
    fn turn(&mut self, inbox: &Receiver<Order>) -> bool {
        let mut events = [Event::default(); 2];
        let Ok(events) = self.epoll.wait(&mut events, None) else {
            return false;
        };
        if events.iter().any(|event| event.token() == MOUNTS) {
            self.look_for_the_lost();
        }
        self.orders.bell.lower();
        while let Ok(order) = inbox.try_recv() {
            match order {
                Order::Appear { name, link } => self.appear(name, link),
                Order::Vanish(name) => self.vanish(&name),
                Order::Ended { name, generation } => self.session_ended(&name, generation),
                Order::Settle(done) => drop(done),
                Order::Quit => return false,
            }
        }
        true
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
                orders.give(end);
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
            // Somebody is in there: the place is free all the same.
            let _ = take_away(&path);
        }
        if let Err(error) = fs::remove_dir(&path) {
            self.host
                .warn(format!("cannot remove {}: {error}", path.display()));
        }
    }

    /// Follows up mounts that are not in the tree any more.
    fn look_for_the_lost(&mut self) {
        let Ok(present) = self.table.read() else {
            return;
        };
        let lost = |name: &&String| !present.contains(name);
        let lost: Vec<String> = self.mounted.keys().filter(lost).cloned().collect();
        lost.iter().for_each(|name| self.unmounted(name));
    }

    /// Nobody serves a mount any more: it has left the tree, or was cut off.
    fn session_ended(&mut self, name: &str, generation: u64) {
        let ours = |mounted: &Mounted| mounted.generation == generation;
        if self.mounted.get(name).is_some_and(ours) {
            let path = self.dir.join(name);
            if is_dead(&path) {
                let _ = take_away(&path);
            }
            self.unmounted(name);
        }
    }

    /// The operator has unmounted `name`.
    fn unmounted(&mut self, name: &str) {
        let Some(mut mounted) = self.mounted.remove(name) else {
            return;
        };
        // Else the session would do it at its own end, which may be when the place is in use again.
        let _ = mounted.unmounter.unmount();
        let link = mounted.link;
        let _ = fs::remove_dir(self.dir.join(name));
        let (host, orders, name) = (self.host.clone(), self.orders.clone(), name.to_owned());
        let unload = move || {
            if !host.unload(&name) {
                orders.give(Order::Appear { name, link });
            }
        };
        let thread = std::thread::Builder::new().name("devfs-unload".into());
        if let Err(error) = thread.spawn(unload) {
            self.host
                .warn(format!("cannot unload what was unmounted: {error}"));
        }
    }

    /// Takes away what an io-net that was killed has left.
    fn clean(&mut self) {
        let left = self.table.read().unwrap_or_default();
        for path in left.iter().map(|name| self.dir.join(name)) {
            if is_dead(&path) {
                let _ = take_away(&path);
                let _ = fs::remove_dir(&path);
            }
        }
    }
}

/// Takes a mount out of the tree, whoever is in there.
fn take_away(path: &Path) -> io::Result<()> {
    let Err(error) = io_net_os::mount::detach(path) else {
        return Ok(());
    };
    // Who is not root may do it by way of the helper that mounted it.
    let helper = Command::new("fusermount3")
        .args(["-u", "-q", "-z"])
        .arg(path)
        .output();
    match helper {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(error),
    }
}

fn config() -> Config {
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("io-net".into()),
        MountOption::CUSTOM(format!("subtype={SUBTYPE}")),
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
        take_away(path)?;
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
