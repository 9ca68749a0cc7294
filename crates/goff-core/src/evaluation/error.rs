//! The errors of an evaluation, and the one table that maps them to error codes and origins.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::ContextError;
use crate::evaluation::{Origin, Resolution};

/// An OpenFeature error code. An open set: a code that is not listed becomes [`ErrorCode::Other`];
/// in OpenFeature it is `GENERAL` with the raw code (GOFF-ERR-001, GOFF-ERR-002). A code consists of
/// 1 to 64 characters out of `A-Z`, `0-9` and `_`; any other text, which error messages and logs
/// would show, becomes [`ErrorCode::General`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The client is not initialized, or was shut down.
    ProviderNotReady,
    /// The flag does not exist.
    FlagNotFound,
    /// The answer could not be read.
    ParseError,
    /// The flag's value does not have the requested type.
    TypeMismatch,
    /// The flag requires a targeting key and the context has none.
    TargetingKeyMissing,
    /// The context cannot be used.
    InvalidContext,
    /// Any other failure.
    General,
    /// Any other code, verbatim, such as `FLAG_CONFIG`.
    Other(Box<str>),
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ProviderNotReady => "PROVIDER_NOT_READY",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::General => "GENERAL",
            Self::Other(code) => code,
        }
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        match code {
            "PROVIDER_NOT_READY" => Self::ProviderNotReady,
            "FLAG_NOT_FOUND" => Self::FlagNotFound,
            "PARSE_ERROR" => Self::ParseError,
            "TYPE_MISMATCH" => Self::TypeMismatch,
            "TARGETING_KEY_MISSING" => Self::TargetingKeyMissing,
            "INVALID_CONTEXT" => Self::InvalidContext,
            "GENERAL" => Self::General,
            other if is_code(other) => Self::Other(other.into()),
            _ => Self::General,
        }
    }
}

fn is_code(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(is_allowed)
}

const LONGEST_CODE: usize = 64;

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request to the relay proxy gave no result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RelayError {
    /// The flag's key cannot be part of a request path; nothing was sent.
    UnreachableFlagKey {
        /// The key, shortened if it is long.
        flag_key: Box<str>,
        /// What is wrong with the key.
        reason: &'static str,
    },
    /// The context cannot be sent as JSON; nothing was sent.
    InvalidContext(ContextError),
    /// The relay proxy, or a gateway before it, limits the rate of requests (429 with `Retry-After`);
    /// nothing was sent (GOFF-REM-004).
    RateLimited {
        /// The time until the next request.
        remaining: Duration,
    },
    /// The headers of the option `header_provider` cannot be sent; nothing was sent.
    Headers {
        /// What is wrong, without a value of a header.
        reason: String,
    },
    /// The connection failed; nothing was sent. With goff-http the cause is a
    /// [`ConnectionError`](crate::ConnectionError), which names the server.
    NotConnected(Cause),
    /// The connection broke after the request may have been written. With goff-http the cause is a
    /// [`ConnectionError`](crate::ConnectionError), which names the server.
    Interrupted(Cause),
    /// No answer within the option `timeout`.
    Timeout {
        /// The timeout.
        timeout: Duration,
        /// Whether the request may have been written.
        sent: bool,
        /// Scheme, host and port of the server, if they are known.
        server: Option<Arc<str>>,
    },
    /// A status that does not belong to an answer, with or without an error code: from a gateway, or
    /// the relay proxy refused the request.
    Status {
        /// The HTTP status.
        status: u16,
        /// The path of the request, without host, query or credentials.
        path: String,
        /// The server's message, if any.
        message: Option<String>,
        /// The error code in the response, or the one that the status maps to.
        code: ErrorCode,
        /// Scheme, host and port of the server, if they are known.
        server: Option<Arc<str>>,
    },
    /// A response body that cannot be read.
    Body {
        /// What is wrong with it.
        problem: BodyProblem,
        /// The HTTP status of the response.
        status: u16,
        /// Scheme, host and port of the server, if they are known.
        server: Option<Arc<str>>,
    },
    /// The relay proxy has not answered for a while, and the client waits before it tries again
    /// (option `circuit_breaker`); nothing was sent.
    CircuitOpen {
        /// For how long no request was answered.
        unanswered_for: Duration,
        /// The time until the next request; zero while one is in flight.
        next_try: Duration,
        /// How the last request failed.
        last: Arc<RelayError>,
    },
    /// The relay client does not implement this operation; nothing was sent.
    Unsupported {
        /// The method of [`RelayClient`](crate::RelayClient).
        operation: &'static str,
    },
    /// An answer with an error code: the relay proxy evaluated the flag and failed.
    Evaluation(EvaluationFailure),
}

