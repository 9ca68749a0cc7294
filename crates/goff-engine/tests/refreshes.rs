//! A set that reuses the compiled flags of an earlier one, beside a set compiled anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use goff_engine::__internal::{InOrder, is_same, refreshed};
#[cfg(feature = "file")]
use goff_engine::{__internal::refreshed_file, FlagFile, FlagFileFormat};
use goff_engine::{Flag, FlagContext, FlagSet, Timestamp};
use goff_generators::{contexts, flags};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The flags of a text inside a larger one, as in the relay proxy's answer.
fn refresh(earlier: &FlagSet, flags: &str) -> FlagSet {
    let start = "{\"flags\":".len();
    let text = Arc::new(format!("{{\"flags\":{flags},\"errorCode\":\"\"}}"));
    refreshed(earlier, &text, start..start + flags.len()).unwrap()
}

/// Members in the layout of a compact text, and in one with white space and an escaped name.
fn object(members: &[(&str, &str)], is_compact: bool) -> String {
    let member = |(key, flag): &(&str, &str)| match is_compact {
        true => format!("\"{key}\":{flag}"),
        false => format!("\n  \"{}\" : {flag}\t", key.replace('f', "\\u0066")),
    };
    let members: Vec<_> = members.iter().map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// Asserts that both sets are the same flags, with the same results.
fn assert_equal(found: &FlagSet, expected: &FlagSet, contexts: &[Map<String, Value>]) {
    assert_eq!(found.len(), expected.len());
    let mut flag_context = FlagContext::new(json!("default"));
    flag_context
        .enrichment
        .insert("plan".to_owned(), json!("pro"));
    for (found, expected) in found.iter().zip(expected.iter()) {
        assert_eq!(found.key(), expected.key());
        assert_eq!(found.raw_json(), expected.raw_json());
        assert_eq!(found.error(), expected.error());
        assert!(found.needs().eq(expected.needs()));
        for context in contexts {
            let now = Timestamp::from_unix_seconds(1_720_000_000);
            let result = |flag: &Flag| format!("{:?}", flag.evaluate(context, &flag_context, now));
            assert_eq!(result(found), result(expected), "{found:?}");
        }
    }
}

const KEYS: [&str; 6] = ["flag", "f", "my-flag", "ключ", "a/b", ""];

/// A flag that takes more than its text justifies, the more the more steps it has.
fn expensive(steps: usize, version: &str) -> String {
    let rule = json!({"query": "x eq 1", "variation": "a"});
    let date = |step| format!("2024-01-01T00:{:02}:{:02}Z", step / 60, step % 60);
    let step = |step| json!({"date": date(step), "targeting": [{"variation": "a"}]});
    let steps: Vec<_> = (0..steps).map(step).collect();
    let flag = json!({
        "version": version, "variations": {"a": 1}, "defaultRule": {"variation": "a"},
        "targeting": vec![rule; 100], "scheduledRollout": steps,
    });
    flag.to_string()
}

/// The most steps with which such a flag is served. It then needs all that one flag may take of
/// what flags share, which is enough for two.
static MOST_STEPS: LazyLock<usize> = LazyLock::new(|| {
    let is_served = |steps: &usize| {
        let flag = expensive(*steps, "1");
        FlagSet::from_json(object(&[("f", &flag)], true).as_bytes())
            .is_ok_and(|set| set.iter().all(|flag| flag.error().is_none()))
    };
    (1..3_600).take_while(is_served).last().unwrap()
});

/// Of each configuration or file: a choice of its form, and keys with their flags of a pool.
fn versions() -> impl Strategy<Value = Vec<(bool, Vec<(usize, prop::sample::Index)>)>> {
    let flags = prop::collection::vec((0..KEYS.len(), any::<prop::sample::Index>()), 0..8);
    prop::collection::vec((any::<bool>(), flags), 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Through any sequence of configurations; of a pool, so that many flags stay the same.
    #[test]
    fn refreshed_sets_are_those_compiled_anew(
        pool in prop::collection::vec(flags(), 1..6),
        versions in versions(),
        contexts in prop::collection::vec(contexts(), 3),
    ) {
        let contexts: Vec<Map<String, Value>> =
            contexts.iter().map(|context| serde_json::from_str(context).unwrap()).collect();
        let broken = [r#"{"disable":"yes"}"#, "7", "77"].map(str::to_owned);
        let expensive = ["1", "2", "3"].map(|version| expensive(*MOST_STEPS, version));
        let pool = [&pool[..], &broken, &expensive].concat();
        let mut earlier = FlagSet::default();
        for (is_compact, members) in versions {
            let members: Vec<_> =
                members.iter().map(|(key, flag)| (KEYS[*key], flag.get(&pool).as_str())).collect();
            let text = object(&members, is_compact);
            let set = refresh(&earlier, &text);
            assert_equal(&set, &FlagSet::from_json(text.as_bytes()).unwrap(), &contexts);
            let mut before = InOrder::new(&earlier);
            for flag in set.iter() {
                if let Some((_, before)) = before.find(flag.key()) {
                    let is_reused = is_same(flag, before);
                    prop_assert!(!is_reused || flag.raw_json() == before.raw_json());
                    if flag.error().is_none() && !flag.raw_json().contains("scheduledRollout") {
                        prop_assert_eq!(is_reused, flag.raw_json() == before.raw_json());
                    }
                }
            }
            earlier = set;
        }
    }
}

#[cfg(feature = "file")]
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Through any sequence of flag files: the same flags and the same problems.
    #[test]
    fn refreshed_files_are_those_parsed_anew(
        pool in prop::collection::vec(flags(), 1..4),
        versions in versions(),
        contexts in prop::collection::vec(contexts(), 3),
    ) {
        let contexts: Vec<Map<String, Value>> =
            contexts.iter().map(|context| serde_json::from_str(context).unwrap()).collect();
        let needs = |flag| {
            let needs = json!([{"flag": flag, "value": true}]);
            let flag = json!({
                "variations": {"a": 1}, "defaultRule": {"variation": "a"}, "needs": needs,
            });
            flag.to_string()
        };
        let others = [
            needs("x"),
            needs("y"),
            r#"{"disable":"yes"}"#.to_owned(),
            r#"{"variations":{"a":1},"defaultRule":{"variation":"b"}}"#.to_owned(),
            r#"{"variations":{"a":1},"defaultRule":{"variation":"a"}}"#.to_owned(),
            expensive(*MOST_STEPS, "1"),
            expensive(*MOST_STEPS, "2"),
            expensive(*MOST_STEPS, "3"),
        ];
        let pool = [&pool[..], &others].concat();
        let mut earlier = FlagSet::default();
        for (is_yaml, members) in versions {
            let members: Vec<_> =
                members.iter().map(|(key, flag)| (KEYS[*key], flag.get(&pool).as_str())).collect();
            let text = object(&members, true);
            let format = if is_yaml { FlagFileFormat::Yaml } else { FlagFileFormat::Json };
            let found = refreshed_file(&earlier, text.as_bytes(), format);
            match (found, FlagFile::parse(&text, format)) {
                (Ok(found), Ok(expected)) => {
                    assert_equal(&found.flags, &expected.flags, &contexts);
                    assert_eq!(found.problems, expected.problems);
                    earlier = found.flags;
                }
                (found, expected) => assert_eq!(found.unwrap_err(), expected.unwrap_err()),
            }
        }
    }
}

/// A flag whose dependencies alone differ has the same JSON.
#[cfg(feature = "file")]
#[test]
fn only_what_changed_in_a_file_is_compiled() {
    let text = |value, needed| {
        format!(
            "same: {{variations: {{a: 1}}, defaultRule: {{variation: a}}}}
changed: {{variations: {{a: {value}}}, defaultRule: {{variation: a}}}}
needs: {{variations: {{a: 1}}, defaultRule: {{variation: a}}, needs: [{{flag: {needed}}}]}}
invalid: {{variations: {{a: 1}}, defaultRule: {{variation: b}}}}
"
        )
    };
    let parse = |earlier: &FlagSet, text: String| {
        refreshed_file(earlier, text.as_bytes(), FlagFileFormat::Yaml).unwrap()
    };
    let first = parse(&FlagSet::default(), text(1, "x"));
    // The order does not matter.
    let second = text(2, "y");
    let second: String = second
        .lines()
        .rev()
        .map(|line| format!("{line}\n"))
        .collect();
    let second = parse(&first.flags, second);
    let is_reused = |key: &str| {
        is_same(
            first.flags.get(key).unwrap(),
            second.flags.get(key).unwrap(),
        )
    };
    assert_eq!(
        ["same", "changed", "needs", "invalid"].map(is_reused),
        [true, false, false, false]
    );
    assert!(second.flags.get("needs").unwrap().needs().eq(["y"]));
    assert_eq!(second.problems.len(), 1);
}

/// What flags share limits those that need it in the order of the text, also where one of them is
/// unchanged.
#[test]
fn shared_budget_is_spent_as_in_a_new_set() {
    let [one, two, three] = ["1", "2", "3"].map(|version| expensive(*MOST_STEPS, version));
    let all = [("a", &*one), ("b", &*two), ("c", &*three)];
    let is_refused = |set: &FlagSet, key| set.get(key).unwrap().error().is_some();
    let mut set = FlagSet::default();
    for (members, refused) in [
        (&all[..2], None),
        (&all[..], Some("c")),
        (&all[1..], None),
        (&[all[2], all[1], all[0]], Some("a")),
    ] {
        let text = object(members, true);
        set = refresh(&set, &text);
        for (key, _) in members {
            assert_eq!(is_refused(&set, key), refused == Some(*key), "{key}");
        }
        assert_equal(&set, &FlagSet::from_json(text.as_bytes()).unwrap(), &[]);
    }
}

/// Only the JSON decides: a flag that is prefixed by the earlier one, or differs in its layout, is
/// compiled again.
#[test]
fn only_what_changed_is_compiled() {
    let flag = |value: &str| {
        format!(r#"{{"variations":{{"a":{value}}},"defaultRule":{{"variation":"a"}}}}"#)
    };
    let [one, two, spaced] = ["1", "2", " 1"].map(flag);
    let first = refresh(
        &FlagSet::default(),
        &object(&[("a", &one), ("b", &one), ("c", &two), ("d", "7")], true),
    );
    let second = object(
        &[
            ("e", &one),
            ("c", &two),
            ("a", &one),
            ("b", &spaced),
            ("d", "77"),
        ],
        true,
    );
    let second = refresh(&first, &second);
    let reused = |key: &str| is_same(first.get(key).unwrap(), second.get(key).unwrap());
    assert_eq!(["a", "b", "c", "d"].map(reused), [true, false, true, false]);
    assert_eq!(second.get("d").unwrap().raw_json(), "77");
    assert!(second.get("e").is_some());
}

/// A text that ends within a flag, or goes on after the object, is refused whatever is held.
#[test]
fn malformed_texts_are_refused_as_in_a_new_set() {
    let flag = r#"{"variations":{"a":1},"defaultRule":{"variation":"a"}}"#;
    let held = refresh(&FlagSet::default(), &object(&[("a", flag)], true));
    for text in [
        format!("{{\"a\":{flag}"),
        format!("{{\"a\":{flag} 7}}"),
        format!("{{\"a\":{flag}}}}}"),
        "{\"a\":{\"variations\":{\"a\"".to_owned(),
        "[]".to_owned(),
    ] {
        let expected = FlagSet::from_json(text.as_bytes()).unwrap_err();
        let shared = Arc::new(text.clone());
        assert_eq!(
            refreshed(&held, &shared, 0..text.len()).unwrap_err(),
            expected,
            "{text}"
        );
    }
}
