//! Without the feature `opentelemetry` there are no metrics.

use crate::telemetry::evaluated::Evaluated;
use crate::telemetry::options::TelemetryOptions;

#[derive(Debug)]
pub(super) struct EvaluationMetrics;

#[expect(clippy::unused_self, reason = "as with the feature `opentelemetry`")]
impl EvaluationMetrics {
    pub(super) fn new(_: &TelemetryOptions) -> Self {
        Self
    }

    pub(super) fn began(&self, _: &str, _: &str) {}

    pub(super) fn finished(&self, _: &str, _: &str) {}

    pub(super) fn evaluated(&self, _: &Evaluated<'_>, _: &str, _: Option<&str>) {}
}
