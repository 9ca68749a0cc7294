//! `cargo xtask release-check`: what a release must pass and `cargo xtask ci` does not run.

use crate::ci::clippy_with_features;
use crate::parts::Parts;
use crate::program::{Failure, root};
use crate::{bench, soak};

/// Name, and the function that runs it.
type Part = (&'static str, fn() -> Result<(), Failure>);

/// A new check of releases is a line here.
const PARTS: &[Part] = &[
    ("features", || {
        clippy_with_features("--feature-powerset --depth 2")
    }),
    ("bench", || bench::run(&[])),
    ("soaks", soak::all),
];

/// Where the table of the last run is.
const RESULT: &str = "target/release-check.txt";

/// Runs every part, or those that are named, and writes the table.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let is_wanted =
        |name: &str| arguments.is_empty() || arguments.iter().any(|wanted| wanted == name);
    let wanted: Vec<&Part> = PARTS.iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.len() < arguments.len() {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("the parts are {}", names.join(", ")).into());
    }
    let mut parts = Parts::default();
    for (name, run) in wanted {
        parts.run(name, run);
    }
    let result = root().join(RESULT);
    std::fs::create_dir_all(root().join("target"))?;
    std::fs::write(result, format!("{parts}\n"))?;
    parts.finish()
}
