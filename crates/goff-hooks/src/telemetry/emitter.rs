//! [`EvaluationTelemetry`]: emits the event and the metrics of an evaluation.

use goff_core::{ErrorCode, Reason};
use serde_json::Value;

use crate::telemetry::evaluated::{Evaluated, Failure};
use crate::telemetry::event;
use crate::telemetry::metrics::EvaluationMetrics;
use crate::telemetry::options::TelemetryOptions;

/// Emits what the options say.
#[derive(Debug)]
pub struct EvaluationTelemetry {
    options: TelemetryOptions,
    metrics: EvaluationMetrics,
}

impl EvaluationTelemetry {
    /// Creates the instruments of the metrics.
    #[must_use]
    pub fn new(options: &TelemetryOptions) -> Self {
        Self {
            metrics: EvaluationMetrics::new(options),
            options: options.clone(),
        }
    }

    /// Counts an evaluation that begins: it is active until [`finished`](Self::finished).
    pub fn began(&self, flag_key: &str, provider: &str) {
        self.metrics.began(flag_key, provider);
    }

    /// Ends what [`began`](Self::began) began.
    pub fn finished(&self, flag_key: &str, provider: &str) {
        self.metrics.finished(flag_key, provider);
    }

    /// Counts an evaluation that begins; it is active until the returned value is dropped.
    #[must_use]
    pub fn active<'a>(&'a self, flag_key: &'a str, provider: &'a str) -> ActiveEvaluation<'a> {
        self.began(flag_key, provider);
        ActiveEvaluation {
            telemetry: self,
            flag_key,
            provider,
        }
    }

    /// Emits the event and counts the result. `value` returns the value that was served; it is
    /// called only with the option for values.
    pub fn evaluated(&self, evaluated: &Evaluated<'_>, value: impl FnOnce() -> Option<Value>) {
        let reason = evaluated.reason.as_str().to_ascii_lowercase();
        // A provider can give a value with the reason ERROR, and no code.
        let has_failed = *evaluated.reason == Reason::Error;
        let code = evaluated
            .failure
            .as_ref()
            .map(Failure::code)
            .or_else(|| has_failed.then_some(ErrorCode::General));
        let error_type = code.as_ref().map(|code| code.as_str().to_ascii_lowercase());
        self.metrics.evaluated(
            evaluated,
            label(matches!(*evaluated.reason, Reason::Other(_)), &reason),
            error_type
                .as_deref()
                .map(|error_type| label(matches!(code, Some(ErrorCode::Other(_))), error_type)),
        );
        let value = self.options.result_value.then(value).flatten();
        event::emit(
            evaluated,
            &reason,
            error_type.as_deref(),
            value,
            &self.options,
        );
    }
}

/// An evaluation that has not ended.
#[derive(Debug)]
pub struct ActiveEvaluation<'a> {
    telemetry: &'a EvaluationTelemetry,
    flag_key: &'a str,
    provider: &'a str,
}

impl Drop for ActiveEvaluation<'_> {
    fn drop(&mut self) {
        self.telemetry.finished(self.flag_key, self.provider);
    }
}

/// A value that anyone could make up is one label of metrics, as OpenTelemetry's conventions have it
/// for `error.type`, so that the number of time series is bounded.
fn label(is_open: bool, value: &str) -> &str {
    match is_open && value != FLAG_CONFIG {
        true => "_OTHER",
        false => value,
    }
}

/// The relay proxy's only code that OpenFeature does not have.
const FLAG_CONFIG: &str = "flag_config";
