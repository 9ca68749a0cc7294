//! Vocabulary and seams of the GO Feature Flag crates: the types and traits that the transports, the
//! hooks, the client and the provider share.
//!
//! This crate opens no socket, reads no file and starts no task. It contains
//!
//! * the evaluation context, [`EvaluationContext`], and the view through which any context is read,
//!   [`ContextView`];
//! * the [`FlagConfiguration`] for in-process evaluation, whose flags it does not interpret;
//! * the result of an evaluation: [`Resolution`], its conversion to a Rust type ([`FlagType`]), the
//!   errors with their one table of codes, and the [`Outcome`] with its [`Origin`];
//! * the seams: [`RelayClient`] (requests to a relay proxy), [`Connect`] (a stream to it),
//!   [`EventSink`] (usage data), [`InvalidationSink`] (changed flags).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `open-feature` | no | conversions from and to the OpenFeature SDK: its context as a `ContextView`, the errors here as its errors; includes `time` |
//! | `time` | no | `std::time::SystemTime` and the dates of the crate `time` as attributes |
//! | `chrono` | no | the dates of the crate `chrono` as attributes; includes `time` |
//!
//! # Example
//!
//! A custom relay client, for a test or another transport. Only `evaluate` is required. The client
//! caches an answer that is marked with [`with_cacheable`](Resolution::with_cacheable), and only
//! that.
//!
//! ```
//! use goff_core::{ContextView, Reason, RelayClient, RelayError, Resolution};
//!
//! #[derive(Debug)]
//! struct AlwaysOn;
//!
//! #[async_trait::async_trait]
//! impl RelayClient for AlwaysOn {
//!     async fn evaluate(
//!         &self,
//!         _flag_key: &str,
//!         _context: &dyn ContextView,
//!     ) -> Result<Resolution, RelayError> {
//!         Ok(Resolution::new(true, Reason::Static))
//!     }
//! }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod context;
mod evaluation;
mod relay;
#[cfg(feature = "open-feature")]
mod sdk;
mod task;
mod usage;

pub use context::{
    Attribute, AttributeRef, ContextError, ContextView, EXPORTER_METADATA, EvaluationContext,
    EvaluationContextBuilder, ExporterMetadata, ExporterMetadataError, GOFEATUREFLAG,
    IntoTargetingKey, Unreadable,
};
pub use evaluation::{
    BodyProblem, Cause, ErrorCode, EvaluationFailure, EvaluationType, FallbackOrigin, FlagType,
    Origin, Outcome, Reason, RelayError, Resolution, ResolutionError, SDK_DEFAULT_VARIANT,
};
pub use relay::{
    ApiKey, ApiKeyError, BulkEvaluation, ByteStream, ConfigurationUpdate, Connect, ConnectionError,
    ConnectionProblem, Endpoint, EndpointError, Etag, FlagConfiguration, FlagsJson, HeaderProvider,
    Invalidation, InvalidationSink, RelayClient, StreamState,
};
#[cfg(feature = "open-feature")]
pub use sdk::{FLAG_DISABLED, NULL_VALUE, is_disabled};
pub use task::NoRuntimeError;
pub use usage::{
    ContextKind, Event, EventBatch, EventSink, EventSource, FeatureEvent, TrackingEvent,
    UNDEFINED_TARGETING_KEY,
};

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    pub use crate::context::{
        CacheKey, CacheKeyRef, GoFeatureFlagRef, canonical_hash, is_too_deep, map_size, text_size,
        value_size, write_flat_form, write_nested_form,
    };
    pub use crate::evaluation::{
        FlagKeyRef, OutcomeRef, OutcomeSlot, Projection, flag_not_found, project, project_with,
        shown_flag_key,
    };
    pub use crate::relay::{RequestObserver, Watch, WatchedStream, with_provided};
    #[cfg(feature = "open-feature")]
    pub use crate::sdk::{GoFeatureFlagAttribute, resolution_details, value_to_json};
    pub use crate::task::{
        A_YEAR, BackgroundTask, Backoff, IoRuntime, NoRuntimeError, NotAnswered, OwnRuntime,
        Panicked, StopSignal, Stopped, contained, end_after, first_interval, for_each_trace_header,
        in_current_context, jittered, logged, random_u64, shortened, spread, timeout, timeout_at,
    };
}
