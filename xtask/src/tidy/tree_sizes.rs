//! How many crates a user's build gets (CONTRIBUTING.md, "Where things go").

use std::collections::BTreeSet;

use crate::program::{Failure, Program};

/// What is built, the options of cargo for it, and the most crates of its tree.
const BUDGETS: &[(&str, &str, usize)] = &[
    ("goff-engine", "", 15),
    (
        "goff-client with HTTP only",
        "--no-default-features --features http",
        68,
    ),
    ("goff-client", "", 100),
    ("goff-provider", "", 120),
];

/// Trees with more crates than their budget.
pub(crate) fn faults() -> Result<Vec<String>, Failure> {
    let faults = BUDGETS.iter().map(|&(what, features, budget)| {
        let package = what.split(' ').next().unwrap_or_default();
        let tree = Program::cargo("tree --locked --edges normal --prefix none")
            .words("--target x86_64-unknown-linux-gnu --package")
            .args([package])
            .args(features.split_whitespace())
            .output()?;
        Ok(fault(what, &crates(&tree), budget))
    });
    let faults: Result<Vec<Option<String>>, Failure> = faults.collect();
    Ok(faults?.into_iter().flatten().collect())
}

fn fault(what: &str, crates: &BTreeSet<&str>, budget: usize) -> Option<String> {
    let count = crates.len();
    (count > budget)
        .then(|| format!("the tree of {what} has {count} crates, more than {budget}: {crates:?}"))
}

/// The crates of a tree without duplicates, ours and procedural macros included. Two versions of a
/// crate are two.
fn crates(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_a_crate_counts_once() {
        let tree = "ours v0.1.0 (/ours)\na v1.0.0\nb v1.0.0 (proc-macro)\na v2.0.0\n\
                    a v1.0.0 (*)\nb v1.0.0 (proc-macro) (*)\n\n";
        let crates = crates(tree);
        assert_eq!(crates.len(), 4, "{crates:?}");
        assert_eq!(fault("ours", &crates, 4), None);
        let fault = fault("ours", &crates, 3).unwrap();
        assert!(fault.contains("ours has 4 crates, more than 3"), "{fault}");
    }
}
