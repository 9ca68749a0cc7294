//! The metrics that OpenFeature's hooks have in other languages (docs/operating/telemetry.md).

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, UpDownCounter};

use crate::telemetry::evaluated::Evaluated;
use crate::telemetry::options::TelemetryOptions;

/// The attributes are those of the event that have few values. An error has its type, not
/// its message, so that the number of time series is bounded.
#[derive(Debug)]
pub(super) struct EvaluationMetrics {
    requests: Counter<u64>,
    successes: Counter<u64>,
    errors: Counter<u64>,
    active: UpDownCounter<i64>,
}

impl EvaluationMetrics {
    pub(super) fn new(options: &TelemetryOptions) -> Self {
        let meter = options.meter_or_default();
        let counter = |name: &'static str, unit: &'static str, description: &'static str| {
            let counter = meter.u64_counter(name).with_unit(unit);
            counter.with_description(description).build()
        };
        Self {
            requests: counter(
                "feature_flag.evaluation_requests_total",
                "{request}",
                "Evaluations that began",
            ),
            successes: counter(
                "feature_flag.evaluation_success_total",
                "{impression}",
                "Evaluations that succeeded",
            ),
            errors: counter(
                "feature_flag.evaluation_error_total",
                "{error}",
                "Evaluations that failed",
            ),
            active: meter
                .i64_up_down_counter("feature_flag.evaluation_active_count")
                .with_unit("{evaluation}")
                .with_description("Evaluations that have not ended")
                .build(),
        }
    }

    pub(super) fn began(&self, flag_key: &str, provider: &str) {
        let attributes = flag(flag_key, provider);
        self.active.add(1, &attributes);
        self.requests.add(1, &attributes);
    }

    pub(super) fn finished(&self, flag_key: &str, provider: &str) {
        self.active.add(-1, &flag(flag_key, provider));
    }

    pub(super) fn evaluated(
        &self,
        evaluated: &Evaluated<'_>,
        reason: &str,
        error_type: Option<&str>,
    ) {
        let [key, provider] = flag(evaluated.flag_key, evaluated.provider);
        if let Some(error_type) = error_type {
            let error = KeyValue::new("error.type", error_type.to_owned());
            return self.errors.add(1, &[key, provider, error]);
        }
        let reason = KeyValue::new("feature_flag.result.reason", reason.to_owned());
        match evaluated.variant {
            Some(variant) => {
                let variant = KeyValue::new("feature_flag.result.variant", variant.to_owned());
                self.successes.add(1, &[key, provider, reason, variant]);
            }
            None => self.successes.add(1, &[key, provider, reason]),
        }
    }
}

fn flag(flag_key: &str, provider: &str) -> [KeyValue; 2] {
    [
        KeyValue::new("feature_flag.key", flag_key.to_owned()),
        KeyValue::new("feature_flag.provider.name", provider.to_owned()),
    ]
}
