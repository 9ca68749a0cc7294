//! Bad input of every command: exit code 2, the place, and what to do.

use crate::FLAGS;
use crate::goff::Goff;

#[test]
fn bad_input_is_refused_with_its_place_and_a_remedy() {
    let goff = Goff::with(&[
        ("flags.yaml", FLAGS),
        ("malformed.yaml", "a: [\n"),
        ("undecodable.yaml", "a: {variations: 7}\n"),
        ("list.json", "[1]"),
        (
            "other.yaml",
            "banner: {variations: {a: 1}, defaultRule: {variation: a}}\n",
        ),
        ("users.jsonl", "{\"targetingKey\": \"a\"}\n[]\n"),
        ("keys.jsonl", "{\"targetingKey\": 7}\n"),
        (
            "tests.yaml",
            "tests:\n  - {flag: banner, variant: summer}\n",
        ),
        (
            "typo.yaml",
            "tests:\n  - {flag: banner, variant: summer}\n  - {flags: banner, variant: summer}\n",
        ),
        (
            "vague.yaml",
            "tests:\n  - {flag: banner, variant: summer}\n  - flag: banner\n",
        ),
        (
            "when.yaml",
            "tests:\n  - {flag: banner, variant: summer, at: tomorrow}\n",
        ),
    ]);
    for (line, parts) in [
        ("evaluate banner", &["--file", "--endpoint"][..]),
        ("evaluate -f flags.yaml", &["name one", "--all"]),
        (
            "evaluate -f flags.yaml banner --all",
            &["cannot be used with"],
        ),
        ("evaluate -f no.yaml banner", &["no.yaml", "check the path"]),
        (
            "evaluate -f . banner",
            &[".: cannot be read", "readable file"],
        ),
        (
            "evaluate -f malformed.yaml banner",
            &["malformed.yaml: line", "correct it"],
        ),
        (
            "evaluate -f undecodable.yaml banner",
            &["undecodable.yaml: line 1", "correct the flag"],
        ),
        (
            "evaluate -f flags.yaml banner -c plan",
            &["--context", "name=value"],
        ),
        (
            "evaluate -f flags.yaml banner -c @list.json",
            &["list.json", "not an object"],
        ),
        (
            "evaluate -f flags.yaml banner -c @no.json",
            &["no.json", "check the path"],
        ),
        (
            "evaluate -f flags.yaml banner -c '{\"a\":'",
            &["--context", "line 1 column 5"],
        ),
        (
            "evaluate -f flags.yaml banner -c '{\"targetingKey\": 1}'",
            &["write \"1\""],
        ),
        (
            "evaluate -f flags.yaml banner --at tomorrow",
            &["--at", "2026-12-24"],
        ),
        (
            "evaluate --endpoint ftp://x banner",
            &["--endpoint", "http://localhost:1031"],
        ),
        (
            "evaluate --endpoint http://127.0.0.1:9 banner --timeout soon",
            &["--timeout"],
        ),
        (
            "evaluate --endpoint http://127.0.0.1:9 banner",
            &["127.0.0.1:9", "goff doctor"],
        ),
        ("explain -f flags.yaml", &["name one", "--all"]),
        ("explain banner", &["--file", "--endpoint"]),
        (
            "explain -f malformed.yaml banner",
            &["malformed.yaml: line", "correct it"],
        ),
        (
            "explain --endpoint http://127.0.0.1:9 banner",
            &["127.0.0.1:9", "goff doctor"],
        ),
        ("lint", &["<FILES>"]),
        (
            "lint malformed.yaml no.yaml",
            &["no.yaml", "check the path"],
        ),
        (
            "lint flags.yaml --allow typo",
            &["--allow", "unused-variation"],
        ),
        ("lint flags.yaml --at tomorrow", &["--at", "2026-12-24"]),
        (
            "lint flags.yaml --format sarif --output no/folder/x.sarif",
            &["no/folder/x.sarif", "check the folder"],
        ),
        ("diff flags.yaml", &["<NEW>"]),
        ("diff flags.yaml no.yaml", &["no.yaml", "check the path"]),
        (
            "diff malformed.yaml flags.yaml",
            &["malformed.yaml: line", "correct it"],
        ),
        ("diff flags.yaml other.yaml --users 0", &["--users"]),
        (
            "diff flags.yaml other.yaml --contexts no.jsonl",
            &["no.jsonl", "JSON object on each line"],
        ),
        (
            "diff flags.yaml flags.yaml --contexts no.jsonl",
            &["no.jsonl", "JSON object on each line"],
        ),
        (
            "diff flags.yaml flags.yaml --contexts .",
            &[".: ", "JSON object on each line"],
        ),
        (
            "diff flags.yaml other.yaml --contexts users.jsonl",
            &["users.jsonl: line 2", "write one context"],
        ),
        (
            "diff flags.yaml other.yaml --contexts keys.jsonl",
            &["keys.jsonl: line 1", "write \"7\""],
        ),
        ("test flags.yaml", &["<TESTS>"]),
        (
            "test flags.yaml no.yaml --junit out.xml",
            &["no.yaml", "check the path"],
        ),
        (
            "test malformed.yaml tests.yaml --junit out.xml",
            &["malformed.yaml: line", "correct it"],
        ),
        (
            "test flags.yaml malformed.yaml",
            &["malformed.yaml", "line", "goff test --help"],
        ),
        (
            "test flags.yaml typo.yaml",
            &["typo.yaml", "line 3", "flags", "goff test --help"],
        ),
        (
            "test flags.yaml vague.yaml",
            &["vague.yaml: line 3", "expects nothing"],
        ),
        (
            "test flags.yaml when.yaml",
            &["when.yaml: line 2", "`at`", "2026-12-24"],
        ),
        (
            "test flags.yaml tests.yaml --junit no/folder/out.xml",
            &["no/folder/out.xml", "check the folder"],
        ),
        ("doctor", &["--endpoint URL"]),
        (
            "doctor --endpoint nonsense",
            &["--endpoint", "http://localhost:1031"],
        ),
        ("serve", &["<FILES>"]),
        ("serve no.yaml", &["no.yaml", "check the path"]),
        (
            "serve flags.yaml malformed.yaml",
            &["malformed.yaml: line", "correct it"],
        ),
        (
            "serve flags.yaml --listen here",
            &["--listen", "127.0.0.1:1031"],
        ),
        (
            "serve flags.yaml --listen 192.0.2.1:1",
            &["--listen 192.0.2.1:1", "choose another address"],
        ),
        (
            "serve flags.yaml --fault status=200",
            &["--fault", "from 400 to 599"],
        ),
        (
            "serve flags.yaml --fault delay=2s@nowhere",
            &["--fault", "@collector"],
        ),
        ("completions tcsh", &["bash"]),
    ] {
        let ran = goff.run(&format!("goff {line}"));
        ran.has(2, parts);
        assert!(ran.stdout.is_empty(), "{line}: {ran:?}");
    }
    // Nothing is written, and nothing is left of what was begun.
    let names = std::fs::read_dir(goff.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known = |name: &String| {
        ["yaml", "json", "jsonl"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    assert_eq!(
        names.filter(|name| !known(name)).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[test]
fn secrets_are_not_repeated_in_errors() {
    let goff = Goff::with(&[]);
    for line in [
        "goff evaluate x --endpoint http://127.0.0.1:9 --api-key \"$(printf 'hush\\nhush')\"",
        "goff evaluate x --endpoint ftp://user:hush@host",
        "GOFF_API_KEY=hush goff evaluate x --endpoint http://127.0.0.1:9",
        "GOFF_API_KEY=hush goff evaluate --help",
        "GOFF_SERVE_API_KEY=hush GOFF_SERVE_ADMIN_KEY=hush goff serve --help",
    ] {
        let ran = goff.run(line);
        assert!(!format!("{ran:?}").contains("hush"), "{line}: {ran:?}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let ran = goff.run("(goff completions bash; echo $? >&2) | true");
    assert!(matches!(ran.stderr.as_str(), "0\n"), "{ran:?}");
}

/// A pipeline with `pipefail` sees the findings, though its reader has enough.
#[test]
fn findings_are_the_exit_code_without_a_reader() {
    let goff = Goff::with(&[
        (
            "flags.yaml",
            "f: {variations: {a: 1}, defaultRule: {variation: a}}",
        ),
        (
            "bad.yaml",
            "f: {variations: {a: 1}, defaultRule: {variation: b}}",
        ),
        ("tests.yaml", "tests: [{flag: f, value: 2}]"),
    ]);
    for (line, code) in [
        ("lint bad.yaml", 1),
        ("lint bad.yaml --json", 1),
        ("diff flags.yaml bad.yaml", 1),
        ("test flags.yaml tests.yaml", 1),
        ("evaluate -f flags.yaml none", 1),
        ("explain -f flags.yaml none", 1),
        ("doctor --endpoint http://127.0.0.1:9", 1),
        ("evaluate -f flags.yaml f", 0),
        ("evaluate -f flags.yaml f --watch", 0),
    ] {
        let ran = goff.run_without_reader(&format!("goff {line}"));
        assert_eq!(ran, Some(code), "{line}");
    }
}