/// An evaluation that ended in an error code. `Debug` leaves out the resolution, whose texts are the
/// server's.
#[derive(Clone)]
#[non_exhaustive]
pub struct EvaluationFailure {
    /// The code, possibly a raw one.
    pub code: ErrorCode,
    /// The evaluator's message; may be empty (GOFF-ERR-003).
    pub details: String,
    /// The rest of the answer: reason, variant, metadata, version, trackability.
    pub resolution: Arc<Resolution>,
    /// The HTTP status of the response; `None` if the failure is not from a response, or is one of
    /// several in a bulk response.
    pub status: Option<u16>,
}

impl EvaluationFailure {
    /// Creates a failure without an HTTP status. `details` may be empty.
    pub fn new(
        code: impl Into<ErrorCode>,
        details: impl Into<String>,
        resolution: impl Into<Arc<Resolution>>,
    ) -> Self {
        Self {
            code: code.into(),
            details: details.into(),
            resolution: resolution.into(),
            status: None,
        }
    }

    /// Sets the HTTP status of the response.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl fmt::Debug for EvaluationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationFailure")
            .field("code", &self.code)
            .field("details", &self.details)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EvaluationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.details.is_empty() {
            return write!(f, "the evaluation failed with {}", self.code);
        }
        f.write_str(&self.details)
    }
}

impl Error for EvaluationFailure {}

/// What is wrong with a response body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyProblem {
    /// The body is empty.
    #[error("an empty body")]
    Empty,
    /// It is not a JSON document of the expected shape.
    #[error("a body that is not the expected JSON: {message}")]
    Unreadable {
        /// The decoder's message, with line and column.
        message: String,
    },
    /// It is larger than the limit.
    #[error("a body of more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It holds more JSON values than the limit: each needs far more memory than its text.
    #[error("a body of more than {limit} JSON values")]
    TooManyValues {
        /// The limit.
        limit: usize,
    },
    /// It has a content encoding that this client did not request or cannot read.
    #[error(
        "a body in the content encoding `{encoding}`, which was not requested; turn it off in the \
         gateway that added it, or for gzip enable the feature `gzip`"
    )]
    Encoded {
        /// The response's `Content-Encoding`.
        encoding: String,
    },
}

/// The underlying error, shared by all callers of a single-flight request.
pub type Cause = Arc<dyn Error + Send + Sync>;

