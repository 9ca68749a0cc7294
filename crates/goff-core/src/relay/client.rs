//! The seam between evaluation and transport.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::context::ContextView;
use crate::evaluation::{EvaluationFailure, RelayError, Resolution};
use crate::relay::{ConfigurationUpdate, Etag};
use crate::usage::EventBatch;

/// The requests to a relay proxy, over any transport. `goff-http` implements it over HTTP;
/// `goff-testkit` has a scripted one.
///
/// Methods are called concurrently, from any task: once per uncached evaluation, per refresh of the
/// configuration and per batch of usage data. An implementation applies a timeout, does not retry,
/// never panics, and blocks no thread. Only [`evaluate`](Self::evaluate) is required; the other
/// methods default to [`RelayError::Unsupported`]:
///
/// | method | without it |
/// |---|---|
/// | [`evaluate_all`](Self::evaluate_all) | bulk evaluation fails in remote mode |
/// | [`flag_configuration`](Self::flag_configuration) | in-process evaluation has no flags |
/// | [`collect`](Self::collect) | usage data stays pending, up to the limit of the buffer; set the client's option `disable_data_collection` |
///
/// *Specification*: GOFF-REM-006, GOFF-REM-005.
#[async_trait]
pub trait RelayClient: fmt::Debug + Send + Sync {
    /// Evaluates one flag.
    ///
    /// # Errors
    /// [`RelayError`], also for an answer with an error code, whatever its HTTP status.
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

    /// Fetches the flag configuration for in-process evaluation: the flags in `flags`, or all if it
    /// is empty. `held` is the ETag of the caller's current configuration; without one the answer
    /// is always a configuration.
    ///
    /// *Specification*: GOFF-IP-001, GOFF-IP-002, GOFF-IP-008.
    ///
    /// # Errors
    /// [`RelayError`], also for an answer without a readable configuration.
    async fn flag_configuration(
        &self,
        _flags: &[String],
        _held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        Err(RelayError::Unsupported {
            operation: "flag_configuration",
        })
    }

    /// Delivers usage data, in one attempt: the wire has no deduplication key.
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

/// The flags of a bulk evaluation by key, each with its resolution or its failure.
pub type BulkEvaluation = BTreeMap<String, Result<Resolution, EvaluationFailure>>;
