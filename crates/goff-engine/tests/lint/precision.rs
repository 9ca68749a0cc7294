//! What is said about flags that lie close to those of the pages, and how long the linter takes.

use std::time::{Duration, Instant};

use goff_engine::{FlagFile, FlagFileFormat, LintDiagnostic, LintSeverity, Timestamp, lint};
use serde_json::json;

use crate::now;

fn found(members: &str) -> Vec<LintDiagnostic> {
    let text = format!("f:\n  variations: {{a: true, b: false}}\n{members}\n");
    lint(text, FlagFileFormat::Yaml, now())
}

fn codes(members: &str) -> String {
    let found = found(members);
    let codes: Vec<&str> = found.iter().map(|found| found.code.as_str()).collect();
    codes.join(" ")
}

/// A split flag with a targeting rule for a query.
fn asked(query: &str) -> Vec<LintDiagnostic> {
    let query = json!(query);
    found(&format!(
        "  targeting: [{{query: {query}, variation: a}}]\n  defaultRule: {{percentage: {{a: 50, b: 50}}}}"
    ))
}

#[test]
fn steps_count_before_percentages_and_windows_are_judged() {
    let split = |shares: &str, rest: &str| {
        format!("  defaultRule: {{name: d, percentage: {{{shares}}}}}\n{rest}")
    };
    let steps = |steps: &[(&str, &str)]| {
        let step = |(date, members): &(&str, &str)| {
            format!("    - {{date: {date}T00:00:00Z, {members}}}\n")
        };
        let steps: String = steps.iter().map(step).collect();
        format!("  scheduledRollout:\n{steps}")
    };
    let (past, soon, later) = ("2029-06-01", "2030-06-01", "2030-07-01");
    let shares = |shares: &str| format!("defaultRule: {{percentage: {{{shares}}}}}");
    let window = |start: &str, end: &str, rest: &str| {
        split(
            "a: 50, b: 50",
            &format!(
                "  experimentation: {{start: {start}T00:00:00Z, end: {end}T00:00:00Z}}\n{rest}"
            ),
        )
    };
    let rule = |rest: &str| {
        split(
            "a: 50, b: 50",
            &format!(
                "  targeting: [{{name: r, query: x pr, percentage: {{a: 0, b: 100}}}}]\n{rest}"
            ),
        )
    };
    let ends = |end: &str| format!("experimentation: {{end: {end}T00:00:00Z}}");
    for (members, expected) in [
        // A ramp from nothing.
        (
            split("a: 0, b: 100", &steps(&[(soon, &shares("a: 100, b: 0"))])),
            "",
        ),
        (split("a: 0, b: 100", ""), "zero-percentage"),
        (
            split("a: 0, b: 100", &steps(&[(soon, "trackEvents: true")])),
            "zero-percentage repeated-step",
        ),
        (rule(""), "zero-percentage"),
        (
            rule(&steps(&[(
                soon,
                "targeting: [{name: r, percentage: {a: 100, b: -1}}]",
            )])),
            "",
        ),
        (
            rule(&steps(&[(
                soon,
                "targeting: [{name: s, query: y pr, percentage: {a: 100}}]",
            )])),
            "zero-percentage",
        ),
        // Only shares that are in effect or will be.
        (
            split("a: 50, b: 40", &steps(&[(past, &shares("b: 50"))])),
            "past-step",
        ),
        (
            split("a: 50, b: 40", &steps(&[(soon, &shares("b: 50"))])),
            "percentages-not-100",
        ),
        (
            split("a: 50, b: 50", &steps(&[(soon, &shares("b: 40"))])),
            "percentages-not-100",
        ),
        (
            split(
                "a: 50, b: 50",
                &steps(&[(soon, &shares("b: 40")), (later, &shares("b: 50"))]),
            ),
            "percentages-not-100",
        ),
        (
            split(
                "a: 50, b: 50",
                &steps(&[(soon, &shares("a: 50.0004, b: 49.9996"))]),
            ),
            "percentage-too-precise percentage-too-precise",
        ),
        (
            split("a: 50, b: 50", &steps(&[(soon, &shares("a: -1, b: 100"))])),
            "",
        ),
        // The window of the flag alone, and with one of its steps.
        (
            window("2029-01-01", "2029-02-01", ""),
            "experimentation-over",
        ),
        (
            window(
                "2029-01-01",
                "2029-02-01",
                &steps(&[(past, &ends("2031-01-01"))]),
            ),
            "past-step",
        ),
        (
            window("2030-03-01", "2030-02-01", ""),
            "experimentation-order",
        ),
        (
            window(
                "2030-03-01",
                "2030-02-01",
                &steps(&[(soon, &ends("2031-01-01"))]),
            ),
            "experimentation-order",
        ),
        // A step may disable the flag and a later one enable it.
        (
            split("a: 50, b: 50", &steps(&[(past, "disable: true")])),
            "past-step disabled-by-step",
        ),
        (
            split(
                "a: 50, b: 50",
                &steps(&[(past, "disable: true"), (soon, "disable: false")]),
            ),
            "past-step",
        ),
        // Equal steps one after the other.
        (
            split(
                "a: 50, b: 50",
                &steps(&[
                    (soon, &shares("a: 40, b: 60")),
                    (later, &shares("a: 40, b: 60")),
                ]),
            ),
            "repeated-step",
        ),
    ] {
        assert_eq!(codes(&members), expected, "{members}");
    }
}

