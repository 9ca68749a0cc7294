//! `cargo xtask soak NAME`: the long form of tests that CI runs short.

use crate::integration::{self, Relay};
use crate::program::{Failure, Program};
use crate::{conformance, fuzz};

/// Name, minutes unless told, and the function that runs it.
type Soak = (&'static str, u64, fn(&Options) -> Result<(), Failure>);

const SOAKS: &[Soak] = &[
    ("stress", 1, stress),
    ("interleavings", 1, interleavings),
    ("churn", 1, churn),
    ("restarts", 4, restarts),
    ("updates", 1, updates),
    ("refreshes", 1, refreshes),
    ("conformance", 1, conformance),
    ("fuzz", 5, fuzz),
];

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let ((name, .., soak), options) = parse(arguments)?;
    soak(&options).map_err(|failure| Failure::new(format!("{name}: {failure}")))
}

/// Many tasks against a relay proxy that is killed, stopped, restarted and edited.
fn stress(options: &Options) -> Result<(), Failure> {
    let tests = integration::tests(&Relay::Auto.resolve()?)?
        .args(["--test", "stress", "--", "--nocapture", "--include-ignored"])
        .env("GOFF_STRESS_SECONDS", (options.minutes * 60).to_string());
    options.seeded(tests).run()
}

/// Late answers and invalidations in random order. Their number is given, not the time they take.
fn interleavings(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 10_000;
    let tests = Program::cargo(["test", "--package", "goff-client", "--test", "remote"])
        .args(["stale_writes", "--", "--nocapture"])
        .env(
            "GOFF_INTERLEAVINGS",
            (options.minutes * EACH_MINUTE).to_string(),
        );
    options.seeded(tests).run()
}

/// Other files that come and go beside a watched flag file. Their number is given, not the time
/// they take.
fn churn(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 10_000;
    Program::cargo(["test", "--package", "goff-client", "--features", "file"])
        .args(["--lib", "--", "--nocapture", "churn_of_other_files"])
        .env(
            "GOFF_CHURN_WRITES",
            (options.minutes * EACH_MINUTE).to_string(),
        )
        .run()
}

/// A relay proxy that is restarted under in-process evaluation. Their number is given, not the time they take.
fn restarts(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 50;
    integration::tests(&Relay::Auto.resolve()?)?
        .args([
            "--test",
            "scenarios",
            "in_process_restarts",
            "--",
            "--nocapture",
            "--include-ignored",
        ])
        .env("GOFF_RESTARTS", (options.minutes * EACH_MINUTE).to_string())
        .run()
}

/// Changes of flags that nobody has subscribed to. Their number is given, not the time they take.
fn updates(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 10_000;
    Program::cargo(["test", "--package", "goff-client", "--test", "in_process"])
        .args(["updates", "--", "--nocapture"])
        .env("GOFF_UPDATES", (options.minutes * EACH_MINUTE).to_string())
        .run()
}

/// Configurations that replace one another. Their number is given, not the time they take.
fn refreshes(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 10_000;
    let arguments = ["test", "--release", "--package", "goff-client"];
    Program::cargo(arguments)
        .args(["--test", "refresh_memory", "--", "--nocapture"])
        .env(
            "GOFF_REFRESHES",
            (options.minutes * EACH_MINUTE).to_string(),
        )
        .run()
}

/// Random documents beside the official engine. Their number is given, not the time they take.
fn conformance(options: &Options) -> Result<(), Failure> {
    const EACH_MINUTE: u64 = 200_000;
    let arguments = [
        "--random".to_owned(),
        (options.minutes * EACH_MINUTE).to_string(),
        "--seed".to_owned(),
        options.seed.unwrap_or(1).to_string(),
    ];
    conformance::run(&arguments).map_err(Failure::new)
}

/// The engine's fuzz targets.
fn fuzz(options: &Options) -> Result<(), Failure> {
    fuzz::for_minutes(options.minutes, options.seed.unwrap_or(0))
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    minutes: u64,
    /// The test takes one of its own and prints it if there is none.
    seed: Option<u64>,
}

impl Options {
    fn seeded(&self, tests: Program) -> Program {
        match self.seed {
            Some(seed) => tests.env("GOFF_SEED", seed.to_string()),
            None => tests.env_remove("GOFF_SEED"),
        }
    }
}

fn parse(arguments: &[String]) -> Result<(&'static Soak, Options), Failure> {
    let names: Vec<&str> = SOAKS.iter().map(|(name, ..)| *name).collect();
    let known = || format!("the names are {}", names.join(", "));
    let (name, arguments) = arguments
        .split_first()
        .ok_or_else(|| Failure::new(format!("which one? {}", known())))?;
    let soak = SOAKS
        .iter()
        .find(|(known, ..)| known == name)
        .ok_or_else(|| Failure::new(format!("unknown name `{name}`; {}", known())))?;
    let mut options = Options {
        minutes: soak.1,
        seed: None,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (argument.as_str(), number) {
            ("--minutes", Some(minutes @ 1..)) => options.minutes = minutes,
            ("--seed", Some(seed)) => options.seed = Some(seed),
            ("--minutes" | "--seed", _) => {
                return Err(Failure::new(format!("`{argument}` needs a number")));
            }
            _ => return Err(Failure::new(format!("unknown argument `{argument}`"))),
        }
    }
    Ok((soak, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<(&'static str, Options), Failure> {
        let arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        super::parse(&arguments).map(|(soak, options)| (soak.0, options))
    }

    #[test]
    fn a_name_with_minutes_and_a_seed_is_understood() {
        let check = |words: &[&str], name: &str, minutes: u64, seed: Option<u64>| {
            assert_eq!(parse(words).unwrap(), (name, Options { minutes, seed }));
        };
        check(&["stress"], "stress", 1, None);
        check(&["stress", "--seed", "0"], "stress", 1, Some(0));
        check(
            &["interleavings", "--minutes", "5", "--seed", "7"],
            "interleavings",
            5,
            Some(7),
        );
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let check = |words: &[&str], named: &str| {
            let failure = parse(words).unwrap_err().to_string();
            assert!(failure.contains(named), "{failure}");
        };
        check(&[], "stress, interleavings");
        check(&["stres"], "`stres`; the names are stress");
        check(&["stress", "--minutes"], "`--minutes` needs a number");
        check(&["stress", "--minutes", "0"], "`--minutes` needs a number");
        check(&["stress", "--seed", "-1"], "`--seed` needs a number");
        check(&["stress", "--hours", "1"], "`--hours`");
    }
}