impl RelayError {
    /// The error code: together with [`ResolutionError::code`] the one table of codes.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnreachableFlagKey { .. } => ErrorCode::FlagNotFound,
            Self::InvalidContext(_) => ErrorCode::InvalidContext,
            Self::RateLimited { .. }
            | Self::CircuitOpen { .. }
            | Self::Headers { .. }
            | Self::NotConnected(_)
            | Self::Interrupted(_)
            | Self::Timeout { .. }
            | Self::Unsupported { .. } => ErrorCode::General,
            Self::Status { code, .. } => code.clone(),
            Self::Body { .. } => ErrorCode::ParseError,
            Self::Evaluation(failure) => failure.code.clone(),
        }
    }

    /// Where the flag was evaluated, as far as this client can know. Usage data depends on it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self {
            Self::UnreachableFlagKey { .. }
            | Self::InvalidContext(_)
            | Self::RateLimited { .. }
            | Self::CircuitOpen { .. }
            | Self::Headers { .. }
            | Self::NotConnected(_)
            | Self::Timeout { sent: false, .. }
            | Self::Unsupported { .. } => Origin::NotEvaluated,
            Self::Status { status, .. } if (300..500).contains(status) => Origin::NotEvaluated,
            Self::Interrupted(_)
            | Self::Timeout { sent: true, .. }
            | Self::Status { .. }
            | Self::Body { .. } => Origin::Unknown,
            Self::Evaluation(failure) if failure.code == ErrorCode::InvalidContext => {
                Origin::NotEvaluated
            }
            Self::Evaluation(_) => Origin::Relay,
        }
    }

    /// The same error of the server at `address`, unless it names one.
    #[must_use]
    pub fn at(mut self, address: &Arc<str>) -> Self {
        if let Self::Timeout { server, .. }
        | Self::Status { server, .. }
        | Self::Body { server, .. } = &mut self
        {
            server.get_or_insert_with(|| Arc::clone(address));
        }
        self
    }

    /// The same error for a log line: without the texts of servers, which may quote the evaluation
    /// context or a value.
    #[must_use]
    pub fn without_server_texts(&self) -> Self {
        let mut error = self.clone();
        match &mut error {
            Self::Status { message, .. } => *message = None,
            Self::Body {
                problem: BodyProblem::Unreadable { message },
                ..
            } => "the text is not logged".clone_into(message),
            Self::Evaluation(failure) => failure.details.clear(),
            _ => {}
        }
        error
    }

    /// The HTTP status of the response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Body { status, .. } => Some(*status),
            Self::Evaluation(failure) => failure.status,
            _ => None,
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreachableFlagKey { flag_key, reason } => write!(
                f,
                "flag `{flag_key}` was not found: its key cannot be part of a request path, \
                 because it {reason}; use in-process evaluation for this flag"
            ),
            Self::InvalidContext(error) => write!(f, "{error}"),
            Self::RateLimited { remaining } => write!(
                f,
                "requests to the relay proxy are rate limited (429 Retry-After); next request in {} s",
                remaining.as_millis().div_ceil(1000)
            ),
            Self::Headers { reason } => write!(
                f,
                "no request was sent: {reason}; check the option `header_provider`"
            ),
            Self::NotConnected(cause) => write!(f, "cannot connect to the relay proxy: {cause}"),
            Self::Interrupted(cause) => {
                f.write_str("the connection to the relay proxy was interrupted: ")?;
                write!(f, "{cause}")
            }
            Self::Timeout {
                timeout,
                sent,
                server,
            } => {
                let (at, timeout) = (At(server), timeout.as_millis());
                write!(f, "no answer from the relay proxy{at} within {timeout} ms ")?;
                f.write_str(match sent {
                    true => "(the request was sent); is it overloaded, or `timeout` too short?",
                    false => "(no request was sent); check host and port, and firewalls on the way",
                })
            }
            Self::Status {
                status,
                path,
                message,
                server,
                ..
            } => {
                let at = At(server);
                match is_of_relay_proxy(*status) {
                    true => write!(f, "the relay proxy{at} answered {status}")?,
                    false => write!(f, "no relay proxy answers{at}: {status}")?,
                }
                write!(f, " to `{path}`")?;
                let meaning = status_meaning(*status);
                meaning.iter().try_for_each(|text| write!(f, " ({text})"))?;
                message.iter().try_for_each(|text| write!(f, ": {text}"))
            }
            Self::Body {
                problem,
                status,
                server,
            } => {
                let at = At(server);
                write!(f, "the relay proxy{at} answered {status} with {problem}")?;
                match problem {
                    BodyProblem::Empty | BodyProblem::Unreadable { .. } => {
                        f.write_str("; is it a relay proxy? check the option `endpoint`")
                    }
                    _ => Ok(()),
                }
            }
            Self::CircuitOpen {
                unanswered_for,
                next_try,
                last,
            } => {
                let (silent, next) = (unanswered_for.as_secs(), next_try.as_millis());
                write!(
                    f,
                    "the relay proxy has not answered for {silent} s, so nothing is sent: "
                )?;
                match next {
                    0 => f.write_str("a request tries again at this moment")?,
                    next => write!(f, "next try in {} s", next.div_ceil(1000))?,
                }
                write!(f, "; last failure: {last}")
            }
            Self::Unsupported { operation } => {
                write!(f, "this relay client does not implement `{operation}`")
            }
            Self::Evaluation(failure) => write!(f, "{failure}"),
        }
    }
}

