//! Results of in-process evaluation.

use crate::*;

/// GOFF-EVAL-001 to -006, -008, -010, GOFF-IP-014: values keep their types; a disabled flag and a
/// null value give the caller's default with the engine's reason, variant and metadata.
#[tokio::test(start_paused = true)]
async fn values_are_never_coerced() {
    let disabled = with(giving(true), "disable", true);
    let disabled = with(disabled, "metadata", json!({"owner": {"team": "ä"}}));
    let (relay, goff) = serving(json!({
        "bool": giving(true), "int": giving(100), "whole": giving(100.0), "float": giving(1.5),
        "string": giving("é"), "object": giving(json!({"a": [1, null]})),
        "list": giving(json!([1])), "null": null_since_a_step(), "disabled": disabled,
    }))
    .await;
    let context = context();
    assert!(goff.evaluate("bool", &context, false).await.value);
    assert_eq!(goff.evaluate("int", &context, 0_i64).await.value, 100);
    assert_eq!(goff.evaluate("whole", &context, 0_i64).await.value, 100);
    assert_eq!(goff.evaluate("int", &context, 0.0).await.value, 100.0);
    assert_eq!(goff.evaluate("float", &context, 0.0).await.value, 1.5);
    let string = goff.evaluate("string", &context, String::new()).await;
    assert_eq!(string.value, "é");
    assert_eq!(*string.reason(), Reason::Static);
    assert_eq!(string.variant(), Some("A"));
    let object = goff.evaluate("object", &context, Map::new()).await;
    assert_eq!(Value::Object(object.value), json!({"a": [1, null]}));

    for flag in ["int", "string", "object", "list"] {
        let mismatch = goff.evaluate(flag, &context, true).await;
        assert_eq!(code(&mismatch), Some(ErrorCode::TypeMismatch), "{flag}");
        assert!(mismatch.value);
    }
    let truncated = goff.evaluate("float", &context, 7_i64).await;
    assert_eq!(
        (truncated.value, code(&truncated)),
        (7, Some(ErrorCode::TypeMismatch))
    );
    let list = goff.evaluate("list", &context, Map::new()).await;
    assert_eq!(code(&list), Some(ErrorCode::TypeMismatch));

    let null = goff.evaluate("null", &context, 7_i64).await;
    assert_eq!((null.value, code(&null)), (7, None));
    assert_eq!(
        (null.reason(), null.variant()),
        (&Reason::Static, Some("A"))
    );
    for default in [true, false] {
        let disabled = goff.evaluate("disabled", &context, default).await;
        assert_eq!((disabled.value, code(&disabled)), (default, None));
        assert!(disabled.is_disabled());
        assert_eq!(disabled.variant(), Some("SdkDefault"));
        assert_eq!(disabled.metadata()["owner"]["team"], "ä");
    }
    assert_eq!(relay.request_count(), 0);
}