#[test]
fn versions_are_recognized_by_whole_words() {
    for (name, is_version) in [
        ("version", true),
        ("appVersion", true),
        ("app.version", true),
        ("app_version", true),
        ("APP_VERSION", true),
        ("conversion", false),
        ("user.inversion", false),
        ("CONVERSION", false),
    ] {
        for literal in ["0.5", "1"] {
            let found = asked(&format!("{name} gt {literal}"));
            let says = found
                .iter()
                .any(|found| found.code.as_str() == "unquoted-version");
            assert_eq!(says, is_version, "{name} {literal}");
        }
    }
}

#[test]
fn ignored_text_is_found_wherever_it_is() {
    for (query, expected) in [
        ("x eq 1", &[][..]),
        ("x in [\"a\", \"b\"]", &[]),
        ("(x eq 1) and y pr", &[]),
        ("country in [\"FR\" ,\"DE\"]", &[",\"DE\"]"]),
        ("country in [\"FR\" \"DE\"]", &["\"DE\"]"]),
        ("_plan eq \"pro\"", &["_"]),
        ("x eq +1", &["+"]),
        ("x eq 1;", &[";"]),
        ("x eq 1 junk", &["junk"]),
        ("x eq 1 && y pr and é", &["&& y pr and é"]),
        ("(x eq 1 junk)", &["junk"]),
        ("x eq 1  and y pr", &["and y pr"]),
        ("x eq 1 and and y pr", &["and"]),
        ("x eq 1 AND y pr", &["AND"]),
        ("x eq 1 OR_y", &["OR_y"]),
        ("x in [\"a\" OR \"b\"", &["OR \"b\""]),
    ] {
        let found = asked(query);
        let text = format!(
            "f:\n  variations: {{a: true, b: false}}\n  targeting: [{{query: {}",
            json!(query)
        );
        let ignored: Vec<String> = found
            .iter()
            .filter(|found| ["ignored-text", "uppercase-operator"].contains(&found.code.as_str()))
            .map(|found| {
                text.get(found.span.clone())
                    .unwrap_or("?")
                    .replace("\\\"", "\"")
            })
            .collect();
        // A query with escapes has no place in the file: the message has the text.
        let messages: Vec<&str> = found
            .iter()
            .filter(|found| found.code.as_str() == "ignored-text")
            .filter_map(|found| found.message.split('`').nth(3))
            .collect();
        let shown: Vec<&str> = match query.contains('"') {
            true => messages,
            false => ignored.iter().map(String::as_str).collect(),
        };
        assert_eq!(shown, expected, "{query} {found:?}");
    }
}

/// A fix that made the flag undecodable would be worse than none.
#[test]
fn only_sure_spellings_have_a_fix() {
    for (member, fix) in [
        ("targetting", Some("targeting")),
        ("Metadata", Some("metadata")),
        ("Disable", Some("disable")),
        ("expermentation", Some("experimentation")),
        ("date", None),
    ] {
        let found = found(&format!(
            "  defaultRule: {{percentage: {{a: 50, b: 50}}}}\n  {member}: 1"
        ));
        let unknown = found
            .iter()
            .find(|found| found.code.as_str() == "unknown-member");
        let fixed = unknown.unwrap().fix.as_ref().map(|fix| &*fix.replacement);
        assert_eq!(fixed, fix, "{member}");
    }
    let step = "  defaultRule: {percentage: {a: 50, b: 50}}\n  scheduledRollout: [{data: 1, date: 2030-06-01T00:00:00Z, disable: true}, {data: {x: 1}, disable: true}]";
    assert!(found(step).iter().all(|found| found.fix.is_none()));
}

