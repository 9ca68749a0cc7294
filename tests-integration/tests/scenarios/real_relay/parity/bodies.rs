//! Malformed bodies, and events of all shapes.

use serde_json::{Value, json};

use super::request::{ALL, ALL_OFREP, COLLECTOR, CONFIGURATION, EVALUATE, EVALUATE_OFREP, Request};

/// Malformed bodies, for every endpoint that reads a body.
pub(super) fn malformed() -> Vec<Request> {
    let short = [
        "", "null", "{}", "[]", "7", "\"text\"", "true", "{b", "{", "{\"a\"", "{\"a\":",
        "{\"a\":1", "[1,]", "[1 2]", "tru", "trux", "nul!", "falsy", "01", "1.", "1.x", "1e", "-",
        "-x", "'", "\\", "é", "  ",
    ];
    let long = [
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1 2}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"",
        "\u{feff}{}",
        "{\"a\":é}",
        "{} trailing",
        "{\"a\":\u{7f}}",
        r#"{"user":{"key":1}}"#,
        r#"{"user":{"key":"u","anonymous":"yes"}}"#,
        r#"{"user":"u"}"#,
        r#"{"user":[]}"#,
        r#"{"user":{"custom":[]}}"#,
        r#"{"user":{"custom":"text"}}"#,
        r#"{"user":{}}"#,
        r#"{"user":null}"#,
        r#"{"USER":{"KEY":"good"}}"#,
        r#"{"evaluationContext":{"key":7,"custom":7}}"#,
        r#"{"evaluationContext":{"key":{}}}"#,
        r#"{"evaluationContext":{"key":null,"custom":null}}"#,
        r#"{"evaluationContext":{"key":"good","custom":{"n":1e400}}}"#,
        r#"{"evaluationContext":{"key":"good"},"defaultValue":[1,{"a":1e400}]}"#,
        r#"{"evaluationContext":{"key":"good"},"defaultValue":1e400}"#,
        r#"{"evaluationContext":{"key":"good"},"defaultValue":[1e400]}"#,
        r#"{"evaluationContext":{"key":"good"},"defaultValue":1e400  }"#,
        r#"{"evaluationContext":{"key":"good"},"defaultValue":[1e400  ]}"#,
        r#"{"evaluationContext":null,"user":{"key":"good"}}"#,
        r#"{"evaluationContext":{"key":"good"},"user":{"key":7}}"#,
        r#"{"context":7}"#,
        r#"{"context":[]}"#,
        r#"{"context":"text"}"#,
        r#"{"context":null}"#,
        r#"{"context":{}}"#,
        r#"{"context":{"targetingKey":7}}"#,
        r#"{"context":{"n":1e400}}"#,
        r#"{"CONTEXT":{"targetingKey":"good"}}"#,
        r#"{"events":null}"#,
        r#"{"events":{}}"#,
        r#"{"events":[7]}"#,
        r#"{"events":["text",{}]}"#,
        r#"{"events":[[]]}"#,
        r#"{"events":[],"meta":7}"#,
        r#"{"events":[],"meta":[]}"#,
        r#"{"events":[{"value":1e400}]}"#,
    ];
    let mut requests = Vec::new();
    for target in [
        EVALUATE,
        ALL,
        EVALUATE_OFREP,
        ALL_OFREP,
        COLLECTOR,
        CONFIGURATION,
    ] {
        for body in short.into_iter().chain(long) {
            requests.push(Request::post(target, body));
        }
        let context = r#"{"evaluationContext":{"key":"good"},"context":{},"events":[]}"#;
        let content_types = "text/plain|application/json; charset=utf-8| application/json ;x|\
                             APPLICATION/JSON|application/problem+json|";
        for content_type in content_types.split('|') {
            let mut request = Request::new("POST", target).with("Content-Type", content_type);
            request.body = context.to_owned();
            requests.push(request);
        }
        let mut untyped = Request::new("POST", target);
        untyped.body = context.to_owned();
        requests.push(untyped);
        requests.push(Request::new("POST", target));
    }
    requests
}

/// Well-formed and malformed events.
pub(super) fn events() -> Vec<Request> {
    let feature = json!({
        "kind": "feature", "contextKind": "user", "userKey": "events", "creationDate": 1_700_000_000, "key": "flag",
        "variation": "on", "value": {"a": [1, 2.5, null]}, "default": false, "version": "1", "source": "INPROCESS",
    });
    let tracking = json!({
        "kind": "tracking", "contextKind": "anonymousUser", "userKey": "events", "creationDate": 1_700_000_000,
        "key": "checkout", "evaluationContext": {"targetingKey": "events"}, "trackingEventDetails": {"amount": 1.5},
    });
    let values = json!([
        null, "text", "", 7, 1.5, -1.5, true, [], {}, {"a": 1},
        1_700_000_000_123_i64, 1e18, 10_000_000_000_i64, "tracking",
    ]);
    let members = "kind contextKind userKey creationDate key variation value default version source metadata \
                   evaluationContext trackingEventDetails failed";
    let mut all = Vec::new();
    for event in [&feature, &tracking] {
        for member in members.split(' ') {
            for value in values.as_array().unwrap() {
                let mut changed = event.clone();
                changed[member] = value.clone();
                // A user for each, to tell them apart.
                if member != "userKey" {
                    let user = format!("events {} {member} {value}", event["kind"]);
                    changed["userKey"] = user.into();
                }
                all.push(changed);
            }
            let mut without = event.clone();
            without.as_object_mut().unwrap().remove(member);
            all.push(without);
        }
    }
    all.push(json!({"KIND": "feature", "USERKEY": "events in capitals", "CreationDate": 7, "DEFAULT": true}));
    all.push(json!({}));
    all.push(Value::Null);
    let mut requests = Vec::new();
    for meta in [
        json!(null),
        json!({}),
        json!({"provider": "rust", "nested": {"a": [1]}, "openfeature": true}),
    ] {
        let mut batch = json!({"events": all, "meta": meta, "exporterMetadata": {"not": "read"}});
        for event in batch["events"].as_array_mut().unwrap() {
            if let Some(user) = event["userKey"].as_str() {
                event["userKey"] = format!("{user} {meta}").into();
            }
        }
        requests.push(Request::post(COLLECTOR, batch));
    }
    let own = json!({"metadata": {"own": 1}, "userKey": "events own"});
    requests.push(Request::post(COLLECTOR, json!({"events": [own]})));
    requests
}
