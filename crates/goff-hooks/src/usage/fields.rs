//! The fields of events that come from the context and the clock.

use std::time::UNIX_EPOCH;

use goff_core::{Attribute, ContextKind, ContextView, UNDEFINED_TARGETING_KEY};

/// The current Unix time in whole seconds, the unit of events.
///
/// *Specification*: GOFF-COLL-007.
#[must_use]
pub fn unix_seconds() -> i64 {
    UNIX_EPOCH
        .elapsed()
        .map_or(0, |elapsed| elapsed.as_secs().cast_signed())
}

/// Only the boolean true makes a user anonymous (docs/python-parity.md C25, GOFF-COLL-005).
pub(crate) fn context_kind(context: &dyn ContextView) -> ContextKind {
    match context.attribute("anonymous") {
        Some(anonymous) if anonymous == Attribute::from(true) => ContextKind::AnonymousUser,
        _ => ContextKind::User,
    }
}

/// The targeting key; an empty one counts as missing (GOFF-COLL-006).
pub(crate) fn user_key(context: &dyn ContextView) -> &str {
    context
        .targeting_key()
        .filter(|key| !key.is_empty())
        .unwrap_or(UNDEFINED_TARGETING_KEY)
}

#[cfg(test)]
mod tests {
    use goff_core::{Attribute, EvaluationContext};
    use serde_json::json;

    use super::*;

    /// docs/python-parity.md C25; GOFF-COLL-005.
    #[test]
    fn only_boolean_true_makes_a_user_anonymous() {
        for (anonymous, kind) in [
            (Some(Attribute::from(true)), ContextKind::AnonymousUser),
            (Some(Attribute::from(false)), ContextKind::User),
            (Some(Attribute::from("true")), ContextKind::User),
            (Some(Attribute::from("false")), ContextKind::User),
            (Some(Attribute::from(1)), ContextKind::User),
            (Some(Attribute::from(json!([true]))), ContextKind::User),
            (Some(Attribute::from(f64::NAN)), ContextKind::User),
            (None, ContextKind::User),
        ] {
            let context = anonymous
                .iter()
                .fold(EvaluationContext::builder(), |builder, anonymous| {
                    builder.attribute("anonymous", anonymous.clone())
                })
                .build();
            assert_eq!(context_kind(&context), kind, "{anonymous:?}");
        }
    }

    /// GOFF-COLL-006.
    #[test]
    fn missing_and_empty_targeting_keys_are_undefined() {
        let with = |key| EvaluationContext::builder().targeting_key(key).build();
        for (context, expected) in [
            (with("user-1"), "user-1"),
            (with(""), "undefined-targetingKey"),
            (EvaluationContext::default(), "undefined-targetingKey"),
        ] {
            assert_eq!(user_key(&context), expected);
        }
    }

    /// GOFF-COLL-007.
    #[test]
    fn time_is_in_seconds() {
        assert!((1_700_000_000..9_999_999_999).contains(&unix_seconds()));
    }
}
