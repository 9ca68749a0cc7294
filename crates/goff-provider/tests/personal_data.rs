//! With default options no personal data, no value of a flag and no secret appears in a log line, span,
//! event of an evaluation or metric, at any level, in either mode.
//!
//! A separate test binary: it captures everything that the process logs, through `tracing` and
//! through `log`, dependencies included, and with the feature `opentelemetry` all metrics.
#![cfg(all(feature = "http", feature = "in-process"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod captured;

use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{
    EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, TelemetryHook,
    TelemetryOptions,
};
use goff_testkit::{Answer, EmbeddedRelay, FaultyServer, RecordingLog};
use open_feature::OpenFeature;

use crate::captured::{capture, capture_log, captured};

/// In the targeting key, attributes, defaults, tracking events, and texts of servers that quote them.
const PERSONAL: &str = "p3rsonal";
/// In the values of flags.
const VALUE: &str = "s3rved";
/// In API keys and headers.
const SECRET: &str = "s3cret";
/// In a rule that fails validation, which a warning quotes.
const RULE: &str = "r0le";
const MODES: [EvaluationType; 2] = [EvaluationType::Remote, EvaluationType::InProcess];

/// The exported metrics.
#[cfg(feature = "opentelemetry")]
mod metrics {
    use std::sync::LazyLock;

    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    static EXPORTED: LazyLock<(InMemoryMetricExporter, SdkMeterProvider)> = LazyLock::new(|| {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder();
        let provider = provider.with_periodic_exporter(exporter.clone()).build();
        opentelemetry::global::set_meter_provider(provider.clone());
        (exporter, provider)
    });

    pub(super) fn install() {
        LazyLock::force(&EXPORTED);
    }

    /// Those of the clients that exist.
    pub(super) fn capture() {
        let (exporter, provider) = &*EXPORTED;
        exporter.reset();
        provider.force_flush().unwrap();
        for exported in exporter.get_finished_metrics().unwrap() {
            let scopes = exported.scope_metrics();
            let metrics = scopes.flat_map(|scope| scope.metrics());
            metrics.for_each(|metric| super::capture(&format!("{metric:?}")));
        }
    }
}
#[cfg(not(feature = "opentelemetry"))]
mod metrics {
    pub(super) fn install() {}

    pub(super) fn capture() {}
}

const FLAGS: &str = r#"
targeted:
  variations: {a: s3rved-a, b: s3rved-b}
  targeting: [{query: email co "@example", variation: b}]
  defaultRule: {variation: a}
split:
  bucketingKey: team
  variations: {a: s3rved-a, b: s3rved-b}
  defaultRule: {percentage: {a: 50, b: 50}}
"#;

fn context() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("p3rsonal-key")
        .attribute("email", "p3rsonal@example.org")
        .attribute("nested", serde_json::json!({"name": [PERSONAL]}))
        .build()
}

/// Configurations with flags that fail, whose values, rules and users a message could quote.
const BROKEN: [&str; 3] = [
    r#"{"flags": {
        "targeted": {
            "variations": {"a": "s3rved"},
            "targeting": [{"query": "email ?? \"r0le@example.org\"", "variation": "a"}],
            "defaultRule": {"variation": "a"}
        },
        "split": {"variations": {"a": "s3rved"}, "defaultRule": {"percentage": {"a": "s3rved"}}}
    }}"#,
    r#"{"flags": {
        "targeted": {"variations": "s3rved", "defaultRule": {"variation": "a"}},
        "split": {"variations": {"a": "s3rved"}, "defaultRule": {"progressiveRollout": "s3rved"}}
    }}"#,
    r#"{"flags": {
        "targeted": {"variations": {"a": "s3rved"}, "bucketingKey": "email",
            "defaultRule": {"percentage": {"a": 0}}},
        "split": {"variations": {"a": "s3rved"}, "defaultRule": {"variation": "b"},
            "experimentation": {"start": "s3rved"}}
    }, "evaluationContextEnrichment": "s3rved"}"#,
];

async fn use_it(endpoint: String, mode: EvaluationType) {
    let options = GoFeatureFlagOptions::new(endpoint)
        .evaluation_type(mode)
        .api_key("s3cret-key")
        .header_provider(|| vec![("x-token".to_owned(), "s3cret-token".to_owned())])
        .telemetry(TelemetryOptions::new());
    let goff = GoFeatureFlag::new(options).unwrap();
    // May fail: loading is retried.
    let _ = goff.initialize().await;
    for flag in ["targeted", "split", "no-such-flag"] {
        goff.evaluate(flag, &context(), PERSONAL.to_owned()).await;
        goff.evaluate(flag, &context(), false).await;
    }
    goff.evaluate_all(&context()).await.ok();
    let tracked = [("name".to_owned(), PERSONAL.into())];
    let _ = goff.track("checkout", &context(), tracked.into_iter().collect());
    let not_finite = EvaluationContext::builder()
        .targeting_key("p3rsonal-key")
        .attribute("rate", f64::NAN);
    goff.evaluate("targeted", &not_finite.build(), false).await;

    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let context = open_feature::EvaluationContext::default()
        .with_targeting_key("p3rsonal-key")
        .with_custom_field("email", "p3rsonal@example.org");
    let hook = TelemetryHook::new(&TelemetryOptions::new());
    let client = api.create_client().with_hook(hook);
    for key in ["s3cret-key", "s3cret-other-key"] {
        goff.set_api_key(key).await.unwrap();
        for flag in ["targeted", "split", "no-such-flag"] {
            let _ = client.get_string_details(flag, Some(&context), None).await;
            let _ = client.get_bool_details(flag, Some(&context), None).await;
        }
    }
    metrics::capture();
    goff.shutdown(Duration::from_secs(5)).await;
}

