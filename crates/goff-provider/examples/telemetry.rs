//! Telemetry with OpenTelemetry: an event in the trace and in the logs for each evaluation, metrics of
//! evaluations and of the client, and the trace that goes on in the relay proxy.
//!
//! ```sh
//! cargo run --example telemetry --features opentelemetry
//! ```
//!
//! The exporters keep everything in memory, to print it. In production they are those of
//! opentelemetry-otlp; nothing else changes. docs/operating/telemetry.md names all that is emitted.
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::error::Error;
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{
    GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, TelemetryHook, TelemetryOptions,
};
use goff_testkit::EmbeddedRelay;
use open_feature::OpenFeature;
use opentelemetry::global;
use opentelemetry::logs::AnyValue;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Instrument as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - name: paying
      query: plan eq "pro"
      percentage: {on: 99, off: 1}
  defaultRule: {variation: off}
  version: "7"
banner:
  variations: {summer: text-of-summer, none: ""}
  defaultRule: {variation: summer}
  metadata: {flagSetId: shop}
retired:
  disable: true
  variations: {on: true}
  defaultRule: {variation: on}
"#;

/// What a program exports, in memory.
pub(crate) struct Telemetry {
    pub(crate) spans: InMemorySpanExporter,
    pub(crate) logs: InMemoryLogExporter,
    pub(crate) metrics: InMemoryMetricExporter,
    meter_provider: SdkMeterProvider,
}

impl Telemetry {
    /// Installs OpenTelemetry, before a client is made.
    pub(crate) fn install(level: LevelFilter) -> Result<Self, Box<dyn Error>> {
        let (spans, logs) = (
            InMemorySpanExporter::default(),
            InMemoryLogExporter::default(),
        );
        let metrics = InMemoryMetricExporter::default();
        let meter_provider = SdkMeterProvider::builder()
            .with_periodic_exporter(metrics.clone())
            .build();
        global::set_meter_provider(meter_provider.clone());
        // `traceparent` and `baggage` in every request.
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        let tracer_provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        let logger_provider = SdkLoggerProvider::builder()
            .with_simple_exporter(logs.clone())
            .build();
        let tracer = tracer_provider.tracer("telemetry");
        // The first layer makes evaluations events of the span, the second makes them log records.
        let subscriber = tracing_subscriber::registry()
            .with(
                tracing_opentelemetry::layer()
                    .with_tracer(tracer)
                    .with_filter(level),
            )
            .with(OpenTelemetryTracingBridge::new(&logger_provider).with_filter(level));
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(Self {
            spans,
            logs,
            metrics,
            meter_provider,
        })
    }

    /// The metrics at this moment.
    pub(crate) fn each_metric(&self, mut visit: impl FnMut(&Metric)) -> Result<(), Box<dyn Error>> {
        self.metrics.reset();
        self.meter_provider.force_flush()?;
        for exported in self.metrics.get_finished_metrics()? {
            for scope in exported.scope_metrics() {
                scope.metrics().for_each(&mut visit);
            }
        }
        Ok(())
    }
}

/// A program that evaluates flags through OpenFeature and through the native API. The client's metrics
/// are exported as long as the client exists.
pub(crate) async fn check_out(
    user: &str,
    options: &TelemetryOptions,
) -> Result<GoFeatureFlag, Box<dyn Error>> {
    // Your relay proxy in production.
    let relay = EmbeddedRelay::builder().flags(FLAGS).start()?;
    let goff_options = GoFeatureFlagOptions::new(relay.endpoint())
        // For the native API, and for the metrics of the client.
        .telemetry(options.clone());
    let goff = GoFeatureFlag::connect(goff_options).await?;
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    // For OpenFeature, with any provider.
    let hook = TelemetryHook::new(options);
    let client = api.create_client().with_hook(hook);

    let context = EvaluationContext::builder()
        .targeting_key(user)
        .attribute("plan", "pro")
        .build();
    let sdk_context = open_feature::EvaluationContext::default()
        .with_targeting_key(user)
        .with_custom_field("plan", "pro");
    async {
        goff.evaluate("new-checkout", &context, false).await;
        goff.evaluate("banner", &context, String::new()).await;
        goff.evaluate("unknown", &context, 7_i64).await;
        goff.evaluate("retired", &context, false).await;
        // The first time a request, the second time from the cache.
        for _ in 0..2 {
            let _ = client
                .get_bool_value("new-checkout", Some(&sdk_context), None)
                .await;
        }
        let _ = client
            .get_int_value("banner", Some(&sdk_context), None)
            .await;
        let _ = client
            .get_bool_value("unknown", Some(&sdk_context), None)
            .await;
        let _ = client
            .get_bool_value("retired", Some(&sdk_context), None)
            .await;
    }
    .instrument(tracing::info_span!("check_out"))
    .await;
    goff.shutdown(Duration::from_secs(5)).await;
    Ok(goff)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = Telemetry::install(LevelFilter::INFO)?;
    let options = TelemetryOptions::new();
    let _goff = check_out("user-1", &options).await?;

    for span in telemetry.spans.get_finished_spans()? {
        println!("span {} with {} events", span.name, span.events.len());
    }
    for log in telemetry.logs.get_emitted_logs()? {
        if log.record.event_name() == Some("feature_flag.evaluation") {
            let attributes = log.record.attributes_iter();
            let texts: Vec<_> = attributes
                .map(|(name, value)| format!("{name}={}", text_of(value)))
                .collect();
            println!("event {}", texts.join(" "));
        }
    }
    telemetry.each_metric(|metric| {
        if let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() {
            let total: u64 = sum.data_points().map(|point| point.value()).sum();
            println!("metric {} {total}", metric.name());
        }
    })
}

fn text_of(value: &AnyValue) -> String {
    match value {
        AnyValue::String(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}
