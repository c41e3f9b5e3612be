//! The calls for C: programs compiled by the system's compiler against `include/` and the shared
//! library, clients and servers in processes of their own.

mod lab;
mod memory;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Lab, Running};

/// Compiles a program of this package, and links it as if the library were installed; every warning
/// is an error.
fn compile(lab: &Lab, source: &str) -> PathBuf {
    let library = std::env::current_exe()
        .unwrap()
        .with_file_name("libio_net_msg.so");
    assert!(library.exists(), "{} is not built", library.display());
    let installed = lab.dir.join("libio-net-msg.so");
    if !installed.exists() {
        symlink(library, &installed).unwrap();
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = lab.dir.join(source.replace('/', "-")).with_extension("");
    let output = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
            "-o",
        ])
        .arg(&program)
        .arg("-I")
        .arg(package.join("include"))
        .arg(package.join(source))
        .arg("-L")
        .arg(&lab.dir)
        .arg(format!("-Wl,-rpath,{}", lab.dir.display()))
        .arg("-lio-net-msg")
        .output()
        .expect("a C compiler");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source}:\n{errors}");
    program
}

fn serve(lab: &Lab, source: &str) -> Running {
    lab.start(lab.command(&compile(lab, source)))
}

fn run(lab: &Lab, source: &str, args: &[&str]) {
    let mut command = lab.command(&compile(lab, source));
    command.args(args);
    lab.run(command);
}

#[test]
fn every_call_between_two_processes() {
    let lab = Lab::new();
    let mut server = serve(&lab, "tests/c/server.c");
    run(&lab, "tests/c/client.c", &[]);
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn what_qnx_promises_of_each_call() {
    run(&Lab::new(), "tests/c/contract.c", &[]);
}

/// The headers may come first or last, in every standard, with every warning an error.
#[test]
fn headers_are_clean_in_c_and_in_cpp() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let headers = [
        "sys/neutrino.h",
        "sys/states.h",
        "sys/dispatch.h",
        "sys/iofunc.h",
        "sys/resmgr.h",
        "sys/iomsg.h",
        "sys/netmgr.h",
        "sys/msgio.h",
        "devctl.h",
    ];
    let lab = Lab::new();
    let check = |compiler: &str, standard: &str, name: &str, text: &str| {
        let source = lab.dir.join(name);
        std::fs::write(&source, text).unwrap();
        let output = Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror"])
            .args(["-fsyntax-only", "-I"])
            .args([&include, &source])
            .output()
            .expect("a compiler");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{standard} {text}\n{errors}");
    };
    let line = |header: &&str| format!("#include <{header}>\n");
    let all: String = headers.iter().map(line).collect();
    let late = format!("#include <stdio.h>\n#include <time.h>\n{all}");
    for standard in ["-std=c99", "-std=c11", "-std=gnu11"] {
        for text in headers.iter().map(line).chain([late.clone()]) {
            check("cc", standard, "header.c", &format!("{text}int x;\n"));
        }
    }
    for standard in ["-std=c++98", "-std=c++17"] {
        check("c++", standard, "header.cc", &late);
    }
}

#[test]
fn names_and_nodes() {
    run(&Lab::new(), "tests/c/names.c", &[]);
}

/// `program` as process 1 of a PID namespace of its own, where this user may make one.
fn in_a_namespace(lab: &Lab, program: &Path) -> Command {
    let mut command = lab.command(Path::new("unshare"));
    command.args(["--user", "--map-root-user", "--pid", "--fork"]);
    command.args(["--mount-proc", "--kill-child"]).arg(program);
    command
}

/// A server is process 1 of a container, and its clients are outside; and the other way round.
#[test]
fn across_pid_namespaces() {
    let lab = Lab::new();
    let possible = in_a_namespace(&lab, Path::new("true")).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: across_pid_namespaces: no PID namespace can be made");
        return;
    }
    let server = compile(&lab, "tests/c/server.c");
    let client = compile(&lab, "tests/c/meet.c");
    let mut inside = lab.start(in_a_namespace(&lab, &server));
    // Another process of the same number has channels of the same numbers.
    let same = lab.start(in_a_namespace(&lab, &compile(&lab, "tests/c/device.c")));
    let mut outside = lab.command(&client);
    outside.arg("outside");
    lab.run(outside);
    assert!(inside.0.wait().unwrap().success());
    drop(same);
    let mut outside = lab.start(lab.command(&server));
    let mut inside = in_a_namespace(&lab, &client);
    inside.arg("inside");
    lab.run(inside);
    assert!(outside.0.wait().unwrap().success());
}

#[test]
fn files_of_a_manager_in_c() {
    let lab = Lab::new();
    let mut device = serve(&lab, "tests/c/device.c");
    run(&lab, "tests/c/file.c", &["", "own"]);
    assert!(device.0.wait().unwrap().success());
}

#[test]
fn files_of_a_manager_in_rust() {
    if lab::part().is_some() {
        return memory::serve();
    }
    let lab = Lab::new();
    let _device = lab.start(lab.again("files_of_a_manager_in_rust", "device"));
    run(&lab, "tests/c/file.c", &[]);
}

#[test]
fn a_tree_and_a_file_beside_it() {
    let lab = Lab::new();
    let mut tree = serve(&lab, "tests/c/tree.c");
    run(&lab, "tests/c/walk.c", &[]);
    assert!(tree.0.wait().unwrap().success());
}

#[test]
fn the_example_in_c() {
    let lab = Lab::new();
    let counter = compile(&lab, "examples/counter.c");
    let _counter = Running(lab.command(&counter).spawn().unwrap());
    run(&lab, "tests/c/count.c", &[]);
}
