//! Runs OpenFeature's feature files against the provider: `cargo xtask tck` calls it once for each relay proxy, which
//! the environment names as for the integration tests, and then for the report.
//!
//! ```text
//! goff-tests-tck run RELAY DIRECTORY SUITE…    RELAY names the relay proxy in the report
//! goff-tests-tck report DIRECTORY FILE
//! ```

mod capabilities;
mod configuration;
#[path = "../../tests-integration/tests/scenarios/following.rs"]
#[allow(dead_code)]
mod following;
mod outcome;
#[path = "../../tests-integration/tests/scenarios/recording_hook.rs"]
mod recording_hook;
mod report;
mod steps;
mod suite;
#[path = "../../tests-integration/tests/scenarios/surfaces/mod.rs"]
#[allow(dead_code)]
mod surfaces;
mod world;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use cucumber::{World as _, writer};

use crate::configuration::Configuration;
use crate::outcome::Run;
use crate::suite::{Gated, Suite};
use crate::world::Tck;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["run", relay, directory, suites @ ..] if !suites.is_empty() => {
            run(relay, Path::new(directory), suites).await
        }
        ["report", directory, file] => report::write(Path::new(directory), Path::new(file)),
        _ => Err("arguments: run RELAY DIRECTORY SUITE… | report DIRECTORY FILE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs each suite in each configuration, writes the reports, and fails if a result is not what is declared.
async fn run(relay: &str, directory: &Path, suites: &[&str]) -> Result<(), Failure> {
    let mut found = Vec::new();
    for suite in suites {
        found.extend(Suite::find(Path::new(suite))?);
    }
    let mut surprises = Vec::new();
    for configuration in Configuration::all(relay) {
        world::enter(configuration.clone());
        for suite in &found {
            println!("\n=== {suite}: {configuration}");
            let run = run_one(&configuration, suite, directory).await?;
            println!("{}", run.tally());
            surprises.extend(run.surprises());
        }
    }
    if surprises.is_empty() {
        return Ok(());
    }
    let listed = surprises.join("\n  ");
    Err(format!("not as declared:\n  {listed}").into())
}

async fn run_one(
    configuration: &Configuration,
    suite: &Suite,
    directory: &Path,
) -> Result<Run, Failure> {
    let name = format!("{}-{}", suite.kind.file_name(), configuration.file_name());
    fs::create_dir_all(directory)?;
    let results = directory.join(format!("{name}.cucumber.json"));
    let features = suite.features(configuration)?;
    let gated = Gated(features.clone());
    let writer = writer::Json::new(fs::File::create(&results)?);
    Tck::cucumber::<&str>()
        .with_parser(gated)
        .max_concurrent_scenarios(1)
        .with_writer(writer)
        .with_default_cli()
        .run(())
        .await;
    let run = Run::read(configuration, suite, &features, &results)?;
    report::write_envelope(&run, &directory.join(format!("{name}.json")), &results)?;
    Ok(run)
}
