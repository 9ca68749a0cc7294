//! `cargo xtask ci`: what every change must pass.

use std::thread;

use crate::integration::{self, Relay};
use crate::parts::Parts;
use crate::program::{Failure, Program, no_arguments};
use crate::{conformance, fuzz, packages, platforms, relay_proxy, tidy};

/// Runs every part, even after one has failed, and ends with the time of each.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let relay = Relay::Auto.resolve();
    // The Go build takes minutes when its caches are cold, so it runs beside the first parts.
    let build = match relay {
        Ok(Relay::Go) => Some(thread::spawn(relay_proxy::build)),
        _ => None,
    };

    let mut parts = Parts::default();
    parts.run("format", || Program::cargo("fmt --all --check").run());
    parts.run("tidy", || tidy::run(&[]));
    parts.run("licenses, sources and bans", || {
        Program::cargo("deny check bans licenses sources").run()
    });
    parts.run("clippy, all features", || {
        // Among the lints is `clippy::incompatible_msrv`: the standard library of the stated `rust-version` suffices.
        Program::cargo("clippy --workspace --all-targets --all-features -- -D warnings").run()
    });
    parts.run("clippy, each feature alone", || {
        clippy_with_features("--each-feature")
    });
    parts.run("documentation", || {
        Program::cargo("doc --workspace --no-deps --all-features")
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    });
    parts.run("platforms", || platforms::run(&[]));
    parts.run("tests", || {
        Program::cargo("test --workspace --all-features --no-fail-fast")
            .words("--exclude goff-tests-integration")
            .run()
    });
    parts.run("packages", || packages::run(&[]));
    parts.run("integration, embedded relay proxy", || {
        integration::run_against(&Relay::Embedded, &[])
    });
    parts.run("waiting for the relay proxy", || {
        match build.map(thread::JoinHandle::join) {
            None => Ok(()),
            Some(Ok(built)) => built.map(drop),
            Some(Err(_)) => Err("the build panicked".into()),
        }
    });
    parts.run("conformance, recorded answers", || conformance::run(&[]));
    parts.run("conformance, random documents", || {
        conformance::random(20_000, 1)
    });
    parts.run("fuzzing, 10 seconds a target", || fuzz::run(10, 0));
    parts.run("integration, relay proxy", || {
        integration::run_against(&relay?, &[])
    });
    parts.finish()
}

/// Each library alone, with the combinations of features that these arguments of cargo-hack choose. cargo refuses
/// `--lib` for goff-cli and the example, which have neither a library nor features.
pub(crate) fn clippy_with_features(combinations: &str) -> Result<(), Failure> {
    Program::cargo("hack clippy --workspace --exclude xtask --exclude goff-cli --lib")
        .words("--exclude typed-flags")
        .words(combinations)
        .words("-- -D warnings")
        .run()
}
