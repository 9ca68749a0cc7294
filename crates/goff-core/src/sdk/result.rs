//! Resolutions and errors in the SDK's types.

use open_feature::provider::ResolutionDetails;
use open_feature::{
    EvaluationError, EvaluationErrorCode, EvaluationReason, EvaluationResult, FlagMetadata,
    FlagMetadataValue,
};
use serde_json::{Map, Value};

use crate::evaluation::{ErrorCode, Projection, Reason, Resolution, ResolutionError};

/// The error code of a disabled flag in the SDK, `EvaluationErrorCode::General("FLAG_DISABLED")`.
/// The SDK passes no default to a provider; an error makes the caller's default apply.
///
/// *Specification*: GOFF-EVAL-008.
pub const FLAG_DISABLED: &str = "FLAG_DISABLED";

/// The error code of a null value in the SDK, `EvaluationErrorCode::General("NULL_VALUE")`.
///
/// *Specification*: GOFF-EVAL-006.
pub const NULL_VALUE: &str = "NULL_VALUE";

/// Whether an error means that the flag is disabled: the caller's default is the right value, and
/// nothing failed.
#[must_use]
pub fn is_disabled(error: &EvaluationError) -> bool {
    matches!(&error.code, EvaluationErrorCode::General(code) if code == FLAG_DISABLED)
}

/// Converts a resolution of the requested type to the SDK.
///
/// # Errors
/// [`FLAG_DISABLED`] and [`NULL_VALUE`], which are not failures: the caller's default applies.
pub fn resolution_details<T>(
    flag_key: &str,
    projection: Projection<T>,
    resolution: &Resolution,
) -> EvaluationResult<ResolutionDetails<T>> {
    let no_value = |code: &str, what: &str| EvaluationError {
        code: EvaluationErrorCode::General(code.to_owned()),
        message: Some(format!("flag `{flag_key}` {what}; use your default")),
    };
    match projection {
        Projection::Value(value) => Ok(ResolutionDetails {
            value,
            variant: resolution.variant.clone(),
            reason: Some(EvaluationReason::from(&resolution.reason)),
            flag_metadata: (!resolution.metadata.is_empty())
                .then(|| flag_metadata(flag_key, &resolution.metadata)),
        }),
        Projection::Disabled => Err(no_value(FLAG_DISABLED, "is disabled")),
        Projection::Null => Err(no_value(NULL_VALUE, "has no value (null)")),
    }
}

/// The SDK's metadata contains scalars only: null, lists, objects and integers above `i64::MAX` are
/// left out (GOFF-EVAL-009). The native client returns all entries.
fn flag_metadata(flag_key: &str, metadata: &Map<String, Value>) -> FlagMetadata {
    let mut values = FlagMetadata::default();
    values.values.reserve(metadata.len());
    for (key, value) in metadata {
        let converted = match value {
            Value::Bool(value) => Some(FlagMetadataValue::Bool(*value)),
            Value::String(text) => Some(FlagMetadataValue::String(text.clone())),
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                number.as_i64().map(FlagMetadataValue::Int)
            }
            Value::Number(number) => number.as_f64().map(FlagMetadataValue::Float),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        if let Some(value) = converted {
            values.values.insert(key.clone(), value);
        } else {
            tracing::debug!(
                flag_key,
                key,
                "flag metadata entry left out, the OpenFeature SDK cannot represent it"
            );
        }
    }
    values
}

impl From<&Reason> for EvaluationReason {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Static => Self::Static,
            Reason::Default => Self::Default,
            Reason::TargetingMatch => Self::TargetingMatch,
            Reason::Split => Self::Split,
            Reason::Cached => Self::Cached,
            Reason::Disabled => Self::Disabled,
            Reason::Error => Self::Error,
            Reason::Unknown => Self::Unknown,
            other => Self::Other(other.as_str().to_owned()),
        }
    }
}

impl From<&ErrorCode> for EvaluationErrorCode {
    /// A code that the SDK does not know becomes `General` with the raw code.
    fn from(code: &ErrorCode) -> Self {
        match code {
            ErrorCode::ProviderNotReady => Self::ProviderNotReady,
            ErrorCode::FlagNotFound => Self::FlagNotFound,
            ErrorCode::ParseError => Self::ParseError,
            ErrorCode::TypeMismatch => Self::TypeMismatch,
            ErrorCode::TargetingKeyMissing => Self::TargetingKeyMissing,
            ErrorCode::InvalidContext => Self::InvalidContext,
            ErrorCode::General | ErrorCode::Other(_) => Self::General(code.as_str().to_owned()),
        }
    }
}

