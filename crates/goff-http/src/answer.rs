//! The relay proxy's answers to evaluations as they are on the wire, and their meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use goff_core::{BodyProblem, ErrorCode, EvaluationFailure, Reason, RelayError, Resolution};
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::secrets::Secrets;

/// The answer for one flag as it is on the wire, from any endpoint.
///
/// The derived `visit_map` would accept a JSON array, refuse repeated members, and confuse an
/// absent `value` with a null one. Reading into a map first would be a second pass.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    key: Option<String>,
    value: Option<Value>,
    reason: Option<String>,
    variant: Option<String>,
    version: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) details: Option<String>,
    pub(crate) message: Option<String>,
    track_events: Option<bool>,
    cacheable: Option<bool>,
    metadata: Option<Map<String, Value>>,
}

/// The members of upstream `modules/core/model/variation_result.go`,
/// `cmd/relayproxy/model/ofrep_responses.go` and `internal/flagstate`.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Key,
    Value,
    Reason,
    #[serde(alias = "variationType")]
    Variant,
    Version,
    ErrorCode,
    ErrorDetails,
    TrackEvents,
    Cacheable,
    Metadata,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnswerVisitor;

        impl<'de> Visitor<'de> for AnswerVisitor {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the answer to an evaluation")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
                let mut answer = Answer::default();
                while let Some(member) = map.next_key()? {
                    match member {
                        Member::Key => answer.key = map.next_value()?,
                        Member::Value => answer.value = Some(map.next_value()?),
                        Member::Reason => answer.reason = map.next_value()?,
                        Member::Variant => answer.variant = map.next_value()?,
                        Member::Version => answer.version = map.next_value()?,
                        Member::ErrorCode => answer.error_code = map.next_value()?,
                        Member::ErrorDetails => answer.details = map.next_value()?,
                        Member::TrackEvents => answer.track_events = map.next_value()?,
                        Member::Cacheable => answer.cacheable = map.next_value()?,
                        Member::Metadata => answer.metadata = map.next_value()?,
                        Member::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(answer)
            }
        }

        deserializer.deserialize_map(AnswerVisitor)
    }
}

impl Answer {
    /// The members of an error body, from the relay proxy or from a gateway. Ignores members of
    /// unexpected types.
    pub(crate) fn from_error(mut body: Map<String, Value>) -> Self {
        let mut text = |name| match body.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        Self {
            reason: text("reason"),
            variant: text("variant").or_else(|| text("variationType")),
            version: text("version"),
            error_code: text("errorCode"),
            details: text("errorDetails"),
            message: text("message"),
            track_events: body.get("trackEvents").and_then(Value::as_bool),
            metadata: match body.remove("metadata") {
                Some(Value::Object(metadata)) => Some(metadata),
                _ => None,
            },
            ..Self::default()
        }
    }

    pub(crate) fn into_result(self) -> Result<Resolution, Problem> {
        let code = self.error_code.as_deref().unwrap_or_default();
        if !code.is_empty() {
            return Err(Problem::Failed(Box::new(self)));
        }
        if self.value.is_none() {
            return Err(Problem::missing("value"));
        }
        if self.reason.is_none() {
            return Err(Problem::missing("reason"));
        }
        Ok(self.into_resolution())
    }

    fn into_resolution(self) -> Resolution {
        let metadata = self.metadata.unwrap_or_default();
        let mut resolution = Resolution::new(
            self.value.unwrap_or_default(),
            self.reason.as_deref().map_or(Reason::Error, Reason::from),
        );
        resolution.variant = self.variant.filter(|variant| !variant.is_empty());
        resolution.version = self.version.filter(|version| !version.is_empty());
        resolution.track_events = self.track_events.unwrap_or(true);
        resolution.cacheable =
            self.cacheable.unwrap_or(false) || metadata.get(CACHEABLE) == Some(&Value::Bool(true));
        resolution.metadata = metadata;
        resolution
    }

    /// The error code, and the text beside it. A text in place of the code, or a code that contains
    /// a secret, is `GENERAL`, and goes in front of the text.
    pub(crate) fn code_and_text(&self, secrets: &Secrets) -> (ErrorCode, Option<String>) {
        let raw = self.error_code.as_deref().unwrap_or_default();
        let code = ErrorCode::from(raw);
        let is_text = match &code {
            ErrorCode::Other(code) => secrets.are_in(code),
            code => !raw.is_empty() && code.as_str() != raw,
        };
        let details = self.details.as_deref().filter(|text| !text.is_empty());
        let text = details.or(self.message.as_deref()).unwrap_or_default();
        if !is_text {
            return (code, secrets.presentable(text));
        }
        let separator = if text.is_empty() { "" } else { ": " };
        let text = secrets.presentable(&[raw, separator, text].concat());
        (ErrorCode::General, text)
    }

    pub(crate) fn into_failure(self, secrets: &Secrets) -> EvaluationFailure {
        let (code, details) = self.code_and_text(secrets);
        let resolution = self.into_resolution().with_cacheable(false);
        EvaluationFailure::new(code, details.unwrap_or_default(), resolution)
    }
}

/// Why a well-formed answer contains no resolution.
pub(crate) enum Problem {
    /// It contains an error code.
    Failed(Box<Answer>),
    /// A required member is missing, or the body cannot be read.
    Unreadable(String),
}

impl Problem {
    fn missing(member: &str) -> Self {
        Self::Unreadable(format!("missing member `{member}`"))
    }

    pub(crate) fn into_relay_error(self, status: StatusCode, secrets: &Secrets) -> RelayError {
        match self {
            Self::Failed(answer) => {
                let failure = answer.into_failure(secrets);
                RelayError::Evaluation(failure.with_status(status.as_u16()))
            }
            Self::Unreadable(message) => RelayError::Body {
                problem: BodyProblem::Unreadable {
                    message: secrets.presentable(&message).unwrap_or_default(),
                },
                status: status.as_u16(),
                server: None,
            },
        }
    }

    pub(crate) fn into_failure(self, secrets: &Secrets) -> EvaluationFailure {
        match self {
            Self::Failed(answer) => answer.into_failure(secrets),
            Self::Unreadable(details) => EvaluationFailure::new(
                ErrorCode::ParseError,
                details,
                Arc::new(Resolution::new(Value::Null, Reason::Error)),
            ),
        }
    }
}

/// The flags of a bulk answer: `{"key":{…}}`, or in OFREP `[{"key":"key",…}]`.
pub(crate) fn bulk_answers(json: &RawValue) -> serde_json::Result<BTreeMap<String, Answer>> {
    if !json.get().starts_with('[') {
        return serde_json::from_str(json.get());
    }
    let answers: Vec<Answer> = serde_json::from_str(json.get())?;
    let keyed = answers.into_iter().map(|mut answer| {
        let missing = || serde_json::Error::missing_field("key");
        Ok((answer.key.take().ok_or_else(missing)?, answer))
    });
    keyed.collect()
}

/// The OFREP metadata of an answer that may be cached; absent otherwise.
const CACHEABLE: &str = "gofeatureflag_cacheable";
