//! Turns a response into a result or a typed error (docs/relay-protocol.md 2.6).
//!
//! An error code in the body takes precedence over the status. Successful responses are read
//! strictly: a member of an unexpected type makes the response unreadable. An absent or null member
//! has its default; only `reason` and the presence of `value` are required. Error responses are read
//! leniently, because their shape depends on the gateway that wrote them.

use std::collections::BTreeMap;
use std::sync::Arc;

use goff_core::{
    BodyProblem, BulkEvaluation, ConfigurationUpdate, ErrorCode, Etag, FlagConfiguration,
    RelayError, Resolution,
};
use http::StatusCode;
use http::header::ETAG;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::answer::{Answer, Problem, bulk_answers};
use crate::secrets::Secrets;
use crate::transport::HttpResponse;

/// Reads the response to the evaluation of one flag, in either protocol.
pub(crate) fn read_evaluation(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<Resolution, RelayError> {
    read_success::<Answer>(response, path, secrets)?
        .into_result()
        .map_err(|problem| problem.into_relay_error(response.status, secrets))
}

/// Reads the response to a bulk evaluation, in either protocol. Each flag has its own result: one
/// without a readable answer is a failed one.
pub(crate) fn read_bulk_evaluation(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<BulkEvaluation, RelayError> {
    /// The relay proxy omits `flags` where there is none (docs/relay-protocol.md 20.2).
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bulk<'a> {
        #[serde(borrow)]
        flags: Option<&'a RawValue>,
        error_code: Option<String>,
    }
    let bulk: Bulk<'_> = read_success(response, path, secrets)?;
    refuse_error_code(bulk.error_code, response, path, secrets)?;
    let flags = bulk.flags.map_or_else(|| Ok(BTreeMap::new()), bulk_answers);
    let flags = flags.map_err(|error| unreadable(&error, response.status, secrets))?;
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

/// Reads a flag configuration (docs/relay-protocol.md 12). A 304 is `NotModified` only for a
/// request with an ETag; its headers are ignored (GOFF-IP-007, GOFF-IP-015). Unknown members are
/// ignored (GOFF-IP-017).
pub(crate) fn read_configuration(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
    is_conditional: bool,
) -> Result<ConfigurationUpdate, RelayError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Configuration<'a> {
        #[serde(borrow)]
        flags: Option<&'a RawValue>,
        evaluation_context_enrichment: Option<Map<String, Value>>,
        error_code: Option<String>,
    }
    if response.status == StatusCode::NOT_MODIFIED && is_conditional {
        return Ok(ConfigurationUpdate::NotModified);
    }
    if response.status.is_success() && response.status != StatusCode::OK {
        // Another success, such as 204, contains no configuration.
        return Err(read_refusal(response, path, secrets));
    }
    let body: Configuration<'_> = read_success(response, path, secrets)?;
    refuse_error_code(body.error_code, response, path, secrets)?;
    let flags = body.flags.map(RawValue::get);
    if flags.is_some_and(|flags| !flags.starts_with('{')) {
        return Err(RelayError::Body {
            problem: BodyProblem::Unreadable {
                message: "member `flags` is not an object".to_owned(),
            },
            status: response.status.as_u16(),
        });
    }
    let mut configuration = FlagConfiguration::default()
        .with_enrichment(body.evaluation_context_enrichment.unwrap_or_default())
        .with_etag(response.headers.get(ETAG).cloned().map(Etag::from));
    configuration.flags = flags.map(Arc::from);
    Ok(ConfigurationUpdate::Loaded(configuration))
}

/// Reads the response to a batch of usage data (docs/relay-protocol.md 14.4). An empty success is a
/// delivery, because a gateway may drop the body; a gateway's own page with status 200 is none.
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

/// Reads the body of a success as `T`. Where that fails, or for another status, an error code in
/// the body decides.
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
    if response.body.trim_ascii_start().first() == Some(&b'[') {
        // serde would read the elements as the members of a struct, in order.
        let problem = Problem::Unreadable("expected an object, not an array".to_owned());
        return Err(problem.into_relay_error(status, secrets));
    }
    serde_json::from_slice(&response.body).map_err(|error| {
        let object = read_object(&response.body).map(Answer::from_error);
        if object.is_some_and(|answer| answer.error_code.is_some()) {
            read_refusal(response, path, secrets)
        } else {
            unreadable(&error, status, secrets)
        }
    })
}

/// An error code in a body of the expected shape.
fn refuse_error_code(
    error_code: Option<String>,
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
) -> Result<(), RelayError> {
    match error_code {
        Some(code) if !code.is_empty() => Err(read_refusal(response, path, secrets)),
        _ => Ok(()),
    }
}

/// The error that a response means: its error code, else its status (docs/python-parity.md C7, E6, E7).
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

/// Whether a 400 is about the flag set of the API key, not about the context
/// (docs/relay-protocol.md 4).
fn is_about_flag_sets(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("flagset") || message.contains("flag set")
}

fn read_object(body: &[u8]) -> Option<Map<String, Value>> {
    // The HTML page of a gateway need not be parsed.
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
