//! Status and body to a resolution, or the error that they mean (relay-protocol 2.6 and 7 to 10).
//!
//! An error code in the body decides before the status does. Read strictly are the answers that
//! succeed: what has another type than the protocol says is no answer of a relay proxy. A member
//! that is absent or null has its default; only `reason` and the presence of `value` are required.
//! Read leniently are errors, whose shape belongs to whichever gateway wrote them.

mod configuration;

use goff_core::{BodyProblem, BulkEvaluation, ErrorCode, RelayError, Resolution};
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

pub(crate) use self::configuration::read_configuration;
use crate::answer::{Answer, BulkAnswer, Problem};
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
fn read_success<'r, T: Deserialize<'r>>(
    response: &'r HttpResponse,
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

#[cfg(test)]
mod tests;
