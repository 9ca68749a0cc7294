//! The requests to both relay proxies.

use goff_tests_integration::{
    ADMIN_KEY, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, KEY_WITHOUT_FLAG_SET, TEAM_A_KEY,
    TEAM_B_KEY,
};
use serde_json::json;

use super::bodies::{events, malformed};
use super::request::{
    ALL, ALL_OFREP, COLLECTOR, CONFIGURATION, DEPRECATED_STREAM, EVALUATE, EVALUATE_OFREP, HASHES,
    Request, STREAM,
};

/// Every endpoint with a good request.
fn good() -> Vec<Request> {
    let context = json!({"evaluationContext": {"key": "good"}});
    let ofrep = json!({"context": {"targetingKey": "good"}});
    vec![
        Request::post(EVALUATE, &context),
        Request::post(EVALUATE_OFREP, &ofrep),
        Request::post(ALL, &context),
        Request::post(ALL_OFREP, &ofrep),
        Request::post(CONFIGURATION, "{}"),
        Request::new("GET", HASHES),
        Request::post(COLLECTOR, json!({"events": []})),
        Request::new("GET", STREAM),
        Request::new("GET", DEPRECATED_STREAM),
        Request::new("GET", "/health"),
        Request::new("GET", "/info"),
    ]
}

pub(super) fn of_an_open_relay_proxy() -> Vec<Request> {
    let first = [good(), validators(), configurations(), malformed()].concat();
    [first, paths(), events(), evaluations()].concat()
}

/// Conditional requests to each endpoint with an ETag.
fn validators() -> Vec<Request> {
    let ofrep = json!({"context": {"targetingKey": "etag"}});
    let first = [
        Request::post(CONFIGURATION, "{}"),
        Request::new("GET", HASHES),
        Request::post(ALL_OFREP, ofrep),
    ];
    let known = "{etag}|W/{etag}|*|\"other\"|{etag}, \"other\"||x{etag}";
    let mut requests = Vec::new();
    for first in first {
        requests.push(first.clone());
        for known in known.split('|') {
            requests.push(first.clone().with("If-None-Match", known));
        }
        let date = "Sun, 22 Nov 2099 07:51:53 GMT";
        requests.push(first.with("If-Modified-Since", date));
    }
    requests
}

fn configurations() -> Vec<Request> {
    [
        "{}",
        "",
        "null",
        r#"{"flags":[]}"#,
        r#"{"flags":null}"#,
        r#"{"flags":["static_key","special-user","é"]}"#,
        r#"{"FLAGS":["static_key"]}"#,
        r#"{"flags":["special-user"]}"#,
        r#"{"flags":"static_key"}"#,
        r#"{"flags":["static_key",7]}"#,
        r#"{"flags":["static_key",null]}"#,
        r#"{"flags":{}}"#,
        "[]",
        "{",
    ]
    .map(|body| Request::post(CONFIGURATION, body))
    .into()
}

/// Known and unknown paths and methods; flag keys in all escapings.
fn paths() -> Vec<Request> {
    let context = json!({"evaluationContext": {"key": "paths"}, "context": {}});
    let mut requests = Vec::new();
    let targets = "/ /v1 /v1/ /v1x /v1/feature /v1/feature/ /v1/feature/static_key /v1/feature//eval \
        /v1/feature/static_key/eval/ /v1//allflags /v1/allflags/ /V1/allflags /ofrep /ofrep/v1 \
        /ofrep/v1/ /ofrep/v1/configuration /ofrep/v1/evaluate /ofrep/v1/evaluate/flags/ \
        /ofrep/v1/evaluate/flags// /ofrep/v1/evaluate/flags/a/b /ofrep/v1/evaluate/flags/a/b/ \
        /stream/v1 /stream/v1/ /stream/v1/ws/flag/change/ /stream/v1/elsewhere \
        /ws/v1/flag/change/ /ws/v1 /health/ /nowhere /admin/v1 /admin/v1/nowhere";
    for target in targets.split(' ') {
        requests.push(Request::post(target, &context));
        requests.push(Request::new("GET", target));
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "POST"] {
        for good in good() {
            requests.push(Request { method, ..good });
        }
    }
    let keys = "my-flag_v1.2~x my%2Dflag_v1.2~x my%20flag my+flag team:x team%3Ax a+b a%2Bb flag! \
        flag%21 my%20flag! my%20flag%21 %C3%A9 %c3%a9 a%25b a%3Fb a%23b a'b a%27b a(b)* \
        a%28b%29%2A a/b a%2Fb a$b&c,d;e=f@g a%24b%26c%2Cd%3Be%3Df%40g a%252Fb%7C%5Bc%5D%22d%5Ce \
        %E6%97%A5%E6%9C%AC%20%E8%AA%9E . .. %2E %2E%2E nope a%FFb a%00b static_key?x=y";
    for key in keys.split(' ') {
        let context = json!({"evaluationContext": {"key": "keys"}});
        requests.push(Request::post(format!("/v1/feature/{key}/eval"), context));
        let context = json!({"context": {"targetingKey": "keys"}});
        requests.push(Request::post(format!("{ALL_OFREP}/{key}"), context));
    }
    requests
}

