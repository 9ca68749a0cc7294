//! The Rust files of a package: each module says what it is for, and a long file should probably be split.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::program;
use crate::workspace::Package;

/// A Rust file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) package: String,
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// The text up to the unit tests at its end.
    pub(crate) fn before_tests(&self) -> &str {
        let mut parts = self.text.split("\n#[cfg(test)]\nmod tests");
        parts.next().unwrap_or_default()
    }

    /// Whether it is part of the library or program, not of its tests, examples or benchmarks.
    pub(crate) fn is_shipped(&self) -> bool {
        self.path.iter().any(|name| name == "src") && !self.path.ends_with("tests.rs")
    }
}

pub(crate) fn of_packages(packages: &BTreeMap<String, Package>) -> io::Result<Vec<Source>> {
    let packages: io::Result<Vec<_>> = packages.values().map(of_package).collect();
    Ok(packages?.concat())
}

fn of_package(package: &Package) -> io::Result<Vec<Source>> {
    let root = program::root();
    let mut sources = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        let mut waiting = vec![package.directory.join(folder)];
        while let Some(path) = waiting.pop() {
            let full = root.join(&path);
            if full.is_dir() {
                for entry in fs::read_dir(full)? {
                    waiting.push(path.join(entry?.file_name()));
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let (package, text) = (package.name.clone(), fs::read_to_string(full)?);
                sources.push(Source {
                    package,
                    path,
                    text,
                });
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

pub(crate) fn without_documentation(source: &Source) -> Option<String> {
    let mut lines = source.text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with("#!["));
    let documented = first.is_some_and(|line| line.starts_with("//!"));
    let path = source.path.display();
    // The module's own `//!` documents a file of unit tests: `mod tests;` is private and says it all.
    (!documented && !source.path.ends_with("tests.rs"))
        .then(|| format!("{path} does not open with `//!`, which says what the module is for"))
}

pub(crate) fn too_long(source: &Source) -> Option<String> {
    const MANY: usize = 400;
    let lines = source.before_tests().lines().count();
    let path = source.path.display();
    (lines > MANY && source.is_shipped())
        .then(|| format!("{path} has {lines} lines before its tests; split it?"))
}

#[cfg(test)]
pub(crate) fn source(path: &str, text: &str) -> Source {
    let (package, path, text) = ("ours".to_owned(), path.into(), text.to_owned());
    Source {
        package,
        path,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_documentation_is_named() {
        let check = |path: &str, text: &str, fault: bool| {
            let found = without_documentation(&source(path, text));
            assert_eq!(found.is_some(), fault, "{text}");
        };
        check("src/a.rs", "//! What it is.\n", false);
        check("src/a.rs", "#![expect(x)]\n\n//! What it is.\n", false);
        check("src/a.rs", "", true);
        check("src/a.rs", "use std::fmt;\n//! Too late.\n", true);
        check("src/a.rs", "// A comment.\n", true);
        check("src/a.rs", "/// A docstring.\nstruct A;\n", true);
        check("tests/a.rs", "use std::fmt;\n", true);
        check("src/a/tests.rs", "use super::*;\n", false);
        let fault = without_documentation(&source("src/a.rs", "")).unwrap();
        assert!(fault.starts_with("src/a.rs "), "{fault}");
    }

    #[test]
    fn length_is_counted_before_the_tests() {
        let long = "//! A\n".repeat(401);
        let tests = format!("//! A\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(too_long(&source("src/a.rs", &long)).is_some());
        assert!(too_long(&source("src/a.rs", &tests)).is_none());
        assert!(too_long(&source("tests/a.rs", &long)).is_none());
        assert!(too_long(&source("src/a/tests.rs", &long)).is_none());
    }

    #[test]
    fn the_sources_of_a_package_include_this_one() {
        let packages = crate::workspace::packages().unwrap();
        let sources = of_package(packages.get("xtask").unwrap()).unwrap();
        let mut paths = sources.iter().map(|source| source.path.to_string_lossy());
        assert!(paths.any(|path| path == "xtask/src/tidy/sources.rs"));
    }
}
