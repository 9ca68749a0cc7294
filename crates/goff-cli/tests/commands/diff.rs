//! `goff diff`.

use serde_json::json;

use crate::FLAGS;
use crate::goff::Goff;
use crate::terminal::on_terminal;

fn files() -> Goff {
    let new = FLAGS
        .replace("on: 20", "on: 30")
        .replace("off: 80", "off: 70")
        .replace("banner:", "greeting:");
    let contexts = "{\"targetingKey\": \"ada\", \"plan\": \"pro\", \"age\": 42}\n\n{\"targetingKey\": \"user-5\"}\n";
    Goff::with(&[
        ("old.yaml", FLAGS),
        ("new.yaml", &new),
        ("users.jsonl", contexts),
    ])
}

#[test]
fn a_session() {
    let mut goff = files();
    goff.show("goff diff old.yaml new.yaml").has(
        1,
        &[
            "1 added, 1 removed, 1 changed",
            "off → on",
            "of 10,000 users",
        ],
    );
    goff.show("cat users.jsonl").has(0, &[]);
    goff.show("goff diff old.yaml new.yaml --contexts users.jsonl --json")
        .has(1, &[]);
    goff.show("goff diff old.yaml old.yaml")
        .has(0, &["2 unchanged"]);
    goff.document("diff");
}

/// Every count is what evaluating with each file gives.
#[test]
fn counts_are_those_of_single_evaluations() {
    let goff = files();
    let ran = goff.run("goff diff old.yaml new.yaml --users 40 --examples 40 --json");
    let found = ran.has(1, &[]).json();
    let evaluate = |file: &str, user: u32| {
        let line = format!("goff evaluate --json -f {file} new-checkout -u user-{user}");
        goff.run(&line).json()["variant"].clone()
    };
    let moved: Vec<String> = (1..=40)
        .filter(|user| evaluate("old.yaml", *user) != evaluate("new.yaml", *user))
        .map(|user| format!("user-{user}"))
        .collect();
    assert!(!moved.is_empty());
    let expected = json!({
        "added": ["greeting"],
        "removed": ["banner"],
        "changed": {"new-checkout": {
            "members": ["defaultRule"],
            "affected": moved.len(),
            "transitions": [{"from": "off", "to": "on", "count": moved.len(), "examples": moved}],
        }},
        "unchanged": 0,
        "contexts": 40,
    });
    assert_eq!(found, expected);
}

/// A variant that keeps its name, an error, and a flag that is disabled.
#[test]
fn what_changes_is_named() {
    let flag = |rest: &str| format!("f: {{variations: {{a: 1, b: 2}}, {rest}}}\n");
    for (old, new, expected) in [
        (
            flag("defaultRule: {variation: a}"),
            flag("defaultRule: {variation: a}").replace('1', "7"),
            "a (1) → a (7)",
        ),
        (
            flag("defaultRule: {variation: a}"),
            flag("defaultRule: {variation: a}, disable: true"),
            "a → the default",
        ),
        (
            flag("defaultRule: {variation: a}"),
            flag("bucketingKey: team, defaultRule: {percentage: {a: 1, b: 1}}"),
            "a → TARGETING_KEY_MISSING",
        ),
    ] {
        let goff = Goff::with(&[("old.yaml", &old), ("new.yaml", &new)]);
        goff.run("goff diff old.yaml new.yaml --users 2")
            .has(1, &[expected, "2 of 2 users", "user-1, user-2"]);
    }
    // Values that differ far from their beginning.
    let value = |end: &str| {
        let long = "x".repeat(300);
        let flag =
            format!("f: {{variations: {{a: \"{long}{end}\"}}, defaultRule: {{variation: a}}}}");
        flag
    };
    let goff = Goff::with(&[("old.yaml", &value("1")), ("new.yaml", &value("2"))]);
    let ran = goff.run("goff diff old.yaml new.yaml --users 1");
    ran.has(1, &["x1\") → a (…x", "x2\"): 1 (user-1)"]);
    // Another order of members, and a change that no one notices.
    let (one, other) = (
        flag("defaultRule: {variation: a}, version: x"),
        flag("version: x, defaultRule: {variation: a}"),
    );
    let goff = Goff::with(&[
        ("old.yaml", &one),
        ("same.yaml", &other),
        ("new.yaml", &other.replace("x", "y")),
    ]);
    goff.run("goff diff old.yaml same.yaml")
        .has(0, &["1 unchanged"]);
    goff.run("goff diff old.yaml new.yaml --users 1")
        .has(1, &["~ f: version", "0 of 1 user get"]);
}

#[test]
fn a_long_diff_shows_its_progress_on_a_terminal() {
    let goff = files();
    let diff = |users: &str| {
        on_terminal(
            &goff,
            &["diff", "old.yaml", "new.yaml", "--users", users],
            &[],
        )
    };
    assert!(!diff("10").contains("% "));
    // As many as take two seconds on this machine.
    let mut users = 100_000;
    let long = loop {
        let started = std::time::Instant::now();
        let printed = diff(&users.to_string());
        if started.elapsed().as_secs() >= 2 {
            break printed;
        }
        users *= 4;
    };
    assert!(long.contains("left"), "{long}");
}

#[test]
fn a_targeting_key_is_the_one_context() {
    let goff = files();
    let found = goff.run("goff diff old.yaml new.yaml -u alice --json");
    assert_eq!(found.has(1, &[]).json()["contexts"], 1);
    goff.run("goff diff old.yaml new.yaml -u alice --users 5")
        .has(2, &["--users"]);
}
