//! [`RelayError`]: why the relay proxy gave no result.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::ContextError;
use crate::evaluation::{ErrorCode, EvaluationFailure, Origin};

/// Why a request to the relay proxy gave no result.
///
/// *Specification*: GOFF-REM-004.
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
    /// The relay proxy, or a gateway before it, limits the rate of requests (429 with
    /// `Retry-After`); nothing was sent.
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
    /// The error code: together with [`ResolutionError::code`](crate::ResolutionError::code) the one table of codes.
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
            Self::CircuitOpen { last, .. } => *last = Arc::new(last.without_server_texts()),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evaluation::Resolution;

    pub(in crate::evaluation) fn status(status: u16) -> RelayError {
        RelayError::Status {
            status,
            path: "/v1/feature/flag/eval".to_owned(),
            message: None,
            code: ErrorCode::General,
            server: None,
        }
    }

    pub(in crate::evaluation) fn evaluation(code: &str, details: &str) -> RelayError {
        RelayError::Evaluation(EvaluationFailure::new(code, details, Resolution::default()))
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
