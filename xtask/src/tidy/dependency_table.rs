//! The table of ARCHITECTURE.md, compared with `cargo metadata`, `cargo tree` and the sources.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Source;
use crate::program::Failure;
use crate::workspace::{self, Package};

/// Each crate has a row, depends on what its row says, and has nothing of what it must not have.
pub(crate) fn faults(
    architecture: &str,
    packages: &BTreeMap<String, Package>,
    sources: &[Source],
) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let mut rowless: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let mut lines = architecture.lines();
    lines.find(|line| line.starts_with("| crate |"));
    for row in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, _, depends_on, must_not, _] = cells[..] else {
            faults.push(format!("not a row of four cells: {row}"));
            continue;
        };
        let Some(package) = packages.get(name).filter(|_| rowless.remove(name)) else {
            faults.push(format!("no crate, or a second row: {row}"));
            continue;
        };
        for other in package
            .dependencies
            .symmetric_difference(&quoted(depends_on))
        {
            faults.push(format!("`{name}`: manifest and table differ in `{other}`"));
        }
        let tree = workspace::tree(name)?;
        for word in quoted(must_not) {
            let mut ours = sources.iter().filter(|source| source.package == name);
            let is_used =
                |source: &Source| source.is_shipped() && source.before_tests().contains(&word);
            if tree.contains(&word) || word.contains("::") && ours.any(is_used) {
                faults.push(format!("`{name}` must not have `{word}`"));
            }
        }
    }
    faults.extend(rowless.iter().map(|name| format!("no row for `{name}`")));
    Ok(faults)
}

/// The words in backticks outside parentheses.
fn quoted(cell: &str) -> BTreeSet<String> {
    let parts = cell.split(['(', ')']).step_by(2).collect::<String>();
    let words = parts.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}
