//! `cargo xtask tck`: the feature files of OpenFeature's suites, run against relay proxies.

use std::fs;
use std::path::PathBuf;

use crate::integration::{Relay, parse_relay, with_relay};
use crate::program::{Failure, Missing, Program, root, target};

/// Runs the suites of a checkout of open-feature/spec; `--write` writes [`REPORT`], the report in the repository.
///
/// The runner, `tests-tck`, is a separate workspace, because cucumber brings fifty crates that nothing else needs.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    if options.suites.is_empty() {
        let hint = "--suite DIR names a checkout of https://github.com/open-feature/spec";
        return Err(format!("no suite: {hint}").into());
    }
    let results = target().join("tck");
    // Absent unless there was an earlier run.
    let _ = fs::remove_dir_all(&results);
    let mut failures = Vec::new();
    for relay in &options.relays {
        let relay = relay.clone().resolve()?;
        println!("The suites against {relay}.");
        let name = match relay {
            Relay::Embedded => "embedded",
            _ => "real",
        };
        let runner = with_relay(runner("run --locked --quiet -- run"), &relay)?
            .args([name])
            .args([&results])
            .args(&options.suites);
        if let Err(failure) = runner.run() {
            failures.push(failure.to_string());
        }
    }
    let report = match options.write {
        true => root().join(REPORT),
        false => results.join("report.md"),
    };
    if results.exists() {
        runner("run --locked --quiet -- report")
            .args([&results, &report])
            .run()?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("; ").into()),
    }
}

/// What release-check does of it: without a suite, the runner is only compiled, and that is said.
pub(crate) fn for_release() -> Result<(), Failure> {
    runner("clippy --locked --all-targets -- -D warnings").run()?;
    match std::env::var_os(SUITE) {
        Some(suite) if !suite.is_empty() => {
            let suite = suite.to_string_lossy();
            run(&["--suite".to_owned(), suite.into_owned()])
        }
        _ => {
            let why =
                format!("{SUITE} names no checkout of open-feature/spec, which git clone makes");
            Err(Missing(why).into())
        }
    }
}

const REPORT: &str = "docs/tck-report.md";

/// Names the suite for release-check.
const SUITE: &str = "GOFF_TCK_SUITE";

fn runner(arguments: &str) -> Program {
    Program::cargo(arguments)
        .directory(&root().join("tests-tck"))
        .env("CARGO_TARGET_DIR", target())
}

struct Options {
    suites: Vec<PathBuf>,
    relays: Vec<Relay>,
    write: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            suites: Vec::new(),
            relays: Vec::new(),
            write: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or(format!("`{argument}` needs a value"))
            };
            match argument.as_str() {
                "--suite" => options.suites.push(std::path::absolute(value()?)?),
                "--relay" => options.relays.push(parse_relay(value()?)?),
                "--write" => options.write = true,
                other => return Err(format!("unknown argument `{other}`").into()),
            }
        }
        if options.relays.is_empty() {
            options.relays = vec![Relay::Embedded, Relay::Auto];
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::words;

    #[test]
    fn both_relay_proxies_are_the_default_and_what_is_incomplete_is_refused() {
        let options = Options::parse(&words("--suite a --suite b")).unwrap();
        assert_eq!(options.relays, [Relay::Embedded, Relay::Auto]);
        assert_eq!(options.suites.len(), 2);
        let options = Options::parse(&words("--relay embedded --write")).unwrap();
        assert_eq!(options.relays, [Relay::Embedded]);
        assert!(options.write);
        for (arguments, named) in [
            ("--suite", "`--suite`"),
            ("--relay elsewhere", "`--relay elsewhere`"),
            ("elsewhere", "`elsewhere`"),
        ] {
            let failure = Options::parse(&words(arguments)).err().unwrap();
            assert!(failure.to_string().contains(named), "{failure}");
        }
        let failure = run(&[]).unwrap_err().to_string();
        assert!(failure.contains("--suite DIR"), "{failure}");
    }
}