#[test]
fn a_bucketing_key_is_mentioned_as_a_whole_name() {
    for (query, is_mentioned) in [
        ("team pr", true),
        ("a pr and team.id eq 1", true),
        ("teammate pr", false),
        ("x eq \"team\"", false),
        ("{\"==\": [{\"var\": \"team\"}, 1]}", true),
        ("{\"==\": [{\"var\": \"team.id\"}, 1]}", true),
        ("{\"==\": [{\"var\": \"teammate\"}, 1]}", false),
    ] {
        let query_text = json!(query);
        let codes = codes(&format!(
            "  bucketingKey: team\n  targeting: [{{query: {query_text}, variation: a}}]\n  defaultRule: {{percentage: {{a: 50, b: 50}}}}"
        ));
        let is_silent = !codes.contains("bucketing-key-unmentioned");
        assert_eq!(is_silent, is_mentioned, "{query}");
    }
}

/// docs/engine-semantics.md 22
#[test]
fn limits_of_this_engine_are_no_errors() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let logic = format!("{}true{}", "{\"!\":[".repeat(300), "]}".repeat(300));
    let rule = |query: &str, variation: &str| {
        json!({"f": {"variations": {"a": true, "b": false}, "targeting": [{"query": query, "variation": variation}], "defaultRule": {"percentage": {"a": 50, "b": 50}}}}).to_string()
    };
    let parentheses = |depth: usize| "(".repeat(depth) + "x pr" + &")".repeat(depth);
    let metadata = |depth| {
        format!(
            "{{\"f\": {{\"variations\": {{\"a\": true}}, \"metadata\": {{\"m\": {}}}, \"defaultRule\": {{\"variation\": \"a\"}}}}}}",
            nested(depth)
        )
    };
    for (text, expected) in [
        (metadata(100), ""),
        (metadata(300), "beyond-limit"),
        (rule(&parentheses(900), "a"), ""),
        (rule(&parentheses(1_001), "a"), "beyond-limit"),
        (rule(&logic, "a"), "beyond-limit"),
        // What the relay proxy refuses comes first.
        (rule(&parentheses(1_001), "c"), "invalid-flag"),
        (rule("null", "a"), "invalid-flag"),
    ] {
        let found = lint(&text, FlagFileFormat::Json, now());
        let limits: Vec<&str> = found
            .iter()
            .filter(|found| {
                found.severity == LintSeverity::Error || found.code.as_str() == "beyond-limit"
            })
            .map(|found| found.code.as_str())
            .collect();
        assert_eq!(limits.join(" "), expected, "{text:.200}");
        let file = FlagFile::parse(&text, FlagFileFormat::Json).unwrap();
        assert!(file.problems.iter().all(|problem| !problem.refuses_file()));
    }
}

#[test]
fn the_same_file_has_the_same_diagnostics() {
    let queries: Vec<String> = (0..700)
        .map(|index| format!("n{index} gt 1.5 or n{index} eq 1"))
        .collect();
    let query = queries.join(" or ");
    let lists = || {
        asked(&query)
            .into_iter()
            .map(|found| found.span.start)
            .collect::<Vec<_>>()
    };
    assert!(lists().len() > 100);
    assert_eq!(lists(), lists());
}

/// Each text took minutes where the work was not linear.
#[test]
fn large_files_take_as_long_as_loading_does() {
    let members = "\"targetin\":1,".repeat(100_000);
    let flag = "\"variations\": {\"a\": true}, \"defaultRule\": {\"variation\": \"a\"}";
    let unknown = format!("{{\"f\": {{{members} {flag}}}}}");
    let flag_of = |queries: Vec<String>| {
        let rules = queries.into_iter();
        let rules: Vec<_> = rules
            .map(|query| json!({"query": query, "variation": "a"}))
            .collect();
        json!({"f": {"variations": {"a": true}, "targeting": rules, "defaultRule": {"variation": "a"}}}).to_string()
    };
    let spaces = format!("x eq 1{}", " ".repeat(19_990));
    let bare = "not x ".repeat(5_000);
    let long = "a".repeat(20_000);
    let parts = (0..60).map(|index| format!("x co \"{long}{index}\" or y eq {index}"));
    let texts: Vec<String> = parts.collect();
    // As many parts of a flag as steps that leave them as they are.
    let with_steps = |members: &str, step: &[String; 2]| {
        let seconds = 0..20_000;
        let steps = seconds.map(|second| {
            let date = Timestamp::from_unix_seconds(2_000_000_000 + second);
            let step = &step[usize::from(second % 2 == 1)];
            format!("{{\"date\":\"{date}\",{step}}}")
        });
        let steps = steps.collect::<Vec<_>>().join(",");
        format!("{{\"f\": {{{members},\"scheduledRollout\":[{steps}]}}}}")
    };
    let on_and_off = [true, false].map(|it| format!("\"disable\":{it}"));
    let rules = vec!["{\"variation\":\"a\"}"; 50_000].join(",");
    let rules = format!("{flag},\"targeting\":[{rules}]");
    let named = on_and_off
        .clone()
        .map(|step| format!("{step},\"defaultRule\":{{\"name\":\"n\"}}"));
    let split = |value: &str| {
        let members = (0..20_000).map(|index| format!("\"v{index}\":{value}"));
        members.collect::<Vec<_>>().join(",")
    };
    let shares = format!(
        "\"variations\":{{{}}},\"defaultRule\":{{\"percentage\":{{{}}}}}",
        split("1"),
        split("0.005")
    );
    for (what, text) in [
        ("members", unknown),
        ("spaces", flag_of(vec![spaces; 20])),
        ("bare not", flag_of(vec![format!("{bare} pr"); 20])),
        ("long texts", flag_of(texts)),
        ("rules and steps", with_steps(&rules, &on_and_off)),
        ("shares and steps", with_steps(&shares, &named)),
    ] {
        let start = Instant::now();
        let _ = FlagFile::parse(&text, FlagFileFormat::Json);
        let loading = start.elapsed();
        let found = lint(&text, FlagFileFormat::Json, now());
        let took = start.elapsed() - loading;
        assert!(found.len() <= 500);
        let limit = loading * 8 + Duration::from_secs(4);
        assert!(took <= limit, "{what}: {took:?} after {loading:?}");
        println!("{what}: {took:?} after {loading:?}");
    }
}

