//! Flags that fail the server's validation, from each source.

use goff_client::{InitializeError, LocalFlags};

use crate::*;

/// Flags that a relay proxy would refuse, each with the member that is wrong.
fn bad_flags() -> [(&'static str, Value, &'static str); 9] {
    let rule = |name: &str, variation: &str| json!({"name": name, "query": "x eq 1", "variation": variation});
    let two = || with(giving(1), "variations", json!({"A": 1, "B": 2}));
    [
        (
            "typo",
            with(giving(1), "defaultRule", json!({"variation": "a"})),
            "`defaultRule.variation`",
        ),
        (
            "typo in a rule",
            with(two(), "targeting", json!([rule("r", "A"), rule("s", "C")])),
            "`targeting[1].variation`",
        ),
        (
            "typo in a split",
            with(
                two(),
                "defaultRule",
                json!({"percentage": {"A": 50, "C": 50}}),
            ),
            "`defaultRule.percentage.C`",
        ),
        (
            "no variations",
            with(giving(1), "variations", json!({})),
            "`variations`",
        ),
        ("null variation", giving(Value::Null), "`variations.A`"),
        (
            "mixed types",
            with(giving(1), "variations", json!({"A": 1, "B": "2"})),
            "`variations.B`",
        ),
        (
            "repeated name",
            with(two(), "targeting", json!([rule("r", "A"), rule("r", "B")])),
            "`targeting[1].name`",
        ),
        (
            "no query",
            with(two(), "targeting", json!([{"variation": "B"}])),
            "`targeting[0]`",
        ),
        (
            "nothing served",
            with(giving(1), "defaultRule", json!({})),
            "`defaultRule`",
        ),
    ]
}

/// A good flag, `flag`, beside [`bad_flags`].
fn all_flags() -> Value {
    let bad = bad_flags().map(|(key, flag, _)| (key.to_owned(), flag));
    let flags = bad.into_iter().chain([("flag".to_owned(), giving(1))]);
    Value::Object(flags.collect())
}

async fn assert_bad_flags_are_left_out(goff: &GoFeatureFlag) {
    assert_eq!(evaluate(goff, -1_i64).await.value, 1);
    let local = goff.local().unwrap();
    assert_eq!(local.evaluate("flag", &context(), -1_i64).value, 1);
    for (key, _, _) in bad_flags() {
        for details in [
            goff.evaluate(key, &context(), -1_i64).await,
            local.evaluate(key, &context(), -1_i64),
        ] {
            assert_eq!(details.value, -1, "{key}");
            assert_eq!(code(&details), Some(ErrorCode::FlagNotFound), "{key}");
            assert_eq!(details.reason(), &Reason::Error);
            let error = details.error().unwrap().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
            assert!(error.contains("fails validation: "), "{error}");
        }
    }
    let all = goff.evaluate_all(&context()).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["flag"]);
}

/// Nothing starts with a wrong flag in the program, and one look at the error is enough to correct
/// all of them.
#[tokio::test]
async fn text_with_bad_flags_is_refused_and_names_each() {
    let flags = all_flags();
    let options = GoFeatureFlagOptions::from_flags(flags.to_string());
    let InitializeError::Options(error) = GoFeatureFlag::connect(options).await.unwrap_err() else {
        panic!("not an error of an option");
    };
    assert_eq!(error.option(), "from_flags");
    let local = LocalFlags::from_flags(&flags.to_string()).unwrap_err();
    for error in [error.to_string(), local.to_string()] {
        for (key, _, member) in bad_flags() {
            let part = format!("flag `{key}`: {member}: ");
            assert!(error.contains(&part), "{part} in {error}");
        }
        assert!(!error.contains("`flag`"), "{error}");
    }
    // Each alone, and one whose member has the wrong type.
    let wrong_type = (
        "type",
        with(giving(1), "disable", "yes"),
        "member `disable`",
    );
    for (key, flag, member) in bad_flags().into_iter().chain([wrong_type]) {
        let text = json!({"flag": giving(1), key: flag}).to_string();
        let error = LocalFlags::from_flags(&text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("flag `{key}`: {member}")),
            "{error}"
        );
    }
    LocalFlags::from_flags("{}").unwrap();
}

/// Validation does not look into scheduled steps, as on the relay proxy. A success with the caller's
/// default would hide the typo.
#[tokio::test(start_paused = true)]
async fn variation_that_does_not_exist_is_an_error() {
    let step = |change: Value| {
        let date = json!({"date": "2020-01-01T00:00:00Z"});
        let mut step = change;
        step["date"] = date["date"].clone();
        with(giving(1), "scheduledRollout", json!([step]))
    };
    let rule = json!({"name": "r", "query": "targetingKey eq \"user-1\"", "variation": "Z"});
    let flags = json!({
        "fixed": step(json!({"defaultRule": {"variation": "Z"}})),
        "split": step(json!({"defaultRule": {"percentage": {"Z": 100}}})),
        "rule": step(json!({"targeting": [rule]})),
        "null": null_since_a_step(),
        "added": step(json!({"defaultRule": {"variation": "Z"}, "variations": {"Z": 2}})),
    });
    let (relay, goff) = serving(flags.clone()).await;
    let local = LocalFlags::from_flags(&flags.to_string()).unwrap();
    let all = goff.evaluate_all(&context()).await.unwrap();
    for flag in ["fixed", "split", "rule"] {
        for details in [
            goff.evaluate(flag, &context(), 7_i64).await,
            local.evaluate(flag, &context(), 7_i64),
        ] {
            assert_eq!((details.value, details.reason()), (7, &Reason::Error));
            assert_eq!(
                code(&details),
                Some(ErrorCode::from("FLAG_CONFIG")),
                "{flag}"
            );
            let error = details.error().unwrap().to_string();
            assert!(error.contains(flag) && error.contains("`Z`"), "{error}");
        }
        assert_eq!(code(&all[flag]), Some(ErrorCode::from("FLAG_CONFIG")));
    }
    // Null and a variation of the step exist.
    let null = goff.evaluate("null", &context(), 7_i64).await;
    assert_eq!((null.value, code(&null)), (7, None));
    assert_eq!(goff.evaluate("added", &context(), 7_i64).await.value, 2);
    assert_eq!(relay.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn bad_flags_of_a_relay_proxy_are_left_out() {
    let (relay, goff) = serving(all_flags()).await;
    assert_state(&goff, State::Ready);
    assert_bad_flags_are_left_out(&goff).await;
    assert_eq!(relay.request_count(), 0);
    // Corrected later.
    let mut events = goff.subscribe();
    relay.set_flags(&json!({"flag": giving(1), "typo": giving(2)}), None);
    tokio::time::sleep(INTERVAL * 2).await;
    assert_eq!(goff.evaluate("typo", &context(), -1_i64).await.value, 2);
    assert_eq!(
        next_event(&mut events).await,
        changed(&["typo"], &[], &[], false)
    );
}

#[cfg(feature = "file")]
#[tokio::test]
async fn bad_flags_of_a_file_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["flags.json", "flags.yaml"] {
        let path = directory.path().join(name);
        // JSON is YAML.
        std::fs::write(&path, all_flags().to_string()).unwrap();
        let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
        assert_bad_flags_are_left_out(&goff).await;
        goff.shutdown(TIMEOUT).await;
    }
}
