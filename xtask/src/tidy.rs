//! `cargo xtask tidy`: what the compiler does not check about the project's structure.

mod circles;
mod dependency_table;
mod documents;
mod option_table;
mod relay_version;
mod requirement_ids;
pub(crate) mod sources;
mod tree_sizes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::conformance::report;
use crate::program::{Failure, Program, root};
use crate::workspace::{self, Package};
use sources::Source;

/// Name, and the function that returns the faults.
type Check = (&'static str, fn(&Project) -> Result<Vec<String>, Failure>);

const CHECKS: &[Check] = &[
    ("dependencies", |project| {
        dependency_table::faults(&project.architecture, &project.packages, &project.sources)
    }),
    ("documentation", |project| {
        let sources = project.sources.iter();
        Ok(sources.filter_map(sources::without_documentation).collect())
    }),
    ("relay-version", |_| {
        let compose = fs::read_to_string(root().join("docker-compose.yml"))?;
        let go_mod = fs::read_to_string(root().join("tests-integration/relay/go.mod"))?;
        Ok(relay_version::differences(&compose, &go_mod))
    }),
    ("conformance", |project| {
        report::faults(&project.packages, &project.sources)
    }),
    ("map", |project| Ok(documents::map(&project.architecture))),
    ("circles", circles),
    ("entries", entries),
    ("citations", citations),
    ("options", |project| {
        let page = fs::read_to_string(root().join("docs/guide/options.md"))?;
        option_table::faults(&page, &project.sources)
    }),
    ("links", |_| documents::links()),
    ("requirement-ids", |project| {
        let sources = project.sources.iter();
        let mut faults = requirement_ids::in_pages()?;
        faults.extend(
            sources
                .filter(|source| source.is_shipped())
                .flat_map(requirement_ids::in_documentation),
        );
        Ok(faults)
    }),
    ("fillers", |_| Ok(documents::fillers())),
    ("tree-sizes", |_| tree_sizes::faults()),
];

/// What the checks read.
struct Project {
    architecture: String,
    packages: BTreeMap<String, Package>,
    sources: Vec<Source>,
}

/// Runs the checks, or those that are named; hints are printed, faults fail the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let is_wanted =
        |(name, _): &&Check| arguments.is_empty() || arguments.iter().any(|wanted| wanted == name);
    let checks: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
    if checks.len() < arguments.len() {
        let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        return Err(format!("the checks are {}", names.join(", ")).into());
    }
    let project = project()?;
    let hints = project.sources.iter().filter_map(sources::too_long);
    let hints: Vec<String> = hints.collect();
    for hint in &hints {
        println!("hint: {hint}");
    }
    let mut count = 0;
    for (name, check) in checks {
        for fault in check(&project)? {
            println!("fault ({name}): {fault}");
            count += 1;
        }
    }
    match count {
        0 => {
            println!("tidy: no faults, {} hints", hints.len());
            Ok(())
        }
        1 => Err("1 fault".into()),
        count => Err(format!("{count} faults").into()),
    }
}

fn project() -> Result<Project, Failure> {
    let packages = workspace::packages()?;
    Ok(Project {
        architecture: fs::read_to_string(root().join("ARCHITECTURE.md"))?,
        sources: sources::of_packages(&packages)?,
        packages,
    })
}

fn circles(project: &Project) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for package in project.packages.values() {
        for circle in circles::of_crate(&root().join(&package.directory))? {
            faults.push(format!("{}: {circle}", package.name));
        }
    }
    Ok(faults)
}

/// A reader sees the concepts of these crates at once.
fn entries(_: &Project) -> Result<Vec<String>, Failure> {
    const MOST: usize = 8;
    let mut faults = Vec::new();
    for package in ["goff-client", "goff-core", "goff-hooks"] {
        let directory = root().join("crates").join(package).join("src");
        match fs::read_dir(directory)?.count() {
            ..=MOST => {}
            count => faults.push(format!(
                "`{package}` has {count} entries in src/, more than {MOST}"
            )),
        }
    }
    Ok(faults)
}

/// The citations in all Rust files and documents that git knows.
fn citations(_: &Project) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let files = Program::new("git").words("ls-files *.rs *.md").output()?;
    let files = files.lines();
    for path in files.filter(|path| !path.starts_with("xtask/src/tidy")) {
        // A file that is deleted and not committed yet.
        if let Ok(text) = fs::read_to_string(root().join(path)) {
            faults.extend(documents::citations(Path::new(path), &text)?);
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_project_is_tidy() {
        super::run(&[]).unwrap();
    }
}
