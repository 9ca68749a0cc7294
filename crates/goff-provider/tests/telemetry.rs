//! What is emitted, with the SDK's exporters in memory, by the example `telemetry`; and that the
//! documents in docs/operating name what is.
//!
//! One test, in a separate binary: OpenTelemetry and tracing are global.
#![cfg(all(feature = "http", feature = "in-process", feature = "opentelemetry"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[expect(
    dead_code,
    reason = "the example is a program, of which the test uses the parts"
)]
#[path = "../examples/telemetry.rs"]
mod example;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use example::{Telemetry, check_out};
use goff_provider::native::EvaluationContext;
use goff_provider::{
    EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, TelemetryHook,
    TelemetryOptions,
};
use goff_testkit::{Answer, EmbeddedRelay, Fault, FaultyServer, RecordingSink, RelayEndpoint};
use open_feature::OpenFeature;
use opentelemetry::KeyValue;
use opentelemetry::logs::AnyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

const USER: &str = "user-of-the-targeting-key";
const EVENT: &str = "feature_flag.evaluation";

#[tokio::test]
async fn evaluations_are_told_by_the_conventions_and_without_personal_data() {
    let telemetry = Telemetry::install(LevelFilter::TRACE).unwrap();
    check_out(USER, &TelemetryOptions::new().client_name("remote"))
        .await
        .unwrap();

    let events = events(&telemetry);
    let provider = "GO Feature Flag Provider";
    let of = |attributes: Value| {
        let mut event = json!({"feature_flag.provider.name": provider});
        event
            .as_object_mut()
            .unwrap()
            .extend(attributes.as_object().unwrap().clone());
        event
    };
    let split = |reason: &str| {
        of(json!({
            "feature_flag.key": "new-checkout", "feature_flag.result.variant": "on",
            "feature_flag.result.reason": reason, "feature_flag.version": "7",
        }))
    };
    let banner = of(json!({
        "feature_flag.key": "banner", "feature_flag.result.variant": "summer",
        "feature_flag.result.reason": "static", "feature_flag.set.id": "shop",
    }));
    let unknown = of(json!({
        "feature_flag.key": "unknown", "feature_flag.result.reason": "error",
        "error.type": "flag_not_found",
        "feature_flag.error.message": events[2]["feature_flag.error.message"],
    }));
    let retired = of(json!({
        "feature_flag.key": "retired", "feature_flag.result.reason": "disabled",
        "feature_flag.result.variant": "SdkDefault",
    }));
    let mismatch = of(json!({
        "feature_flag.key": "banner", "feature_flag.result.reason": "error",
        "error.type": "type_mismatch", "feature_flag.set.id": "shop",
    }));
    let expected = [
        split("targeting_match_split"),
        banner,
        unknown.clone(),
        retired.clone(),
        split("cached"),
        split("cached"),
        mismatch,
        unknown,
        retired,
    ];
    assert_eq!(events, expected);
    assert!(
        events[2]["feature_flag.error.message"]
            .as_str()
            .unwrap()
            .contains("`unknown`")
    );

    // The events are in the span.
    let spans = telemetry.spans.get_finished_spans().unwrap();
    let span = spans.iter().find(|span| span.name == "check_out").unwrap();
    let in_span = span.events.iter().filter(|event| event.name == EVENT);
    assert_eq!(in_span.count(), expected.len());

    // The four metrics of evaluations.
    let metrics = Metrics::of(&telemetry);
    let [key, by] = ["feature_flag.key", "feature_flag.provider.name"];
    let on = |reason: &str| json!({key: "new-checkout", by: provider, "feature_flag.result.reason": reason, "feature_flag.result.variant": "on"});
    let requests = "feature_flag.evaluation_requests_total";
    metrics.has(requests, &json!({key: "new-checkout", by: provider}), 3.0);
    metrics.has(requests, &json!({key: "unknown", by: provider}), 2.0);
    let successes = "feature_flag.evaluation_success_total";
    metrics.has(successes, &on("targeting_match_split"), 1.0);
    metrics.has(successes, &on("cached"), 2.0);
    let errors = "feature_flag.evaluation_error_total";
    metrics.has(
        errors,
        &json!({key: "unknown", by: provider, "error.type": "flag_not_found"}),
        2.0,
    );
    metrics.has(
        errors,
        &json!({key: "banner", by: provider, "error.type": "type_mismatch"}),
        1.0,
    );
    let active = "feature_flag.evaluation_active_count";
    metrics.has(active, &json!({key: "new-checkout", by: provider}), 0.0);

    // Nothing of the user, at any level.
    let mut everything = format!("{spans:?}");
    for log in telemetry.logs.get_emitted_logs().unwrap() {
        everything += &format!("{:?}\n", log.record);
    }
    telemetry
        .each_metric(|metric| everything += &format!("{metric:?}\n"))
        .unwrap();
    assert!(everything.contains("relay proxy request"), "no debug lines");
    for personal in [USER, "\"pro\"", "text-of-summer"] {
        let line = everything.lines().find(|line| line.contains(personal));
        assert_eq!(line, None, "{personal}");
    }

    asked_for_values_are_told(&telemetry).await;
    evaluations_given_up_are_not_active(&telemetry).await;
    labels_have_few_values(&telemetry).await;
    documents_name_what_is_exported(&telemetry).await;
    evaluations_through_a_snapshot_are_told(&telemetry).await;
}

