//! `cargo xtask conformance report`: the requirements of the provider specification, each with the tests that cite it.
//!
//! A test shows a requirement by citing its id in a comment before or in it. Citations in other code do not count.

mod citations;
mod form;
mod requirements;
mod tests_of;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Failure, no_arguments, root};
use crate::tidy::sources::{self, Source};
use crate::workspace::{self, Package};

use citations::Id;
use requirements::{Configuration, Requirement, Verdict};
use tests_of::Test;

/// Where the report is written.
const REPORT: &str = "CONFORMANCE.md";

/// Where the requirements are listed.
const LIST: &str = "xtask/src/conformance/report/requirements.tsv";

/// Writes the report, unless something is wrong with the list or with a citation.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let packages = workspace::packages()?;
    let sources = sources::of_packages(&packages)?;
    let report = report(&list()?, &sources, &version(&packages))
        .map_err(|faults| format!("{} faults:\n{}", faults.len(), faults.join("\n")))?;
    fs::write(root().join(REPORT), &report.text)?;
    for (configuration, verdict) in report.verdicts {
        println!("{}(endpoint)\n{verdict}", configuration.constructor());
    }
    Ok(())
}

/// What is wrong with the list, the citations, or the report that is there.
pub(crate) fn faults(
    packages: &BTreeMap<String, Package>,
    sources: &[Source],
) -> Result<Vec<String>, Failure> {
    // Without a report, all of it is out of date.
    let there = fs::read_to_string(root().join(REPORT)).unwrap_or_default();
    Ok(match report(&list()?, sources, &version(packages)) {
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

/// That of the crate of the provider.
fn version(packages: &BTreeMap<String, Package>) -> String {
    let provider = packages.get("goff-provider");
    provider.map_or_else(String::new, |package| package.version.clone())
}

#[derive(Debug)]
struct Report {
    text: String,
    verdicts: [(Configuration, String); 2],
}

/// The tests that cite a requirement, by path and then in the order of the file.
type Citations = BTreeMap<Id, Vec<Citation>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Citation {
    /// With slashes, relative to the root.
    path: String,
    test: String,
    /// Whether it makes a client with the preset.
    is_of_preset: bool,
}

fn report(list: &str, sources: &[Source], version: &str) -> Result<Report, Vec<String>> {
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
        for Citation { path, test, .. } in citing {
            faults.push(format!(
                "{path}: `{test}` cites {id}, which is no requirement"
            ));
        }
    }
    for requirement in &requirements {
        let citing = citations
            .get(&requirement.id)
            .map_or(&[][..], Vec::as_slice);
        faults.extend(unshown(requirement, citing));
    }
    match faults.is_empty() {
        true => Ok(Report {
            text: render(&requirements, &citations, version),
            verdicts: Configuration::ALL.map(|configuration| {
                let verdict = form::verdict(configuration, &requirements);
                (configuration, verdict)
            }),
        }),
        false => Err(faults),
    }
}

/// What the citing tests do not show of a verdict.
fn unshown(requirement: &Requirement, citing: &[Citation]) -> Option<String> {
    let Requirement {
        id,
        requires,
        evidence,
        ..
    } = requirement;
    if requirement.verdict(Configuration::Conformant) == Verdict::NotApplicable {
        return None;
    }
    if citing.is_empty() {
        return Some(format!("no test cites {id} ({requires})"));
    }
    if requirement.differs() && !citing.iter().any(|citation| citation.is_of_preset) {
        return Some(format!(
            "no test with the preset cites {id} ({requires}), and the default differs"
        ));
    }
    if !requirement.fails_somewhere() {
        return None;
    }
    let Some(shown) = citing.iter().find(|citation| citation.test == *evidence) else {
        return Some(format!(
            "`{evidence}`, which shows that {id} fails, does not cite it"
        ));
    };
    let is_of_relay_proxy = shown.path.starts_with(INTEGRATION);
    (requirement.is_of_the_relay_proxy() && !is_of_relay_proxy).then(|| {
        format!("`{evidence}` shows what the relay proxy does ({id}), but not against one")
    })
}

fn collect(sources: &[Source]) -> Citations {
    let mut citations = Citations::new();
    for source in sources.iter().filter(|source| is_read(&source.path)) {
        for Test { name, text } in tests_of::tests_of(&source.text) {
            for id in citations::cited(&text) {
                let citation = Citation {
                    path: slashes(&source.path),
                    test: name.clone(),
                    is_of_preset: text.contains(PRESET),
                };
                citations.entry(id).or_default().push(citation);
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
        || path.starts_with(INTEGRATION)
}

fn slashes(path: &Path) -> String {
    let components = path.iter().map(|component| component.to_string_lossy());
    components.collect::<Vec<_>>().join("/")
}

/// The tests against a relay proxy.
const INTEGRATION: &str = "tests-integration/tests/";

/// The call by which a test makes a client with the preset.
const PRESET: &str = "GoFeatureFlagOptions::conformant(";

const INTRODUCTION: &str = "\
# Conformance

GO Feature Flag's provider specification 1.0, requirement by requirement, and the tests that show each verdict. Written
by `cargo xtask conformance report` from the ids that tests cite; `cargo xtask tidy` fails when it is out of date, or when
a test on which a verdict rests is gone.

There are two reports, in the form of the specification's appendix C. The first is for the preset
`GoFeatureFlagOptions::conformant(endpoint)`, which sets three public options: `evaluation_type` to in-process
evaluation, `remote_protocol` to OFREP, `disable_deprecated_stream`. So it uses none of the endpoints that appendix A.2
rules out. What the specification asks of remote evaluation is shown with the preset's fallback, and with
`evaluation_type(EvaluationType::Remote)` after it. The second is for the default, `GoFeatureFlagOptions::new(endpoint)`,
which is remote evaluation over the relay proxy's own endpoint.

* PASS: the tests named below show that it holds. Where the two configurations differ, some of them run with the preset.
* FAIL: it does not hold everywhere. The finding says what decides that, the SDK, the relay proxy or this project, and
  the source location is the test that shows what happens instead.
* N/A: it is outside the tiers of this provider, or about a capability that the SDK does not have.
";

const COLUMNS: &str = "\
| id | tier, severity | what it requires | preset | default | shown by | note |
|---|---|---|---|---|---|---|
";

fn render(requirements: &[Requirement], citations: &Citations, version: &str) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (title, configuration) in [
        ("The preset", Configuration::Conformant),
        ("The default", Configuration::Default),
    ] {
        let report = form::report(configuration, version, requirements, citations);
        text += &format!("\n## {title}\n\n```text\n{report}```\n");
    }
    text += "\n## Requirements\n";
    let mut group = None;
    for requirement in requirements {
        let Requirement {
            id,
            tier,
            severity,
            requires,
            reason,
            ..
        } = requirement;
        if group.replace(id.group()) != Some(id.group()) {
            text += &format!("\n### {}\n\n{COLUMNS}", id.group());
        }
        let tests: Vec<_> = citations.get(id).into_iter().flatten().map(link).collect();
        let (requires, reason) = (cell(requires), cell(reason));
        let severity = severity.name().to_lowercase();
        let [preset, default] = Configuration::ALL.map(|it| requirement.verdict(it).name());
        let tests = tests.join("<br>");
        text += &format!(
            "| {id} | {tier}, {severity} | {requires} | {preset} | {default} | {tests} | {reason} |\n"
        );
    }
    text
}

fn link(Citation { path, test, .. }: &Citation) -> String {
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

    use super::requirements::HEADER;

    fn test(name: &str, comment: &str) -> String {
        format!("/// {comment}\n#[test]\nfn {name}() {{}}\n")
    }

    fn preset(name: &str, comment: &str) -> String {
        format!("/// {comment}\n#[test]\nfn {name}() {{\n    {PRESET}\"http://h\");\n}}\n")
    }

    fn report_of(rows: &[&str], sources: &[Source]) -> Result<Report, Vec<String>> {
        report(
            &format!("{HEADER}\n{}\n", rows.join("\n")),
            sources,
            "1.2.3",
        )
    }

    #[test]
    fn both_reports_have_the_specification_s_form_and_each_requirement_has_a_row() {
        let rows = [
            "GOFF-A-001\tCore\tMajor\ta | b\t\t\t\tbeside",
            "GOFF-A-002\tCore\tMajor\tc\t\tFAIL\tb\tdecided: why",
            "GOFF-B-001\tRemote\tCritical\td\tFAIL\t\tlast\tthe SDK cannot: what",
            "GOFF-B-002\tRemote\tMinor\te\tN/A\t\t\tnone",
        ];
        let tests_of_a = preset("z", "GOFF-A-001, -002.") + &test("b", "GOFF-A-002");
        let sources = [
            source(
                "crates/z/src/z.rs",
                &test("last", "GOFF-A-001, GOFF-B-001."),
            ),
            source("crates/a/tests/a.rs", &tests_of_a),
        ];
        let report = report_of(&rows, &sources).unwrap();
        let (introduction, rest) = report.text.split_once("\n## ").unwrap();
        assert_eq!(introduction, INTRODUCTION);
        assert_eq!(
            rest,
            "\
The preset

```text
GO Feature Flag Provider Specification 1.0 — goff-provider 1.2.3, GoFeatureFlagOptions::conformant(endpoint)
VERDICT: NON-CONFORMANT — 1 Critical, 0 Major, 0 Minor (2 PASS, 1 FAIL, 1 N/A)

CRITICAL
  GOFF-B-001         the SDK cannot: what  crates/z/src/z.rs::last
```

## The default

```text
GO Feature Flag Provider Specification 1.0 — goff-provider 1.2.3, GoFeatureFlagOptions::new(endpoint)
VERDICT: NON-CONFORMANT — 1 Critical, 1 Major, 0 Minor (1 PASS, 2 FAIL, 1 N/A)

CRITICAL
  GOFF-B-001         the SDK cannot: what  crates/z/src/z.rs::last

MAJOR
  GOFF-A-002         decided: why  crates/a/tests/a.rs::b
```

## Requirements

### A

| id | tier, severity | what it requires | preset | default | shown by | note |
|---|---|---|---|---|---|---|
| GOFF-A-001 | Core, major | a \\| b | PASS | PASS | [`a.rs :: z`](crates/a/tests/a.rs)<br>[`z.rs :: last`](crates/z/src/z.rs) | beside |
| GOFF-A-002 | Core, major | c | PASS | FAIL | [`a.rs :: z`](crates/a/tests/a.rs)<br>[`a.rs :: b`](crates/a/tests/a.rs) | decided: why |

### B

| id | tier, severity | what it requires | preset | default | shown by | note |
|---|---|---|---|---|---|---|
| GOFF-B-001 | Remote, critical | d | FAIL | FAIL | [`z.rs :: last`](crates/z/src/z.rs) | the SDK cannot: what |
| GOFF-B-002 | Remote, minor | e | N/A | N/A |  | none |
"
        );
        let verdicts = report.verdicts.map(|(_, verdict)| verdict);
        assert!(verdicts.iter().all(|line| report.text.contains(line)));
    }

    #[test]
    fn without_a_failure_the_verdict_is_conformant() {
        let source = source("crates/a/src/a.rs", &test("a", "GOFF-A-001"));
        let report = report_of(&["GOFF-A-001\tCore\tMajor\tasks\t\t\t\t"], &[source]);
        let verdict = "VERDICT: CONFORMANT — 0 Critical, 0 Major, 0 Minor (1 PASS, 0 FAIL, 0 N/A)";
        for (_, line) in report.unwrap().verdicts {
            assert_eq!(line, verdict);
        }
    }

    #[test]
    fn a_verdict_that_no_test_shows_is_a_fault() {
        let check = |cells: &str, path: &str, text: &str, fault: Option<&str>| {
            let row = format!("GOFF-A-001\tCore\tMajor\tasks\t{cells}");
            let report = report_of(&[&row], &[source(path, text)]);
            let faults = report.err().unwrap_or_default();
            assert_eq!(faults, Vec::from_iter(fault), "{cells} {path} {text}");
        };
        let citing = test("a", "GOFF-A-001");
        let missing = Some("no test cites GOFF-A-001 (asks)");
        for (path, shown) in [
            ("crates/a/src/a.rs", true),
            ("crates/a/src/a/tests.rs", true),
            ("crates/a/tests/a/b.rs", true),
            ("tests-integration/tests/scenarios/a.rs", true),
            ("crates/a/examples/a.rs", false),
            ("tests-integration/src/a.rs", false),
            ("benches/src/a.rs", false),
            ("xtask/src/a.rs", false),
        ] {
            check("\t\t\tnote", path, &citing, missing.filter(|_| !shown));
        }
        let elsewhere = "//! GOFF-A-001\n/// GOFF-A-001\nfn a() {}\n#[test]\nfn b() {}\n";
        let path = "crates/a/src/a.rs";
        check("\t\t\tnote", path, elsewhere, missing);
        check("FAIL\t\ta\tdecided: why", path, "", missing);
        check("N/A\t\t\twhy", path, "", None);

        let fault = "no test with the preset cites GOFF-A-001 (asks), and the default differs";
        for cells in ["\tdiffers\t\t", "\tFAIL\ta\tdecided: why"] {
            check(cells, path, &citing, Some(fault));
            let with_preset = preset("b", "GOFF-A-001") + &citing;
            check(cells, path, &with_preset, None);
        }
        let renamed = test("b", "GOFF-A-001");
        let fault = "`a`, which shows that GOFF-A-001 fails, does not cite it";
        check("FAIL\t\ta\tdecided: why", path, &renamed, Some(fault));
        let cells = "FAIL\t\ta\tthe relay proxy behaves otherwise: so";
        let fault = "`a` shows what the relay proxy does (GOFF-A-001), but not against one";
        check(cells, path, &citing, Some(fault));
        check(cells, "tests-integration/tests/outage/a.rs", &citing, None);
    }

    #[test]
    fn an_id_that_does_not_exist_is_a_fault() {
        let row = "GOFF-A-001\tCore\tMajor\tasks\t\t\t\t";
        let source = source("crates/a/src/a.rs", &test("b", "GOFF-A-001 to -003"));
        let faults = report_of(&[row], &[source]).unwrap_err();
        let faults_expected = ["2", "3"].map(|number| {
            format!("crates/a/src/a.rs: `b` cites GOFF-A-00{number}, which is no requirement")
        });
        assert_eq!(faults, faults_expected);
    }

    #[test]
    fn faults_of_the_list_name_the_list() {
        let faults = report("", &[], "").unwrap_err();
        assert!(faults[0].starts_with(LIST), "{faults:?}");
    }
}
