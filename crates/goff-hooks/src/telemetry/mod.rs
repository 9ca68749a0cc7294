//! What is emitted of each evaluation: the event `feature_flag.evaluation`, and four metrics.
//!
//! Names and values are those of OpenTelemetry's semantic conventions for feature flags
//! (docs/operating/telemetry.md names the versions).

mod event;
#[cfg_attr(not(feature = "opentelemetry"), path = "no_metrics.rs")]
mod metrics;
mod options;

use std::borrow::Cow;

use goff_core::{ErrorCode, Reason};
use serde_json::Value;

use self::metrics::EvaluationMetrics;
pub use self::options::TelemetryOptions;

/// Emits what the options say.
#[derive(Debug)]
pub struct EvaluationTelemetry {
    options: TelemetryOptions,
    metrics: EvaluationMetrics,
}

/// An evaluation that has ended.
#[derive(Debug)]
pub struct Evaluated<'a> {
    /// The flag's key.
    pub flag_key: &'a str,
    /// The name of the provider.
    pub provider: &'a str,
    /// The variant that was served.
    pub variant: Option<&'a str>,
    /// Why the value was served.
    pub reason: Cow<'a, Reason>,
    /// The code and the message of the failure.
    pub error: Option<(ErrorCode, Option<Cow<'a, str>>)>,
    /// The version of the flag.
    pub version: Option<Cow<'a, str>>,
    /// The flag set.
    pub set_id: Option<Cow<'a, str>>,
    /// The targeting key: personal data.
    pub context_id: Option<&'a str>,
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
    /// called only if values are asked for.
    pub fn evaluated(&self, evaluated: &Evaluated<'_>, value: impl FnOnce() -> Option<Value>) {
        let reason = evaluated.reason.as_str().to_ascii_lowercase();
        let error_type = evaluated.error.as_ref().map(|(code, _)| error_type(code));
        self.metrics
            .evaluated(evaluated, &reason, error_type.as_deref());
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

fn error_type(code: &ErrorCode) -> String {
    code.as_str().to_ascii_lowercase()
}

/// A member of the flag metadata that OpenFeature gives a meaning (appendix D of its specification).
pub const FLAG_SET_ID: &str = "flagSetId";
/// As [`FLAG_SET_ID`].
pub const VERSION: &str = "version";