/// GOFF-CTX-004 to -007, GOFF-IP-004: enrichment wins over the caller's attributes, exporter
/// metadata is nested, and whole floats count as integers.
#[tokio::test(start_paused = true)]
async fn context_is_enriched_and_normalized() {
    let targeted = |query: &str| {
        json!({
            "variations": {"yes": true, "no": false},
            "targeting": [{"name": "r", "query": query, "variation": "yes"}],
            "defaultRule": {"variation": "no"},
        })
    };
    let relay = ScriptedRelay::new();
    let flags = json!({
        "enriched": targeted(r#"env eq "prod""#),
        "exporter": targeted(r#"gofeatureflag.exporterMetadata.app eq "shop""#),
        "whole": targeted("age eq 30"),
    });
    let enrichment = Map::from_iter([("env".to_owned(), "prod".into())]);
    relay.set_configuration(
        goff_core::FlagConfiguration::new(flags.to_string()).with_enrichment(enrichment),
    );
    let goff = connect(options(&relay).exporter_metadata("app", "shop")).await;
    let context = EvaluationContext::builder()
        .attribute("env", "dev")
        .attribute("age", 30.0)
        .build();
    for flag in ["enriched", "exporter", "whole"] {
        let details = goff.evaluate(flag, &context, false).await;
        assert!(details.value, "{flag}");
        assert_eq!(details.metadata()["evaluatedRuleName"], "r");
    }
}

/// GOFF-IP-012, GOFF-COLL-021, GOFF-CTX-003; an unreadable attribute never means "no match".
#[tokio::test(start_paused = true)]
async fn each_failure_has_its_code() {
    let (relay, goff) = serving(json!({
            "split": {"variations": {"a": 1, "b": 2}, "defaultRule": {"percentage": {"a": 50, "b": 50}}},
            "rate": {
                "variations": {"a": 1, "b": 2},
                "targeting": [{"query": "rate gt 1", "variation": "a"}],
                "defaultRule": {"variation": "b"},
            },
            "everything": {
                "variations": {"a": 1, "b": 2},
                "targeting": [{"query": r#"{"!!": [{"var": ""}]}"#, "variation": "a"}],
                "defaultRule": {"variation": "b"},
            },
            "endless": without_answer(),
        })).await;
    let unreadable = having("rate", f64::NAN);
    let without_key = EvaluationContext::default();
    for (flag, context, expected) in [
        ("unknown", context(), "FLAG_NOT_FOUND"),
        ("", context(), "FLAG_NOT_FOUND"),
        ("split", without_key, "TARGETING_KEY_MISSING"),
        ("endless", context(), "FLAG_CONFIG"),
        ("rate", unreadable.clone(), "INVALID_CONTEXT"),
        ("everything", unreadable.clone(), "INVALID_CONTEXT"),
    ] {
        let details = goff.evaluate(flag, &context, 7_i64).await;
        assert_eq!(details.value, 7);
        let error = details.error().unwrap();
        assert_eq!(error.code().as_str(), expected, "{flag}");
        if expected == "INVALID_CONTEXT" {
            assert!(error.to_string().contains("`rate`"), "{error}");
        }
    }
    // An unreadable attribute that no rule reads has no effect (GOFF-FALLBACK-003: no fallback).
    let unread = goff.evaluate("split", &unreadable, 0_i64).await;
    assert!(unread.error().is_none(), "{:?}", unread.error());
    assert_eq!(relay.request_count(), 0);
}

/// In process, keys that no URL can carry work.
#[tokio::test(start_paused = true)]
async fn any_key_can_be_evaluated() {
    let keys = ["a/b", ".", "..", "é ü", "%2F", "", "\"", "\u{1F600}"];
    let flags = keys.map(|key| (key, giving(key)));
    let (_, goff) = serving(Value::from_iter(flags)).await;
    for key in keys {
        let default = "default".to_owned();
        let details = goff.evaluate(key, &context(), default).await;
        assert_eq!(details.value, key);
    }
}

/// GOFF-IP-016, GOFF-IP-017: large and deep values arrive unchanged, unknown members of a flag are
/// ignored.
#[tokio::test(start_paused = true)]
async fn long_lists_deep_values_and_unknown_members() {
    let long: Vec<u32> = (0..10_000).collect();
    let deep = (0..60).fold(json!("ä"), |inner, _| json!({"in": inner}));
    let object = json!({"é": "ü"});
    let unknown = with(giving(object.clone()), "fromTheFuture", json!({"x": [1]}));
    let flags =
        json!({"long": giving(long.clone()), "deep": giving(deep.clone()), "unknown": unknown});
    let (_, goff) = serving(flags).await;
    for (flag, expected) in [("long", json!(long)), ("deep", deep), ("unknown", object)] {
        let details = goff.evaluate(flag, &context(), Value::Null).await;
        assert_eq!(details.value, expected, "{flag}");
    }
}

/// Queries see every kind of attribute of the native context.
#[tokio::test(start_paused = true)]
async fn attributes_of_every_kind_are_read() {
    #[derive(serde::Serialize)]
    struct Company {
        name: &'static str,
    }
    let (_, goff) = serving(json!({"flag": {
        "variations": {"yes": true, "no": false},
        "targeting": [{"query": r#"{"and": [
                {"==": [{"var": "text"}, "é"]}, {"==": [{"var": "int"}, 3]},
                {"==": [{"var": "float"}, 1.5]}, {"==": [{"var": "bool"}, true]},
                {"in": ["b", {"var": "list"}]}, {"==": [{"var": "company.name"}, "Exämple"]},
                {"==": [{"var": "nothing"}, null]}
            ]}"#, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    }}))
    .await;
    let company = Company { name: "Exämple" };
    let context = EvaluationContext::builder()
        .attribute("text", "é")
        .attribute("int", 3)
        .attribute("float", 1.5)
        .attribute("bool", true)
        .attribute("list", vec!["a", "b"])
        .attribute("company", Attribute::from_serialize(company))
        .attribute("nothing", Attribute::from(None::<bool>))
        .build();
    assert!(goff.evaluate("flag", &context, false).await.value);
}

/// Without a request and without usage data.
#[tokio::test(start_paused = true)]
async fn all_flags_are_evaluated_in_process() {
    let disabled = with(giving(true), "disable", true);
    let bad = json!({"disable": "yes"});
    let flags = json!({"a": giving(1), "b": giving("x"), "off": disabled, "bad": bad});
    let (relay, goff) = serving(flags).await;
    let all = goff.evaluate_all(&context()).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "bad", "off"]);
    assert_eq!((&all["a"].value, &all["b"].value), (&json!(1), &json!("x")));
    assert!(all["off"].is_disabled() && all["off"].value.is_null());
    assert_eq!(code(&all["bad"]), Some(ErrorCode::ParseError));
    let listed = having("gofeatureflag", json!({"flagList": ["b", 7, "unknown"]}));
    let some = goff.evaluate_all(&listed).await.unwrap();
    assert_eq!(some.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(relay.request_count(), 0);
    assert_eq!(goff.stats().usage.recorded, 0);
}

/// GOFF-CTX-009.
#[tokio::test(start_paused = true)]
async fn context_can_set_the_time() {
    let (_, goff) = serving(json!({"flag": {
        "variations": {"old": "old", "new": "new"},
        "defaultRule": {"variation": "old"},
        "scheduledRollout": [
            {"date": "2020-01-01T00:00:00Z", "defaultRule": {"variation": "new"}},
        ],
    }}))
    .await;
    assert_eq!(evaluate(&goff, String::new()).await.value, "new");
    let time = json!({"currentDateTime": "2019-12-31T23:59:59Z"});
    let back_then = having("gofeatureflag", time);
    let details = goff.evaluate("flag", &back_then, String::new()).await;
    assert_eq!(details.value, "old");
}
