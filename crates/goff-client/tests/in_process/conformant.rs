//! The preset `GoFeatureFlagOptions::conformant`, on the wire; and the option with which it rules out the deprecated
//! stream.

use std::sync::Mutex;

use goff_testkit::{Answer, EmbeddedRelay, Fault, FaultyServer, RelayActivity, RelayEndpoint};

use crate::*;

const CURRENT_STREAM: &str = "/stream/v1/ws/flag/change";
const DEPRECATED_STREAM: &str = "/ws/v1/flag/change";

/// The answer to every request but the handshake of the stream: a configuration with a flag that the engine cannot
/// read, the evaluation of a flag over OFREP, and the receipt of usage data.
fn answer() -> Answer {
    let metadata = json!({"owner": {"team": "a"}, "gofeatureflag_cacheable": true});
    let body = json!({
        "flags": {"my flag!": {"disable": "yes"}, "flag": giving(1)},
        "key": "my flag!", "value": 7, "reason": "TARGETING_MATCH", "variant": "B", "metadata": metadata,
        "ingestedContentCount": 1,
    });
    Answer::new(200, body.to_string())
}

/// GOFF-REM-001, GOFF-REM-002, GOFF-REM-003, GOFF-CTX-001, GOFF-CTX-002, GOFF-CTX-003, GOFF-CTX-006, GOFF-CTX-007,
/// GOFF-EVAL-010, GOFF-AUTH-002: the fallback, and what `evaluation_type` makes of the preset.
#[tokio::test]
async fn what_the_relay_proxy_evaluates_goes_over_ofrep() {
    for evaluation_type in [EvaluationType::InProcess, EvaluationType::Remote] {
        let server = FaultyServer::start([answer()]).await.unwrap();
        let options = GoFeatureFlagOptions::conformant(format!("{}/ff/", server.url()))
            .api_key("key")
            .exporter_metadata("service", "checkout")
            .evaluation_type(evaluation_type);
        let goff = connect(options).await;
        let in_namespace = json!({"flagList": ["a"], "exporterMetadata": "mine"});
        let user = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("plan", "pro")
            .attribute("gofeatureflag", Attribute::from(in_namespace))
            .build();
        for context in [&user, &EvaluationContext::default()] {
            let details = goff.evaluate("my flag!", context, 0_i64).await;
            let answer = (details.value, details.variant(), details.reason());
            assert_eq!(answer, (7, Some("B"), &Reason::TargetingMatch));
            assert_eq!(details.metadata()["owner"], json!({"team": "a"}));
            assert_eq!(details.metadata()["gofeatureflag_cacheable"], true);
        }
        goff.track("bought", &user, Map::new()).unwrap();
        assert_eq!(goff.shutdown(TIMEOUT).await.delivered, 1);

        let own = json!({"provider": "rust", "openfeature": true, "service": "checkout"});
        let expected = [
            json!({"context": {
                "targetingKey": "user-1", "plan": "pro",
                "gofeatureflag": {"flagList": ["a"], "exporterMetadata": own},
            }}),
            json!({"context": {"gofeatureflag": {"exporterMetadata": own}}}),
        ];
        let mut bodies = Vec::new();
        for request in server.requests() {
            assert_eq!(request.header("authorization"), Some("Bearer key"));
            let path = request.path.split('?').next().unwrap();
            let ofrep = "/ofrep/v1/evaluate/flags/my%20flag%21";
            let allowed = [
                ofrep,
                "/v1/flag/configuration",
                "/v1/data/collector",
                CURRENT_STREAM,
            ];
            let path = path.strip_prefix("/ff").unwrap();
            assert!(allowed.contains(&path), "{path}");
            if path == ofrep {
                assert_eq!(request.method, "POST");
                bodies.push(serde_json::from_slice::<Value>(&request.body).unwrap());
            }
        }
        assert_eq!(bodies, expected, "{evaluation_type:?}");
    }
}

/// The paths, and a relay proxy that records them.
fn recorded(flags: &Value) -> (EmbeddedRelay, Arc<Mutex<BTreeSet<String>>>) {
    let paths = Arc::new(Mutex::new(BTreeSet::new()));
    let record = Arc::clone(&paths);
    let relay = EmbeddedRelay::builder()
        .flags(flags.to_string())
        .on_activity(move |activity| {
            if let RelayActivity::Request { path, .. } = activity {
                record.lock().unwrap().insert(path);
            }
        });
    (relay.start().unwrap(), paths)
}

