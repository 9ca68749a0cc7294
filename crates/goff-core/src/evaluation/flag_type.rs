//! The conversion of a flag's JSON value to a Rust value, or to a type mismatch.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::context::is_too_deep;
use crate::evaluation::{Resolution, ResolutionError};

/// A Rust type for a flag's value. Conversions never coerce: a boolean is not a number, a fraction
/// not an integer. `100.0` is an `i64` and `100` an `f64`, because JSON does not distinguish the
/// two.
///
/// A text is a `String`, or a `Cow<'static, str>` whose default can be a literal. A list is a `Vec` of
/// any flag type.
///
/// An `Option` of these types tells a missing value from every other: with the default `None`,
/// `Some` is always the flag's value. Types that could lose a value, such as `u32` and `f32`, are
/// not flag types; `evaluate_as` reads them.
///
/// ```compile_fail
/// # fn evaluate<T: goff_core::FlagType>(default: T) {}
/// evaluate(5_u32);
/// ```
///
/// *Specification*: GOFF-EVAL-002 to -005.
#[diagnostic::on_unimplemented(
    message = "a flag's value cannot be evaluated as `{Self}`",
    label = "not the type of a flag's value",
    note = "use `bool`, `i64`, `f64`, `String`, `serde_json::Map` or `serde_json::Value`, or an `Option` or `Vec` of one; the default of a text is a `String`: `\"…\".to_owned()`",
    note = "`evaluate_as` takes any type that implements `serde::Deserialize`, such as `u32` or `f32`"
)]
pub trait FlagType: Sized {
    /// The name of the type in error messages.
    const NAME: &'static str;

    /// Converts a value to this type.
    ///
    /// # Errors
    /// A description of the value, such as "a string".
    fn from_json(value: &Value) -> Result<Self, Cow<'static, str>>;

    /// Converts a value of this type to JSON, for usage data about a caller's default. A default
    /// nested deeper than 512 levels is recorded as null.
    fn to_json(&self) -> Value;
}

/// A resolution after its conversion to the requested type.
///
/// *Specification*: GOFF-EVAL-008, GOFF-EVAL-006.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection<T> {
    /// The flag's value.
    Value(T),
    /// The flag is disabled: the caller's default applies.
    Disabled,
    /// The value is null: the caller's default applies.
    Null,
}

/// Converts a resolution to the requested type. Disabled flags and null come before the type check,
/// because neither has a value.
///
/// # Errors
/// [`ResolutionError::TypeMismatch`].
pub fn project<T: FlagType>(
    flag_key: &str,
    resolution: &Arc<Resolution>,
) -> Result<Projection<T>, ResolutionError> {
    project_with(flag_key, resolution, T::NAME, T::from_json)
}

/// Converts a resolution with a custom conversion; `wanted` is the name of the type.
///
/// # Errors
/// [`ResolutionError::TypeMismatch`], with the description from `convert`.
pub fn project_with<'r, T>(
    flag_key: &str,
    resolution: &'r Arc<Resolution>,
    wanted: &'static str,
    convert: impl FnOnce(&'r Value) -> Result<T, Cow<'static, str>>,
) -> Result<Projection<T>, ResolutionError> {
    if resolution.is_disabled() {
        return Ok(Projection::Disabled);
    }
    if resolution.value.is_null() {
        return Ok(Projection::Null);
    }
    match convert(&resolution.value) {
        Ok(value) => Ok(Projection::Value(value)),
        Err(found) => Err(ResolutionError::TypeMismatch {
            flag_key: flag_key.to_owned(),
            wanted,
            found: found.into_owned(),
            resolution: Arc::clone(resolution),
        }),
    }
}

macro_rules! flag_types {
    ($($type:ty, $name:literal, $read:expr, $write:expr;)*) => {$(
        impl FlagType for $type {
            const NAME: &'static str = $name;

            fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
                ($read)(value).ok_or_else(|| found(value))
            }

            fn to_json(&self) -> Value {
                ($write)(self)
            }
        }
    )*};
}

impl<T: FlagType> FlagType for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
        T::from_json(value).map(Some)
    }

    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }
}