/// Every flag for many contexts, in every form of the context. Disabled flags come last over OFREP, because a real
/// relay proxy then adds to their metadata.
fn evaluations() -> Vec<Request> {
    let flags = include_str!("../../../../relay/flags.yaml");
    let keys = flags
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '"']))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
        .filter(|key| !key.contains('~'));
    let contexts = [
        json!({"targetingKey": "d45e303a-38c2-11ed-a261-0242ac120002"}),
        json!({"targetingKey": "john", "email": "john.doe@gofeatureflag.org", "age": 30.0, "version": "10.1.0"}),
        json!({"targetingKey": "special-user", "group": "testers", "company_info": {"size": 120}, "environment": "mine"}),
        json!({"targetingKey": "team", "teamId": "team-1", "anonymous": true}),
        json!({"targetingKey": "text", "teamId": 7, "anonymous": "true"}),
        json!({"targetingKey": ""}),
        json!({"labels": ["a"], "teamId": "", "key": "mine"}),
        json!({"targetingKey": "later", "gofeatureflag": {
            "currentDateTime": "2095-01-01T00:00:00Z", "exporterMetadata": {"a": {"b": 1.5}}, "flagList": ["static_key"],
        }}),
        json!({"targetingKey": "wrong", "gofeatureflag": {
            "currentDateTime": 7, "exporterMetadata": [], "flagList": ["string_key", 7, "special-user", "string_key"],
        }}),
        json!({"targetingKey": "none", "gofeatureflag": {"flagList": [], "exporterMetadata": {}}}),
        json!({"targetingKey": "text", "gofeatureflag": "text"}),
    ];
    let mut requests = Vec::new();
    let mut disabled = Vec::new();
    for key in keys.chain(["no-such-flag"]) {
        for context in &contexts {
            let mut custom = context.as_object().unwrap().clone();
            let user = custom.remove("targetingKey").unwrap_or_default();
            let target = format!("/v1/feature/{key}/eval");
            for default in [json!(null), json!({"a": [1.0, "b"]})] {
                let body = json!({
                    "evaluationContext": {"key": user, "custom": custom}, "defaultValue": default,
                });
                requests.push(Request::post(&target, body));
            }
            let anonymous = custom.get("anonymous") == Some(&true.into());
            let body = json!({"user": {"key": user, "custom": custom, "anonymous": !anonymous}});
            requests.push(Request::post(&target, body));
            let request = Request::post(format!("{ALL_OFREP}/{key}"), json!({"context": context}));
            if key.starts_with("disabled") {
                disabled.push(request);
            } else {
                requests.push(request);
            }
        }
    }
    for context in &contexts {
        let mut custom = context.as_object().unwrap().clone();
        let user = custom.remove("targetingKey").unwrap_or_default();
        let body = json!({"evaluationContext": {"key": user, "custom": custom}});
        requests.push(Request::post(ALL, body));
        requests.push(Request::post(ALL_OFREP, json!({"context": context})));
    }
    requests.extend(disabled);
    requests
}

