//! The workspace as cargo sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Failure, Program, root};

/// A member of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Relative to the root.
    pub(crate) directory: PathBuf,
    /// Normal and build dependencies, optional ones and those of one platform included.
    pub(crate) dependencies: BTreeSet<String>,
    /// Whether it may be published.
    pub(crate) is_published: bool,
}

/// All members of the workspace, by name.
pub(crate) fn packages() -> Result<BTreeMap<String, Package>, Failure> {
    let metadata = Program::cargo("metadata --format-version=1 --no-deps").output()?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("reading the output of `cargo metadata` failed: {error}"))?;
    let packages = list(&metadata, "packages").iter().map(package);
    Ok(packages
        .map(|package| (package.name.clone(), package))
        .collect())
}

/// The names of the crates that may be published.
pub(crate) fn published() -> Result<Vec<String>, Failure> {
    let packages = packages()?.into_values();
    let published = packages.filter(|package| package.is_published);
    Ok(published.map(|package| package.name).collect())
}

/// Those of them that have a library, which is all but the commands.
pub(crate) fn libraries() -> Result<Vec<String>, Failure> {
    let mut names = published()?;
    names.retain(|name| root().join("crates").join(name).join("src/lib.rs").exists());
    Ok(names)
}

/// The oldest compiler that the crates build with, such as `1.88.0`.
pub(crate) fn oldest_compiler() -> Result<String, Failure> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let stated = manifest.split("\nrust-version = \"").nth(1);
    let version = stated.and_then(|stated| stated.split('"').next());
    let version = version.ok_or("Cargo.toml states no `rust-version`")?;
    Ok(version.to_owned()
        + if version.matches('.').count() == 1 {
            ".0"
        } else {
            ""
        })
}

/// The crates in a build of this package with default features, and the package.
pub(crate) fn tree(package: &str) -> Result<BTreeSet<String>, Failure> {
    let tree = Program::cargo("tree --edges=normal,build --prefix=none --format={p} --package");
    let tree = tree.args([package]).output()?;
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

fn package(json: &Value) -> Package {
    let manifest = PathBuf::from(text(json, "manifest_path"));
    let directory = manifest.parent().unwrap_or(&manifest);
    let dependencies = list(json, "dependencies").iter();
    let dependencies = dependencies.filter(|dependency| text(dependency, "kind") != "dev");
    Package {
        name: text(json, "name"),
        version: text(json, "version"),
        directory: directory
            .strip_prefix(root())
            .unwrap_or(&manifest)
            .to_owned(),
        dependencies: dependencies
            .map(|dependency| text(dependency, "name"))
            .collect(),
        // An empty list forbids it, and null allows any registry.
        is_published: json.get("publish").is_none_or(Value::is_null),
    }
}

/// Empty if there is no such member, or it is not a string.
fn text(json: &Value, member: &str) -> String {
    let text = json.get(member).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Empty if there is no such member, or it is not an array.
fn list<'a>(json: &'a Value, member: &str) -> &'a [Value] {
    json.get(member)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_has_the_dependencies_that_are_not_for_tests_only() {
        let package = package(&json!({
            "name": "ours", "manifest_path": root().join("crates/ours/Cargo.toml"),
            "dependencies": [
                {"name": "normal", "kind": null}, {"name": "optional", "kind": null, "optional": true},
                {"name": "at-build-time", "kind": "build"}, {"name": "for-tests", "kind": "dev"},
            ],
        }));
        assert_eq!(package.directory, PathBuf::from("crates/ours"));
        let dependencies: Vec<_> = package.dependencies.iter().map(String::as_str).collect();
        assert_eq!(dependencies, ["at-build-time", "normal", "optional"]);
    }

    #[test]
    fn a_tree_contains_the_package_and_what_it_needs() {
        let tree = tree("xtask").unwrap();
        assert!(tree.contains("xtask"), "{tree:?}");
        assert!(tree.contains("serde_json"), "{tree:?}");
    }
}
