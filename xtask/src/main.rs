//! The project's own commands, run as `cargo xtask COMMAND`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user on the standard streams"
)]

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None | Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some(unknown) => {
            eprintln!("unknown command `{unknown}`\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}
