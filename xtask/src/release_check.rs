//! `cargo xtask release-check`: what a release must pass and `cargo xtask ci` does not run.

mod book;
mod compilers;
pub(crate) mod public_api;

use std::fs;

use crate::ci::clippy_with_features;
use crate::parts::Parts;
use crate::program::{Failure, Program, root, words};
use crate::{bench, soak, tck, wasm, workspace};

/// Name, and the function that runs it.
type Part = (&'static str, fn() -> Result<(), Failure>);

/// A new check of releases is a line here, and a row in CONTRIBUTING.md.
const PARTS: &[Part] = &[
    ("public-api", public_api::is_listed),
    ("semver", public_api::keeps_semver),
    ("oldest-compiler", compilers::oldest),
    ("oldest-dependencies", compilers::oldest_dependencies),
    ("documentation", documentation),
    ("book", book::renders),
    ("goff", goff),
    ("features", || {
        clippy_with_features("--feature-powerset --depth 2")
    }),
    ("module", || {
        wasm::run(&words(
            "--beside --documents 2_000_000 --evaluations 10_000_000",
        ))
    }),
    ("tck", tck::for_release),
    ("bench", || bench::run(&[])),
    ("soaks", soak::all),
];

/// The names of the parts, for the help.
pub(crate) fn names() -> String {
    let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Each crate alone: with the others, a link can lead to a crate that is not among the dependencies.
fn documentation() -> Result<(), Failure> {
    for name in workspace::packages()?.keys() {
        Program::cargo("doc --no-deps --package")
            .args([name])
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()?;
    }
    Ok(())
}

/// How fast the command starts, and that it can be installed from a checkout.
fn goff() -> Result<(), Failure> {
    Program::cargo("test --release -p goff-cli --test commands")
        .words("start -- --nocapture")
        .run()?;
    let installed = root().join("target/installed");
    Program::cargo("install --path crates/goff-cli --locked --force --root")
        .args([&installed])
        .run()?;
    Program::new(installed.join("bin/goff"))
        .args(["--version"])
        .run()?;
    Ok(fs::remove_dir_all(installed)?)
}

/// The last result of each part.
const RESULT: &str = "target/release-check.txt";

/// Runs every part, or those that are named, and keeps their lines of the table.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let is_wanted =
        |name: &str| arguments.is_empty() || arguments.iter().any(|wanted| wanted == name);
    let wanted: Vec<&Part> = PARTS.iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.len() < arguments.len() {
        return Err(format!("the parts are {}", names()).into());
    }
    let mut parts = Parts::default();
    for (name, run) in wanted {
        parts.run(name, run);
        let before = fs::read_to_string(root().join(RESULT)).unwrap_or_default();
        fs::create_dir_all(root().join("target"))?;
        fs::write(root().join(RESULT), result(&before, &parts, &revision()?))?;
    }
    parts.finish()
}

/// The commit that is checked out, with a mark if there are changes.
fn revision() -> Result<String, Failure> {
    let described = Program::new("git").words("describe --always --exclude=* --dirty");
    Ok(described.output()?.trim().to_owned())
}

/// A line for each part: of this run with its revision, or else of the run before.
fn result(before: &str, parts: &Parts, revision: &str) -> String {
    let mut result = String::new();
    for (name, _) in PARTS {
        let now = parts.lines().find(|(other, _)| other == name);
        let now = now.map(|(_, line)| format!("{line:<42}  {revision}"));
        let is_of_part = |line: &&str| line.split_whitespace().any(|word| word == *name);
        let line = now.or_else(|| before.lines().find(is_of_part).map(str::to_owned));
        let line = line.unwrap_or_else(|| format!("{:>12}NOT RUN  {name}", ""));
        result.push_str(&(line + "\n"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributing_has_a_row_for_each_part() {
        let contributing = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
        for (name, _) in PARTS {
            assert!(contributing.contains(&format!("\n| `{name}` | ")), "{name}");
        }
    }

    #[test]
    fn the_result_keeps_the_last_line_of_each_part() {
        let check = |result: &str, expected: &[(&str, &str)]| {
            for (name, words) in expected {
                let line = result.lines().find(|line| line.contains(name)).unwrap();
                let found: Vec<&str> = line.split_whitespace().collect();
                assert!(found.join(" ").contains(words), "{result}");
            }
            assert_eq!(result.lines().count(), PARTS.len(), "{result}");
        };
        let mut parts = Parts::default();
        parts.run("book", || Ok(()));
        let first = result("", &parts, "0a1b2c3");
        check(
            &first,
            &[("book", "ok book 0a1b2c3"), ("semver", "NOT RUN semver")],
        );
        let mut parts = Parts::default();
        parts.run("semver", || Err("on purpose".into()));
        let second = result(&first, &parts, "4d5e6f7");
        check(
            &second,
            &[
                ("book", "ok book 0a1b2c3"),
                ("semver", "FAILED semver 4d5e6f7"),
            ],
        );
    }
}
