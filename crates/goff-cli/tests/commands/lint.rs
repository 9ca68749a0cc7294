//! `goff lint`.

use serde_json::Value;

use crate::goff::Goff;

const REFUSED: &str = "\
new-checkout:
  variations:
    enabled: true
    disabled: false
  targeting:
    - query: plan eq \"pro\"
      variation: on
  defaultRule:
    percentage:
      enabled: 20
      disabled: 80
";
const GOOD: &str = "\
new-checkout:
  variations:
    enabled: true
    disabled: false
  defaultRule:
    percentage:
      enabled: 20
      disabled: 80
";

fn files() -> Goff {
    Goff::with(&[
        ("flags.yaml", REFUSED),
        ("good.yaml", GOOD),
        ("list.json", "[1]"),
    ])
}

#[test]
fn a_session() {
    let mut goff = files();
    goff.show("goff lint flags.yaml").has(
        1,
        &[
            "error[invalid-flag]",
            "flags.yaml:7:18",
            "variation: on",
            "1 error, 0 warnings",
        ],
    );
    goff.show("goff lint good.yaml")
        .has(0, &["nothing found in 1 file"]);
    goff.document("lint");
    let mut github = files();
    github
        .show("goff lint flags.yaml good.yaml --format github")
        .has(
            1,
            &["::error file=flags.yaml,line=7,col=18,title=invalid-flag::"],
        );
    github.document("github");
}

#[test]
fn every_format_has_every_finding() {
    let goff = files();
    let lint = |options: &str| goff.run(&format!("goff lint flags.yaml list.json {options}"));
    let found = lint("--json").has(1, &[]).json();
    let found = found.as_array().unwrap();
    assert!(found.len() >= 2, "{found:?}");
    assert_eq!(lint("--format github").stdout.lines().count(), found.len());
    let text = lint("").stdout;
    let sarif = lint("--format sarif").json();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), found.len());
    for (found, result) in found.iter().zip(results) {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], found["file"]);
        assert_eq!(place["region"]["startLine"], found["line"]);
        assert_eq!(place["region"]["startColumn"], found["column"]);
        assert_eq!(result["level"], found["severity"]);
        assert_eq!(result["ruleId"], found["code"]);
        assert!(rules.iter().any(|rule| rule["id"] == found["code"]));
        let code = found["code"].as_str().unwrap();
        assert!(text.contains(&format!("[{code}]")), "{text}");
    }
}

#[test]
fn a_report_goes_to_a_file_and_errors_cannot_be_allowed() {
    let goff = files();
    goff.run("goff lint flags.yaml --format sarif --output lint.sarif")
        .has(1, &[]);
    let report = std::fs::read_to_string(goff.path("lint.sarif")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["runs"][0]["results"][0]["ruleId"], "invalid-flag");
    goff.run("goff lint flags.yaml --output lint.txt --color always")
        .has(1, &[]);
    let report = std::fs::read_to_string(goff.path("lint.txt")).unwrap();
    assert!(
        report.contains("invalid-flag") && !report.contains('\u{1b}'),
        "{report}"
    );
    goff.run("goff lint flags.yaml --allow invalid-flag")
        .has(1, &["error[invalid-flag]"]);
}

/// Annotations are lines: nothing of a file ends one, or begins another.
#[test]
fn texts_of_a_file_are_escaped_in_annotations() {
    let goff = Goff::with(&[(
        "a,b:c%.yaml",
        "\"x\\n::error::y %0A\": {variations: {a: 1}}\n",
    )]);
    let ran = goff.run("goff lint a,b:c%.yaml --format github");
    ran.has(1, &["::error file=a%2Cb%3Ac%25.yaml,line=1"]);
    let is_annotation = |line: &str| line.contains(" file=a%2Cb%3Ac%25.yaml,line=1,");
    assert!(ran.stdout.lines().all(is_annotation), "{ran:?}");
    let sarif = goff.run("goff lint a,b:c%.yaml --format sarif").json();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a,b%3Ac%25.yaml");
}

/// Files that are not what they seem to be do not break the snippets.
#[test]
fn any_bytes_are_linted() {
    let goff = files();
    let utf16: Vec<u8> = REFUSED.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [
        &b"\xff\xfe\xfd"[..],
        b"a: \"\xc3",
        b"",
        b"\t",
        "é: [\u{1b}[31m".as_bytes(),
        &[&b"\xff\xfe"[..], &utf16].concat(),
        &[&b"\xef\xbb\xbf"[..], REFUSED.as_bytes()].concat(),
        REFUSED.replace('\n', "\r\n").as_bytes(),
    ] {
        goff.write("any.yaml", content);
        for format in ["text", "json", "sarif", "github"] {
            let ran = goff.run(&format!("goff lint any.yaml --format {format}"));
            assert!(ran.code == 0 || ran.code == 1, "{content:?}: {ran:?}");
            assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
        }
    }
}

const SUSPECT: &str = "\
new-checkout:
  variations:
    enabled: true
    disabled: false
  targeting:
    - query: plan eq \"pro\" AND age ge 18
      variation: enabled
  defaultRule:
    variation: disabled
";

/// A warning has its patch, which leaves nothing to find, and can be allowed.
#[test]
fn a_warning_can_be_fixed_or_allowed() {
    let goff = Goff::with(&[("suspect.yaml", SUSPECT)]);
    let ran = goff.run("goff lint suspect.yaml");
    ran.has(
        1,
        &[
            "warning[uppercase-operator]",
            "suspect.yaml:6:28",
            "write",
            "0 errors, 1 warning",
        ],
    );
    let found = goff.run("goff lint suspect.yaml --json").json();
    let fix = &found[0]["fix"];
    let at = |name: &str| usize::try_from(fix["span"][name].as_u64().unwrap()).unwrap();
    let mut fixed = SUSPECT.to_owned();
    fixed.replace_range(at("start")..at("end"), fix["replacement"].as_str().unwrap());
    goff.write("fixed.yaml", fixed);
    goff.run("goff lint fixed.yaml").has(0, &["nothing found"]);
    goff.run("goff lint suspect.yaml --allow uppercase-operator")
        .has(0, &["nothing found"]);
    // Allowed warnings leave room for others.
    let flag = |number| {
        format!("f{number}: {{variations: {{a: 1, b: 2}}, defaultRule: {{variation: a}}}}\n")
    };
    let many: String = (0..600).map(flag).collect();
    goff.write("many.yaml", many + SUSPECT);
    let found = goff.run("goff lint many.yaml --json --allow unused-variation");
    assert_eq!(found.json()[0]["code"], "uppercase-operator");
    let sarif = goff.run("goff lint suspect.yaml --format sarif").json();
    let change = &sarif["runs"][0]["results"][0]["fixes"][0]["artifactChanges"][0];
    let replacement = &change["replacements"][0];
    assert_eq!(replacement["insertedContent"]["text"], "and");
    assert_eq!(replacement["deletedRegion"]["startColumn"], 28);
}