/// What only scheduled steps make of a flag.
#[test]
fn the_flag_is_judged_after_each_step() {
    let flag = |rule: &str, steps: &[(&str, &str)]| {
        let step = |(date, members): &(&str, &str)| {
            format!("    - {{date: {date}T00:00:00Z, {members}}}\n")
        };
        let steps: String = steps.iter().map(step).collect();
        format!("  defaultRule: {{{rule}}}\n  scheduledRollout:\n{steps}")
    };
    let split = "percentage: {a: 50, b: 50}";
    let rollout = |from: &str, to: &str| {
        format!(
            "defaultRule: {{progressiveRollout: {{initial: {{variation: a, percentage: 0{from}}}, end: {{variation: b, percentage: 100{to}}}}}}}"
        )
    };
    let date = |day: &str| format!(", date: {day}T00:00:00Z");
    let window = |from: &str, to: &str| {
        format!("experimentation: {{start: {from}T00:00:00Z, end: {to}T00:00:00Z}}")
    };
    let end = |to: &str| format!("experimentation: {{end: {to}T00:00:00Z}}");
    let (past, soon, later) = ("2029-06-01", "2030-06-01", "2030-07-01");
    for (members, expected) in [
        // Windows.
        (
            flag(split, &[(soon, &window("2030-06-02", "2030-06-09"))]),
            "",
        ),
        (
            flag(split, &[(soon, &window("2030-06-09", "2030-06-02"))]),
            "experimentation-order",
        ),
        (
            flag(split, &[(soon, &window("2030-01-02", "2030-01-09"))]),
            "experimentation-over",
        ),
        (
            flag(
                split,
                &[
                    (soon, &window("2030-06-02", "2030-08-01")),
                    (later, &end("2030-06-01")),
                ],
            ),
            "experimentation-order",
        ),
        (
            flag(split, &[(past, &window("2029-06-02", "2029-06-09"))]),
            "past-step experimentation-over",
        ),
        (
            flag(
                split,
                &[
                    (past, &window("2029-06-02", "2029-06-09")),
                    (soon, &end("2030-12-01")),
                ],
            ),
            "past-step",
        ),
        // Percentages of a rule that a step adds.
        (
            flag(
                split,
                &[(
                    soon,
                    "targeting: [{name: r, query: x pr, percentage: {a: 20, b: 70}}]",
                )],
            ),
            "percentages-not-100",
        ),
        (
            flag(
                split,
                &[(
                    soon,
                    "targeting: [{name: r, query: x pr, percentage: {a: 0, b: 100}}]",
                )],
            ),
            "zero-percentage",
        ),
        (
            flag(
                split,
                &[
                    (
                        soon,
                        "targeting: [{name: r, query: x pr, percentage: {a: 0, b: 100}}]",
                    ),
                    (later, "targeting: [{name: r, percentage: {a: 100, b: 0}}]"),
                ],
            ),
            "",
        ),
        // Two steps of one date are one.
        (
            flag(
                split,
                &[
                    (soon, "defaultRule: {percentage: {a: 40}}"),
                    (soon, "defaultRule: {percentage: {b: 60}}"),
                ],
            ),
            "",
        ),
        (
            flag(
                split,
                &[(soon, "defaultRule: {percentage: {a: -1, b: -1}}")],
            ),
            "percentages-not-100",
        ),
        (
            flag(
                "variation: a",
                &[(soon, "defaultRule: {percentage: {a: 40, b: 50}}")],
            ),
            "percentages-not-100",
        ),
        // Rollouts.
        (
            flag(
                "variation: a",
                &[(soon, &rollout(&date(soon), &date(later)))],
            ),
            "",
        ),
        (
            flag(
                "variation: a",
                &[(soon, &rollout(&date(later), &date(soon)))],
            ),
            "rollout-order",
        ),
        (
            flag("variation: a", &[(soon, &rollout("", &date(soon)))]),
            "rollout-order",
        ),
        (
            flag(
                "variation: a",
                &[
                    (soon, &rollout(&date(soon), &date(later))),
                    (
                        later,
                        "defaultRule: {progressiveRollout: {end: {date: 2030-05-01T00:00:00Z}}}",
                    ),
                ],
            ),
            "rollout-order",
        ),
        // What a step sets is hidden by what was there before.
        (
            flag(split, &[(soon, "defaultRule: {variation: a}")]),
            "hidden-member",
        ),
        (
            flag(
                "variation: a",
                &[(soon, &format!("defaultRule: {{{split}}}"))],
            ),
            "",
        ),
        (
            flag(
                "variation: a",
                &[
                    (soon, &rollout(&date(soon), &date(later))),
                    (later, &format!("defaultRule: {{{split}}}")),
                ],
            ),
            "hidden-member",
        ),
        // Variations.
        (
            flag("variation: a", &[(soon, "defaultRule: {variation: c}")]),
            "unused-variation unknown-variation",
        ),
        (
            flag(
                "variation: a",
                &[
                    (soon, "variations: {c: true}"),
                    (later, "defaultRule: {percentage: {b: 50, c: 50}}"),
                ],
            ),
            "",
        ),
        (
            flag(
                "variation: a",
                &[
                    (soon, "defaultRule: {percentage: {b: 50, c: 50}}"),
                    (later, "variations: {c: true}"),
                ],
            ),
            "unknown-variation",
        ),
        (flag(split, &[(soon, "defaultRule: {variation: \"\"}")]), ""),
    ] {
        assert_eq!(codes(&members), expected, "{members}");
    }
}

