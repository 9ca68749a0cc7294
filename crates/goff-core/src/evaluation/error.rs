//! [`ResolutionError`], and the one table that maps the errors of an evaluation to error codes and
//! origins.

use std::fmt;
use std::sync::Arc;

use crate::evaluation::{ErrorCode, EvaluationFailure, Origin, RelayError, Resolution};

/// Why an evaluation failed. `Debug` leaves out the resolution, whose texts are the server's.
///
/// *Specification*: GOFF-LIFE-006, GOFF-ERR-001, GOFF-ERR-003, GOFF-EVAL-002 to -005.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolutionError {
    /// The client is not initialized, or was shut down.
    #[error("{reason}")]
    NotReady {
        /// Which of the two, and what to do next.
        reason: &'static str,
    },
    /// The request to the relay proxy failed.
    #[error("{0}")]
    Relay(#[from] RelayError),
    /// The in-process evaluation failed, with the code of the engine.
    #[error("{0}")]
    InProcess(EvaluationFailure),
    /// The flag's value does not have the requested type.
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

    /// The same error without the texts of servers ([`RelayError::without_server_texts`]).
    #[must_use]
    pub fn without_server_texts(&self) -> Self {
        match self {
            Self::Relay(error) => Self::Relay(error.without_server_texts()),
            error => error.clone(),
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
    use std::time::Duration;

    use super::*;
    use crate::context::{ContextError, Unreadable};
    use crate::evaluation::relay_error::tests::{evaluation, status};
    use crate::evaluation::{BodyProblem, Cause};

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
}
