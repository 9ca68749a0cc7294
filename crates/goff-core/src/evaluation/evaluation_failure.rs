//! [`EvaluationFailure`]: an answer with an error code.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::evaluation::{ErrorCode, Resolution};

/// An evaluation that ended in an error code. `Debug` leaves out the resolution, whose texts are the
/// server's.
///
/// *Specification*: GOFF-ERR-003.
#[derive(Clone)]
#[non_exhaustive]
pub struct EvaluationFailure {
    /// The code, possibly a raw one.
    pub code: ErrorCode,
    /// The evaluator's message; may be empty.
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
