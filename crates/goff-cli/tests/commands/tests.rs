//! `goff test`.

use crate::FLAGS;
use crate::goff::Goff;

const TESTS: &str = "\
tests:
  - name: adult pro customers get the new checkout
    flag: new-checkout
    context: {targetingKey: user-1, plan: Pro, age: 42}
    value: true
    reason: TARGETING_MATCH

  - name: an age in quotes does not match
    flag: new-checkout
    context: {targetingKey: user-2, plan: pro, age: '42'}
    variant: off

  - flag: banner
    at: 2026-12-24
    variant: summer
";

#[test]
fn a_session() {
    let mut goff = Goff::with(&[("flags.yaml", FLAGS), ("tests.yaml", TESTS)]);
    goff.show("cat tests.yaml").has(0, &[]);
    goff.show("goff test flags.yaml tests.yaml --junit report.xml")
        .has(
            1,
            &[
                "2 passed, 1 failed",
                "tests.yaml:13",
                "variant: expected summer, found winter",
            ],
        );
    let report = std::fs::read_to_string(goff.path("report.xml")).unwrap();
    for part in [
        "tests=\"3\"",
        "failures=\"1\"",
        "name=\"banner 1\"",
        "expected summer",
    ] {
        assert!(report.contains(part), "{report}");
    }
    goff.document("test");
}

#[test]
fn each_expectation_can_fail_and_pass() {
    for (expected, passes) in [
        ("value: Sunny days!", true),
        ("value: null", false),
        ("variant: summer", true),
        ("variant: winter", false),
        ("reason: STATIC", true),
        ("reason: DEFAULT", false),
        ("error: FLAG_NOT_FOUND", false),
        ("variant: summer, reason: DEFAULT", false),
    ] {
        let tests = format!("tests: [{{flag: banner, at: 2026-11-01, {expected}}}]");
        let goff = Goff::with(&[("flags.yaml", FLAGS), ("tests.yaml", &tests)]);
        let ran = goff.run("goff test flags.yaml tests.yaml --json");
        assert_eq!(ran.code, i32::from(!passes), "{expected}: {ran:?}");
        assert_eq!(ran.json()[0]["passed"], passes);
        assert_eq!(ran.json()[0]["line"], 1);
    }
    let goff = Goff::with(&[
        ("flags.yaml", FLAGS),
        (
            "tests.yaml",
            "tests: [{flag: none, error: FLAG_NOT_FOUND, value: null}]",
        ),
    ]);
    goff.run("goff test flags.yaml tests.yaml")
        .has(0, &["1 passed"]);
    // A misspelled flag has no value, not even null.
    goff.write("tests.yaml", "tests: [{flag: baner, value: null}]");
    goff.run("goff test flags.yaml tests.yaml")
        .has(1, &["error: expected none, found FLAG_NOT_FOUND"]);
}

/// The earlier report stays where the new one cannot be written, and is replaced whole otherwise.
#[test]
fn a_report_is_replaced_atomically() {
    let goff = Goff::with(&[
        ("flags.yaml", FLAGS),
        ("tests.yaml", TESTS),
        ("report.xml", "earlier"),
    ]);
    goff.run("goff test flags.yaml missing.yaml --junit report.xml")
        .has(2, &[]);
    assert_eq!(
        std::fs::read_to_string(goff.path("report.xml")).unwrap(),
        "earlier"
    );
    // A second name keeps the earlier content: the file was not written in place.
    std::fs::hard_link(goff.path("report.xml"), goff.path("kept.xml")).unwrap();
    goff.run("goff test flags.yaml tests.yaml --junit report.xml")
        .has(1, &[]);
    assert_eq!(
        std::fs::read_to_string(goff.path("kept.xml")).unwrap(),
        "earlier"
    );
    assert!(
        std::fs::read_to_string(goff.path("report.xml"))
            .unwrap()
            .contains("banner")
    );
}

/// A device is written to, a link stays one, and a file keeps its permissions.
#[test]
fn a_report_goes_where_its_path_leads() {
    use std::os::unix::fs::PermissionsExt;
    let goff = Goff::with(&[
        ("flags.yaml", FLAGS),
        ("tests.yaml", TESTS),
        ("report.xml", "earlier"),
    ]);
    let (report, link) = (goff.path("report.xml"), goff.path("link.xml"));
    std::fs::set_permissions(&report, PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("report.xml", &link).unwrap();
    goff.run("goff test flags.yaml tests.yaml --junit link.xml")
        .has(1, &[]);
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(&report).unwrap().contains("banner"));
    let mode = report.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    goff.run("goff test flags.yaml tests.yaml --junit /dev/stdout | cat")
        .has(0, &["<testsuites", "2 passed"]);
    goff.run("mkfifo fifo; cat fifo & goff test flags.yaml tests.yaml --junit fifo; wait")
        .has(0, &["<testsuites"]);
    goff.run("goff test flags.yaml tests.yaml --junit .")
        .has(2, &["cannot be written"]);
    // Also one whose target is not there yet.
    goff.run(
        "mkdir new; ln -s new/report.xml first; ln -s first second; \
         goff test flags.yaml tests.yaml --junit second",
    )
    .has(1, &[]);
    assert!(goff.path("first").is_symlink() && goff.path("second").is_symlink());
    let written = std::fs::read_to_string(goff.path("new/report.xml")).unwrap();
    assert!(written.contains("banner"));
    goff.run("ln -s loop loop; goff test flags.yaml tests.yaml --junit loop")
        .has(2, &["loop: cannot be written: it is a link to itself"]);
    assert!(goff.path("loop").is_symlink());
    // And what its owner protected stays.
    std::fs::set_permissions(&report, PermissionsExt::from_mode(0o400)).unwrap();
    std::fs::remove_file(goff.path("tests.yaml")).unwrap();
    goff.write("tests.yaml", "tests: [{flag: new-checkout, reason: SPLIT}]");
    goff.run("goff test flags.yaml tests.yaml --junit report.xml")
        .has(2, &["report.xml: cannot be written: it is read-only"]);
    assert!(std::fs::read_to_string(&report).unwrap().contains("banner"));
}