impl From<&ResolutionError> for EvaluationError {
    fn from(error: &ResolutionError) -> Self {
        Self {
            code: (&error.code()).into(),
            message: Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolution(metadata: Value) -> Resolution {
        Resolution {
            reason: Reason::TargetingMatch,
            variant: Some("True".to_owned()),
            metadata: metadata.as_object().unwrap().clone(),
            ..Resolution::default()
        }
    }

    /// GOFF-REM-003, GOFF-EVAL-009: scalars are unchanged, other entries left out.
    #[test]
    fn value_keeps_variant_reason_and_scalar_metadata() {
        let resolution = resolution(json!({
            "test": "test1", "test2": false, "test3": 123.3, "test4": 7,
            "null": null, "list": [1], "object": {"a": 1}, "big": u64::MAX,
        }));
        let details = resolution_details("flag", Projection::Value(true), &resolution).unwrap();
        assert!(details.value);
        assert_eq!(details.variant.as_deref(), Some("True"));
        assert_eq!(details.reason, Some(EvaluationReason::TargetingMatch));
        assert_eq!(
            details.flag_metadata.unwrap(),
            FlagMetadata::default()
                .with_value("test", "test1")
                .with_value("test2", false)
                .with_value("test3", 123.3)
                .with_value("test4", 7)
        );
    }

    /// GOFF-EVAL-006, GOFF-EVAL-008, docs/python-parity.md D1: never `Ok` with a zero value.
    #[test]
    fn disabled_and_null_are_errors_with_the_flag_key() {
        let resolution = resolution(json!({}));
        for (projection, code, message) in [
            (Projection::<bool>::Disabled, FLAG_DISABLED, "is disabled"),
            (Projection::Null, NULL_VALUE, "has no value (null)"),
        ] {
            let error = resolution_details("flag", projection, &resolution).unwrap_err();
            assert_eq!(is_disabled(&error), code == FLAG_DISABLED);
            assert_eq!(error.code, EvaluationErrorCode::General(code.to_owned()));
            let message = format!("flag `flag` {message}; use your default");
            assert_eq!(error.message, Some(message));
        }
    }

    /// GOFF-EVAL-007, docs/python-parity.md D11.
    #[test]
    fn reason_that_the_sdk_does_not_know_is_unchanged() {
        let reasons = "STATIC DEFAULT TARGETING_MATCH TARGETING_MATCH_SPLIT SPLIT CACHED DISABLED \
                       ERROR UNKNOWN OFFLINE CUSTOM_REASON";
        let converted = |wire: &str| EvaluationReason::from(&Reason::from(wire));
        for wire in reasons.split(' ') {
            assert_eq!(converted(wire).to_string(), wire);
        }
        assert_eq!(
            converted("OFFLINE"),
            EvaluationReason::Other("OFFLINE".to_owned())
        );
    }

    /// GOFF-ERR-001, GOFF-ERR-002, docs/python-parity.md D10.
    #[test]
    fn code_that_the_sdk_does_not_know_is_general_with_the_raw_code() {
        let known = "PROVIDER_NOT_READY FLAG_NOT_FOUND PARSE_ERROR TYPE_MISMATCH \
                     TARGETING_KEY_MISSING INVALID_CONTEXT";
        let converted = |wire: &str| EvaluationErrorCode::from(&ErrorCode::from(wire));
        for wire in known.split(' ') {
            assert_eq!(converted(wire).to_string(), wire);
            assert!(
                !matches!(converted(wire), EvaluationErrorCode::General(_)),
                "{wire}"
            );
        }
        for wire in ["GENERAL", "FLAG_CONFIG"] {
            assert_eq!(
                converted(wire),
                EvaluationErrorCode::General(wire.to_owned())
            );
        }
        let error = EvaluationError::from(&ResolutionError::NotReady { reason: "why" });
        assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
        assert_eq!(error.message.as_deref(), Some("why"));
    }
}
