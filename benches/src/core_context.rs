//! The context of the client's measurements. `default-profile` and `peers` compile this file too.

use goff_client::EvaluationContext;

use crate::measured_context::{USER, attributes};

/// The measured context as this project's own context.
#[must_use]
pub fn core_context() -> EvaluationContext {
    let builder = EvaluationContext::builder().targeting_key(USER);
    let attributes = attributes().into_iter();
    attributes
        .fold(builder, |builder, (name, value)| {
            builder.attribute(name, value)
        })
        .build()
}
