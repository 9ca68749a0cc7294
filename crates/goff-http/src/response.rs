//! Turns a response into a result or a typed error (docs/relay-protocol.md 2.6).
//!
//! The relay proxy's own evaluation errors are an error code with a success, with 400, or with 404 and
//! `FLAG_NOT_FOUND`. Everything else is decided by the status, since gateways send error codes too: a
//! code then only names the error. Successful responses are read
//! strictly: a member of an unexpected type makes the response unreadable. An absent or null member
//! has its default; only `reason` and the presence of `value` are required. Error responses are read
//! leniently, because their shape depends on the gateway that wrote them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use goff_core::{
    BodyProblem, BulkEvaluation, ConfigurationUpdate, ErrorCode, Etag, FlagConfiguration,
    FlagsJson, RelayError, Resolution,
};
use http::StatusCode;
use http::header::{DATE, ETAG};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::answer::{Answer, Problem, bulk_answers};
use crate::json_values::{holds_at_most, max_values};
use crate::request::{DEFAULT_MAX_RESPONSE_SIZE, Purpose};
use crate::secrets::Secrets;
use crate::transport::HttpResponse;

/// A response to read. `path` is for errors; `max_size` is the limit of the body, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) response: &'a HttpResponse,
    /// The body, where it is shared with what is read from it; that of the response is then empty.
    pub(crate) text: Option<&'a Arc<String>>,
    pub(crate) purpose: Purpose,
    pub(crate) path: &'a str,
    pub(crate) secrets: &'a Secrets,
    pub(crate) max_size: usize,
}

impl<'a> Received<'a> {
    /// Reads the response to the evaluation of one flag, in either protocol.
    pub(crate) fn evaluation(self) -> Result<Resolution, RelayError> {
        self.bounded(self.max_size, self.body())?;
        let result = self.success::<Answer>()?.into_result();
        result.map_err(|problem| self.refused(problem))
    }

