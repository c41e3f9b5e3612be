//! Runs an unmodified program over io-net's sockets: sets `LD_PRELOAD` and `SOCK`, makes sure that
//! they will have an effect, and becomes the program.
//!
//! The dynamic loader says nothing when it cannot load a preloaded library, and the program would
//! then use the kernel's network unnoticed. So everything that can go wrong is looked at first, and
//! the loader is asked (by listing, without running the program) whether it takes the shim.

#![forbid(unsafe_code)]

mod args;
mod program;
mod shim;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use args::{Args, Parsed};

/// What could not be done, why, and what to do about it, in one text.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Run(args)) => args,
        Ok(Parsed::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(e) => return fail(&e, 2),
    };
    match run(&args) {
        Ok(error) => fail(
            &format!("cannot run {}: {error}", args.program.to_string_lossy()),
            126,
        ),
        Err(e) => fail(&e, 125),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    eprintln!("io-net-run: {text}");
    ExitCode::from(code)
}

/// Returns only if the program could not be started.
fn run(args: &Args) -> Outcome<std::io::Error> {
    let shim = shim::find(args.preload.as_deref())?;
    let program = program::find(&args.program)?;
    let loaded = program::loaded(&program)?;
    shim::check(&shim, &loaded)?;
    let directory = match &args.sock {
        Some(directory) => directory.clone(),
        None => io_net_socket::session::directory(),
    };
    check_answers(&directory)?;
    let mut command = Command::new(&program);
    command
        .arg0(&args.program)
        .args(&args.arguments)
        .env("SOCK", &directory);
    command.env(
        "LD_PRELOAD",
        shim::preload(&shim, std::env::var_os("LD_PRELOAD")),
    );
    Ok(command.exec())
}

/// Makes sure that an io-net with TCP/IP serves `directory`.
fn check_answers(directory: &Path) -> Outcome<()> {
    io_net_socket::session::check(directory).map_err(|e| {
        format!(
            "no TCP/IP at {}: {e}; start one with \"io-net -d tap -p tcpip\", or say where it is \
             with --sock DIR or SOCK=DIR",
            directory.join("socket").display()
        )
    })
}