impl<T: FlagType> FlagType for Vec<T> {
    const NAME: &'static str = "a list of one type";

    fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
        let items = value.as_array().ok_or_else(|| found(value))?;
        let items = items.iter().map(T::from_json);
        items
            .collect::<Result<_, _>>()
            .map_err(|item| Cow::Owned(format!("a list with {item}")))
    }

    fn to_json(&self) -> Value {
        let list = Value::Array(self.iter().map(T::to_json).collect());
        if is_too_deep(&list) {
            Value::Null
        } else {
            list
        }
    }
}

// A whole number is an `f64` too (GOFF-EVAL-003, docs/python-parity.md C10).
flag_types! {
    bool, "a boolean", Value::as_bool, |own: &Self| Value::from(*own);
    i64, "a 64-bit integer", as_integer, |own: &Self| Value::from(*own);
    f64, "a number", Value::as_f64, |own: &Self| Value::from(*own);
    String, "a string", |value: &Value| value.as_str().map(ToOwned::to_owned),
        |own: &Self| Value::from(own.as_str());
    // A default that is a literal allocates nothing.
    Cow<'static, str>, "a string", |value: &Value| value.as_str().map(|text| text.to_owned().into()),
        |own: &Self| Value::from(&**own);
    Map<String, Value>, "an object", |value: &Value| value.as_object().cloned(),
        |own: &Self| if own.values().any(is_too_deep) { Value::Null } else { own.clone().into() };
    Value, "a JSON value", |value: &Value| Some(value.clone()),
        |own: &Self| if is_too_deep(own) { Value::Null } else { own.clone() };
}

/// `100.0` is an integer too: JSON does not distinguish the two.
fn as_integer(value: &Value) -> Option<i64> {
    if value.is_i64() || value.is_u64() {
        return value.as_i64();
    }
    // Both bounds are exact as `f64`; the upper one is excluded.
    let fits = |float: &f64| float.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(float);
    let float = value.as_f64().filter(fits)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within the range of i64"
    )]
    Some(float as i64)
}

