//! `cargo xtask conformance report`: the requirements of the provider specification, each with the tests that cite it.
//!
//! A test shows a requirement by citing its id in a comment before or in it. Citations in other code do not count.

mod citations;
mod requirements;
mod tests_of;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Failure, no_arguments, root};
use crate::tidy::sources::{self, Source};
use crate::workspace;

use citations::Id;
use requirements::{Requirement, Status};
use tests_of::Test;

/// Where the report is written.
const REPORT: &str = "CONFORMANCE.md";

/// Where the requirements are listed.
const LIST: &str = "xtask/src/conformance/report/requirements.tsv";

/// Writes the report, unless something is wrong with the list or with a citation.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let sources = sources::of_packages(&workspace::packages()?)?;
    let report = report(&list()?, &sources)
        .map_err(|faults| format!("{} faults:\n{}", faults.len(), faults.join("\n")))?;
    fs::write(root().join(REPORT), &report.text)?;
    for hint in &report.hints {
        println!("hint: {hint}");
    }
    for (result, count) in &report.counts {
        println!("{count:>4} {result}");
    }
    Ok(())
}

/// What is wrong with the list, the citations, or the report that is there.
pub(crate) fn faults(sources: &[Source]) -> Result<Vec<String>, Failure> {
    // Without a report, all of it is out of date.
    let there = fs::read_to_string(root().join(REPORT)).unwrap_or_default();
    Ok(match report(&list()?, sources) {
        Err(faults) => faults,
        Ok(report) if report.text == there => Vec::new(),
        Ok(_) => vec![format!(
            "{REPORT} is out of date: run `cargo xtask conformance report`"
        )],
    })
}

fn list() -> Result<String, Failure> {
    Ok(fs::read_to_string(root().join(LIST))?)
}

#[derive(Debug)]
struct Report {
    text: String,
    /// How many requirements have which result.
    counts: BTreeMap<&'static str, usize>,
    hints: Vec<String>,
}

/// The tests that cite a requirement, by path and then in the order of the file.
type Citations = BTreeMap<Id, Vec<Citation>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Citation {
    /// With slashes, relative to the root.
    path: String,
    test: String,
}

fn report(list: &str, sources: &[Source]) -> Result<Report, Vec<String>> {
    let requirements = requirements::parse(list).map_err(|faults| {
        let faults = faults.iter().map(|fault| format!("{LIST}: {fault}"));
        faults.collect::<Vec<_>>()
    })?;
    let citations = collect(sources);
    let mut faults = Vec::new();
    for (id, citing) in &citations {
        if requirements.iter().any(|requirement| requirement.id == *id) {
            continue;
        }
        for Citation { path, test } in citing {
            faults.push(format!(
                "{path}: `{test}` cites {id}, which is no requirement"
            ));
        }
    }
    let (mut counts, mut hints) = (BTreeMap::new(), Vec::new());
    for Requirement {
        id,
        requires,
        status,
        ..
    } in &requirements
    {
        *counts.entry(status.result()).or_default() += 1;
        match (status, citations.contains_key(id)) {
            (Status::ByTests, false) => faults.push(format!("no test cites {id} ({requires})")),
            (Status::Pending, true) => hints.push(format!("{id} has tests: is it still PENDING?")),
            _ => {}
        }
    }
    let text = render(&requirements, &citations);
    match faults.is_empty() {
        true => Ok(Report {
            text,
            counts,
            hints,
        }),
        false => Err(faults),
    }
}

fn collect(sources: &[Source]) -> Citations {
    let mut citations = Citations::new();
    for source in sources.iter().filter(|source| is_read(&source.path)) {
        for Test { name, text } in tests_of::tests_of(&source.text) {
            for id in citations::cited(&text) {
                let (path, test) = (slashes(&source.path), name.clone());
                citations
                    .entry(id)
                    .or_default()
                    .push(Citation { path, test });
            }
        }
    }
    for citing in citations.values_mut() {
        // Stable, so that the tests of a file stay in its order.
        citing.sort_by(|one, other| one.path.cmp(&other.path));
    }
    citations
}

/// The tests of the crates, and those against a relay proxy.
fn is_read(path: &Path) -> bool {
    let path = slashes(path);
    let of_crate = path.strip_prefix("crates/");
    let of_crate = of_crate.and_then(|path| path.split_once('/'));
    of_crate.is_some_and(|(_, path)| path.starts_with("src/") || path.starts_with("tests/"))
        || path.starts_with("tests-integration/tests/")
}

fn slashes(path: &Path) -> String {
    let components = path.iter().map(|component| component.to_string_lossy());
    components.collect::<Vec<_>>().join("/")
}

const INTRODUCTION: &str = "\
# Conformance

The requirements of GO Feature Flag's provider specification 1.0, in the project's words, and the tests that show them.
Written by `cargo xtask conformance report` from the ids that tests cite; `cargo xtask tidy` fails when it is out of
date.

* PASS: the tests named show that it holds.
* DEVIATES: the project departs from it on purpose, for the reason given; tests show what happens instead.
* N/A: the project has nothing to which it applies.
";

const COLUMNS: &str = "\
| id | tier, severity | what it requires | result | shown by | note |
|---|---|---|---|---|---|
";

const PENDING: &str = "* PENDING: work on it has begun.\n";