    /// Reads the response to a bulk evaluation, in either protocol. Each flag has its own result:
    /// one without a readable answer is a failed one.
    pub(crate) fn bulk_evaluation(self) -> Result<BulkEvaluation, RelayError> {
        /// The relay proxy omits `flags` where there is none (docs/relay-protocol.md 20.2).
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Bulk<'a> {
            #[serde(borrow)]
            flags: Option<&'a RawValue>,
            error_code: Option<String>,
        }
        self.bounded(self.max_size, self.body())?;
        let bulk: Bulk<'_> = self.success()?;
        self.refuse_error_code(bulk.error_code)?;
        let flags = bulk.flags.map_or_else(|| Ok(BTreeMap::new()), bulk_answers);
        let flags = flags.map_err(|error| self.unreadable(&error))?.into_iter();
        let outcomes = flags.map(|(key, answer)| {
            let outcome = answer.into_result();
            (
                key,
                outcome.map_err(|problem| problem.into_failure(self.secrets)),
            )
        });
        Ok(outcomes.collect())
    }

    /// The version of the relay proxy, if the response names it (docs/relay-protocol.md 2.3).
    pub(crate) fn version(&self) -> Option<String> {
        let value = self.response.headers.get("x-gofeatureflag-version")?;
        let value = value.to_str().ok()?;
        let shown = self.secrets.presentable(value)?;
        (shown.len() <= LONGEST_VERSION).then_some(shown)
    }

    /// When the server, or a gateway before it, answered, by its clock; in whole seconds.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        let value = self.response.headers.get(DATE)?;
        httpdate::parse_http_date(value.to_str().ok()?).ok()
    }

    /// Reads a flag configuration (docs/relay-protocol.md 12). A 304 is `NotModified` only for a
    /// request with an ETag; its headers are ignored (GOFF-IP-007, GOFF-IP-015). Unknown members are
    /// ignored (GOFF-IP-017).
    pub(crate) fn configuration(
        self,
        is_conditional: bool,
    ) -> Result<ConfigurationUpdate, RelayError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Configuration<'a> {
            #[serde(borrow)]
            flags: Option<&'a RawValue>,
            #[serde(borrow)]
            evaluation_context_enrichment: Option<&'a RawValue>,
            error_code: Option<String>,
        }
        let status = self.response.status;
        if status == StatusCode::NOT_MODIFIED && is_conditional {
            return Ok(ConfigurationUpdate::NotModified);
        }
        if status.is_success() && status != StatusCode::OK {
            // Another success, such as 204, contains no configuration.
            return Err(self.refusal());
        }
        let body: Configuration<'_> = self.success()?;
        self.refuse_error_code(body.error_code)?;
        let flags = body.flags.map(RawValue::get);
        if flags.is_some_and(|flags| !flags.starts_with('{')) {
            let problem = "member `flags` is not an object".to_owned();
            return Err(self.refused(Problem::Unreadable(problem)));
        }
        let mut enrichment = Map::new();
        if let Some(text) = body.evaluation_context_enrichment.map(RawValue::get) {
            self.bounded(DEFAULT_MAX_RESPONSE_SIZE, text.as_bytes())?;
            enrichment = serde_json::from_str(text).map_err(|error| self.unreadable(&error))?;
        }
        let etag = self.response.headers.get(ETAG);
        // Gateways refuse requests with long headers.
        let etag = etag.filter(|etag| etag.len() <= LONGEST_ETAG).cloned();
        let mut configuration = FlagConfiguration::default()
            .with_enrichment(enrichment)
            .with_etag(etag.map(Etag::from));
        configuration.flags = flags.map(|flags| self.shared(flags));
        Ok(ConfigurationUpdate::Loaded(configuration))
    }

    /// Reads the manifest of the flags, whose text is for other crates (docs/relay-protocol.md 17).
    pub(crate) fn manifest(self) -> Result<String, RelayError> {
        #[derive(Deserialize)]
        struct Manifest {
            #[serde(rename = "flags")]
            _flags: IgnoredAny,
        }
        self.success::<Manifest>()?;
        Ok(String::from_utf8_lossy(self.body()).into_owned())
    }

    /// Reads the response to a batch of usage data (docs/relay-protocol.md 14.4). An empty success
    /// is a delivery, because a gateway may drop the body; a gateway's own page with status 200 is
    /// none.
    pub(crate) fn collection(self) -> Result<(), RelayError> {
        #[derive(Deserialize)]
        struct Collection {
            #[serde(rename = "ingestedContentCount")]
            _count: IgnoredAny,
        }
        if self.response.status.is_success() && self.body().trim_ascii().is_empty() {
            return Ok(());
        }
        self.success::<Collection>().map(|_| ())
    }

    fn body(self) -> &'a [u8] {
        self.text
            .map_or(&*self.response.body, |text| text.as_bytes())
    }

    /// A part of the body. It shares the text where it can.
    fn shared(self, part: &str) -> FlagsJson {
        let shared = self.text.and_then(|text| {
            let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
            FlagsJson::part_of(Arc::clone(text), start..start.checked_add(part.len())?)
        });
        shared.unwrap_or_else(|| part.into())
    }

    /// # Errors
    /// A JSON text of a success that would take too much memory.
    fn bounded(self, max_size: usize, text: &[u8]) -> Result<(), RelayError> {
        let limit = max_values(max_size);
        let status = self.response.status;
        if !status.is_success() || holds_at_most(limit, text) {
            return Ok(());
        }
        Err(RelayError::Body {
            problem: BodyProblem::TooManyValues { limit },
            status: status.as_u16(),
            server: None,
        })
    }

    /// Reads the body of a success as `T`. Where that fails, or for another status, an error code
    /// in the body decides.
    fn success<T: Deserialize<'a>>(self) -> Result<T, RelayError> {
        let (status, body) = (self.response.status, self.body());
        if !status.is_success() {
            return Err(self.refusal());
        }
        let first = body.trim_ascii_start().first();
        if first.is_none() {
            return Err(RelayError::Body {
                problem: BodyProblem::Empty,
                status: status.as_u16(),
                server: None,
            });
        }
        if first == Some(&b'[') {
            // serde would read the elements as the members of a struct, in order.
            let problem = "expected an object, not an array".to_owned();
            return Err(self.refused(Problem::Unreadable(problem)));
        }
        let read = match self.text {
            Some(text) => serde_json::from_str(text),
            None => serde_json::from_slice(body),
        };
        read.map_err(|error| {
            let object = read_object(body).map(Answer::from_error);
            if object.is_some_and(|answer| answer.error_code.is_some()) {
                self.refusal()
            } else {
                self.unreadable(&error)
            }
        })
    }

    /// An error code in a body of the expected shape.
    fn refuse_error_code(self, error_code: Option<String>) -> Result<(), RelayError> {
        match error_code {
            Some(code) if !code.is_empty() => Err(self.refusal()),
            _ => Ok(()),
        }
    }

    /// The error that a response means: the relay proxy's own evaluation error, else its status
    /// (docs/relay-protocol.md 7 to 10; docs/python-parity.md C7, E6, E7).
    fn refusal(self) -> RelayError {
        let status = self.response.status;
        let body = read_object(self.body());
        let is_object = body.is_some();
        let answer = body.map(Answer::from_error).unwrap_or_default();
        let (mut code, mut message) = answer.code_and_text(self.secrets);
        if answer.error_code.is_some() {
            if self.is_evaluation_error(&code) {
                let failure = answer.into_failure(self.secrets);
                return RelayError::Evaluation(failure.with_status(status.as_u16()));
            }
            message = message.or_else(|| Some(code.to_string()));
        } else if self.purpose == Purpose::Evaluation
            && status == StatusCode::BAD_REQUEST
            && is_object
            && !message.as_deref().is_some_and(is_about_flag_sets)
        {
            let text = message.as_deref().unwrap_or("no error message given");
            message = Some(format!("invalid context: {text}"));
            code = ErrorCode::InvalidContext;
        } else if status == StatusCode::BAD_REQUEST && asks_for_tls(self.body()) {
            message = Some("it speaks TLS; use `https://`?".to_owned());
        }
        RelayError::Status {
            status: status.as_u16(),
            path: shown_path(self.path).into_owned(),
            message,
            code,
            server: None,
        }
    }

    /// Whether a response with this error code is from the relay proxy's evaluation of a flag.
    fn is_evaluation_error(self, code: &ErrorCode) -> bool {
        let status = self.response.status;
        self.purpose == Purpose::Evaluation
            && (status.is_success()
                || status == StatusCode::BAD_REQUEST
                || status == StatusCode::NOT_FOUND && *code == ErrorCode::FlagNotFound)
    }

    fn unreadable(self, error: &serde_json::Error) -> RelayError {
        self.refused(Problem::Unreadable(error.to_string()))
    }

    fn refused(self, problem: Problem) -> RelayError {
        problem.into_relay_error(self.response.status, self.secrets)
    }
}

