//! The dependency table of ARCHITECTURE.md, read and compared with what cargo says.
//!
//! A row is `| crate | what it is | depends on | must not |`. In *depends on*, each word in backticks outside
//! parentheses is a crate. In *must not*, such a word is a crate that must not be in the build, or, with `::` in
//! it, a path that must not be in the source.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Source;
use crate::program::Failure;
use crate::workspace::Package;

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    depends_on: BTreeSet<String>,
    must_not: BTreeSet<String>,
}

pub(crate) fn parse(architecture: &str) -> Result<Vec<Row>, Failure> {
    const HEADER: [&str; 4] = ["crate", "what it is", "depends on", "must not"];
    let mut lines = architecture
        .lines()
        .map(cells)
        .skip_while(|cells| cells != &HEADER);
    // The header and the line of dashes.
    if lines.nth(1).is_none() {
        return Err(Failure::new(format!(
            "ARCHITECTURE.md has no table headed {}",
            HEADER.join(" | ")
        )));
    }
    lines
        .take_while(|cells| !cells.is_empty())
        .map(|cells| match cells.as_slice() {
            [name, _, depends_on, must_not] => Ok(Row {
                name: name.trim_matches('`').to_owned(),
                depends_on: quoted(depends_on),
                must_not: quoted(must_not),
            }),
            _ => Err(Failure::new(format!(
                "ARCHITECTURE.md: not a row of four cells: {}",
                cells.join(" | ")
            ))),
        })
        .collect()
}

/// Every member has one row, and depends on exactly what its row says.
pub(crate) fn against_packages(rows: &[Row], packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut faults = Vec::new();
    for name in packages.keys() {
        let count = rows.iter().filter(|row| row.name == *name).count();
        if count != 1 {
            faults.push(format!("ARCHITECTURE.md has {count} rows for `{name}`"));
        }
    }
    for row in rows {
        let Some(package) = packages.get(&row.name) else {
            faults.push(format!(
                "ARCHITECTURE.md has a row for `{}`, which is not a crate of ours",
                row.name
            ));
            continue;
        };
        for surplus in package.dependencies.difference(&row.depends_on) {
            faults.push(format!(
                "`{}` depends on `{surplus}`, which its row does not allow",
                row.name
            ));
        }
        for missing in row.depends_on.difference(&package.dependencies) {
            faults.push(format!(
                "`{}` does not depend on `{missing}`, as its row says",
                row.name
            ));
        }
    }
    faults
}

/// No crate of the *must not* column is in the build with default features.
pub(crate) fn against_tree(row: &Row, tree: &BTreeSet<String>) -> Vec<String> {
    let forbidden = row.must_not.intersection(tree);
    forbidden
        .map(|name| format!("`{}` must not have `{name}` in its build", row.name))
        .collect()
}

/// No path of the *must not* column is in the shipped source.
pub(crate) fn against_sources(row: &Row, sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for path in row.must_not.iter().filter(|word| word.contains("::")) {
        let shipped = sources
            .iter()
            .filter(|source| source.package == row.name && source.is_shipped());
        for source in shipped.filter(|source| source.before_tests().contains(path)) {
            faults.push(format!(
                "`{}` must not use `{path}`: {}",
                row.name,
                source.path.display()
            ));
        }
    }
    faults
}

/// The cells of a table's line; empty for any other line.
fn cells(line: &str) -> Vec<&str> {
    let inner = line
        .trim()
        .strip_prefix('|')
        .and_then(|line| line.strip_suffix('|'));
    inner
        .map(|inner| inner.split('|').map(str::trim).collect())
        .unwrap_or_default()
}

/// The words in backticks, outside parentheses.
fn quoted(cell: &str) -> BTreeSet<String> {
    let mut outside = String::new();
    let mut depth = 0_usize;
    for character in cell.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(character),
            _ => {}
        }
    }
    outside
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Before.

| crate | what it is | depends on | must not |
|---|---|---|---|
| `core` | words | `serde`, `tokio` (`sync`); feature (`sdk`): `time` | read a file: `std::fs`; `moka` |
| http | more | `core` | |

After.
";

    fn rows() -> Vec<Row> {
        parse(TABLE).unwrap()
    }

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.into_iter().map(str::to_owned).collect()
    }

    fn packages<const N: usize>(list: [(&str, BTreeSet<String>); N]) -> BTreeMap<String, Package> {
        let package = |(name, dependencies): (&str, _)| {
            (
                name.to_owned(),
                Package {
                    name: name.to_owned(),
                    dependencies,
                    ..Package::default()
                },
            )
        };
        list.into_iter().map(package).collect()
    }

    fn source(path: &str, text: &str) -> Source {
        Source {
            package: "core".to_owned(),
            path: path.into(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_table_is_read() {
        let rows = rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].name, "core");
        assert_eq!(rows[0].depends_on, names(["serde", "tokio", "time"]));
        assert_eq!(rows[0].must_not, names(["std::fs", "moka"]));
        assert_eq!(rows[1].must_not, names([]));
    }

    #[test]
    fn a_missing_table_or_cell_is_an_error() {
        assert!(parse("# Nothing here\n").is_err());
        assert!(parse("| crate | what it is | depends on | must not |\n").is_err());
        assert!(
            parse(
                &TABLE
                    .replace("| `core` | | |", "| `core` |")
                    .replace("| more ", "")
            )
            .is_err()
        );
    }

    #[test]
    fn a_dependency_too_many_or_too_few_is_a_fault() {
        let check = |core: BTreeSet<String>, named: &[&str]| {
            let faults = against_packages(
                &rows(),
                &packages([("core", core), ("http", names(["core"]))]),
            );
            assert_eq!(faults, named);
        };
        check(names(["serde", "tokio", "time"]), &[]);
        check(
            names(["serde", "tokio", "time", "http"]),
            &["`core` depends on `http`, which its row does not allow"],
        );
        check(
            names(["serde", "tokio"]),
            &["`core` does not depend on `time`, as its row says"],
        );
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_faults() {
        let core = ("core", names(["serde", "tokio", "time"]));
        let faults = against_packages(&rows(), &packages([core, ("ws", names([]))]));
        assert_eq!(
            faults,
            [
                "ARCHITECTURE.md has 0 rows for `ws`",
                "ARCHITECTURE.md has a row for `http`, which is not a crate of ours",
            ]
        );
    }

    #[test]
    fn a_forbidden_crate_in_the_build_is_a_fault() {
        let core = &rows()[0];
        assert_eq!(
            against_tree(core, &names(["core", "serde"])),
            [] as [&str; 0]
        );
        let faults = against_tree(core, &names(["core", "serde", "moka"]));
        assert_eq!(faults, ["`core` must not have `moka` in its build"]);
    }

    #[test]
    fn a_forbidden_path_in_shipped_source_is_a_fault() {
        let core = &rows()[0];
        let test = "//! A\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let harmless = [
            source("core/src/a.rs", test),
            source("core/tests/b.rs", "use std::fs;\n"),
        ];
        assert_eq!(against_sources(core, &harmless), [] as [&str; 0]);
        let faults = against_sources(core, &[source("core/src/a.rs", "use std::fs;\n")]);
        assert_eq!(faults, ["`core` must not use `std::fs`: core/src/a.rs"]);
    }
}
