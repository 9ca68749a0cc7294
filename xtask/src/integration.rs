//! `cargo xtask integration`: the tests against a relay proxy, real or embedded.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use crate::program::{self, Failure, Program};
use crate::relay_proxy;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    run_against(&options.relay.resolve()?, &options.test_arguments)
}

/// Runs the tests that the relay proxy suits; `Relay::Auto` must have been resolved.
pub(crate) fn run_against(relay: &Relay, test_arguments: &[String]) -> Result<(), Failure> {
    let directory = program::root().join(".relay");
    fs::create_dir_all(&directory)?;
    let report = directory.join("report.txt");
    // Absent unless there was an earlier run.
    let _ = fs::remove_file(&report);
    let mut arguments = test_arguments.splitn(2, |argument| argument == "--");
    let (of_cargo, of_tests) = (arguments.next(), arguments.next());
    let skipped = relay.unsuitable().iter().flat_map(|name| ["--skip", name]);
    let tests = tests(relay)?
        .words("--no-fail-fast")
        .args(of_cargo.unwrap_or_default())
        .words("-- --include-ignored")
        .args(skipped)
        .args(of_tests.unwrap_or_default())
        .env("GOFF_RELAY_REPORT", &report);
    let server = relay.to_string();
    println!("Integration tests against {server}.");
    let outcome = tests.run();
    print_left_out(relay)?;
    print_versions(&fs::read_to_string(report).unwrap_or_default(), &server);
    outcome
}

/// Lists the tests that the relay proxy does not suit.
fn print_left_out(relay: &Relay) -> Result<(), Failure> {
    let unsuitable = relay.unsuitable();
    if unsuitable.is_empty() {
        return Ok(());
    }
    let listed = tests(relay)?
        .words("--quiet --tests -- --list --ignored")
        .args(unsuitable)
        .output()?;
    let left_out = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    println!("{} tests were left out:", left_out.clone().count());
    left_out.for_each(|name| println!("  {name}"));
    Ok(())
}

/// `cargo test` of the integration tests with the relay proxy at hand; `Relay::Auto` must have been resolved.
pub(crate) fn tests(relay: &Relay) -> Result<Program, Failure> {
    with_relay(
        Program::cargo("test --package goff-tests-integration"),
        relay,
    )
}

/// A program that starts relay proxies as the tests do, with the one at hand.
pub(crate) fn with_relay(tests: Program, relay: &Relay) -> Result<Program, Failure> {
    // Variables of the caller must not choose another relay proxy.
    let variables = ["BINARY", "COMPOSE_FILE", "EMBEDDED", "ENDPOINT"];
    let tests = variables.iter().fold(tests, |tests, name| {
        tests.env_remove(&format!("GOFF_RELAY_{name}"))
    });
    Ok(match relay {
        Relay::Docker => {
            let pull = "compose --profile integration pull --quiet relay";
            Program::new("docker").words(pull).run()?;
            let compose_file = program::root().join("docker-compose.yml");
            tests.env("GOFF_RELAY_COMPOSE_FILE", compose_file)
        }
        Relay::Go | Relay::Auto => tests.env("GOFF_RELAY_BINARY", relay_proxy::build()?),
        Relay::Binary(path) => {
            let path = std::path::absolute(path)?;
            if !path.is_file() {
                return Err(format!("`{}` is not a file", path.display()).into());
            }
            tests.env("GOFF_RELAY_BINARY", path)
        }
        Relay::Embedded => tests.env("GOFF_RELAY_EMBEDDED", "1"),
        Relay::Endpoint(url) => tests.env("GOFF_RELAY_ENDPOINT", url),
    })
}

/// Prints the versions of the relay proxies that the tests reported.
fn print_versions(report: &str, server: &str) {
    let mut versions: Vec<&str> = report.lines().collect();
    versions.sort_unstable();
    versions.dedup();
    let versions = versions.join(" and ");
    println!("Ran against {server}; it says it is {versions}.");
}

/// Where the relay proxy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    /// Docker if a daemon answers, else Go.
    Auto,
    /// The service `relay` of docker-compose.yml.
    Docker,
    /// Built with Go from tests-integration/relay.
    Go,
    /// A given binary.
    Binary(PathBuf),
    /// The one of goff-testkit, inside the tests.
    Embedded,
    /// A relay proxy that already runs.
    Endpoint(String),
}