impl Error for RelayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotConnected(cause) | Self::Interrupted(cause) => Some(&**cause),
            Self::InvalidContext(error) => Some(error),
            Self::CircuitOpen { last, .. } => Some(&**last),
            _ => None,
        }
    }
}

/// A server after `at`.
struct At<'a>(&'a Option<Arc<str>>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.0.iter();
        server.into_iter().try_for_each(|at| write!(f, " at {at}"))
    }
}

/// Whether a relay proxy, or a gateway before one, may answer with a status.
fn is_of_relay_proxy(status: u16) -> bool {
    !matches!(status, 300..=399 | 404 | 405 | 501)
}

/// The meaning of a status, and what to check (GOFF-ERR-004).
fn status_meaning(status: u16) -> Option<&'static str> {
    Some(match status {
        300..=399 => "redirects are not followed; check the option `endpoint`",
        401 => "unauthorized; check the option `api_key`",
        403 => "forbidden; check the option `api_key`",
        404 | 405 | 501 => "check host, port and path of the option `endpoint`",
        413 => "the evaluation context is too large for a gateway",
        429 => "too many requests",
        502..=504 => "server error; a gateway does not reach the relay proxy?",
        500..=599 => "server error",
        _ => return None,
    })
}

/// Why an evaluation failed. `Debug` leaves out the resolution, whose texts are the server's.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolutionError {
    /// The client is not initialized, or was shut down (GOFF-LIFE-006).
    #[error("{reason}")]
    NotReady {
        /// Which of the two, and what to do next.
        reason: &'static str,
    },
    /// The request to the relay proxy failed.
    #[error("{0}")]
    Relay(#[from] RelayError),
    /// The in-process evaluation failed, with the code of the engine (GOFF-ERR-001,
    /// GOFF-ERR-003).
    #[error("{0}")]
    InProcess(EvaluationFailure),
    /// The flag's value does not have the requested type (GOFF-EVAL-002 to -005).
    #[error("flag `{flag_key}` holds {found}, not {wanted}")]
    TypeMismatch {
        /// The flag's key.
        flag_key: String,
        /// The requested type.
        wanted: &'static str,
        /// The description of the value.
        found: String,
        /// The resolution with the value.
        resolution: Arc<Resolution>,
    },
}

impl ResolutionError {
    /// The error code: together with [`RelayError::code`] the one table of codes.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotReady { .. } => ErrorCode::ProviderNotReady,
            Self::Relay(error) => error.code(),
            Self::InProcess(failure) => failure.code.clone(),
            Self::TypeMismatch { .. } => ErrorCode::TypeMismatch,
        }
    }

    /// Where the flag was evaluated, as far as this client can know. For a type mismatch the origin
    /// is that of the answer; use [`Outcome::origin`](crate::Outcome) where you have it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self {
            Self::NotReady { .. } => Origin::NotEvaluated,
            Self::Relay(error) => error.origin(),
            Self::InProcess(_) => Origin::InProcess,
            Self::TypeMismatch { .. } => Origin::Relay,
        }
    }

    /// The resolution in the answer, if the error came with one.
    #[must_use]
    pub fn resolution(&self) -> Option<&Arc<Resolution>> {
        match self {
            Self::Relay(RelayError::Evaluation(EvaluationFailure { resolution, .. }))
            | Self::InProcess(EvaluationFailure { resolution, .. })
            | Self::TypeMismatch { resolution, .. } => Some(resolution),
            Self::NotReady { .. } | Self::Relay(_) => None,
        }
    }
}

