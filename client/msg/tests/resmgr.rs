//! Resource managers and their clients, in processes of their own.

mod lab;

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use io_net_msg::resmgr::{Attributes, Device, File, Input, Later, Manager, Ocb, Output};
use io_net_msg::{Error, Result, timeout};
use lab::Lab;

const PATH: &str = "/dev/test/device";

/// Runs `client` against a process that serves a device.
fn against<D: Device>(test: &str, device: impl FnOnce() -> D, client: impl FnOnce()) {
    match lab::part().as_deref() {
        Some("device") => {
            let mut manager = Manager::attach(PATH, device()).unwrap();
            println!("ready");
            panic!("{:?}", manager.run());
        }
        Some(_) => client(),
        None => {
            let lab = Lab::new();
            let _device = lab.start(lab.again(test, "device"));
            lab.run(lab.again(test, "client"));
        }
    }
}

struct Null;
impl Device for Null {}

#[test]
fn by_default_a_device_is_null() {
    against(
        "by_default_a_device_is_null",
        || Null,
        || {
            let file = File::open(PATH, libc::O_RDWR).unwrap();
            let mut buf = [0; 10];
            assert_eq!((&file).read(&mut buf).unwrap(), 0);
            assert_eq!((&file).write(&[7; 100_000]).unwrap(), 100_000);
            assert_eq!(file.stat().unwrap().mode, libc::S_IFCHR | 0o666);
            assert_eq!(file.devctl(1, &mut []), Err(Error(libc::ENOTTY)));
            let read_only = File::open(PATH, libc::O_RDONLY).unwrap();
            assert_eq!(read_only.write_at(b"x", 0), Err(Error::BADF));
            assert_eq!(read_only.read_at(&mut buf, 5), Ok(0));
            let none = File::open("/dev/test/nothing", libc::O_RDWR).unwrap_err();
            assert_eq!(none, Error(libc::ENOENT));
        },
    );
}

/// Memory that grows.
#[derive(Default)]
struct Ram(Vec<u8>);

impl Device for Ram {
    fn attributes(&self) -> Attributes {
        Attributes::file(0o666, self.0.len() as u64)
    }

    fn read(&mut self, _: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let bytes = self.0.get(at as usize..).unwrap_or_default();
        // In pieces, small and large, as a device with blocks would.
        let (head, rest) = bytes.split_at(bytes.len().min(10));
        to.put(head)?;
        to.put(rest).map(drop)
    }

    fn write(&mut self, _: &mut Ocb, at: u64, from: &mut Input<'_>) -> Result<()> {
        let (start, end) = (at as usize, at as usize + from.len());
        self.0.resize(self.0.len().max(end), 0);
        let middle = start + from.len() / 2;
        from.take(&mut self.0[start..middle])?;
        from.take(&mut self.0[middle..end]).map(drop)
    }
}

#[test]
fn megabytes_there_and_back() {
    against("megabytes_there_and_back", Ram::default, || {
        let mut file = File::open(PATH, libc::O_RDWR).unwrap();
        let data: Vec<u8> = (0..5_000_001_u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&data).unwrap();
        assert_eq!(file.stat().unwrap().size, data.len() as u64);
        file.rewind().unwrap();
        let mut back = Vec::new();
        file.read_to_end(&mut back).unwrap();
        assert!(back == data);
        let mut piece = [0; 20_000];
        assert_eq!(file.read_at(&mut piece, 1_000_000), Ok(piece.len()));
        assert!(piece == data[1_000_000..1_020_000]);
        // The file's own offset is still at its end.
        assert_eq!(file.stream_position().unwrap(), data.len() as u64);
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), data.len() as u64 - 1);
        let mut appending = File::open(PATH, libc::O_WRONLY | libc::O_APPEND).unwrap();
        appending.write_all(b"end").unwrap();
        back.clear();
        file.read_to_end(&mut back).unwrap();
        assert_eq!(back[1..], *b"end");
    });
}

/// Reads wait for a write.
#[derive(Default)]
struct Pipe(Vec<Later>);

impl Device for Pipe {
    fn read(&mut self, _: &mut Ocb, _: u64, to: &mut Output) -> Result<()> {
        self.0.extend(to.later());
        Ok(())
    }

    fn write(&mut self, _: &mut Ocb, _: u64, from: &mut Input<'_>) -> Result<()> {
        let mut bytes = vec![0; from.len()];
        from.take(&mut bytes)?;
        for waiting in self.0.drain(..) {
            // A reader may have gone.
            let _ = waiting.answer(&bytes);
        }
        Ok(())
    }

    fn unblock(&mut self, rcvid: i32) {
        for waiting in self.0.extract_if(.., |waiting| waiting.rcvid() == rcvid) {
            let _ = waiting.fail(Error::INTERRUPTED);
        }
    }
}