/// Only what is asked for.
async fn asked_for_values_are_told(telemetry: &Telemetry) {
    for (id, value) in [(true, false), (false, true)] {
        telemetry.logs.reset();
        let options = TelemetryOptions::new().context_id(id).result_value(value);
        check_out(USER, &options.client_name("values"))
            .await
            .unwrap();
        let told = |name: &str| -> Vec<Value> {
            let events = events(telemetry).into_iter();
            events.map(|event| event[name].clone()).collect()
        };
        let ids = told("feature_flag.context.id");
        let user = if id { json!(USER) } else { Value::Null };
        assert_eq!(ids, vec![user; 9]);
        let values = told("feature_flag.result.value");
        let none = Value::Null;
        let served = match value {
            // Natively also the caller's default; the SDK does not tell it to hooks.
            true => json!([
                true,
                "text-of-summer",
                7,
                false,
                true,
                true,
                none,
                none,
                none
            ]),
            false => json!(vec![none; 9]),
        };
        assert_eq!(json!(values), served);
        // What was found instead of the requested type may contain the value.
        assert_eq!(told("feature_flag.error.message")[6].is_string(), value);
    }
}

async fn evaluations_through_a_snapshot_are_told(telemetry: &Telemetry) {
    telemetry.logs.reset();
    let flags = r#"{"told": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}}"#;
    let options = GoFeatureFlagOptions::from_flags(flags);
    let options = options.telemetry(TelemetryOptions::new().client_name("snapshot"));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let snapshot = goff.prefetch(&EvaluationContext::default()).await;
    snapshot.evaluate("told", &EvaluationContext::default(), false);
    let events = events(telemetry);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["feature_flag.key"], "told");
    let flag = json!({
        "feature_flag.key": "told", "feature_flag.provider.name": "GO Feature Flag Provider",
    });
    let metrics = Metrics::of(telemetry);
    metrics.has("feature_flag.evaluation_requests_total", &flag, 1.0);
    metrics.has("feature_flag.evaluation_active_count", &flag, 0.0);
}

/// The native API knows of evaluations that are given up.
async fn evaluations_given_up_are_not_active(telemetry: &Telemetry) {
    let silent = FaultyServer::start([]).await.unwrap();
    let options = GoFeatureFlagOptions::new(silent.url()).telemetry(TelemetryOptions::new());
    let goff = GoFeatureFlag::connect(options.disable_cache_invalidation(true))
        .await
        .unwrap();
    let context = EvaluationContext::default();
    let flag = json!({
        "feature_flag.key": "given-up", "feature_flag.provider.name": "GO Feature Flag Provider",
    });
    let is_active = |count: f64| {
        let metrics = Metrics::of(telemetry);
        metrics.has("feature_flag.evaluation_active_count", &flag, count);
        metrics.has("feature_flag.evaluation_requests_total", &flag, 1.0);
    };
    let mut evaluation = Box::pin(goff.evaluate("given-up", &context, false));
    let waiting = tokio::time::timeout(Duration::from_millis(50), &mut evaluation);
    assert!(waiting.await.is_err());
    is_active(1.0);
    drop(evaluation);
    is_active(0.0);
}

