//! C programs as users build them, against the staged headers and library: servers on one node,
//! clients on the same and on another, the same programs with another name.

mod nodes;

use io_net_e2e::{Lab, Need, Outcome, Program, lab};
use nodes::{LIMIT, Node, pair, two};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source` of client/msg.
fn compile(lab: &Lab, source: &str) -> Outcome<String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../client/msg");
    let name = source.replace('/', "-");
    let program: PathBuf = lab.dir().join(name).with_extension("");
    let include = lab.stage().include();
    let library = include.with_file_name("lib");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-pthread", "-o"]).arg(&program);
    cc.arg("-I").arg(include).arg(from.join(source));
    cc.arg("-L").arg(&library).arg("-lio-net-msg");
    cc.arg(format!("-Wl,-rpath,{}", library.display()));
    lab.output(&mut cc)?;
    Ok(program.display().to_string())
}

fn serve(lab: &Lab, node: &Node<'_>, source: &str) -> Outcome<Program> {
    let program = compile(lab, source)?;
    let mut server = lab.start(&mut node.command(&program, ""))?;
    server.wait_printed("ready", LIMIT)?;
    Ok(server)
}

/// The server on east, and the client there and on west: the server ends with the client. `options`
/// are Qnet's, of both.
fn here_and_there(options: &str, source: [&str; 2], name: impl Fn(&str) -> String) {
    let needs = [Need::Stage, Need::Program("cc")];
    lab(&needs, |lab| {
        let nets = two(lab)?;
        let (west, east) = pair(lab, &nets, 1, options)?;
        let client = compile(lab, source[1])?;
        for (node, prefix) in [(&east, ""), (&west, "/net/east")] {
            let server = serve(lab, &east, source[0])?;
            let mut client = lab.start(&mut node.command(&client, &name(prefix)))?;
            client.finish(LIMIT)?;
            drop(server);
        }
        west.ion.stop()?;
        east.ion.stop().map(drop)
    });
}

#[test]
fn every_call_for_c_works_on_another_node() {
    let server = "tests/c/server.c";
    here_and_there("", [server, "tests/c/client.c"], |node| match node {
        "" => "/dev/name/local/c/test".into(),
        node => format!("{node}/dev/name/local/c/test stranger"),
    });
}

#[test]
fn users_that_are_mapped_may_signal_processes_of_another_node() {
    let server = "tests/c/server.c";
    here_and_there("maproot=0", [server, "tests/c/client.c"], |node| {
        format!("{node}/dev/name/local/c/test")
    });
}

#[test]
fn a_tree_of_another_node_in_c() {
    here_and_there("", ["tests/c/tree.c", "tests/c/walk.c"], str::to_owned);
}

#[test]
fn files_of_another_node_in_c() {
    let device = "tests/c/device.c";
    here_and_there("", [device, "tests/c/file.c"], |node| match node {
        // No argument at all is an empty one.
        "" => String::new(),
        node => format!("{node} own"),
    });
}
