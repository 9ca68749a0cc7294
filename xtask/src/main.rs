//! The project's own commands, run as `cargo xtask COMMAND`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user on the standard streams"
)]

mod bench;
mod ci;
mod conformance;
mod fuzz;
mod integration;
mod packages;
mod parts;
mod platforms;
mod program;
mod relay_proxy;
mod release_check;
mod soak;
mod tck;
mod tidy;
mod wasm;
mod workspace;

use std::process::ExitCode;

use program::{Failure, Program};

/// Name, arguments, what it does, and the function that does it.
type Command = (
    &'static str,
    &'static str,
    &'static str,
    fn(&[String]) -> Result<(), Failure>,
);

const COMMANDS: &[Command] = &[
    (
        "test",
        "[ARGS]",
        "every test that needs only Rust; ARGS are those of `cargo test`",
        test,
    ),
    (
        "integration",
        "[--relay SOURCE] [-- ARGS]",
        "the tests against a relay proxy; SOURCE is auto, docker, go, embedded, binary=PATH or endpoint=URL",
        integration::run,
    ),
    (
        "conformance",
        "[--vectors FILE…] [--random N] [--seed S] | report",
        "the engine beside the official one, by recorded answers or random documents; report writes CONFORMANCE.md",
        |arguments| match arguments.split_first() {
            Some((first, rest)) if first == "report" => conformance::report::run(rest),
            _ => conformance::run(arguments),
        },
    ),
    (
        "bench",
        "[FILTER] [--json FILE] | peers [--rounds N] [--leave-out PEER]… | peers --builds",
        "the benchmarks beside their baselines; peers writes BENCHMARKS.md",
        |arguments| match arguments.split_first() {
            Some((first, rest)) if first == "peers" => bench::peers::run(rest),
            _ => bench::run(arguments),
        },
    ),
    (
        "soak",
        "NAME [--minutes N] [--seed S] [--clients N]",
        "the long form of a test that CI runs short; NAME is NAMES",
        soak::run,
    ),
    (
        "packages",
        "",
        "the packages as crates.io would get them, compiled and tested",
        packages::run,
    ),
    (
        "public-api",
        "",
        "lists the public items of the libraries in api/, for the review of a change",
        release_check::public_api::write,
    ),
    (
        "platforms",
        "",
        "the libraries compiled for Windows, macOS and WebAssembly",
        platforms::run,
    ),
    (
        "wasm",
        "[--beside] [--documents N] [--evaluations N]",
        "the engine as a WebAssembly module, tested in a host; --beside: and the official module and the Python provider",
        wasm::run,
    ),
    (
        "tck",
        "--suite DIR [--relay SOURCE]… [--write]",
        "OpenFeature's feature files, in a checkout of open-feature/spec, against the embedded and the real relay proxy; \
         --write: docs/tck-report.md",
        tck::run,
    ),
    (
        "tidy",
        "[CHECK…]",
        "the checks of the project's structure",
        tidy::run,
    ),
    (
        "ci",
        "",
        "what every change must pass, with the time of each part",
        ci::run,
    ),
    (
        "release-check",
        "[PART…]",
        "what a release must pass and ci does not run; PART is PARTS",
        release_check::run,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = match arguments.split_first() {
        None => ("help", Default::default()),
        Some((name, rest)) => (name.as_str(), rest),
    };
    if let "help" | "--help" | "-h" = name {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some((.., run)) = COMMANDS.iter().find(|(known, ..)| *known == name) else {
        eprint!("unknown command `{name}`\n\n{}", usage());
        return ExitCode::FAILURE;
    };
    match run(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cargo xtask {name}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut usage = String::from("usage: cargo xtask COMMAND\n\n");
    for (name, arguments, what, _) in COMMANDS {
        let what = what.replace("NAMES", &soak::names());
        let what = what.replace("PARTS", &release_check::names());
        usage.push_str(&format!("{name} {arguments}\n    {what}\n"));
    }
    usage
}

/// The default members need only Rust. Without arguments, the integration tests follow, with the embedded relay proxy.
fn test(arguments: &[String]) -> Result<(), Failure> {
    Program::cargo("test").args(arguments).run()?;
    if arguments.is_empty() {
        integration::run_against(&integration::Relay::Embedded, &[])?;
    }
    Ok(())
}
