//! The project's own commands, run as `cargo xtask COMMAND`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user on the standard streams"
)]

mod conformance;
mod soak;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None | Some("help" | "--help" | "-h") => {
            print!("{USAGE}\n{}\n{}\n", conformance::USAGE, soak::USAGE);
            ExitCode::SUCCESS
        }
        Some("soak") => finish(soak::run(&arguments.collect::<Vec<_>>())),
        Some("conformance") => finish(conformance::run(&arguments.collect::<Vec<_>>())),
        Some(unknown) => {
            eprintln!("unknown command `{unknown}`\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