impl fmt::Debug for ResolutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady { reason } => f.debug_tuple("NotReady").field(reason).finish(),
            Self::Relay(error) => f.debug_tuple("Relay").field(error).finish(),
            Self::InProcess(failure) => f.debug_tuple("InProcess").field(failure).finish(),
            Self::TypeMismatch {
                flag_key,
                wanted,
                found,
                ..
            } => f
                .debug_struct("TypeMismatch")
                .field("flag_key", flag_key)
                .field("wanted", wanted)
                .field("found", found)
                .finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Unreadable;

    fn status(status: u16) -> RelayError {
        RelayError::Status {
            status,
            path: "/v1/feature/flag/eval".to_owned(),
            message: None,
            code: ErrorCode::General,
            server: None,
        }
    }

    fn evaluation(code: &str, details: &str) -> RelayError {
        RelayError::Evaluation(EvaluationFailure::new(code, details, Resolution::default()))
    }

    /// GOFF-ERR-001, GOFF-ERR-002.
    #[test]
    fn known_codes_have_a_variant_and_others_pass_unchanged() {
        let known = "PROVIDER_NOT_READY FLAG_NOT_FOUND PARSE_ERROR TYPE_MISMATCH \
                     TARGETING_KEY_MISSING INVALID_CONTEXT GENERAL";
        for wire in known.split(' ') {
            assert_eq!(ErrorCode::from(wire).as_str(), wire);
            assert!(!matches!(ErrorCode::from(wire), ErrorCode::Other(_)));
        }
        let other = ErrorCode::from("FLAG_CONFIG");
        assert_eq!(other, ErrorCode::Other("FLAG_CONFIG".into()));
        assert_eq!(other.to_string(), "FLAG_CONFIG");
    }

    #[test]
    fn texts_that_are_no_code_are_general() {
        let longest = "X".repeat(LONGEST_CODE);
        assert_eq!(ErrorCode::from(&*longest).as_str(), longest);
        let too_long = format!("{longest}X");
        for text in [
            "",
            "flag_config",
            "FLAG CONFIG",
            "A\nB",
            "A\u{1b}[31m",
            "É",
            &too_long,
        ] {
            assert_eq!(ErrorCode::from(text), ErrorCode::General, "{text:?}");
        }
    }

    #[test]
    fn debug_text_leaves_out_what_the_server_answered() {
        let resolution = Resolution::new("s3cret", crate::Reason::Other("s3cret".into()))
            .with_variant("s3cret")
            .with_version("s3cret");
        let failure = EvaluationFailure::new("GENERAL", "why", resolution.clone());
        let mismatch = ResolutionError::TypeMismatch {
            flag_key: "flag".to_owned(),
            wanted: "a boolean",
            found: "a string".to_owned(),
            resolution: Arc::new(resolution),
        };
        let relay = ResolutionError::from(RelayError::Evaluation(failure.clone()));
        for error in [relay, ResolutionError::InProcess(failure), mismatch] {
            for shown in [format!("{error:?}"), error.to_string()] {
                assert!(!shown.contains("s3cret"), "{shown}");
            }
        }
    }

    /// The table of codes and origins, row by row.
    #[test]
    fn every_failure_has_a_code_and_an_origin() {
        let cause = || -> Cause { Arc::new(std::io::Error::other("x")) };
        let timeout = |sent| RelayError::Timeout {
            timeout: Duration::from_secs(10),
            sent,
            server: None,
        };
        let body = RelayError::Body {
            problem: BodyProblem::Empty,
            status: 200,
            server: None,
        };
        let key = RelayError::UnreachableFlagKey {
            flag_key: "".into(),
            reason: "is empty",
        };
        let context = RelayError::InvalidContext(ContextError::new("rate", Unreadable::NotFinite));
        let (remaining, operation) = (Duration::from_secs(1), "collect");
        let limited = RelayError::RateLimited { remaining };
        let unsupported = RelayError::Unsupported { operation };
        let open = |next_try| RelayError::CircuitOpen {
            unanswered_for: Duration::from_secs(12),
            next_try,
            last: Arc::new(timeout(true)),
        };
        let shown = open(Duration::from_millis(2_100)).to_string();
        assert!(
            shown.contains("for 12 s") && shown.contains("next try in 3 s"),
            "{shown}"
        );
        assert!(open(Duration::ZERO).to_string().contains("at this moment"));
        let reason = "the header provider panicked".to_owned();
        let headers = RelayError::Headers { reason };
        let not_connected = RelayError::NotConnected(cause());
        let invalid = evaluation("INVALID_CONTEXT", "");
        let other = evaluation("FLAG_CONFIG", "");
        let not_found = evaluation("FLAG_NOT_FOUND", "");
        let with_status = EvaluationFailure::new("GENERAL", "", Resolution::default());
        let with_status = RelayError::Evaluation(with_status.with_status(400));
        assert_eq!((other.status(), with_status.status()), (None, Some(400)));
        assert_eq!(status(503).status(), Some(503));
        use ErrorCode::*;
        for (error, code, origin) in [
            (key, FlagNotFound, Origin::NotEvaluated),
            (context, InvalidContext, Origin::NotEvaluated),
            (limited, General, Origin::NotEvaluated),
            (unsupported, General, Origin::NotEvaluated),
            (open(Duration::ZERO), General, Origin::NotEvaluated),
            (headers, General, Origin::NotEvaluated),
            (not_connected, General, Origin::NotEvaluated),
            (RelayError::Interrupted(cause()), General, Origin::Unknown),
            (timeout(false), General, Origin::NotEvaluated),
            (timeout(true), General, Origin::Unknown),
            (status(200), General, Origin::Unknown),
            (status(301), General, Origin::NotEvaluated),
            (status(401), General, Origin::NotEvaluated),
            (status(404), General, Origin::NotEvaluated),
            (status(500), General, Origin::Unknown),
            (status(502), General, Origin::Unknown),
            (body, ParseError, Origin::Unknown),
            (not_found, FlagNotFound, Origin::Relay),
            (other, Other("FLAG_CONFIG".into()), Origin::Relay),
            (invalid, InvalidContext, Origin::NotEvaluated),
        ] {
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(error.origin(), origin, "{error}");
            assert_eq!(ResolutionError::from(error.clone()).code(), code, "{error}");
        }
        let interrupted = "the connection to the relay proxy was interrupted: x";
        assert_eq!(RelayError::Interrupted(cause()).to_string(), interrupted);
        let not_ready = ResolutionError::NotReady { reason: "why" };
        assert_eq!(not_ready.code(), ProviderNotReady);
    }

    /// GOFF-ERR-004: the message depends on the class of the status and contains advice.
    #[test]
    fn message_contains_status_and_advice() {
        for (code, part) in [
            (301, "redirect"),
            (401, "api_key"),
            (403, "api_key"),
            (404, "no relay proxy answers at http://relay:1031: 404"),
            (404, "`endpoint`"),
            (501, "no relay proxy answers"),
            (413, "too large"),
            (429, "too many requests"),
            (503, "server error"),
        ] {
            let message = status(code).at(&"http://relay:1031".into()).to_string();
            assert!(message.contains("at http://relay:1031"), "{message}");
            assert!(message.contains(&code.to_string()), "{message}");
            assert!(message.contains(part), "{message}");
            assert!(message.contains("`/v1/feature/flag/eval`"), "{message}");
        }
    }

    /// GOFF-ERR-003: the evaluator's message is the error's message.
    #[test]
    fn message_is_the_details_of_a_failed_evaluation() {
        let fallback = "the evaluation failed with TARGETING_KEY_MISSING";
        for (details, message) in [
            ("Error: Empty targeting key", "Error: Empty targeting key"),
            ("", fallback),
        ] {
            assert_eq!(
                evaluation("TARGETING_KEY_MISSING", details).to_string(),
                message
            );
        }
    }
}