pub(super) fn with_keys() -> Vec<Request> {
    let mut requests = Vec::new();
    let nowhere = "/v1/nowhere /ofrep/v1/nowhere /stream/v1/nowhere /nowhere".split(' ');
    let everything: Vec<Request> = good()
        .into_iter()
        .chain(nowhere.map(|target| Request::new("GET", target)))
        .collect();
    let bearer = |key: &str| format!("Bearer {key}");
    for request in everything {
        requests.push(request.clone());
        for value in [
            bearer(EVALUATION_KEY),
            bearer(EVALUATION_KEY_TO_ESCAPE),
            bearer(ADMIN_KEY),
            bearer("wrong"),
            bearer(""),
            bearer(" authorized_token"),
            bearer("authorized_token x"),
            format!("bEARER {EVALUATION_KEY}"),
            format!("Basic {EVALUATION_KEY}"),
            EVALUATION_KEY.to_owned(),
            String::new(),
        ] {
            requests.push(request.clone().with("Authorization", value));
        }
        for key in [EVALUATION_KEY, ADMIN_KEY, "wrong", ""] {
            requests.push(request.clone().with("X-API-Key", key));
            let both = request.clone().with("X-API-Key", key);
            requests.push(both.clone().with_bearer(EVALUATION_KEY));
            requests.push(both.with_bearer("wrong"));
        }
        let queries = "apiKey=authorized_token apiKey=wrong apiKey= apikey=authorized_token \
            x=y&apiKey=authorized%5Ftoken apiKey=a%2Bb%26c%20d%23e%2F%3D%252F%3F~ \
            apiKey=a%2Bb%26c+d%23e/=%252F?~ apiKey=a+b%26c%20d%23e%2F%3D%252F%3F~ apiKey=%zz \
            apiKey=wrong&apiKey=authorized_token";
        for query in queries.split(' ') {
            requests.push(request.clone().with_query(query));
        }
    }
    requests.extend(refreshes());
    requests
}

fn refreshes() -> Vec<Request> {
    let refresh = Request::new("POST", "/admin/v1/retriever/refresh");
    let mut requests = vec![refresh.clone()];
    for key in [ADMIN_KEY, EVALUATION_KEY, "wrong"] {
        requests.push(refresh.clone().with("X-API-Key", key));
        requests.push(refresh.clone().with_bearer(key));
    }
    requests
}

pub(super) fn of_flag_sets() -> Vec<Request> {
    let mut requests = Vec::new();
    for request in good() {
        requests.push(request.clone());
        let with_flags = [TEAM_A_KEY, TEAM_B_KEY];
        let without = [KEY_WITHOUT_FLAG_SET, ADMIN_KEY, "wrong"];
        for key in with_flags.into_iter().chain(without) {
            requests.push(request.clone().with("X-API-Key", key));
            requests.push(request.clone().with_bearer(key));
            requests.push(request.clone().with_query(&format!("apiKey={key}")));
            // An error in the body comes before an error in the key.
            let mut malformed = request.clone().with("X-API-Key", key);
            malformed.body = "{".to_owned();
            requests.push(malformed);
        }
    }
    for key in [TEAM_A_KEY, TEAM_B_KEY] {
        for flag in ["shared_key", "only_in_a", "only_in_b"] {
            let body = json!({"evaluationContext": {"key": "teams"}, "defaultValue": "default"});
            let request = Request::post(format!("/v1/feature/{flag}/eval"), body);
            requests.push(request.with("X-API-Key", key));
        }
    }
    requests
}

pub(super) fn at_log_level_debug() -> Vec<Request> {
    let first = [good(), configurations(), malformed()].concat();
    [first, paths(), refreshes()].concat()
}

/// Reloads the flags, and evaluates all of them.
pub(super) fn after_a_new_file() -> Vec<Request> {
    let context = json!({"evaluationContext": {"key": "files", "custom": {"x": 1}}});
    vec![
        Request::new("POST", "/admin/v1/retriever/refresh").with("X-API-Key", ADMIN_KEY),
        Request::post(CONFIGURATION, "{}"),
        Request::new("GET", HASHES),
        Request::post(ALL, context),
    ]
}