/// A description of a value for error messages, without the value.
pub(crate) fn found(value: &Value) -> Cow<'static, str> {
    Cow::Borrowed(match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_i64() => "an integer",
        Value::Number(number) if number.is_u64() => "an integer above the range of i64",
        Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() == 0.0) => {
            "a whole number"
        }
        Value::Number(_) => "a number with a fraction",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    })
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::evaluation::{ErrorCode, Reason};

    fn resolution(value: Value) -> Arc<Resolution> {
        Arc::new(Resolution::new(value, Reason::Static))
    }

    fn typed<T: FlagType>(value: Value) -> Result<T, String> {
        match project::<T>("flag", &resolution(value)) {
            Ok(Projection::Value(value)) => Ok(value),
            Ok(Projection::Disabled | Projection::Null) => Err("no value".to_owned()),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::TypeMismatch);
                Err(error.to_string())
            }
        }
    }

    fn refused<T: FlagType + std::fmt::Debug>(value: Value, message: &str) {
        assert_eq!(
            typed::<T>(value).unwrap_err(),
            format!("flag `flag` holds {message}")
        );
    }

    #[test]
    fn each_type_accepts_its_values() {
        assert_eq!(typed(json!(true)), Ok(true));
        assert_eq!(typed(json!("x")), Ok("x".to_owned()));
        assert_eq!(typed(json!(7)), Ok(7_i64));
        assert_eq!(typed(json!(7.5)), Ok(7.5));
        assert_eq!(typed(json!([1])), Ok(json!([1])));
        assert_eq!(typed(json!({"a": 1})), Ok(json!({"a": 1})));
        assert_eq!(typed(json!(7)), Ok(Some(7_i64)));
        refused::<Option<i64>>(json!("7"), "a string, not a 64-bit integer");
        assert_eq!(None::<i64>.to_json(), json!(null));
        assert_eq!(Some(7_i64).to_json(), json!(7));
        assert_eq!(typed(json!("x")), Ok(Cow::from("x")));
        assert_eq!(Cow::from("x").to_json(), json!("x"));
        assert_eq!(typed(json!([1, 2.0])), Ok(vec![1, 2]));
        assert_eq!(vec![1, 2].to_json(), json!([1, 2]));
        refused::<Vec<bool>>(
            json!([true, 1]),
            "a list with an integer, not a list of one type",
        );
        refused::<Vec<Value>>(json!({}), "an object, not a list of one type");
        let map: Map<String, Value> = typed(json!({"a": null})).unwrap();
        assert_eq!(map["a"], json!(null));
    }

    /// GOFF-EVAL-004: a boolean is neither a number nor a string.
    #[test]
    fn booleans_strings_and_numbers_are_not_coerced() {
        refused::<i64>(json!(true), "a boolean, not a 64-bit integer");
        refused::<f64>(json!(false), "a boolean, not a number");
        refused::<bool>(json!(1), "an integer, not a boolean");
        refused::<bool>(json!("true"), "a string, not a boolean");
        refused::<i64>(json!("1"), "a string, not a 64-bit integer");
        refused::<String>(json!(1), "an integer, not a string");
        refused::<String>(json!({}), "an object, not a string");
        refused::<Map<String, Value>>(json!([]), "a list, not an object");
        refused::<Map<String, Value>>(json!(1.5), "a number with a fraction, not an object");
    }

    /// GOFF-EVAL-003: whole JSON numbers are numbers. docs/python-parity.md C10: `100.0` is an integer.
    #[test]
    fn float_accepts_whole_numbers_and_integer_accepts_integral_floats() {
        assert_eq!(typed(json!(100)), Ok(100.0));
        assert_eq!(typed(json!(u64::MAX)), Ok(18_446_744_073_709_551_615.0));
        assert_eq!(typed(json!(100.0)), Ok(100_i64));
        assert_eq!(typed(json!(-0.0)), Ok(0_i64));
        assert_eq!(typed(json!(i64::MIN)), Ok(i64::MIN));
        assert_eq!(typed(json!(i64::MAX)), Ok(i64::MAX));
        assert_eq!(typed(json!(-TWO_TO_63)), Ok(i64::MIN));
    }

    /// GOFF-EVAL-005: never truncated, rounded or wrapped.
    #[test]
    fn integer_refuses_fractions_and_values_outside_its_range() {
        refused::<i64>(
            json!(100.25),
            "a number with a fraction, not a 64-bit integer",
        );
        for beyond in [json!(u64::MAX), json!(i64::MAX as u64 + 1)] {
            refused::<i64>(
                beyond,
                "an integer above the range of i64, not a 64-bit integer",
            );
        }
        for beyond in [json!(1e30), json!(TWO_TO_63), json!(-1e19)] {
            refused::<i64>(beyond, "a whole number, not a 64-bit integer");
        }
    }

    /// GOFF-EVAL-006, GOFF-EVAL-008: neither becomes a zero value or a mismatch.
    #[test]
    fn disabled_and_null_come_before_the_type_check() {
        fn check<T: FlagType + PartialEq + std::fmt::Debug>() {
            for value in [json!(null), json!(false), json!("x"), json!(1)] {
                let disabled = Arc::new(Resolution::new(value, Reason::Disabled));
                assert_eq!(
                    project::<T>("flag", &disabled).unwrap(),
                    Projection::Disabled
                );
            }
            let null = resolution(json!(null));
            assert_eq!(project::<T>("flag", &null).unwrap(), Projection::Null);
        }
        check::<bool>();
        check::<Value>();
    }

    proptest! {
        #[test]
        fn integers_are_exact_and_fractions_refused(int in any::<i64>(), float in any::<f64>()) {
            prop_assert_eq!(typed(json!(int)), Ok(int));
            if float.is_finite() {
                prop_assert_eq!(typed(json!(float)), Ok(float));
                if let Ok(int) = typed::<i64>(json!(float)) {
                    prop_assert!(float.fract() == 0.0);
                    #[expect(clippy::cast_precision_loss, reason = "it came from this float")]
                    let back = int as f64;
                    prop_assert!(back == float);
                }
            }
        }
    }
}
