//! Request bodies, read as leniently as the relay proxy reads them with Go's `encoding/json`.
//!
//! The first value counts and what follows it is ignored; member names match in any letter case;
//! unknown members may hold anything; invalid UTF-8 is replaced; numbers are doubles.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Number, Value};

/// The members of a JSON object, read on demand.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Members<'b>(#[serde(borrow)] BTreeMap<String, &'b RawValue>);

impl<'b> Members<'b> {
    /// The members of a body. An empty body and null have none.
    pub(super) fn of_body(body: &'b str) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let members = Option::deserialize(&mut Deserializer::from_str(body))?;
        Ok(members.unwrap_or_default())
    }

    /// A member's value; `None` if it is absent or null.
    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, BodyError> {
        let read = |member: &RawValue| {
            let value = serde_json::from_str(member.get())?;
            Ok(serde_json::from_value(with_doubles(value))?)
        };
        self.find(name).map(read).transpose()
    }

    /// A member that is an object; `None` if it is absent or null.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, BodyError> {
        let read = |member: &'b RawValue| Ok(serde_json::from_str(member.get())?);
        self.find(name).map(read).transpose()
    }

    fn find(&self, name: &str) -> Option<&'b RawValue> {
        let in_any_case = || {
            let mut members = self.0.iter();
            members.find(|(member, _)| member.eq_ignore_ascii_case(name))
        };
        let (_, value) = self.0.get_key_value(name).or_else(in_any_case)?;
        (value.get() != "null").then_some(*value)
    }
}

/// Every number as a double. Whole ones become integers, so that they print without a fraction.
fn with_doubles(value: Value) -> Value {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => match number.as_f64().unwrap_or_default() {
            zero if zero == 0.0 && zero.is_sign_negative() => Number::from_f64(zero).into(),
            whole if whole.fract() == 0.0 && whole.abs() < TWO_POW_63 => (whole as i64).into(),
            other => Number::from_f64(other).into(),
        },
        Value::Array(elements) => elements.into_iter().map(with_doubles).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (name, with_doubles(value)))
                .collect()
        }
        other => other,
    }
}

/// Why a body cannot be read.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The body is neither empty nor `application/json`.
    ContentType,
    /// The body is not JSON of the expected shape.
    Json(serde_json::Error),
}

impl BodyError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::ContentType => "Unsupported Media Type".to_owned(),
            Self::Json(error) => format!("unreadable JSON: {error}"),
        }
    }

    /// The status of the answer, where the endpoint does not choose another.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::ContentType => 415,
            Self::Json(_) => 400,
        }
    }
}

/// The form in which the relay proxy's web framework prints an error.
impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code={}, message={}", self.status(), self.message())
    }
}

impl From<serde_json::Error> for BodyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_read_with_names_in_any_case_and_numbers_as_doubles() {
        let body = String::from_utf8_lossy(
            b"{\"A\":\"\\ud83d\\ude00\xff\",\"b\":[1.0,1e3,9007199254740993,-0.0],\"unknown\":1e400} rest",
        );
        let members = Members::of_body(&body).unwrap();
        let text: Option<String> = members.get("a").unwrap();
        assert_eq!(text.as_deref(), Some("\u{1f600}\u{fffd}"));
        let list: Option<Value> = members.get("B").unwrap();
        assert_eq!(list.unwrap().to_string(), "[1,1000,9007199254740992,-0.0]");
        assert_eq!(members.get::<Value>("c").unwrap(), None);
        members.get::<Value>("unknown").unwrap_err();
        members.object("b").unwrap_err();
    }

    #[test]
    fn malformed_json_is_an_error_and_null_has_no_members() {
        for malformed in [
            "{",
            "{\"a\":1,}",
            "[]",
            "7",
            "tru",
            "{\"a\":\"\t\"}",
            "\u{feff}{}",
        ] {
            let error = Members::of_body(malformed).unwrap_err();
            assert_eq!(error.status(), 400, "{malformed}");
        }
        for empty in ["", "null", "{}"] {
            assert!(Members::of_body(empty).unwrap().0.is_empty(), "{empty}");
        }
    }
}
