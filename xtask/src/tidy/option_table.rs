//! The table of docs/guide/options.md has a row for each constructor and setter of `GoFeatureFlagOptions`, and no other.

use std::collections::BTreeSet;

use syn::{ImplItem, Item, Type, Visibility};

use super::sources::Source;
use crate::program::Failure;

pub(super) fn faults(page: &str, sources: &[Source]) -> Result<Vec<String>, Failure> {
    let mut setters = BTreeSet::new();
    for source in sources {
        if source.package == "goff-client" && source.is_shipped() {
            setters.extend(setters_in(&source.text)?);
        }
    }
    Ok(differences(&rows(page), &setters))
}

fn differences(rows: &BTreeSet<String>, setters: &BTreeSet<String>) -> Vec<String> {
    let missing = setters.difference(rows);
    let missing =
        missing.map(|name| format!("docs/guide/options.md has no row for the option `{name}`"));
    let unknown = rows.difference(setters);
    let unknown = unknown
        .map(|name| format!("docs/guide/options.md has a row for `{name}`, which is no option"));
    missing.chain(unknown).collect()
}

/// The names in the first column of the page's table.
fn rows(page: &str) -> BTreeSet<String> {
    let names = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = names.filter_map(|row| row.split(['`', '(']).next());
    names.map(ToOwned::to_owned).collect()
}

/// The public functions of `impl GoFeatureFlagOptions`.
fn setters_in(text: &str) -> Result<BTreeSet<String>, Failure> {
    let mut setters = BTreeSet::new();
    for item in syn::parse_file(text)?.items {
        let Item::Impl(item) = item else { continue };
        let is_of_options = matches!(&*item.self_ty, Type::Path(path) if path.path.is_ident("GoFeatureFlagOptions"));
        if item.trait_.is_some() || !is_of_options {
            continue;
        }
        for function in item.items {
            if let ImplItem::Fn(function) = function
                && matches!(function.vis, Visibility::Public(_))
            {
                setters.insert(function.sig.ident.to_string());
            }
        }
    }
    Ok(setters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_too_few_and_one_too_many_are_found() {
        let page = "# Options\n\n| option |\n|---|\n| `new(endpoint)` | x |\n| `old` | y |\n";
        let text = "impl GoFeatureFlagOptions { pub fn new() -> Self {} pub fn timeout(self) -> Self {} fn own(&self) {} }
                    impl Debug for GoFeatureFlagOptions { } impl Other { pub fn none() {} }";
        let faults = differences(&rows(page), &setters_in(text).unwrap());
        let missing = "docs/guide/options.md has no row for the option `timeout`";
        let unknown = "docs/guide/options.md has a row for `old`, which is no option";
        assert_eq!(faults, [missing, unknown]);
    }
}
