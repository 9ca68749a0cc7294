use goff_core::{EvaluationFailure, Reason};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn response(status: u16, body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse::new(StatusCode::from_u16(status).unwrap(), body.into())
}

fn received(response: &HttpResponse) -> Received<'_> {
    static NO_SECRETS: Secrets = Secrets::NONE;
    Received {
        response,
        text: None,
        purpose: Purpose::Evaluation,
        path: "/path",
        secrets: &NO_SECRETS,
        max_size: DEFAULT_MAX_RESPONSE_SIZE,
    }
}

fn single(status: u16, body: impl Into<Vec<u8>>) -> Result<Resolution, RelayError> {
    received(&response(status, body)).evaluation()
}

fn bulk(body: &Value) -> Result<BulkEvaluation, RelayError> {
    received(&response(200, body.to_string())).bulk_evaluation()
}

fn failure(status: u16, body: &Value) -> EvaluationFailure {
    match single(status, body.to_string()) {
        Err(RelayError::Evaluation(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

fn metadata(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// docs/relay-protocol.md 7: a recorded response.
#[test]
fn feature_eval_answer_keeps_every_member() {
    let body = json!({
        "trackEvents": false, "variationType": "True", "failed": false, "version": "1.2.3",
        "reason": "TARGETING_MATCH", "errorCode": "", "value": true, "cacheable": true,
        "metadata": {"description": "this is a test", "nested": {"a": [1]}},
    });
    let expected = Resolution::new(true, Reason::TargetingMatch)
        .with_variant("True")
        .with_metadata(metadata(body["metadata"].clone()))
        .with_version("1.2.3")
        .with_track_events(false)
        .with_cacheable(true);
    assert_eq!(single(200, body.to_string()).unwrap(), expected);
    // A server at log level debug indents (docs/relay-protocol.md 2.6).
    let indented = serde_json::to_string_pretty(&body).unwrap() + "\n";
    assert_eq!(single(200, indented).unwrap(), expected);
}

/// docs/relay-protocol.md 9, GOFF-REM-003, GOFF-EVAL-010: the metadata decides whether the answer
/// is cacheable, and stays verbatim.
#[test]
fn ofrep_answer_keeps_every_member() {
    let body = json!({
        "key": "f", "value": 100, "reason": "STATIC", "variant": "A",
        "metadata": {"pr": 1, "gofeatureflag_cacheable": true},
    });
    let expected = Resolution::new(100, Reason::Static)
        .with_variant("A")
        .with_metadata(metadata(body["metadata"].clone()))
        .with_cacheable(true);
    assert_eq!(single(200, body.to_string()).unwrap(), expected);
    for not_true in [json!(false), json!("true"), json!(1), json!(null)] {
        let mut body = body.clone();
        body["metadata"]["gofeatureflag_cacheable"] = not_true.clone();
        let resolution = single(200, body.to_string()).unwrap();
        assert!(!resolution.cacheable, "{not_true}");
        assert_eq!(resolution.metadata["gofeatureflag_cacheable"], not_true);
    }
}

/// docs/relay-protocol.md 7: older servers omit members, and null means absent.
/// GOFF-COLL-020, GOFF-EVAL-010: usage is tracked by default; metadata is optional.
#[test]
fn every_member_but_value_and_reason_has_a_default() {
    let expected = Resolution::new(Value::Null, Reason::Other("OFFLINE".into()));
    for body in [
        json!({"value": null, "reason": "OFFLINE"}),
        json!({"value": null, "reason": "OFFLINE", "variationType": "", "version": "",
               "errorCode": "", "unknown": [{}]}),
        json!({"value": null, "reason": "OFFLINE", "variationType": null, "version": null,
               "errorCode": null, "errorDetails": null, "trackEvents": null, "cacheable": null,
               "metadata": null, "key": null}),
    ] {
        assert_eq!(single(200, body.to_string()).unwrap(), expected, "{body}");
    }
}

/// docs/python-parity.md C9, C41: the reason marks a disabled flag.
#[test]
fn disabled_flag_keeps_reason_variant_and_metadata() {
    let body = json!({"value": null, "reason": "DISABLED", "variant": "SdkDefault",
                      "metadata": {"d": "x"}});
    let resolution = single(200, body.to_string()).unwrap();
    assert!(resolution.is_disabled());
    assert_eq!(resolution.variant.as_deref(), Some("SdkDefault"));
    assert_eq!(resolution.metadata, metadata(json!({"d": "x"})));
}

#[test]
fn numbers_and_nested_values_are_exact() {
    for text in [
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "100.25",
        r#"[1,{"a":null}]"#,
    ] {
        let body = format!(r#"{{"value":{text},"reason":"STATIC"}}"#);
        let value = single(200, body).unwrap().value;
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn last_of_two_equal_members_counts() {
    let body = r#"{"value":1,"reason":"STATIC","value":2}"#;
    assert_eq!(single(200, body).unwrap().value, json!(2));
}

const CODES: [&str; 8] = [
    "FLAG_NOT_FOUND",
    "TARGETING_KEY_MISSING",
    "PARSE_ERROR",
    "TYPE_MISMATCH",
    "PROVIDER_NOT_READY",
    "INVALID_CONTEXT",
    "GENERAL",
    "FLAG_CONFIG",
];

/// docs/python-parity.md C11, GOFF-ERR-001, GOFF-ERR-002; docs/relay-protocol.md 7 to 10: an error
/// code is an error with any status that the relay proxy gives an evaluation.
#[test]
fn error_code_of_an_evaluation_is_its_failure() {
    for code in CODES {
        let mut statuses = vec![200, 203, 204, 400];
        if code == "FLAG_NOT_FOUND" {
            statuses.push(404);
        }
        for status in statuses {
            let body = json!({"errorCode": code, "errorDetails": "why", "key": "f"});
            let failure = failure(status, &body);
            assert_eq!(failure.code, ErrorCode::from(code), "{status}");
            assert_eq!(failure.details, "why");
            assert_eq!(failure.resolution.reason, Reason::Error);
            assert_eq!(failure.status, Some(status));
            let error = RelayError::Evaluation(failure);
            assert_eq!(error.status(), Some(status));
        }
    }
}

/// Gateways send error codes too: there the status decides, and the code is kept.
#[test]
fn status_of_a_gateway_decides_before_the_error_code() {
    for code in CODES {
        for status in [301, 401, 403, 404, 405, 413, 415, 422, 429, 500, 502, 503] {
            if (status, code) == (404, "FLAG_NOT_FOUND") {
                continue;
            }
            for (details, message) in [("why", "why"), ("", code)] {
                let body = json!({"errorCode": code, "errorDetails": details}).to_string();
                let error = single(status, body).unwrap_err();
                let RelayError::Status { message: text, .. } = &error else {
                    panic!("{status} {code}: {error:?}");
                };
                assert_eq!(text.as_deref(), Some(message));
                assert_eq!(error.status(), Some(status));
                assert_eq!(error.code(), ErrorCode::from(code));
                let not_evaluated = error.origin() == goff_core::Origin::NotEvaluated;
                assert_eq!(not_evaluated, status < 500, "{error:?}");
            }
        }
    }
}

/// A configuration or a batch of usage data has no evaluation errors: the message names the
/// request, and no context is invalid.
#[test]
fn other_requests_are_refused_with_their_status() {
    for purpose in [Purpose::Configuration, Purpose::Collection] {
        for status in [200, 400, 401, 403, 404, 413, 422, 429, 500, 503] {
            for (body, code, part) in [
                (r#"{"errorCode":"QUOTA"}"#, "QUOTA", ": QUOTA"),
                (
                    r#"{"errorCode":"QUOTA","errorDetails":"why"}"#,
                    "QUOTA",
                    ": why",
                ),
                (r#"{"message":"why","errorCode":""}"#, "GENERAL", ": why"),
            ] {
                if status == 200 && code == "GENERAL" {
                    continue;
                }
                let response = response(status, body);
                let received = Received {
                    purpose,
                    ..received(&response)
                };
                let error = match purpose {
                    Purpose::Collection => received.collection().unwrap_err(),
                    _ => received.configuration(true).unwrap_err(),
                };
                let RelayError::Status { status: named, .. } = &error else {
                    panic!("{status} {body}: {error:?}");
                };
                assert_eq!(*named, status);
                assert_eq!(error.code(), ErrorCode::from(code), "{status} {body}");
                let message = error.to_string();
                assert!(
                    message.contains("`/path`") && message.ends_with(part),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn text_in_place_of_an_error_code_is_a_message() {
    let mut secrets = Secrets::default();
    secrets.add("TEAM_A_KEY");
    let long = "X".repeat(65);
    for (code, details, shown) in [
        ("bad key", "", "bad key"),
        ("bad key", "why", "bad key: why"),
        ("TEAM_A_KEY", "", "[redacted]"),
        ("IS_TEAM_A_KEY", "why", "IS_[redacted]: why"),
        ("Bearer TEAM_A_KEY", "", "Bearer [redacted]"),
        ("A\r\nWARN forged \u{1b}[31m", "", "A WARN forged [31m"),
        (&long, "", &long),
        ("é", "", "é"),
    ] {
        let body = json!({"errorCode": code, "errorDetails": details}).to_string();
        for status in [200, 400, 401, 503] {
            let response = response(status, body.clone());
            let received = Received {
                secrets: &secrets,
                ..received(&response)
            };
            let error = received.evaluation().unwrap_err();
            assert_eq!(error.code(), ErrorCode::General, "{code}");
            assert!(error.to_string().ends_with(shown), "{error}");
            assert!(!format!("{error:?}").contains("TEAM_A_KEY"), "{error:?}");
        }
    }
}

/// GOFF-ERR-003, docs/relay-protocol.md 7.
#[test]
fn failure_keeps_the_other_members() {
    let body = json!({
        "trackEvents": false, "variationType": "SdkDefault", "failed": true, "version": "2",
        "reason": "ERROR", "errorCode": "TARGETING_KEY_MISSING",
        "errorDetails": "Error: Empty targeting key", "value": false, "cacheable": true,
        "metadata": {"a": 1},
    });
    for status in [200, 400] {
        let failure = failure(status, &body);
        assert_eq!(failure.details, "Error: Empty targeting key");
        let resolution = &*failure.resolution;
        assert_eq!(resolution.variant.as_deref(), Some("SdkDefault"));
        assert_eq!(resolution.version.as_deref(), Some("2"));
        assert_eq!(resolution.metadata, metadata(json!({"a": 1})));
        assert!(!resolution.track_events);
        assert!(!resolution.cacheable, "errors are never cached");
    }
    // The code counts even where the other members are invalid.
    let failure = failure(200, &json!({"errorCode": "GENERAL", "version": 3}));
    assert_eq!(failure.code, ErrorCode::General);
    assert_eq!(failure.details, "");
}

/// docs/python-parity.md C9: an unreadable body is `PARSE_ERROR`.
#[test]
fn unreadable_success_names_the_problem() {
    let check = |body: &str, part: &str| {
        let error = single(200, body).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ParseError, "{body}");
        assert_eq!(error.status(), Some(200), "{body}");
        let RelayError::Body { problem, .. } = error else {
            panic!("{body}: {error:?}");
        };
        let BodyProblem::Unreadable { message } = problem else {
            panic!("{body}: {problem:?}");
        };
        assert!(message.contains(part), "{body}: {message}");
    };
    for (body, part) in [
        (r#"{"value":1,"reason":"STAT"#, "EOF"),
        (r#"{"value":1}"#, "missing member `reason`"),
        (r#"{"value":1,"reason":null}"#, "missing member `reason`"),
        (r#"{"value":1,"reason":7}"#, "expected a string"),
        (r#"{"reason":"STATIC"}"#, "missing member `value`"),
        (r#"{}"#, "missing member `value`"),
        (r#"{"value":1,"reason":"STATIC"} x"#, "trailing characters"),
        (r#"{"value":1e999,"reason":"STATIC"}"#, "out of range"),
        (r#"["f",1,"STATIC"]"#, "expected an object"),
        ("null", "expected the answer to an evaluation"),
        ("7", "expected the answer to an evaluation"),
        ("<html>welcome</html>", "expected value"),
        ("\u{feff}{}", "expected value"),
    ] {
        check(body, part);
    }
    for (member, part) in [
        (r#""cacheable":"yes""#, "expected a boolean"),
        (r#""metadata":[]"#, "expected a map"),
        (r#""errorCode":7"#, "expected a string"),
    ] {
        let body = format!(r#"{{"value":1,"reason":"STATIC",{member}}}"#);
        check(&body, part);
    }
    let deep = format!(r#"{{"value":{},"reason":"STATIC"}}"#, "[".repeat(100_000));
    assert_eq!(single(200, deep).unwrap_err().code(), ErrorCode::ParseError);
}

#[test]
fn success_without_body_is_empty() {
    for (status, body) in [(200, ""), (200, " \r\n"), (204, ""), (202, "")] {
        let error = single(status, body).unwrap_err();
        let RelayError::Body {
            problem, status: s, ..
        } = &error
        else {
            panic!("{status}: {error:?}");
        };
        assert_eq!((problem, *s), (&BodyProblem::Empty, status));
        assert_eq!(error.code(), ErrorCode::ParseError);
    }
}

/// docs/relay-protocol.md 2.6 and 4; docs/python-parity.md C7, E6, E7; GOFF-ERR-004.
#[test]
fn status_decides_without_an_error_code() {
    use ErrorCode::{General, InvalidContext};
    let html = "<html><body>Not Found</body></html>";
    let flag_set = "error while getting flagset: flagset not found for API key";
    let check = |status: u16, body: &str, code: ErrorCode, expected: Option<&str>| {
        let error = single(status, body).unwrap_err();
        assert_eq!(error.status(), Some(status), "{body}");
        assert_eq!(error.code(), code, "{status} {body}");
        let RelayError::Status { path, message, .. } = &error else {
            panic!("{status} {body}: {error:?}");
        };
        assert_eq!(path, "/path", "{status} {body}");
        assert_eq!(message.as_deref(), expected, "{status} {body}");
    };
    for (status, body) in [
        (301, ""),
        (302, html),
        (304, ""),
        (400, html),
        (400, r#"["message"]"#),
        (400, r#"{"message":"#),
        (400, ""),
        (403, html),
        (404, html),
        (413, "too large"),
        (429, ""),
        (502, html),
    ] {
        check(status, body, General, None);
    }
    for (status, text) in [
        (400, flag_set),
        (400, "no Flag Set associated to the API key"),
        (401, "invalid key"),
        (404, "Not Found"),
        (415, "Unsupported Media Type"),
    ] {
        let body = json!({"message": text}).to_string();
        check(status, &body, General, Some(text));
    }
    let internal = r#"{"message":"Internal Server Error","error":"internal"}"#;
    check(500, internal, General, Some("Internal Server Error"));
    let control = r#"{"message":"a\u0000b\r\nc"}"#;
    check(503, control, General, Some("a b c"));
    let none = "no error message given";
    let syntax = "Syntax error: offset=2";
    for (body, reason) in [
        (r#"{"message":"Syntax error: offset=2"}"#, syntax),
        (r#"{"errorDetails":"no user"}"#, "no user"),
        ("{}", none),
        (r#"{"message":["x"],"errorCode":null}"#, none),
    ] {
        let message = format!("invalid context: {reason}");
        check(400, body, InvalidContext, Some(&message));
    }
}

#[test]
fn long_texts_are_cut_and_secrets_removed() {
    let mut secrets = Secrets::default();
    secrets.add("team-a-key");
    let long = "x".repeat(10_000);
    for body in [
        json!({"errorCode": format!("team-a-key {long}")}),
        json!({"message": format!("bad key team-a-key {long}")}),
        json!({"errorCode": "GENERAL", "errorDetails": format!("bad key team-a-key {long}")}),
        json!({"value": 1, "reason": {"bad": format!("team-a-key {long}")}}),
        json!({"value": 1, "reason": "STATIC", "cacheable": format!("team-a-key {long}")}),
    ] {
        for status in [200, 500] {
            let response = response(status, body.to_string());
            let received = Received {
                secrets: &secrets,
                ..received(&response)
            };
            let error = received.evaluation().unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("team-a-key"), "{shown}");
                assert!(shown.len() < 1000, "{shown}");
            }
        }
    }
}

/// docs/relay-protocol.md 8 and 10.
#[test]
fn both_shapes_of_bulk_answers_are_read_flag_by_flag() {
    let static_flag = json!({"value": "a", "timestamp": 1_795_333_949, "variationType": "A",
        "trackEvents": false, "errorCode": "", "reason": "STATIC"});
    let disabled = json!({"value": null, "variationType": "", "trackEvents": true,
        "errorCode": "", "reason": "DISABLED", "metadata": {"description": "d"}});
    let failed = json!({"value": null, "variationType": "", "errorCode": "TARGETING_KEY_MISSING",
        "errorDetails": "Error: Empty targeting key", "reason": "ERROR"});
    let own = json!({"flags": {"static": static_flag, "off": disabled, "bucket": failed},
        "valid": false});
    let ofrep = json!({"flags": [
        {"key": "static", "value": "a", "reason": "STATIC", "variant": "A"},
        {"key": "off", "value": null, "reason": "DISABLED", "variant": "",
         "metadata": {"description": "d"}},
        {"key": "bucket", "value": null, "reason": "ERROR", "variant": "",
         "errorCode": "TARGETING_KEY_MISSING", "errorDetails": "Error: Empty targeting key"},
    ]});
    for (body, tracked) in [(own, false), (ofrep, true)] {
        let flags = bulk(&body).unwrap();
        assert!(flags.keys().eq(["bucket", "off", "static"]), "{flags:?}");
        let a = Resolution::new("a", Reason::Static).with_variant("A");
        let a = a.with_track_events(tracked);
        assert_eq!(flags["static"].as_ref().unwrap(), &a);
        let off = flags["off"].as_ref().unwrap();
        assert!(off.is_disabled());
        assert_eq!(off.variant, None);
        assert_eq!(off.metadata, metadata(json!({"description": "d"})));
        let failure = flags["bucket"].as_ref().unwrap_err();
        assert_eq!(failure.code, ErrorCode::TargetingKeyMissing);
        assert_eq!(failure.details, "Error: Empty targeting key");
        assert_eq!(failure.resolution.variant, None);
    }
}

/// docs/relay-protocol.md 20.2.
#[test]
fn bulk_answer_without_flags_is_empty() {
    for body in [
        json!({"valid": true}),
        json!({}),
        json!({"flags": null}),
        json!({"flags": {}}),
        json!({"flags": []}),
    ] {
        assert!(bulk(&body).unwrap().is_empty(), "{body}");
    }
}

#[test]
fn one_unreadable_flag_does_not_affect_the_others() {
    let (bad, good) = (
        json!({"reason": "STATIC"}),
        json!({"value": 1, "reason": "STATIC"}),
    );
    let flags = bulk(&json!({"flags": {"bad": bad, "good": good}})).unwrap();
    assert!(flags["good"].is_ok());
    let failure = flags["bad"].as_ref().unwrap_err();
    assert_eq!(failure.code, ErrorCode::ParseError);
    assert!(failure.details.contains("`value`"), "{}", failure.details);
}

#[test]
fn bulk_answer_of_another_shape_is_an_error() {
    for body in [
        json!([]),
        json!({"flags": 7}),
        json!({"flags": [{"value": 1, "reason": "STATIC"}]}),
        json!({"flags": {"f": 7}}),
        json!({"flags": {"f": ["STATIC"]}}),
    ] {
        let error = bulk(&body).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ParseError, "{body}");
    }
    let error = bulk(&json!({"errorCode": "INVALID_CONTEXT", "errorDetails": "no context"}));
    assert_eq!(error.unwrap_err().code(), ErrorCode::InvalidContext);
}

fn configuration_response(status: u16, etag: Option<&'static str>, body: &str) -> HttpResponse {
    let mut headers = HeaderMap::new();
    if let Some(etag) = etag {
        headers.insert(ETAG, HeaderValue::from_static(etag));
    }
    response(status, body).with_headers(headers)
}

fn configuration(response: &HttpResponse) -> Result<ConfigurationUpdate, RelayError> {
    received(response).configuration(true)
}

fn loaded(response: &HttpResponse) -> FlagConfiguration {
    match configuration(response).unwrap() {
        ConfigurationUpdate::Loaded(configuration) => configuration,
        ConfigurationUpdate::NotModified => panic!("not modified"),
    }
}

/// GOFF-IP-004, GOFF-IP-005, GOFF-IP-016, GOFF-IP-017: flags keep every byte, including unknown
/// members.
#[test]
fn configuration_is_kept_as_it_was_received() {
    let flags = r#"{ "ä": {"defaultRule": {"variation":"A"}, "later": 1.0e2}, "b":{} }"#;
    let enrichment = r#""evaluationContextEnrichment":{"env":"é"}"#;
    let body = format!(r#"{{"new":[1],"flags":{flags},{enrichment}}}"#);
    let configuration = loaded(&configuration_response(200, Some("W/\"667-x\""), &body));
    assert_eq!(configuration.flags.as_deref(), Some(flags));
    assert_eq!(Value::Object(configuration.enrichment), json!({"env": "é"}));
    assert_eq!(configuration.etag.unwrap().as_bytes(), b"W/\"667-x\"");
}

/// GOFF-IP-009: the poller decides whether absent flags are an empty configuration.
#[test]
fn absent_and_null_flags_differ_from_empty_ones() {
    for (body, expected) in [
        ("{}", None),
        (r#"{"flags":null}"#, None),
        (r#"{"evaluationContextEnrichment":null}"#, None),
        (r#"{"flags":{}}"#, Some("{}")),
    ] {
        let configuration = loaded(&configuration_response(200, None, body));
        assert_eq!(configuration.flags.as_deref(), expected, "{body}");
        assert_eq!(configuration.etag, None);
    }
}

/// GOFF-IP-007, GOFF-IP-015: headers and body of a 304 are ignored.
#[test]
fn not_modified_needs_a_conditional_request() {
    let response = configuration_response(304, Some("\"other\""), r#"{"flags":{}}"#);
    let update = configuration(&response).unwrap();
    assert_eq!(update, ConfigurationUpdate::NotModified);
    let error = received(&response).configuration(false).unwrap_err();
    assert_eq!(error.status(), Some(304));
}

/// GOFF-IP-008, GOFF-ERR-004.
#[test]
fn other_responses_are_no_configuration() {
    use ErrorCode::{General, ParseError};
    let enrichment = r#"{"flags":{},"evaluationContextEnrichment":[]}"#;
    let failed = r#"{"errorCode":"RETRIEVING_FLAGS_ERROR","errorDetails":"x"}"#;
    for (status, body, code) in [
        (200, "", ParseError),
        (200, r#"{"flags":{"a":{"#, ParseError),
        (200, "<html>", ParseError),
        (200, "[]", ParseError),
        (200, "[null,null]", ParseError),
        (200, r#"{"flags":[]}"#, ParseError),
        (200, r#"{"flags":"x"}"#, ParseError),
        (200, enrichment, ParseError),
        (200, r#"{"errorCode":"FLAG_CONFIG"}"#, "FLAG_CONFIG".into()),
        (204, "", General),
        (401, r#"{"message":"Unauthorized"}"#, General),
        (404, r#"{"message":"Not Found"}"#, General),
        (500, failed, "RETRIEVING_FLAGS_ERROR".into()),
    ] {
        let response = configuration_response(status, Some("\"e\""), body);
        let error = configuration(&response).unwrap_err();
        assert_eq!(error.code(), code, "{status} {body}");
    }
}

/// An ETag is sent with every request, and gateways bound headers.
#[test]
fn long_etags_are_not_kept() {
    for (length, is_kept) in [(2, true), (1024, true), (1025, false), (9000, false)] {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_str(&"x".repeat(length)).unwrap());
        let response = response(200, r#"{"flags":{}}"#).with_headers(headers);
        assert_eq!(loaded(&response).etag.is_some(), is_kept, "{length}");
    }
}

/// Memory is bounded by the number of values, not by the text alone.
#[test]
fn responses_of_too_many_values_are_refused() {
    let limit = max_values(DEFAULT_MAX_RESPONSE_SIZE);
    let row = |item: &str, count: usize| vec![item; count].join(",");
    for (item, values) in [(r#"{"":0}"#, 9), ("{}", 8), ("0", 1), ("[]", 1)] {
        for (count, is_read) in [(limit / values - 40, true), (limit / values + 40, false)] {
            let items = row(item, count);
            let enrichment = format!(r#"{{"evaluationContextEnrichment":{{"a":[{items}]}}}}"#);
            for body in [
                format!(r#"{{"reason":"STATIC","value":[{items}]}}"#),
                format!(r#"{{"reason":"STATIC","value":1,"metadata":{{"a":[{items}]}}}}"#),
            ] {
                let bulk = format!(r#"{{"flags":{{"a":{body}}}}}"#);
                let bulk = received(&response(200, bulk)).bulk_evaluation().map(|_| ());
                let enrichment = response(200, enrichment.clone());
                let enrichment = configuration(&enrichment).map(|_| ());
                for result in [single(200, body).map(|_| ()), bulk, enrichment] {
                    assert_eq!(result.is_ok(), is_read, "{item} {result:?}");
                    if let Err(error) = result {
                        assert!(error.to_string().contains("JSON values"), "{error}");
                    }
                }
            }
        }
        // The status of a failure counts, whatever the body.
        let body = format!(r#"{{"errorCode":"GENERAL","x":[{}]}}"#, row(item, limit));
        let error = single(503, body).unwrap_err();
        assert_eq!(error.status(), Some(503));
    }
}

proptest! {
    #[test]
    fn reading_arbitrary_bytes_never_panics(
        status in 100..600u16,
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let response = response(status, body);
        let _ = received(&response).evaluation();
        let _ = received(&response).bulk_evaluation();
    }

    #[test]
    fn reading_arbitrary_json_never_panics(status in 100..600u16, body in any_answer()) {
        let cut = body.to_string();
        for end in [cut.len(), cut.len() / 2] {
            let response = response(status, &cut.as_bytes()[..end]);
            let single = received(&response).evaluation();
            let _ = received(&response).bulk_evaluation();
            // An answer with an error code never yields a value.
            if end == cut.len() && body["errorCode"].as_str().is_some_and(|code| !code.is_empty()) {
                prop_assert!(single.is_err());
            }
        }
    }
}

fn any_answer() -> impl Strategy<Value = Value> {
    let members = "key value reason variant variationType version errorCode errorDetails \
                   trackEvents cacheable metadata flags message x";
    let member = prop::sample::select(members.split(' ').collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = member.clone();
    let value = leaf.prop_recursive(3, 24, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(Value::from_iter),
        ]
    });
    prop::collection::vec((member, value), 0..6).prop_map(Value::from_iter)
}