/// Whether a 400 is about the flag set of the API key, not about the context
/// (docs/relay-protocol.md 4).
fn is_about_flag_sets(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("flagset") || message.contains("flag set")
}

/// Whether a server that speaks TLS refuses plain HTTP, in the words of Go or nginx.
fn asks_for_tls(body: &[u8]) -> bool {
    let start = body.get(..LONGEST_REFUSAL).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    text.contains("HTTP request to an HTTPS server")
        || text.contains("HTTP request was sent to HTTPS port")
}

/// The path for errors and logs: a flag key may be very long.
pub(crate) fn shown_path(path: &str) -> Cow<'_, str> {
    // The path is ASCII.
    match path.get(..LONGEST_PATH) {
        Some(start) if start.len() < path.len() => format!("{start}…").into(),
        _ => path.into(),
    }
}

fn read_object(body: &[u8]) -> Option<Map<String, Value>> {
    // The HTML page of a gateway need not be parsed.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    if !holds_at_most(max_values(DEFAULT_MAX_RESPONSE_SIZE), body) {
        return None;
    }
    serde_json::from_slice(body).ok()
}

const LONGEST_PATH: usize = 300;

const LONGEST_REFUSAL: usize = 1024;
const LONGEST_VERSION: usize = 64;

const LONGEST_ETAG: usize = 1024;

#[cfg(test)]
mod tests;