fn render(requirements: &[Requirement], citations: &Citations) -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut statuses = requirements.iter().map(|requirement| requirement.status);
    if statuses.any(|status| status == Status::Pending) {
        text.push_str(PENDING);
    }
    let mut group = None;
    for Requirement {
        id,
        tier,
        severity,
        requires,
        status,
        note,
    } in requirements
    {
        if group.replace(id.group()) != Some(id.group()) {
            text += &format!("\n## {}\n\n{COLUMNS}", id.group());
        }
        let tests: Vec<_> = citations.get(id).into_iter().flatten().map(link).collect();
        let (requires, note) = (cell(requires), cell(note));
        let (severity, result) = (severity.to_lowercase(), status.result());
        let tests = tests.join("<br>");
        text +=
            &format!("| {id} | {tier}, {severity} | {requires} | {result} | {tests} | {note} |\n");
    }
    text
}

fn link(Citation { path, test }: &Citation) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    format!("[`{file} :: {test}`]({path})")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sources::source;

    const HEADER: &str = "id\ttier\tseverity\trequirement\tstatus\tnote\n";

    fn test(name: &str, comment: &str) -> String {
        format!("/// {comment}\n#[test]\nfn {name}() {{}}\n")
    }

    #[test]
    fn a_requirement_has_one_row_with_its_tests() {
        let list = format!(
            "{HEADER}GOFF-A-001\tCore\tMajor\ta | b\t\tbeside\nGOFF-A-002\tCore\tMinor\tc\tDEVIATES\twhy\nGOFF-B-001\tRemote\tCritical\td\tN/A\tnone\n"
        );
        let tests_of_a = test("z", "GOFF-A-001, -002.") + &test("b", "GOFF-A-001");
        let sources = [
            source("crates/z/src/z.rs", &test("last", "GOFF-A-001.")),
            source("crates/a/tests/a.rs", &tests_of_a),
        ];
        let report = report(&list, &sources).unwrap();
        let (introduction, rows) = report.text.split_once("\n## ").unwrap();
        assert_eq!(introduction, INTRODUCTION);
        assert_eq!(
            rows,
            "\
A

| id | tier, severity | what it requires | result | shown by | note |
|---|---|---|---|---|---|
| GOFF-A-001 | Core, major | a \\| b | PASS | [`a.rs :: z`](crates/a/tests/a.rs)<br>[`a.rs :: b`](crates/a/tests/a.rs)<br>[`z.rs :: last`](crates/z/src/z.rs) | beside |
| GOFF-A-002 | Core, minor | c | DEVIATES | [`a.rs :: z`](crates/a/tests/a.rs) | why |

## B

| id | tier, severity | what it requires | result | shown by | note |
|---|---|---|---|---|---|
| GOFF-B-001 | Remote, critical | d | N/A |  | none |
"
        );
        let counts: Vec<_> = report.counts.into_iter().collect();
        assert_eq!(counts, [("DEVIATES", 1), ("N/A", 1), ("PASS", 1)]);
    }

    #[test]
    fn a_requirement_with_neither_test_nor_status_is_a_fault() {
        let list = format!("{HEADER}GOFF-A-001\tCore\tMajor\tasks\t\tnote\n");
        let check = |path: &str, text: &str, shown: bool| {
            let report = report(&list, &[source(path, text)]);
            assert_eq!(report.is_ok(), shown, "{path} {text}");
            if let Err(faults) = report {
                assert_eq!(faults, ["no test cites GOFF-A-001 (asks)"]);
            }
        };
        let citing = test("a", "GOFF-A-001");
        check("crates/a/src/a.rs", &citing, true);
        check("crates/a/src/a/tests.rs", &citing, true);
        check("crates/a/tests/a/b.rs", &citing, true);
        check("tests-integration/tests/scenarios/a.rs", &citing, true);
        check("crates/a/examples/a.rs", &citing, false);
        check("tests-integration/src/a.rs", &citing, false);
        check("benches/src/a.rs", &citing, false);
        check("xtask/src/a.rs", &citing, false);
        let elsewhere = "//! GOFF-A-001\n/// GOFF-A-001\nfn a() {}\n#[test]\nfn b() {}\n";
        check("crates/a/src/a.rs", elsewhere, false);
    }

    #[test]
    fn an_id_that_does_not_exist_is_a_fault() {
        let list = format!("{HEADER}GOFF-A-001\tCore\tMajor\tasks\t\t\n");
        let source = source("crates/a/src/a.rs", &test("b", "GOFF-A-001 to -003"));
        let faults = report(&list, &[source]).unwrap_err();
        let faults_expected = ["2", "3"].map(|number| {
            format!("crates/a/src/a.rs: `b` cites GOFF-A-00{number}, which is no requirement")
        });
        assert_eq!(faults, faults_expected);
    }

    #[test]
    fn pending_is_said_and_asked_about_once_there_are_tests() {
        let list = format!("{HEADER}GOFF-A-001\tCore\tMajor\tasks\tPENDING\t\n");
        let check = |sources: &[Source], hints: &[&str]| {
            let report = report(&list, sources).unwrap();
            assert!(report.text.contains(PENDING));
            assert!(report.text.contains("| PENDING |"));
            assert_eq!(report.hints, hints);
        };
        check(&[], &[]);
        let citing = source("crates/a/src/a.rs", &test("b", "GOFF-A-001"));
        check(&[citing], &["GOFF-A-001 has tests: is it still PENDING?"]);
    }

    #[test]
    fn faults_of_the_list_name_the_list() {
        let faults = report("", &[]).unwrap_err();
        assert!(faults[0].starts_with(LIST), "{faults:?}");
    }
}