/// A server that makes up reasons and codes adds no time series. An answer with the reason ERROR is
/// a failure also without a code, natively and for a hook.
async fn labels_have_few_values(telemetry: &Telemetry) {
    let error = json!({"value": true, "reason": "ERROR"});
    let answers = [
        json!({"value": true, "reason": "MADE_UP", "variationType": "on"}),
        json!({"value": true, "reason": "ERROR", "errorCode": "MADE_UP"}),
        json!({"value": true, "reason": "ERROR", "errorCode": "FLAG_CONFIG"}),
        error.clone(),
        error,
    ];
    let answers = answers.map(|answer| Answer::new(200, answer.to_string()));
    let server = FaultyServer::start(answers).await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url())
        .disable_cache(true)
        .disable_cache_invalidation(true)
        .telemetry(TelemetryOptions::new());
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    for _ in 0..4 {
        goff.evaluate("bounded", &EvaluationContext::default(), false)
            .await;
    }
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let hook = TelemetryHook::new(&TelemetryOptions::new());
    let client = api.create_client().with_hook(hook);
    client.get_bool_value("bounded", None, None).await.unwrap();

    let metrics = Metrics::of(telemetry);
    let of = |more: Value| {
        let mut labels = more.as_object().unwrap().clone();
        labels.insert("feature_flag.key".to_owned(), json!("bounded"));
        let provider = json!("GO Feature Flag Provider");
        labels.insert("feature_flag.provider.name".to_owned(), provider);
        Value::Object(labels)
    };
    let made_up = of(json!({
        "feature_flag.result.reason": "_OTHER", "feature_flag.result.variant": "on",
    }));
    metrics.has("feature_flag.evaluation_success_total", &made_up, 1.0);
    for (code, count) in [("_OTHER", 1.0), ("flag_config", 1.0), ("general", 2.0)] {
        let labels = of(json!({"error.type": code}));
        metrics.has("feature_flag.evaluation_error_total", &labels, count);
    }
}

/// The metric of each number in `stats()`, so that none can be forgotten.
const METRICS_OF_STATS: [(&str, &str); 22] = [
    ("cache_bytes", "cache.memory"),
    ("circuit_open", "circuit_open"),
    ("event_sink", "event_sink"),
    ("evictions", "cache.evictions"),
    ("failed_fallbacks", "failed_fallbacks"),
    ("failed_refreshes", "configuration.failed_refreshes"),
    ("fallbacks", "fallbacks"),
    ("flags", "flags"),
    ("hits", "cache.hits"),
    ("last_confirmed_at_seconds", "configuration.age"),
    ("misses", "cache.misses"),
    ("not_collected", "events.not_collected"),
    ("open_connections", "connections.open"),
    ("reconnects", "stream.reconnects"),
    ("refreshes", "configuration.refreshes"),
    ("requests", "requests"),
    ("requests_in_flight", "requests.in_flight"),
    ("requests_waiting", "requests.waiting"),
    ("shared", "cache.shared"),
    ("stale", "cache.stale"),
    ("stream", "stream.open"),
    ("usage", "events"),
];

fn every_number_is_a_metric(stats: &Value, exported: &BTreeSet<String>) {
    let names = |value: &Value| -> Vec<String> {
        let members = value.as_object().unwrap();
        members.keys().cloned().collect()
    };
    let known = METRICS_OF_STATS.map(|(name, _)| name.to_owned());
    assert_eq!(names(stats), known);
    for (name, metric) in METRICS_OF_STATS {
        let metric = format!("goff.client.{metric}");
        if !matches!(name, "usage" | "event_sink") {
            assert!(exported.contains(&metric), "{metric}");
            continue;
        }
        for count in names(&stats[name]) {
            let count = match &*count {
                "pending_bytes" => "pending_memory",
                count => count,
            };
            let metric = format!("{metric}.{count}");
            assert!(exported.contains(&metric), "{metric}");
        }
    }
}

