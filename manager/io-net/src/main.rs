//! `io-net`: see `io-net --help`.

use io_net::args::{self, Request};
use io_net::config::Config;
use io_net::control::Control;
use io_net::devfs;
use io_net::lifecycle::Manager;
use io_net::log::Log;
use io_net::run_dir;
use io_net_os::signalfd::{INT, Signals, TERM};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// The arguments make no sense.
const USAGE: u8 = 1;
/// It could not start.
const START: u8 = 2;
/// It ended with packets missing, or could not end in order.
const LEAK: u8 = 3;

fn main() -> ExitCode {
    let request = match args::parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    match request {
        Request::Help => print(args::USAGE),
        Request::Version => print(concat!("io-net ", env!("CARGO_PKG_VERSION"), "\n")),
        Request::Run(config) => run(&config).unwrap_or_else(|error| fail(START, &error)),
    }
}

/// A closed stdout or stderr is no reason to fail.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "io-net: {error}");
    ExitCode::from(code)
}

fn run(config: &Config) -> Result<ExitCode, String> {
    // Before any thread starts, so that all of them leave signals to this one.
    let signals = Signals::new(&[INT, TERM]).map_err(|e| format!("cannot take signals: {e}"))?;
    let uid = io_net_os::task::user_id();
    let dir = config.run_dir.clone().unwrap_or_else(|| {
        let user_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        run_dir::usual(config.instance, uid, user_dir.as_ref().map(Path::new))
    });
    run_dir::make(&dir, uid)?;
    // Each socket of a program is a descriptor here too.
    let limit = io_net_os::fd::raise_limit();
    let mut control = Control::new(&dir, uid)?;
    let log = Log::new(config.verbose, false);
    if let Err(e) = limit {
        log.warning(format_args!(
            "the limit on open descriptors stays as it is: {e}"
        ));
    }
    let mut manager = Manager::new(config, dir, log)?;
    if config.dev {
        let dir = config.dev_dir.as_deref();
        devfs::attach(&mut manager, control.handle(), dir, config.instance);
    }
    let mut started = Ok(());
    for spec in &config.modules {
        if let Err(failure) = manager.mount(spec) {
            started = Err(failure);
            break;
        }
    }
    if started.is_ok() {
        manager.shared().log.info("ready");
        control
            .run(&mut manager, &signals)
            .map_err(|e| format!("cannot wait for events: {e}"))?;
    }
    // From here on, a second signal ends the process at once.
    let _ = signals.unblock();
    control.close();
    let stopped = manager.stop();
    if let Err(failure) = started {
        return Ok(fail(START, &failure.to_string()));
    }
    Ok(match stopped {
        Ok(leaked) => {
            let code = if leaked == 0 { 0 } else { LEAK };
            fail(code, &format!("leaked {leaked} packets"))
        }
        Err(failure) => fail(LEAK, &failure.to_string()),
    })
}
