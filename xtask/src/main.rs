//! The project's chores, one file a verb: `cargo xtask VERB`.
#![forbid(unsafe_code)]

mod abi;
mod bench;
mod check;
mod demo;
mod header;
mod layers;
mod new_module;
mod packages;
mod shell;
mod stage;
mod style;
mod test;
mod workspace;

use clap::{Parser, Subcommand};
use shell::Outcome;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the io-net project")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything and lay it out in target/stage as it is installed
    Stage {
        /// Build without optimisation
        #[arg(long)]
        debug: bool,
    },
    /// Generate ddk.h and abi.lock from ddk/abi
    Header {
        /// Change nothing; fail where the committed files differ
        #[arg(long)]
        check: bool,
    },
    /// Check who imports whom, sizes of functions and files, and where unsafe code is
    Layers,
    /// What must hold before a commit: format, lints, layers, header, documentation
    Check,
    /// Run all tests: units, then end to end on the staged build
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Make a new module from modules/template
    NewModule {
        /// What it is
        kind: new_module::Kind,
        /// With or without the prefix: `null` and `devn-null` make modules/devn-null
        name: String,
    },
    /// Show the main job on real programs, in a private namespace
    Demo,
    /// Measure io-net against its peers; one JSON line a result
    Bench {
        /// Which; all where none is given
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Stage { debug } => stage::run(debug),
        Verb::Header { check } => header::run(check),
        Verb::Layers => layers::run().and_then(|()| style::run()),
        Verb::Check => check::run(),
        Verb::Test { filter } => test::run(filter.as_deref()),
        Verb::NewModule { kind, name } => new_module::run(kind, &name),
        Verb::Demo => demo::run(),
        Verb::Bench { names } => bench::run(&names),
    };
    report(outcome)
}

fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