/// Answers that quote what they were sent, or the value of a flag.
fn quoting() -> [Answer; 10] {
    [
        Answer::new(
            403,
            r#"{"message":"no s3cret-key, s3cret-other-key, s3cret-token, p3rsonal"}"#,
        ),
        Answer::new(400, r#"{"message":"p3rsonal is invalid"}"#),
        Answer::new(400, r#"{"errorCode":"GENERAL","errorDetails":"p3rsonal"}"#),
        Answer::new(
            404,
            r#"{"errorCode":"FLAG_NOT_FOUND","errorDetails":"p3rsonal"}"#,
        ),
        Answer::new(500, r#"{"message":"p3rsonal"}"#),
        Answer::new(500, PERSONAL),
        Answer::new(
            200,
            r#"{"reason":"ERROR","errorCode":"GENERAL","errorDetails":"p3rsonal"}"#,
        ),
        Answer::new(200, r#"{"value":true,"reason":{"p3rsonal":1}}"#),
        Answer::new(
            200,
            r#"{"value":true,"reason":"STATIC","trackEvents":"p3rsonal"}"#,
        ),
        Answer::new(200, r#"{"value":"s3rved","reason":"STATIC"}"#),
    ]
}

#[tokio::test]
async fn no_personal_data_is_logged() {
    let tracing = RecordingLog::default();
    tracing::subscriber::set_global_default(tracing.clone()).unwrap();
    capture_log();
    log::trace!("capturing log works");
    metrics::install();

    for mode in MODES {
        let relay = EmbeddedRelay::builder().flags(FLAGS).start().unwrap();
        let options = GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(mode);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let details = goff.evaluate("targeted", &context(), String::new()).await;
        assert_eq!(details.value, "s3rved-b", "the value is there to be logged");
        let mut events = goff.subscribe();
        while relay.change_streams() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        relay.set_flags(&FLAGS.replace("-a,", "-c,")).unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(20), events.next());
        assert!(changed.await.unwrap().is_some());
        use_it(relay.endpoint(), mode).await;
        relay.stop().unwrap();
        use_it(relay.endpoint(), mode).await;
        goff.shutdown(Duration::from_secs(1)).await;
    }
    for answer in quoting() {
        let server = FaultyServer::start([answer]).await.unwrap();
        use_it(server.url(), EvaluationType::Remote).await;
        let requests = server.requests();
        let is_sent = |name: &str, value: &str| {
            let sent = |text: &str| text.ends_with(value);
            requests
                .iter()
                .any(|request| request.header(name).is_some_and(sent))
        };
        assert!(is_sent("x-token", "s3cret-token") && is_sent("authorization", "s3cret-other-key"));
        let body = requests.iter().find(|request| request.method == "POST");
        let body = String::from_utf8_lossy(&body.unwrap().body).into_owned();
        assert!(body.contains(PERSONAL), "the request has the data: {body}");
    }

    // Flags that the engine cannot evaluate, and their fallback.
    for broken in BROKEN {
        let server = FaultyServer::start([Answer::new(200, broken)])
            .await
            .unwrap();
        use_it(server.url(), EvaluationType::InProcess).await;
    }

    for (_, line) in tracing.lines() {
        capture(&line);
    }
    let captured = captured();
    for part in [
        "capturing log works",
        "relay proxy request",
        "evaluations fail",
        "flags changed",
        "API key replaced",
        "feature_flag.result.reason=\"error\" error.type=",
        #[cfg(feature = "opentelemetry")]
        "feature_flag.evaluation_error_total",
    ] {
        assert!(captured.contains(part), "{part}: {captured}");
    }
    // At TRACE, tungstenite logs the messages of the change stream, which contain whole flags.
    let is_shown = |line: &&str| {
        line.contains(PERSONAL)
            || line.contains(SECRET)
            || line.contains(RULE) && !line.contains("flags that fail validation")
            || line.contains(VALUE) && !line.starts_with("tungstenite")
    };
    let found: Vec<_> = captured.lines().filter(is_shown).collect();
    assert!(found.is_empty(), "{found:#?}");
}
