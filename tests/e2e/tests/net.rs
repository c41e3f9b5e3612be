//! Other nodes' files and programs: io-net-node and on.

mod nodes;

use io_net_e2e::{Lab, Namespace, Need, Outcome, Program, holds_within, lab};
use nodes::{LIMIT, Node, expect, pair, two};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Two nodes whose files are each other's: `east` exports a directory and `/etc`, and runs programs.
struct Pair<'a> {
    west: Node<'a>,
    east: Node<'a>,
    /// Where `west` sees the nodes, as the test sees it.
    net: PathBuf,
    /// What `east` exports.
    shared: PathBuf,
    services: Option<[Program; 2]>,
}

impl<'a> Pair<'a> {
    fn start(lab: &'a Lab, nets: &'a [Namespace; 2], options: &str) -> Outcome<Self> {
        let (west, east) = pair(lab, nets, 1, options)?;
        let (mount, shared) = (lab.dir().join("net"), lab.dir().join("shared"));
        fs::create_dir_all(&shared).map_err(|e| e.to_string())?;
        let line = format!(
            "--no-net --export {} --export /etc:ro --spawn",
            shared.display()
        );
        let mut there = east.ion.control("io-net-node");
        let there = lab.start(there.args(line.split(' ')))?;
        let mut here = west.ion.control("io-net-node");
        let here = lab.start(here.arg("--net").arg(&mount))?;
        // The mount is in the namespaces of its node.
        let root = PathBuf::from(format!("/proc/{}/root", here.pid()));
        let net = root.join(mount.strip_prefix("/").unwrap_or(&mount));
        let this = Self {
            services: Some([there, here]),
            west,
            east,
            net,
            shared,
        };
        let far = this.far("");
        holds_within(LIMIT, "the other node's files", || far.is_dir())?;
        Ok(this)
    }

    /// The path on `west` of a file that `east` exports.
    fn far(&self, name: &str) -> PathBuf {
        let shared = self.shared.strip_prefix("/").unwrap_or(&self.shared);
        self.net.join("east").join(shared).join(name)
    }

    /// Starts `on` with these words.
    fn start_on(&self, lab: &Lab, words: &[&str]) -> Outcome<Program> {
        lab.start(self.west.ion.control("on").args(words))
    }

    /// Runs it with the shell of the other node; what it printed, and how it ended.
    fn shell(&self, lab: &Lab, line: &str) -> Outcome<(String, Option<i32>)> {
        let mut program = self.start_on(lab, &["-n", "east", "sh", "-c", line])?;
        let status = program.wait(LIMIT)?;
        Ok((program.printed(), status.code()))
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        for mut service in self.services.take().into_iter().flatten() {
            let _ = service.signal("TERM");
            let _ = service.wait(LIMIT);
        }
    }
}

fn text<T>(result: std::io::Result<T>) -> Outcome<T> {
    result.map_err(|error| error.to_string())
}

/// Bytes that are nowhere the same.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

#[test]
fn another_nodes_files_are_used_like_ones_own() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let pair = Pair::start(lab, &nets, "maproot=same")?;
        let nodes: Vec<_> = text(fs::read_dir(&pair.net))?
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        expect(&format!("{nodes:?}"), "east")?;
        let hostname = text(fs::read_to_string(pair.net.join("east/etc/hostname")))?;
        expect(&hostname, &text(fs::read_to_string("/etc/hostname"))?)?;
        let names = pair
            .net
            .join("east~preferred:en0/dev/name/local/io-net/files");
        text(fs::read_to_string(names))?;
        // To and fro, more than one message holds.
        let content = bytes(5_000_000);
        text(fs::write(pair.far("big"), &content))?;
        if text(fs::read(pair.shared.join("big")))? != content {
            return Err("what was written is not what is there".into());
        }
        let content = bytes(4_321_987);
        text(fs::write(pair.shared.join("other"), &content))?;
        if text(fs::read(pair.far("other")))? != content {
            return Err("what was read is not what is there".into());
        }
        // Everything else that there is to do.
        text(fs::create_dir(pair.far("dir")))?;
        text(fs::rename(pair.far("big"), pair.far("dir/small")))?;
        let small = text(fs::File::options().write(true).open(pair.far("dir/small")))?;
        text(small.set_len(7))?;
        drop(small);
        text(std::os::unix::fs::symlink(
            "/etc/hostname",
            pair.far("link"),
        ))?;
        let leads = text(fs::read_link(pair.far("link")))?;
        expect(&leads.display().to_string(), "/net/east/etc/hostname")?;
        let mode = fs::Permissions::from_mode(0o640);
        text(fs::set_permissions(pair.far("dir/small"), mode))?;
        let meta = text(fs::metadata(pair.shared.join("dir/small")))?;
        if (meta.len(), meta.permissions().mode() & 0o7777) != (7, 0o640) {
            return Err(format!("the small file is {meta:?}"));
        }
        text(fs::remove_dir_all(pair.far("dir")))?;
        match pair.shared.join("dir").exists() {
            true => Err("the directory is still there".into()),
            false => Ok(()),
        }
    });
}

