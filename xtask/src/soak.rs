//! `cargo xtask soak NAME`: the long form of tests that CI runs short.

use crate::integration::{self, Relay};
use crate::program::{Failure, Program, number, words};
use crate::{conformance, fuzz};

/// Name, default minutes, and the function that runs it.
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
    ("hostile", 2, hostile),
    ("outage", 1, outage),
    ("fleet", 1, fleet),
];

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let ((name, .., soak), options) = parse(arguments)?;
    soak(&options).map_err(|failure| format!("{name}: {failure}").into())
}

/// Runs each soak with its default minutes, up to the first that fails.
pub(crate) fn all() -> Result<(), Failure> {
    SOAKS.iter().try_for_each(|(name, ..)| run(&words(name)))
}

/// The names, for the usage text.
pub(crate) fn names() -> String {
    let names: Vec<&str> = SOAKS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

/// Many tasks against a relay proxy that is killed, stopped, restarted and edited.
fn stress(options: &Options) -> Result<(), Failure> {
    let tests = integration::tests(&Relay::Auto.resolve()?)?
        .words("--test stress -- --nocapture --include-ignored")
        .env("GOFF_STRESS_SECONDS", (options.minutes * 60).to_string());
    options.seeded(tests).run()
}

/// Late answers and invalidations in random order.
fn interleavings(options: &Options) -> Result<(), Failure> {
    let test = "--test remote stale_writes -- --nocapture";
    let test = options.test_of_client(test, "GOFF_INTERLEAVINGS");
    options.seeded(test).run()
}

/// Other files that come and go beside a watched flag file.
fn churn(options: &Options) -> Result<(), Failure> {
    let test = "--features file --lib -- --nocapture churn_of_other_files";
    options.test_of_client(test, "GOFF_CHURN_WRITES").run()
}

/// A relay proxy that is restarted under in-process evaluation.
fn restarts(options: &Options) -> Result<(), Failure> {
    integration::tests(&Relay::Auto.resolve()?)?
        .words("--test scenarios in_process_restarts -- --nocapture --include-ignored")
        .env("GOFF_RESTARTS", (options.minutes * 50).to_string())
        .run()
}

/// Changes of flags without a subscriber.
fn updates(options: &Options) -> Result<(), Failure> {
    let test = "--test in_process updates -- --nocapture";
    options.test_of_client(test, "GOFF_UPDATES").run()
}

/// Configurations that replace one another.
fn refreshes(options: &Options) -> Result<(), Failure> {
    let test = "--release --test refresh_memory -- --nocapture";
    options.test_of_client(test, "GOFF_REFRESHES").run()
}

/// Random documents beside the official engine.
fn conformance(options: &Options) -> Result<(), Failure> {
    let count = usize::try_from(options.minutes * 50_000).unwrap_or(usize::MAX);
    conformance::random(count, options.seed.unwrap_or(1))
}

/// The engine's fuzz targets.
fn fuzz(options: &Options) -> Result<(), Failure> {
    fuzz::for_minutes(options.minutes, options.seed.unwrap_or(0))
}

/// Every way in which a relay proxy can be out of reach.
fn outage(options: &Options) -> Result<(), Failure> {
    let tests = integration::tests(&Relay::Auto.resolve()?)?
        .words("--test outage -- --nocapture --include-ignored")
        .env("GOFF_OUTAGE_SECONDS", (options.minutes * 60).to_string());
    options.seeded(tests).run()
}

/// Hundreds of clients on one relay proxy, and on three behind a balancer. Without debug assertions and at full
/// optimization, since clients and relay proxies share the processors.
fn fleet(options: &Options) -> Result<(), Failure> {
    integration::tests(&Relay::Auto.resolve()?)?
        .words("--release --test fleet -- --nocapture --include-ignored")
        .env("GOFF_FLEET_SECONDS", (options.minutes * 60).to_string())
        .env(
            "GOFF_FLEET_CLIENTS",
            options.clients.unwrap_or(300).to_string(),
        )
        .run()
}

/// Flag files, configurations and answers made to exhaust the client.
fn hostile(options: &Options) -> Result<(), Failure> {
    let test = Program::cargo("test --package goff-client --features file")
        .words("--test hostile -- --nocapture")
        .env("GOFF_HOSTILE_SECONDS", (options.minutes * 60).to_string());
    options.seeded(test).run()
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// Some soaks repeat something so many times in a minute, and take as long as that takes.
    minutes: u64,
    /// Without a seed, the test chooses one and prints it.
    seed: Option<u64>,
    /// The number of clients of each kind, where a soak has clients.
    clients: Option<u64>,
}

impl Options {
    fn seeded(&self, tests: Program) -> Program {
        match self.seed {
            Some(seed) => tests.env("GOFF_SEED", seed.to_string()),
            None => tests.env_remove("GOFF_SEED"),
        }
    }

    /// Tests of goff-client, repeated so often as a variable says: ten thousand times for a minute.
    fn test_of_client(&self, test: &str, variable: &str) -> Program {
        Program::cargo("test --package goff-client")
            .words(test)
            .env(variable, (self.minutes * 10_000).to_string())
    }
}

fn parse(arguments: &[String]) -> Result<(&'static Soak, Options), Failure> {
    let wrong = || format!("the names are {}", names());
    let (name, arguments) = arguments.split_first().ok_or_else(wrong)?;
    let soak = SOAKS.iter().find(|(known, ..)| known == name);
    let soak = soak.ok_or_else(wrong)?;
    let (mut minutes, mut seed, mut clients) = (soak.1, None, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--minutes" => minutes = number(argument, arguments.next())?,
            "--seed" => seed = Some(number(argument, arguments.next())?),
            "--clients" if soak.0 == "fleet" => clients = Some(number(argument, arguments.next())?),
            _ => return Err(format!("unknown argument `{argument}`").into()),
        }
    }
    if minutes == 0 || clients == Some(0) {
        return Err("`--minutes` and `--clients` need a number above 0".into());
    }
    let options = Options {
        minutes,
        seed,
        clients,
    };
    Ok((soak, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<(&'static str, Options), Failure> {
        super::parse(&words(arguments)).map(|(soak, options)| (soak.0, options))
    }

    #[test]
    fn a_name_with_minutes_and_a_seed_is_understood() {
        let check = |arguments: &str, name: &str, minutes: u64, seed: Option<u64>| {
            let options = Options {
                minutes,
                seed,
                clients: None,
            };
            assert_eq!(parse(arguments).unwrap(), (name, options));
        };
        check("stress", "stress", 1, None);
        check("stress --seed 0", "stress", 1, Some(0));
        check(
            "interleavings --minutes 5 --seed 7",
            "interleavings",
            5,
            Some(7),
        );
        let (name, options) = parse("fleet --clients 50").unwrap();
        assert_eq!(
            (name, options.minutes, options.clients),
            ("fleet", 1, Some(50))
        );
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let check = |arguments: &str, named: &str| {
            let failure = parse(arguments).unwrap_err().to_string();
            assert!(failure.contains(named), "{failure}");
        };
        check("", "the names are stress, interleavings");
        check("stres", "the names are stress");
        check("stress --minutes", "`--minutes` needs a number");
        check(
            "stress --minutes 0",
            "`--minutes` and `--clients` need a number",
        );
        check("fleet --clients 0", "`--clients` need a number");
        check("stress --clients 9", "`--clients`");
        check("stress --seed -1", "`--seed` needs a number");
        check("stress --hours 1", "`--hours`");
    }
}
