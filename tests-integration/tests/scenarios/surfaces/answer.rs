//! One form of answer for all APIs.

use open_feature::{EvaluationDetails, EvaluationError, FlagMetadataValue};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The answer of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The value for the caller: its default if OpenFeature has an error.
    pub(crate) value: Value,
    /// `ERROR` if OpenFeature has an error, which carries no reason.
    pub(crate) reason: String,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) error_code: Option<String>,
    pub(crate) message: String,
}

impl Seen {
    pub(super) fn native<T: Serialize>(
        details: goff_provider::native::EvaluationDetails<T>,
    ) -> Self {
        Self {
            reason: details.reason().as_str().to_owned(),
            variant: details.variant().map(str::to_owned),
            metadata: details.metadata().clone(),
            error_code: details
                .error()
                .map(|error| error.code().as_str().to_owned()),
            message: details.error().map(ToString::to_string).unwrap_or_default(),
            value: json!(details.value),
        }
    }

    /// The error code, or `ok`.
    pub(crate) fn outcome(&self) -> &str {
        self.error_code.as_deref().unwrap_or("ok")
    }
}

pub(super) fn seen<T: Into<Value>>(
    details: Result<EvaluationDetails<T>, EvaluationError>,
    default: Value,
) -> Seen {
    seen_with(details, default, Into::into)
}

pub(super) fn seen_with<T>(
    details: Result<EvaluationDetails<T>, EvaluationError>,
    default: Value,
    value: impl FnOnce(T) -> Value,
) -> Seen {
    match details {
        Ok(details) => {
            let metadata = details.flag_metadata.values.into_iter();
            Seen {
                value: value(details.value),
                reason: details
                    .reason
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                variant: details.variant,
                metadata: metadata.map(|(key, value)| (key, scalar(value))).collect(),
                ..Seen::default()
            }
        }
        Err(error) => Seen {
            value: default,
            reason: "ERROR".to_owned(),
            error_code: Some(error.code.to_string()),
            message: error.message.unwrap_or_default(),
            ..Seen::default()
        },
    }
}

/// What a hook of the SDK got.
pub(crate) fn seen_by_hook(
    got: Result<&EvaluationDetails<open_feature::Value>, &EvaluationError>,
) -> Seen {
    let got = got.cloned().map_err(Clone::clone);
    seen_with(got, Value::Null, |value| json_of(&value))
}

fn scalar(value: FlagMetadataValue) -> Value {
    match value {
        FlagMetadataValue::Bool(value) => value.into(),
        FlagMetadataValue::Int(value) => value.into(),
        FlagMetadataValue::Float(value) => value.into(),
        FlagMetadataValue::String(value) => value.into(),
    }
}

pub(super) fn json_of(value: &open_feature::Value) -> Value {
    match value {
        open_feature::Value::Bool(value) => json!(value),
        open_feature::Value::Int(value) => json!(value),
        open_feature::Value::Float(value) => json!(value),
        open_feature::Value::String(value) => json!(value),
        open_feature::Value::Array(items) => items.iter().map(json_of).collect(),
        open_feature::Value::Struct(object) => {
            let fields = object.fields.iter();
            fields
                .map(|(name, value)| (name.clone(), json_of(value)))
                .collect()
        }
    }
}