#[test]
fn a_read_that_is_answered_later_or_given_up() {
    let test = "a_read_that_is_answered_later_or_given_up";
    against(test, Pipe::default, || {
        let file = File::open(PATH, libc::O_RDWR).unwrap();
        let mut buf = [0; 3];
        // Nobody writes: the device is told that its client gives up, and lets it go.
        timeout::set(timeout::REPLY, Some(Duration::from_millis(20)));
        let error = (&file).read(&mut buf).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut buf = [0; 3];
                ((&file).read(&mut buf).unwrap(), buf)
            });
            while !reader.is_finished() {
                (&file).write_all(b"long").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(reader.join().unwrap(), (3, *b"lon"));
        });
    });
}

/// The example, here and below.
#[path = "../examples/files.rs"]
#[allow(dead_code, reason = "the example's main")]
mod files;

/// Two names, and a directory with a file below each.
struct Tree;

impl Device for Tree {
    fn lookup(&self, ocb: &Ocb) -> Result<Attributes> {
        match ocb.path.as_str() {
            "" => Ok(Attributes::directory(0o777)),
            "a/file" => Ok(Attributes::file(0o444, 1 + ocb.name as u64)),
            _ => Err(Error(libc::ENOENT)),
        }
    }

    fn list(&mut self, ocb: &Ocb) -> Result<Vec<String>> {
        // Names that cannot be, and more than fit at once.
        let bad = ["", "a/b"].map(String::from);
        let names = (0..500).map(|n| format!("{}-{n}", ocb.name));
        Ok(bad.into_iter().chain(names).collect())
    }

    fn read(&mut self, ocb: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let text = [b'x'; 2];
        to.put(&text[at as usize..=ocb.name]).map(drop)
    }
}

#[test]
fn several_names_with_files_below_them() {
    match lab::part().as_deref() {
        Some("device") => {
            let mut manager = Manager::attach("/dev/tree", Tree).unwrap();
            assert_eq!(manager.also("/dev/tree2"), Ok(1));
            assert_eq!(manager.also("/dev/tree2"), Err(Error(libc::EEXIST)));
            println!("ready");
            panic!("{:?}", manager.run());
        }
        Some(_) => walk(),
        None => {
            let lab = Lab::new();
            let test = "several_names_with_files_below_them";
            let _device = lab.start(lab.again(test, "device"));
            lab.run(lab.again(test, "client"));
        }
    }
}

fn walk() {
    for (n, name) in ["/dev/tree", "/dev/tree2"].into_iter().enumerate() {
        let directory = File::open(name, libc::O_RDONLY).unwrap();
        assert_eq!(directory.stat().unwrap().mode, libc::S_IFDIR | 0o777);
        for _ in 0..2 {
            let entries = directory.entries().unwrap();
            assert!(
                entries.iter().eq((0..500)
                    .map(|i| format!("{n}-{i}"))
                    .collect::<Vec<_>>()
                    .iter())
            );
        }
        let mut file = File::open(&format!("{name}/a/file"), libc::O_RDONLY).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x".repeat(n + 1));
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), n as u64 + 1);
        let open = |path: &str, flags| File::open(&format!("{name}{path}"), flags).unwrap_err();
        assert_eq!(open("/a", libc::O_RDONLY), Error(libc::ENOENT));
        assert_eq!(
            open("/b", libc::O_RDONLY | libc::O_CREAT),
            Error(libc::ENOENT)
        );
        assert_eq!(open("", libc::O_RDWR), Error(libc::EISDIR));
        let exclusive = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL;
        assert_eq!(open("/a/file", exclusive), Error(libc::EEXIST));
    }
}

#[test]
fn files_are_made_and_listed() {
    let test = "files_are_made_and_listed";
    match lab::part().as_deref() {
        Some("device") => {
            let device = files::Files::default();
            let mut manager = Manager::attach("/dev/files", device).unwrap();
            println!("ready");
            panic!("{:?}", manager.run());
        }
        Some(_) => {
            let flags = libc::O_RDWR | libc::O_CREAT;
            for name in ["one", "two"] {
                let mut file = File::open(&format!("/dev/files/{name}"), flags).unwrap();
                file.write_all(name.as_bytes()).unwrap();
                assert_eq!(file.stat().unwrap().size, 3);
            }
            let mut file = File::open("/dev/files/one", libc::O_RDWR | libc::O_APPEND).unwrap();
            file.write_all(b" more").unwrap();
            file.rewind().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one more");
            let directory = File::open("/dev/files", libc::O_RDONLY).unwrap();
            assert_eq!(directory.entries().unwrap(), ["one", "two"]);
        }
        None => {
            let lab = Lab::new();
            let _device = lab.start(lab.again(test, "device"));
            lab.run(lab.again(test, "client"));
        }
    }
}
