//! The seam between evaluation and transport: what a relay proxy can be asked.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::context::ContextView;
use crate::evaluation::{EvaluationFailure, RelayError, Resolution};
use crate::relay::{ConfigurationUpdate, Etag};
use crate::usage::EventBatch;

/// A relay proxy, by whatever transport. `goff-http` implements it over HTTP; a test scripts one.
///
/// Called concurrently, from any task: once per uncached evaluation, per refresh of the
/// configuration and per batch of usage data. An implementation bounds its own time (GOFF-REM-006),
/// does not retry (GOFF-REM-005), never panics, and blocks no thread.
#[async_trait]
pub trait RelayClient: fmt::Debug + Send + Sync {
    /// Evaluates one flag.
    ///
    /// # Errors
    /// [`RelayError`]; an answer that carries an error code is one, whatever its HTTP status.
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError>;

    /// Evaluates every flag, or those that `gofeatureflag.flagList` in the context names.
    ///
    /// # Errors
    /// [`RelayError`] when the request as a whole failed.
    async fn evaluate_all(&self, _context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        Err(RelayError::Unsupported {
            operation: "evaluate_all",
        })
    }

    /// Asks for the flags themselves, to evaluate them in process (GOFF-IP-001): those of `flags`,
    /// or all where it is empty (GOFF-IP-002). `held` is the ETag of the configuration that the
    /// caller has; without one the answer is a configuration.
    ///
    /// # Errors
    /// [`RelayError`], where there is no configuration that can be read (GOFF-IP-008).
    async fn flag_configuration(
        &self,
        _flags: &[String],
        _held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        Err(RelayError::Unsupported {
            operation: "flag_configuration",
        })
    }

    /// Delivers usage data. Never sent twice by itself: the wire has no deduplication key.
    ///
    /// # Errors
    /// [`RelayError`]; unless its [`origin`](RelayError::origin) is
    /// [`NotEvaluated`](crate::Origin::NotEvaluated), the batch may have arrived.
    async fn collect(&self, _batch: &EventBatch) -> Result<(), RelayError> {
        Err(RelayError::Unsupported {
            operation: "collect",
        })
    }
}

/// The flags of one bulk evaluation by key: each with its resolution, or its own failure.
pub type BulkEvaluation = BTreeMap<String, Result<Resolution, EvaluationFailure>>;