/// GOFF-CFG-002, GOFF-CFG-003, GOFF-REM-001: it evaluates in process, and no request goes to an endpoint that the
/// specification calls superseded, whatever the client does.
#[tokio::test]
async fn conformant_client_uses_no_superseded_endpoint() {
    let flags = json!({"flag": giving(1), "general": general()});
    for (evaluation_type, expected) in [
        (
            None,
            &[
                "/ofrep/v1/evaluate/flags/general",
                CURRENT_STREAM,
                "/v1/data/collector",
                "/v1/flag/configuration",
            ][..],
        ),
        (
            Some(EvaluationType::Remote),
            &[
                "/ofrep/v1/evaluate/flags",
                "/ofrep/v1/evaluate/flags/flag",
                "/ofrep/v1/evaluate/flags/general",
                CURRENT_STREAM,
                "/v1/data/collector",
            ],
        ),
    ] {
        let (relay, paths) = recorded(&flags);
        let mut options = GoFeatureFlagOptions::conformant(relay.endpoint());
        if let Some(evaluation_type) = evaluation_type {
            options = options.evaluation_type(evaluation_type);
        }
        let goff = connect(options).await;
        let in_process = evaluation_type.unwrap_or(EvaluationType::InProcess);
        assert_eq!(goff.evaluation_type(), in_process);
        let seen = || paths.lock().unwrap().clone();
        until(|| seen().contains(CURRENT_STREAM)).await;
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
        goff.evaluate("general", &context(), 0_i64).await;
        goff.evaluate_all(&context()).await.unwrap();
        goff.track("bought", &context(), Map::new()).unwrap();
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!(report.pending, 0, "{report:?}");
        let expected = expected.iter().map(|path| (*path).to_owned());
        assert_eq!(seen(), expected.collect(), "{evaluation_type:?}");
    }
}

/// GOFF-REM-004, GOFF-REM-006, GOFF-ERR-004.
#[tokio::test]
async fn failures_over_ofrep_are_told_apart() {
    let faults = [400, 401, 403, 404, 503].map(Fault::status);
    let slow_down = Fault::rate_limited(secs(30)).times(1);
    for (fault, expected) in faults
        .into_iter()
        .chain([slow_down, Fault::silence()])
        .zip([
            &["400 to"][..],
            &["401 to", "unauthorized"],
            &["403 to", "forbidden"],
            &["404 to", "no relay proxy answers"],
            &["503 to", "server error"],
            // The second evaluation is not sent.
            &["429 to", "too many requests"],
            &["100 ms"],
        ])
    {
        let (relay, _) = recorded(&json!({"flag": giving(1)}));
        let options = GoFeatureFlagOptions::conformant(relay.endpoint())
            .evaluation_type(EvaluationType::Remote)
            .timeout(millis(100));
        let goff = connect(options).await;
        let is_limited = format!("{fault:?}").contains("429");
        relay.inject(fault.on(RelayEndpoint::Evaluation));
        for round in 0..2 {
            let details = evaluate(&goff, 5_i64).await;
            assert_eq!(details.value, 5);
            let error = details.error().unwrap().to_string();
            let is_named = match (is_limited, round) {
                (true, 1) => error.contains("rate limited"),
                _ => expected.iter().all(|part| error.contains(part)),
            };
            assert!(is_named, "{expected:?}: {error}");
        }
    }
}

/// Where the current address is missing, as before relay proxy 1.53.0. Both modes.
#[tokio::test]
async fn deprecated_stream_is_asked_for_unless_the_option_rules_it_out() {
    for (is_preset, disable, is_asked_for) in [
        (false, None, true),
        (false, Some(true), false),
        (false, Some(false), true),
        (true, None, false),
        (true, Some(false), true),
    ] {
        for evaluation_type in [EvaluationType::InProcess, EvaluationType::Remote] {
            let server = FaultyServer::start([Answer::new(404, "")]).await.unwrap();
            let mut options = match is_preset {
                true => GoFeatureFlagOptions::conformant(server.url()),
                false => GoFeatureFlagOptions::new(server.url()),
            };
            options = options.evaluation_type(evaluation_type);
            if let Some(disable) = disable {
                options = options.disable_deprecated_stream(disable);
            }
            let goff = GoFeatureFlag::new(options).unwrap();
            // In process there are no flags.
            let _ = goff.initialize().await;
            let asked = || -> Vec<String> {
                let requests = server.requests().into_iter();
                let handshakes = requests.filter(|request| request.method == "GET");
                handshakes.map(|request| request.path).collect()
            };
            until(|| asked().len() >= 4).await;
            let asked = asked();
            let is_there = |address: &str| asked.iter().any(|path| path == address);
            let both = (is_there(CURRENT_STREAM), is_there(DEPRECATED_STREAM));
            let case = format!("{is_preset} {disable:?} {evaluation_type:?}: {asked:?}");
            assert_eq!(both, (true, is_asked_for), "{case}");
        }
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let polling = async {
        while !is_so() {
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(secs(20), polling).await.unwrap();
}
