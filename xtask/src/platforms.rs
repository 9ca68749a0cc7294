//! The libraries compile for platforms on which CI does not run.

use std::path::Path;

use crate::program::{Failure, Program, no_arguments};

/// Target and what is checked for it. Without TLS, whose cryptography needs a C compiler for the target.
const CHECKS: &[(&str, &str)] = &[
    ("x86_64-pc-windows-gnu", LIBRARIES),
    ("aarch64-apple-darwin", LIBRARIES),
    ("wasm32-unknown-unknown", "-p goff-engine --all-features"),
    ("wasm32-unknown-unknown", "-p goff-core"),
];

const LIBRARIES: &str = "-p goff-provider -p goff-testkit --no-default-features --features \
                         goff-provider/http,goff-provider/ws,goff-provider/in-process,goff-provider/file,\
                         goff-provider/unix,goff-provider/gzip,goff-provider/blocking,goff-provider/time,\
                         goff-provider/chrono,goff-provider/opentelemetry";

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    for (target, what) in CHECKS {
        let library = Program::new("rustc").args(["--print", "target-libdir", "--target", target]);
        if !Path::new(library.output()?.trim()).exists() {
            return Err(
                format!("`{target}` is not installed: `rustup target add {target}`").into(),
            );
        }
        Program::cargo("check --target")
            .args([target])
            .words(what)
            .env("RUSTFLAGS", "-D warnings")
            .run()?;
    }
    Ok(())
}
