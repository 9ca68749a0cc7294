//! `cargo xtask tidy`: what the compiler does not check about the project's structure.

pub(crate) mod circles;
mod dependency_table;
mod relay_version;
pub(crate) mod sources;

use std::fs;
use std::path::PathBuf;

use crate::conformance::report;
use crate::program::{self, Failure};
use crate::workspace;

/// Runs the checks; hints are printed, faults fail the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some((first, crates)) = arguments.split_first()
        && first == "circles"
    {
        return circles(crates);
    }
    if let Some(argument) = arguments.first() {
        return Err(Failure::new(format!("unknown argument `{argument}`")));
    }
    let findings = check()?;
    for hint in &findings.hints {
        println!("hint: {hint}");
    }
    for fault in &findings.faults {
        println!("fault: {fault}");
    }
    match findings.faults.len() {
        0 => {
            println!("tidy: no faults, {} hints", findings.hints.len());
            Ok(())
        }
        count => Err(Failure::new(format!("{count} faults"))),
    }
}

/// The import circles of some crates, given by their directories; of all without arguments.
fn circles(crates: &[String]) -> Result<(), Failure> {
    let mut directories: Vec<PathBuf> = crates.iter().map(PathBuf::from).collect();
    if directories.is_empty() {
        let packages = workspace::packages()?.into_values();
        directories.extend(packages.map(|package| program::root().join(package.directory)));
    }
    let mut count = 0;
    for directory in directories {
        for circle in circles::of_crate(&directory)? {
            println!("{}: {circle}", directory.display());
            count += 1;
        }
    }
    match count {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} import circles"))),
    }
}

/// What the checks found.
#[derive(Debug, Default)]
struct Findings {
    /// Must be put right.
    faults: Vec<String>,
    /// Worth a look.
    hints: Vec<String>,
}

fn check() -> Result<Findings, Failure> {
    let root = program::root();
    let packages = workspace::packages()?;
    let mut sources = Vec::new();
    for package in packages.values() {
        sources.extend(sources::of_package(package)?);
    }
    let mut findings = Findings::default();

    let rows = dependency_table::parse(&fs::read_to_string(root.join("ARCHITECTURE.md"))?)?;
    findings
        .faults
        .extend(dependency_table::against_packages(&rows, &packages));
    for row in rows.iter().filter(|row| packages.contains_key(&row.name)) {
        findings.faults.extend(dependency_table::against_tree(
            row,
            &workspace::tree(&row.name)?,
        ));
        findings
            .faults
            .extend(dependency_table::against_sources(row, &sources));
    }
    for source in &sources {
        findings
            .faults
            .extend(sources::without_documentation(source));
        findings.hints.extend(sources::too_long(source));
    }
    findings.faults.extend(relay_version::differences(
        &fs::read_to_string(root.join("docker-compose.yml"))?,
        &fs::read_to_string(root.join("tests-integration/relay/go.mod"))?,
    ));
    findings.faults.extend(report::faults(&sources)?);
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_project_is_tidy() {
        let findings = super::check().unwrap();
        assert!(findings.faults.is_empty(), "{:#?}", findings.faults);
    }
}
