//! Status and body to a resolution, or the error that they mean (relay-protocol 2.6 and 7 to 10).
//!
//! An error code in the body decides before the status does. Read strictly are the answers that
//! succeed: what has another type than the protocol says is no answer of a relay proxy. A member
//! that is absent or null has its default; only `reason` and the presence of `value` are required.
//! Read leniently are errors, whose shape belongs to whichever gateway wrote them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use goff_core::{
    BodyProblem, BulkEvaluation, ErrorCode, EvaluationFailure, Reason, RelayError, Resolution,
};
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::secrets::Secrets;
use crate::transport::HttpResponse;

/// Reads the answer to one evaluation, in either dialect.
pub(crate) fn read_evaluation(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<Resolution, RelayError> {
    read_success::<Answer>(response, path, secrets)?
        .into_result()
        .map_err(|problem| problem.into_relay_error(response.status, secrets))
}

/// Reads the answer to a bulk evaluation, in either dialect. Each flag has its own result: one
/// that cannot be read is a failed one.
pub(crate) fn read_bulk_evaluation(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<BulkEvaluation, RelayError> {
    let answer: BulkAnswer = read_success(response, path, secrets)?;
    // The relay proxy omits `flags` when there is none (relay-protocol 20.2).
    let flags = answer.flags.unwrap_or_default().0;
    Ok(flags
        .into_iter()
        .map(|(key, answer)| {
            let outcome = answer
                .into_result()
                .map_err(|problem| problem.into_failure(secrets));
            (key, outcome)
        })
        .collect())
}

/// Reads the answer to a batch of events (relay-protocol 14.4). A page that some gateway answers
/// with 200 is no delivery; an empty success is one, for a gateway may drop the body.
pub(crate) fn read_collection(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<(), RelayError> {
    #[derive(Deserialize)]
    struct Collection {
        #[serde(rename = "ingestedContentCount")]
        _count: IgnoredAny,
    }
    if response.status.is_success() && response.body.trim_ascii().is_empty() {
        return Ok(());
    }
    read_success::<Collection>(response, path, secrets).map(|_| ())
}

/// Reads the body of a success as `T`, after looking for an error code in any other answer.
fn read_success<T: for<'de> Deserialize<'de>>(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<T, RelayError> {
    let status = response.status;
    if !status.is_success() {
        return Err(read_refusal(response, path, secrets));
    }
    if response.body.trim_ascii().is_empty() {
        return Err(RelayError::Body {
            problem: BodyProblem::Empty,
            status: status.as_u16(),
        });
    }
    serde_json::from_slice(&response.body).map_err(|error| {
        // A body of the wrong shape that says what failed is believed.
        read_object(&response.body)
            .and_then(|body| Answer::from_error(body).error_code.map(|_| ()))
            .map_or_else(
                || unreadable(&error, status, secrets),
                |()| read_refusal(response, path, secrets),
            )
    })
}

/// An answer that is no success: its error code, else what its status means (Python C7, E6, E7).
fn read_refusal(response: &HttpResponse, path: &str, secrets: &Secrets) -> RelayError {
    let body = read_object(&response.body);
    let is_object = body.is_some();
    let answer = body.map(Answer::from_error).unwrap_or_default();
    if answer.error_code.is_some() {
        return RelayError::Evaluation(answer.into_failure(secrets));
    }
    let text = answer.message.as_deref().or(answer.details.as_deref());
    let message = text.and_then(|text| secrets.presentable(text));
    let invalid_context = response.status == StatusCode::BAD_REQUEST
        && is_object
        && !message.as_deref().is_some_and(is_about_flag_sets);
    let (code, message) = if invalid_context {
        let message = message.as_deref().unwrap_or("no error message given");
        (
            ErrorCode::InvalidContext,
            Some(format!("invalid context: {message}")),
        )
    } else {
        (ErrorCode::General, message)
    };
    RelayError::Status {
        status: response.status.as_u16(),
        path: path.to_owned(),
        message,
        code,
    }
}

/// Whether a 400 is about the API key's flag set, which is no matter of the context
/// (relay-protocol section 4).
fn is_about_flag_sets(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("flagset") || message.contains("flag set")
}

fn read_object(body: &[u8]) -> Option<Map<String, Value>> {
    // A page of a gateway is not worth a parser's time.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok()
}

fn unreadable(error: &serde_json::Error, status: StatusCode, secrets: &Secrets) -> RelayError {
    Problem::Unreadable(error.to_string()).into_relay_error(status, secrets)
}

/// One flag's answer as it is on the wire, whichever endpoint it came from.
///
/// `visit_map` is written by hand: a derived one would take a JSON array for a struct, refuse a
/// member that is there twice, and not tell an absent `value` from a null one.
#[derive(Debug, Default)]
struct Answer {
    key: Option<String>,
    value: Option<Value>,
    reason: Option<String>,
    variant: Option<String>,
    version: Option<String>,
    error_code: Option<String>,
    details: Option<String>,
    message: Option<String>,
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
    /// What an error's body says, whoever wrote it: members of another type are left out.
    fn from_error(mut body: Map<String, Value>) -> Self {
        let mut text = |name| match body.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        Self {
            key: None,
            value: None,
            reason: text("reason"),
            variant: text("variant").or_else(|| text("variationType")),
            version: text("version"),
            error_code: text("errorCode"),
            details: text("errorDetails"),
            message: text("message"),
            track_events: body.get("trackEvents").and_then(Value::as_bool),
            cacheable: None,
            metadata: match body.remove("metadata") {
                Some(Value::Object(metadata)) => Some(metadata),
                _ => None,
            },
        }
    }

    fn into_result(self) -> Result<Resolution, Problem> {
        if self
            .error_code
            .as_deref()
            .is_some_and(|code| !code.is_empty())
        {
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
        Resolution {
            value: self.value.unwrap_or_default(),
            reason: self.reason.as_deref().map_or(Reason::Error, Reason::from),
            variant: self.variant.filter(|variant| !variant.is_empty()),
            version: self.version.filter(|version| !version.is_empty()),
            track_events: self.track_events.unwrap_or(true),
            cacheable: self.cacheable.unwrap_or(false)
                || metadata.get(CACHEABLE) == Some(&Value::Bool(true)),
            metadata,
        }
    }

    fn into_failure(mut self, secrets: &Secrets) -> EvaluationFailure {
        let code = self.error_code.take().unwrap_or_default();
        let details = self.details.take().unwrap_or_default();
        EvaluationFailure {
            code: code.as_str().into(),
            details: secrets.presentable(&details).unwrap_or_default(),
            resolution: Arc::new(Resolution {
                cacheable: false,
                ..self.into_resolution()
            }),
        }
    }
}

/// Why an answer of the right shape gives no resolution.
enum Problem {
    /// It has an error code.
    Failed(Box<Answer>),
    /// It lacks what it must have.
    Unreadable(String),
}

impl Problem {
    fn missing(member: &str) -> Self {
        Self::Unreadable(format!("missing member `{member}`"))
    }

    fn into_relay_error(self, status: StatusCode, secrets: &Secrets) -> RelayError {
        match self {
            Self::Failed(answer) => RelayError::Evaluation(answer.into_failure(secrets)),
            Self::Unreadable(message) => RelayError::Body {
                problem: BodyProblem::Unreadable {
                    message: secrets.presentable(&message).unwrap_or_default(),
                },
                status: status.as_u16(),
            },
        }
    }

    fn into_failure(self, secrets: &Secrets) -> EvaluationFailure {
        match self {
            Self::Failed(answer) => answer.into_failure(secrets),
            Self::Unreadable(details) => EvaluationFailure {
                code: ErrorCode::ParseError,
                details,
                resolution: Arc::new(Resolution {
                    reason: Reason::Error,
                    ..Resolution::default()
                }),
            },
        }
    }
}

/// A bulk answer: `{"flags":{"key":{…}}}`, or in OFREP `{"flags":[{"key":"key",…}]}`.
#[derive(Debug, Default)]
struct BulkAnswer {
    flags: Option<Flags>,
}

impl<'de> Deserialize<'de> for BulkAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BulkVisitor;

        impl<'de> Visitor<'de> for BulkVisitor {
            type Value = BulkAnswer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the answer to a bulk evaluation")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BulkAnswer, A::Error> {
                let mut answer = BulkAnswer::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "flags" => answer.flags = map.next_value()?,
                        "errorCode" => {
                            let code: Option<String> = map.next_value()?;
                            if code.is_some_and(|code| !code.is_empty()) {
                                return Err(serde::de::Error::custom("an error code"));
                            }
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(answer)
            }
        }

        deserializer.deserialize_map(BulkVisitor)
    }
}

#[derive(Debug, Default)]
struct Flags(BTreeMap<String, Answer>);

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagsVisitor;

        impl<'de> Visitor<'de> for FlagsVisitor {
            type Value = Flags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list of flags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flags, A::Error> {
                let mut flags = BTreeMap::new();
                while let Some((key, answer)) = map.next_entry()? {
                    flags.insert(key, answer);
                }
                Ok(Flags(flags))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Flags, A::Error> {
                let mut flags = BTreeMap::new();
                while let Some(mut answer) = list.next_element::<Answer>()? {
                    let key = answer.key.take();
                    let key = key.ok_or_else(|| serde::de::Error::missing_field("key"))?;
                    flags.insert(key, answer);
                }
                Ok(Flags(flags))
            }
        }

        deserializer.deserialize_any(FlagsVisitor)
    }
}

/// What OFREP answers carry in their metadata when they may be cached; never sent as false.
const CACHEABLE: &str = "gofeatureflag_cacheable";

#[cfg(test)]
mod tests;