#[test]
fn nobody_reaches_more_than_is_exported_and_allowed() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let pair = Pair::start(lab, &nets, "")?;
        let refused = |what: &str, done: bool| match done {
            true => Err(format!("{what} was allowed")),
            false => Ok(()),
        };
        let private = pair.shared.join("private");
        text(fs::write(&private, "private"))?;
        text(fs::set_permissions(
            &private,
            fs::Permissions::from_mode(0o600),
        ))?;
        refused(
            "reading root's file as nobody",
            fs::read(pair.far("private")).is_ok(),
        )?;
        refused(
            "a file in root's directory",
            fs::write(pair.far("new"), "").is_ok(),
        )?;
        refused(
            "writing where one may read",
            fs::write(pair.net.join("east/etc/new"), "").is_ok(),
        )?;
        refused("what is not exported", pair.net.join("east/usr").exists())?;
        refused("a node that there is not", pair.net.join("north").exists())?;
        let long = "a".repeat(300);
        refused("a name too long", fs::write(pair.far(&long), "").is_ok())?;
        // A file that everybody may write is nobody's to write, too.
        let open = pair.shared.join("open");
        text(fs::write(&open, ""))?;
        text(fs::set_permissions(
            &open,
            fs::Permissions::from_mode(0o666),
        ))?;
        text(fs::write(pair.far("open"), "from afar"))?;
        expect(&text(fs::read_to_string(&open))?, "from afar")?;
        let (who, _) = pair.shell(lab, "id -u; id -G")?;
        expect(&who, "65534\n65534\n")
    });
}

#[test]
fn programs_run_on_another_node() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let pair = Pair::start(lab, &nets, "maproot=same")?;
        for (line, printed, code) in [
            ("echo out; echo err >&2; exit 7", "out", 7),
            ("echo out; echo err >&2; exit 7", "err", 7),
            ("kill -TERM $$", "", 143),
            ("id -u", "0\n", 0),
            ("head -c 1000000 /dev/zero | wc -c", "1000000", 0),
            (
                "head -c 300000 /dev/zero | tr '\\0' 'x'; echo end",
                "end",
                0,
            ),
        ] {
            let (got, status) = pair.shell(lab, line)?;
            expect(&got, printed)?;
            if status != Some(code) {
                return Err(format!("{line}: ended with {status:?}"));
            }
        }
        for words in [
            &["-n", "east", "no-such-program"][..],
            &["-n", "north", "ls"],
        ] {
            let mut failed = pair.start_on(lab, words)?;
            let code = failed.wait(LIMIT)?.code();
            expect(&failed.printed(), "on: ")?;
            let wanted = if words[1] == "east" { 127 } else { 125 };
            if code != Some(wanted) {
                return Err(format!("{words:?} ended with {code:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn a_program_on_another_node_gets_signals_and_goes_with_its_client() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let pair = Pair::start(lab, &nets, "maproot=same")?;
        let trap = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
        let mut program = pair.start_on(lab, &["-n", "east", "sh", "-c", trap])?;
        program.wait_printed("ready", LIMIT)?;
        program.signal("TERM")?;
        let code = program.wait(LIMIT)?.code();
        expect(&program.printed(), "got it")?;
        if code != Some(3) {
            return Err(format!("ended with {code:?}"));
        }
        let line = "echo $$ pid; sleep 10000 & wait";
        let mut program = pair.start_on(lab, &["-n", "east", "sh", "-c", line])?;
        program.wait_printed("pid", LIMIT)?;
        let printed = program.printed();
        let pid = printed.split_whitespace().next().unwrap_or_default();
        let there = PathBuf::from("/proc").join(pid);
        if pid.is_empty() || !there.exists() {
            return Err(format!("no process in {printed}"));
        }
        program.signal("KILL")?;
        program.wait(LIMIT)?;
        holds_within(LIMIT, "the program to end with its client", || {
            !there.exists()
        })
    });
}

#[test]
fn a_node_that_goes_fails_its_readers_soon() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let mut pair = Pair::start(lab, &nets, "maproot=same")?;
        text(fs::write(pair.shared.join("file"), bytes(3_000_000)))?;
        let file = text(fs::File::open(pair.far("file")))?;
        let line = "echo ready; sleep 10000";
        let mut sleeper = pair.start_on(lab, &["-n", "east", "sh", "-c", line])?;
        sleeper.wait_printed("ready", LIMIT)?;
        if let Some([there, _]) = &mut pair.services {
            there.signal("KILL")?;
            there.wait(LIMIT)?;
        }
        let read = std::io::copy(&mut &file, &mut std::io::sink());
        if read.as_ref().map_err(std::io::Error::raw_os_error) != Err(Some(5)) {
            return Err(format!("a reader got {read:?}"));
        }
        let code = sleeper.wait(LIMIT)?.code();
        match code {
            Some(125) => Ok(()),
            code => Err(format!("on ended with {code:?}")),
        }
    });
}

#[test]
fn whatever_clients_send_the_services_go_on() {
    lab(&[Need::Stage, Need::Root], |lab| {
        let nets = two(lab)?;
        let pair = Pair::start(lab, &nets, "")?;
        for service in ["io-net/files", "io-net/spawn"] {
            let mut garbage = nets[1].command(env!("CARGO_BIN_EXE_node-garbage"));
            garbage.env("SOCK", pair.east.ion.run_dir());
            garbage.args([service, "7", "2000"]);
            let printed = lab.start(&mut garbage)?.finish(4 * LIMIT)?;
            expect(&printed, "sent 2000")?;
        }
        text(fs::read_to_string(pair.net.join("east/etc/hostname")))?;
        expect(&pair.shell(lab, "echo alive")?.0, "alive")
    });
}
