//! The measured context in other forms.

use open_feature::EvaluationContextFieldValue;
use serde_json::{Map, Value};

pub use crate::core_context::core_context;
pub use crate::native_context::{NativeContext, USER};

/// The measured context as a JSON object.
#[must_use]
pub fn map_context() -> Map<String, Value> {
    let native = NativeContext::new();
    let attributes = native.attributes.into_iter();
    attributes
        .map(|(name, value)| (name.to_owned(), value))
        .chain([("targetingKey".to_owned(), USER.into())])
        .collect()
}

/// The measured context as the SDK's context.
#[must_use]
pub fn sdk_context() -> open_feature::EvaluationContext {
    let context = open_feature::EvaluationContext::default().with_targeting_key(USER);
    let native = NativeContext::new();
    native
        .attributes
        .iter()
        .fold(context, |context, (name, value)| {
            context.with_custom_field(*name, sdk_field(value))
        })
}

fn sdk_field(value: &Value) -> EvaluationContextFieldValue {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        other => EvaluationContextFieldValue::new_struct(other.clone()),
    }
}