impl fmt::Display for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = relay_proxy::VERSION;
        match self {
            Self::Docker => write!(formatter, "docker compose, relay proxy {version}"),
            Self::Go | Self::Auto => write!(formatter, "relay proxy {version}, built with Go"),
            Self::Binary(path) => write!(formatter, "the relay proxy {}", path.display()),
            Self::Embedded => write!(formatter, "the embedded relay proxy"),
            Self::Endpoint(url) => write!(
                formatter,
                "the relay proxy at {url}; it must serve tests-integration/relay/flags.yaml"
            ),
        }
    }
}

impl Relay {
    /// The modules of tests-integration whose tests need another relay proxy.
    fn unsuitable(&self) -> &'static [&'static str] {
        match self {
            Self::Auto | Self::Docker | Self::Go | Self::Binary(_) => &[],
            Self::Embedded => &["real_relay::"],
            Self::Endpoint(_) => &["started_relay::", "real_relay::"],
        }
    }

    pub(crate) fn resolve(self) -> Result<Self, Failure> {
        if self != Self::Auto {
            return Ok(self);
        }
        let docker = |arguments: &str| Program::new("docker").words(arguments).succeeds();
        if docker("compose version") && docker("info") {
            Ok(Self::Docker)
        } else if relay_proxy::go_is_installed() {
            Ok(Self::Go)
        } else {
            Err("a relay proxy is needed: install Docker with the compose plugin and start its daemon, or \
                install Go (https://go.dev/dl), or name a relay proxy with --relay binary=PATH or endpoint=URL"
                .into())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    relay: Relay,
    test_arguments: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            relay: Relay::Auto,
            test_arguments: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = match (argument.as_str(), argument.strip_prefix("--relay=")) {
                ("--", _) => {
                    options.test_arguments.extend(arguments.by_ref().cloned());
                    break;
                }
                ("--relay", _) => arguments.next().map_or("", String::as_str),
                (_, Some(value)) => value,
                (other, None) => {
                    let hint = "arguments of the tests go behind `--`";
                    return Err(format!("unknown argument `{other}`; {hint}").into());
                }
            };
            options.relay = parse_relay(value)?;
        }
        Ok(options)
    }
}

pub(crate) fn parse_relay(value: &str) -> Result<Relay, Failure> {
    match value.split_once('=') {
        None if value == "auto" => Ok(Relay::Auto),
        None if value == "docker" => Ok(Relay::Docker),
        None if value == "go" => Ok(Relay::Go),
        None if value == "embedded" => Ok(Relay::Embedded),
        Some(("binary", path)) if !path.is_empty() => Ok(Relay::Binary(path.into())),
        Some(("endpoint", url)) if !url.is_empty() => Ok(Relay::Endpoint(url.to_owned())),
        _ => {
            let expected = "auto, docker, go, embedded, binary=PATH or endpoint=URL";
            Err(format!("`--relay {value}`: expected {expected}").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::words;

    #[test]
    fn a_source_and_arguments_for_the_tests_are_understood() {
        let check = |arguments: &str, relay: Relay, test_arguments: &str| {
            let options = Options::parse(&words(arguments)).unwrap();
            assert_eq!(options.relay, relay);
            assert_eq!(options.test_arguments, words(test_arguments));
        };
        check("", Relay::Auto, "");
        check("--relay auto", Relay::Auto, "");
        check("--relay docker", Relay::Docker, "");
        check("--relay embedded", Relay::Embedded, "");
        check("--relay=go -- keys --relay", Relay::Go, "keys --relay");
        check("--relay binary=a=b", Relay::Binary("a=b".into()), "");
        let endpoint = Relay::Endpoint("http://h:1".to_owned());
        check("--relay endpoint=http://h:1", endpoint, "");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let check = |arguments: &str, named: &str| {
            let failure = Options::parse(&words(arguments)).unwrap_err().to_string();
            assert!(failure.contains(named), "{failure}");
        };
        check("--relay", "`--relay `");
        check("--relay elsewhere", "`--relay elsewhere`");
        check("--relay binary=", "`--relay binary=`");
        check("--relay go=1", "`--relay go=1`");
        check("keys", "`keys`");
    }
}
