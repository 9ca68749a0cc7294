//! The event `feature_flag.evaluation`, through `tracing`.

use serde_json::Value;

use crate::telemetry::evaluated::Evaluated;
use crate::telemetry::options::TelemetryOptions;

/// An attribute without a value is left out.
pub(super) fn emit(
    evaluated: &Evaluated<'_>,
    reason: &str,
    error_type: Option<&str>,
    value: Option<Value>,
    options: &TelemetryOptions,
) {
    let failure = evaluated.failure.as_ref();
    let message =
        failure.and_then(|failure| failure.message(evaluated.flag_key, options.result_value));
    let context_id = evaluated.context_id.filter(|_| options.context_id);
    tracing::event!(
        name: "feature_flag.evaluation",
        target: "feature_flag",
        tracing::Level::INFO,
        "feature_flag.key" = evaluated.flag_key,
        "feature_flag.provider.name" = evaluated.provider,
        "feature_flag.result.variant" = evaluated.variant,
        "feature_flag.result.reason" = reason,
        "feature_flag.result.value" = value.map(recordable),
        "feature_flag.version" = evaluated.version.as_deref(),
        "feature_flag.set.id" = evaluated.set_id.as_deref(),
        "feature_flag.context.id" = context_id,
        "error.type" = error_type,
        "feature_flag.error.message" = message,
    );
}

/// Booleans, numbers and texts as they are, other values as JSON.
fn recordable(value: Value) -> Box<dyn tracing::Value> {
    match value {
        Value::Bool(value) => Box::new(value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Box::new(number),
            (None, Some(number)) => Box::new(number),
            (None, None) => Box::new(number.to_string()),
        },
        Value::String(text) => Box::new(text),
        other => Box::new(other.to_string()),
    }
}