#[test]
fn json_logic_rules_are_checked() {
    let x =
        |operator: &str, value: &str| format!("{{\"{operator}\": [{{\"var\": \"x\"}}, {value}]}}");
    let and = |one: &str, other: &str| format!("{{\"and\": [{one}, {other}]}}");
    for (query, expected) in [
        (x("==", "1"), ""),
        (and(&x("==", "1"), &x("==", "2")), "never-matches"),
        (and(&x(">", "1"), &x("<", "2")), ""),
        (and(&x(">", "2"), &x("<", "1")), "never-matches"),
        (and(&x("in", "[\"a\"]"), &x("==", "\"b\"")), "never-matches"),
        ("{\"==\": [1, 1]}".to_owned(), "always-matches"),
        (x("==", "1, 2"), "ignored-text"),
        (
            "{\"==\": [1, 2], \"and\": [true]}".to_owned(),
            "ignored-text always-matches",
        ),
        // The walk of the relay proxy does not look into objects with several members.
        (
            "{\"if\": [{\"var\": \"x\"}, {\"==\": [1, 1], \"log\": 1}]}".to_owned(),
            "ignored-text",
        ),
        (
            "{\"and\": [{\"var\": \"x\"}, {\"some\": [{\"var\": \"x\"}, 1, 2]}]}".to_owned(),
            "ignored-text",
        ),
        (
            "{\"and\": [{\"var\": \"x\"}, {\"var\": {\"==\": 1}}]}".to_owned(),
            "unsupported-operator",
        ),
    ] {
        let codes: Vec<String> = asked(&query)
            .iter()
            .map(|found| found.code.to_string())
            .collect();
        assert_eq!(codes.join(" "), expected, "{query}");
    }
    let shadowed = |first: &str, second: &str| {
        codes(&format!(
            "  targeting: [{{query: {}, variation: a}}, {{query: {}, variation: b}}]\n  defaultRule: {{percentage: {{a: 50, b: 50}}}}",
            json!(first),
            json!(second)
        ))
    };
    assert_eq!(shadowed(&x(">", "5"), &x(">", "9")), "shadowed-rule");
    assert_eq!(shadowed(&x(">", "9"), &x(">", "5")), "");
}
