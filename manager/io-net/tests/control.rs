//! The control socket: what clients may do to it, and what it answers.

use io_net::config::Config;
use io_net::control::Control;
use io_net::lifecycle::Manager;
use io_net::log::Log;
use io_net::shared::Shared;
use io_net_os::signalfd::{Signals, TERM};
use io_net_os::task::user_id;
use io_net_pktbuf::PoolConfig;
use io_net_proto::control::{LINE_MAX, Reply, Request};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// An io-net in a thread of this process.
struct Running {
    dir: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<usize>>,
}

impl Running {
    fn start(name: &str) -> Running {
        let dir =
            std::env::temp_dir().join(format!("io-net-control-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (its_dir, (started, start)) = (dir.clone(), channel());
        let thread = std::thread::spawn(move || {
            let signals = Signals::new(&[TERM]).unwrap();
            let mut control = Control::new(&its_dir, user_id()).unwrap();
            let config = Config {
                pool: PoolConfig {
                    small: 600,
                    large: 1,
                    huge: false,
                },
                ..Config::default()
            };
            let log = Log::new(0, true);
            let mut manager = Manager::new(&config, its_dir, log).unwrap();
            manager.shared().log.info("a line");
            started.send(manager.shared().clone()).unwrap();
            control.run(&mut manager, &signals).unwrap();
            control.close();
            manager.stop().unwrap()
        });
        Running {
            dir,
            shared: start.recv().unwrap(),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.dir)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(matches!(
                self.connect().ask(&Request::Shutdown),
                Reply::Done
            ));
            assert_eq!(self.thread.take().unwrap().join().unwrap(), 0);
            assert!(!self.dir.join("control").exists());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

struct Client {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Client {
    fn connect(dir: &Path) -> Client {
        let to = UnixStream::connect(dir.join("control")).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        Client { to, from }
    }

    fn ask(&mut self, request: &Request) -> Reply {
        let text = serde_json::to_string(request).unwrap();
        self.say(&text)
    }

    fn say(&mut self, line: &str) -> Reply {
        writeln!(self.to, "{line}").unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    fn graph(&mut self) {
        assert!(matches!(self.ask(&Request::Graph), Reply::Graph(_)));
    }
}

#[test]
fn requests_are_answered_in_order() {
    let running = Running::start("order");
    let mut client = running.connect();
    for _ in 0..100 {
        client
            .to
            .write_all(b"{\"request\":\"graph\"}\n{\"request\":\"stats\"}\n")
            .unwrap();
    }
    for _ in 0..100 {
        assert!(matches!(client.reply(), Reply::Graph(_)));
        let Reply::Stats(stats) = client.reply() else {
            panic!("stats were asked for")
        };
        assert!(stats.counters["io-net"]["pool_packets"] > 0);
    }
    let Reply::Log { lines } = client.ask(&Request::Log { follow: false }) else {
        panic!("the log was asked for")
    };
    assert!(lines[0].ends_with("io-net: a line"));
}

#[test]
fn what_cannot_be_done_is_told() {
    let running = Running::start("told");
    let mut client = running.connect();
    for (line, errno) in [
        ("rubbish", 22),
        ("{\"request\":\"explode\"}", 22),
        ("{\"request\":\"umount\",\"name\":\"en0\"}", 2),
        ("{\"request\":\"umount\",\"name\":\"\"}", 2),
        ("{\"request\":\"mount\",\"path\":\"nothing\"}", 2),
        ("{\"request\":\"mount\",\"path\":\"/etc/passwd\"}", 22),
        ("{\"request\":\"mount\",\"path\":\"/\"}", 22),
        ("{\"request\":\"nicinfo\",\"name\":\"en0\"}", 2),
        (
            "{\"request\":\"devctl\",\"name\":\"en0\",\"body\":\"{}\"}",
            2,
        ),
    ] {
        match client.say(line) {
            Reply::Error(failure) => assert_eq!(failure.errno, errno, "{line}: {failure}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    client.graph();
}

#[test]
fn nobody_waits_for_a_client_that_hangs() {
    let running = Running::start("hangs");
    // One stops within a line, one never reads.
    let mut half = running.connect();
    half.to.write_all(b"{\"request\":").unwrap();
    let deaf = running.connect();
    deaf.to.set_nonblocking(true).unwrap();
    let mut other = running.connect();
    let mut sent = 0;
    // Its answers are kept up to a bound; then it is cut off.
    while sent < 64 << 20 {
        match (&deaf.to).write(&b"{\"request\":\"stats\"}\n".repeat(100)) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        other.graph();
    }
    assert!(sent < 64 << 20, "it is never cut off");
    half.to.write_all(b"\"graph\"}\n").unwrap();
    assert!(matches!(half.reply(), Reply::Graph(_)));
}

#[test]
fn a_line_without_end_is_cut_off() {
    let running = Running::start("endless");
    let client = running.connect();
    let chunk = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while sent <= 4 * LINE_MAX {
        match (&client.to).write(&chunk) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent <= 4 * LINE_MAX);
    assert!(!matches!((&client.to).read(&mut [0]), Ok(1..)));
    running.connect().graph();
}

#[test]
fn many_clients_push_out_the_silent() {
    let running = Running::start("many");
    let silent: Vec<Client> = (0..200).map(|_| running.connect()).collect();
    let mut client = running.connect();
    client.graph();
    drop(silent);
    client.graph();
}

#[test]
fn followers_are_sent_new_lines() {
    let running = Running::start("follow");
    let mut follower = running.connect();
    let first = follower.ask(&Request::Log { follow: true });
    assert!(matches!(first, Reply::Log { lines } if lines.len() == 1));
    running.shared.log.info("another");
    let Reply::Log { lines } = follower.reply() else {
        panic!("lines were asked for")
    };
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("io-net: another"));
}

#[test]
fn one_directory_has_one_io_net() {
    let running = Running::start("one");
    let second = Control::new(&running.dir, user_id());
    assert!(second.is_err_and(|why| why.contains("runs in")));
    running.connect().graph();
}