/// The names in docs/operating are those of exported metrics, and the other way round.
async fn documents_name_what_is_exported(telemetry: &Telemetry) {
    let relay =
        EmbeddedRelay::builder().flags("f: {variations: {a: 1}, defaultRule: {variation: a}}");
    let relay = relay.start().unwrap();
    let options =
        GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(EvaluationType::InProcess);
    let options = options
        .telemetry(TelemetryOptions::new().client_name("in-process"))
        .event_sink(std::sync::Arc::new(RecordingSink::default()));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let context = EvaluationContext::default();
    assert_eq!(goff.evaluate("f", &context, 0_i64).await.value, 1);
    relay.inject(Fault::status(503).on(RelayEndpoint::Collector));
    goff.flush(Duration::from_secs(5)).await;
    assert!(goff.check(Duration::from_secs(5)).await.is_ok());
    let metrics = Metrics::of(telemetry);
    let client =
        |state: &str| json!({"goff.client.name": "in-process", "goff.client.state": state});
    metrics.has("goff.client.state", &client("ready"), 1.0);
    metrics.has("goff.client.state", &client("stale"), 0.0);
    metrics.has(
        "goff.client.flags",
        &json!({"goff.client.name": "in-process"}),
        1.0,
    );
    let fetch = json!({
        "goff.client.name": "in-process", "goff.request.operation": "flag_configuration",
        "goff.request.result": "answered",
    });
    metrics.has("goff.client.requests", &fetch, 1.0);
    metrics.has("goff.client.request.duration", &fetch, 1.0);
    let check = json!({
        "goff.client.name": "in-process", "goff.request.operation": "check",
        "goff.request.result": "answered",
    });
    metrics.has("goff.client.requests", &check, 1.0);

    let error = json!({"error.type": "general", "goff.client.name": "in-process"});
    metrics.has("goff.client.request.errors", &error, 1.0);

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let documented: BTreeSet<String> = read("telemetry.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| Some(row.split_once("` | ")?.0.to_owned()))
        .filter(|name| {
            name.starts_with("goff.client.") || name.starts_with("feature_flag.evaluation_")
        })
        .collect();
    let exported: BTreeSet<String> = metrics.points.keys().cloned().collect();
    assert_eq!(documented, exported);
    let stats = serde_json::to_value(goff.stats()).unwrap();
    every_number_is_a_metric(&stats, &exported);

    let dashboard = read("grafana-dashboard.json");
    serde_json::from_str::<Value>(&dashboard).unwrap();
    for (name, text) in [
        ("grafana-dashboard.json", dashboard),
        ("alerts.yml", read("alerts.yml")),
    ] {
        let used: BTreeSet<&str> = text
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.starts_with("goff_") || word.starts_with("feature_flag_"))
            .collect();
        assert!(used.len() >= 5, "{name}: {used:?}");
        for word in used {
            let is_known = metrics.prometheus.contains(word) || metrics.labels.contains(word);
            assert!(is_known, "{name}: nothing exports `{word}`");
        }
    }
    relay.clear_faults();
    goff.shutdown(Duration::from_secs(5)).await;
}

/// The attributes of each event, in order.
fn events(telemetry: &Telemetry) -> Vec<Value> {
    let logs = telemetry.logs.get_emitted_logs().unwrap().into_iter();
    let events = logs.filter(|log| log.record.event_name() == Some(EVENT));
    events
        .map(|log| {
            assert_eq!(log.record.severity_text(), Some("INFO"));
            let attributes = log.record.attributes_iter();
            let attributes = attributes.map(|(name, value)| (name.to_string(), json_of(value)));
            Value::Object(attributes.collect())
        })
        .collect()
}

fn json_of(value: &AnyValue) -> Value {
    match value {
        AnyValue::Int(number) => json!(number),
        AnyValue::Double(number) => json!(number),
        AnyValue::String(text) => json!(text.as_str()),
        AnyValue::Boolean(value) => json!(value),
        other => panic!("{other:?}"),
    }
}

/// The exported metrics: points by name and attributes, and their names in Prometheus.
#[derive(Default)]
struct Metrics {
    points: BTreeMap<String, BTreeMap<String, f64>>,
    prometheus: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Metrics {
    fn of(telemetry: &Telemetry) -> Self {
        let mut metrics = Self::default();
        telemetry.each_metric(|metric| metrics.add(metric)).unwrap();
        metrics
    }

    fn add(&mut self, metric: &Metric) {
        let mut add = |attributes: Vec<(String, Value)>, value: f64| {
            self.labels
                .extend(attributes.iter().map(|(name, _)| name.replace('.', "_")));
            let attributes: serde_json::Map<_, _> = attributes.into_iter().collect();
            let points = self.points.entry(metric.name().to_owned()).or_default();
            points.insert(Value::Object(attributes).to_string(), value);
        };
        macro_rules! add_points {
            ($data:expr, $value:ident) => {
                for point in $data.data_points() {
                    let attributes = point.attributes();
                    let text = |of: &KeyValue| (of.key.to_string(), json!(of.value.as_str()));
                    add(attributes.map(text).collect(), point.$value() as f64);
                }
            };
        }
        let mut is_counter = false;
        let mut suffixes = vec![""];
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                is_counter = true;
                add_points!(sum, value);
            }
            AggregatedMetrics::I64(MetricData::Sum(sum)) => add_points!(sum, value),
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => add_points!(gauge, value),
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => add_points!(gauge, value),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                suffixes = vec!["_bucket", "_sum", "_count"];
                add_points!(histogram, count);
            }
            other => panic!("{other:?}"),
        }
        // The rules of OpenTelemetry for names in Prometheus.
        let mut name = metric.name().replace('.', "_");
        let unit = match metric.unit() {
            "By" => "_bytes",
            "s" => "_seconds",
            unit => {
                assert!(unit.starts_with('{'), "{unit}");
                ""
            }
        };
        name += unit;
        if is_counter && !name.ends_with("_total") {
            name += "_total";
        }
        self.prometheus
            .extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }

    #[track_caller]
    fn has(&self, name: &str, attributes: &Value, expected: f64) {
        let points = &self.points[name];
        let value = points.get(&attributes.to_string());
        assert_eq!(value, Some(&expected), "{attributes} in {points:#?}");
    }
}
