//! `cargo xtask ci`: exactly what CI runs.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::integration::{self, Relay};
use crate::program::{Failure, Program};
use crate::{conformance, fuzz, relay_proxy, tidy, workspace};

/// Runs every part, even after one has failed, and ends with the time of each.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::new(format!("unknown argument `{argument}`")));
    }
    let relay = Relay::Auto.resolve();
    // The Go build takes minutes when its caches are cold, so it goes on beside the first parts.
    let build = match relay {
        Ok(Relay::Go) => Some(thread::spawn(relay_proxy::build)),
        _ => None,
    };

    let mut report = Report::default();
    report.part("format", || {
        Program::cargo(["fmt", "--all", "--check"]).run()
    });
    report.part("tidy", || tidy::run(&[]));
    report.part("clippy, all features", clippy_with_all_features);
    report.part("clippy, each feature alone", clippy_with_each_feature);
    report.part("documentation", documentation);
    report.part("tests", tests);
    report.part("integration, embedded relay proxy", || {
        integration::run_against(&Relay::Embedded, &[])
    });
    report.part("waiting for the relay proxy", || {
        match build.map(thread::JoinHandle::join) {
            None => Ok(()),
            Some(Ok(built)) => built.map(drop),
            Some(Err(_)) => Err(Failure::new("the build panicked")),
        }
    });
    report.part("conformance with the official engine", conformance);
    report.part("fuzzing", fuzzing);
    report.part("integration", || integration::run_against(&relay?, &[]));
    report.finish()
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Among the lints is `clippy::incompatible_msrv`: the standard library of the stated `rust-version` suffices.
fn clippy_with_all_features() -> Result<(), Failure> {
    Program::cargo(["clippy", "--workspace", "--all-targets", "--all-features"])
        .args(DENY_WARNINGS)
        .run()
}

/// Each library alone, so that no other member's features help it: without features, and with each of its own.
fn clippy_with_each_feature() -> Result<(), Failure> {
    let mut failures = Vec::new();
    for package in workspace::packages()?
        .values()
        .filter(|package| package.has_library)
    {
        let none = String::new();
        for feature in [&none].into_iter().chain(&package.features) {
            let outcome =
                Program::cargo(["clippy", "--quiet", "--package", &package.name, "--lib"])
                    .args(["--no-default-features", &format!("--features={feature}")])
                    .args(DENY_WARNINGS)
                    .run();
            failures.extend(outcome.err().map(|failure| failure.to_string()));
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(failures.join("\n")))
    }
}

fn documentation() -> Result<(), Failure> {
    Program::cargo(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

fn tests() -> Result<(), Failure> {
    Program::cargo(["test", "--workspace", "--all-features", "--no-fail-fast"])
        .args(["--exclude", "goff-tests-integration"])
        .run()
}

/// The recorded answers, and random documents beside the official engine.
fn conformance() -> Result<(), Failure> {
    conformance::run(&[]).map_err(Failure::new)?;
    let arguments = ["--random", "20000", "--seed", "1"].map(ToOwned::to_owned);
    conformance::run(&arguments).map_err(Failure::new)
}

/// Ten seconds a target.
fn fuzzing() -> Result<(), Failure> {
    fuzz::run(10, 0)
}

#[derive(Debug, Default)]
struct Report {
    parts: Vec<(&'static str, Duration, Result<(), Failure>)>,
}

impl Report {
    fn part(&mut self, name: &'static str, run: impl FnOnce() -> Result<(), Failure>) {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = run();
        if let Err(failure) = &outcome {
            println!("{failure}");
        }
        self.parts.push((name, start.elapsed(), outcome));
    }

    fn finish(self) -> Result<(), Failure> {
        println!("\n{}", self.summary());
        match self
            .parts
            .iter()
            .filter(|(.., outcome)| outcome.is_err())
            .count()
        {
            0 => Ok(()),
            failed => Err(Failure::new(format!(
                "{failed} of {} parts failed",
                self.parts.len()
            ))),
        }
    }

    fn summary(&self) -> String {
        let mut summary = String::new();
        let mut total = Duration::ZERO;
        for (name, time, outcome) in &self.parts {
            total += *time;
            let outcome = if outcome.is_ok() { "ok" } else { "FAILED" };
            // Writing to a string does not fail.
            let _ = writeln!(
                summary,
                "{:>8.1} s  {outcome:<6}  {name}",
                time.as_secs_f64()
            );
        }
        let _ = write!(summary, "{:>8.1} s  in all", total.as_secs_f64());
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_fails_the_whole_and_the_next_still_runs() {
        let mut report = Report::default();
        let mut ran = false;
        report.part("first", || Err(Failure::new("on purpose")));
        report.part("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        let summary = report.summary();
        assert!(
            summary.contains("FAILED  first") && summary.contains("ok      second"),
            "{summary}"
        );
        assert_eq!(
            report.finish().unwrap_err().to_string(),
            "1 of 2 parts failed"
        );
    }
}
