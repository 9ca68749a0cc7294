//! Vocabulary and seams of the GO Feature Flag crates: what the transports, the hooks, the client
//! and the provider meet at.
//!
//! This crate opens no socket, reads no file and spawns nothing by itself. It holds
//!
//! * the evaluation context, [`EvaluationContext`], and the view by which any context is read in
//!   place, [`ContextView`];
//! * the [`FlagConfiguration`] that in-process evaluation works with, flags kept opaque;
//! * what an evaluation gives: [`Resolution`], its projection into a Rust type ([`FlagType`]), the
//!   errors with their one table of codes, and the [`Outcome`] with its [`Origin`];
//! * the [`CacheKey`] that makes two evaluations the same one;
//! * [`BackgroundTask`], by which every task of these crates is owned and stopped;
//! * the seams: [`RelayClient`] (what a relay proxy can be asked), [`Connect`] (one stream to it),
//!   [`EventSink`] (usage data), [`InvalidationSink`] (changed flags).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `open-feature` | no | conversions to and from the OpenFeature SDK: its context as a `ContextView`, our errors as its errors |
//!
//! # Example
//!
//! A relay proxy of one's own, for a test or another transport:
//!
//! ```
//! use goff_core::{
//!     BulkEvaluation, ConfigurationUpdate, ContextView, Etag, EventBatch, FlagConfiguration, Reason,
//!     RelayClient, RelayError, Resolution,
//! };
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
//!         Ok(Resolution {
//!             value: true.into(),
//!             reason: Reason::Static,
//!             ..Resolution::default()
//!         })
//!     }
//!
//!     async fn evaluate_all(&self, _: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
//!         Ok(BulkEvaluation::new())
//!     }
//!
//!     async fn flag_configuration(
//!         &self,
//!         _flags: &[String],
//!         _held: Option<&Etag>,
//!     ) -> Result<ConfigurationUpdate, RelayError> {
//!         Ok(ConfigurationUpdate::Loaded(FlagConfiguration::default()))
//!     }
//!
//!     async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
//!         Ok(())
//!     }
//! }
//! ```

mod context;
mod evaluation;
mod relay;
#[cfg(feature = "open-feature")]
mod sdk;
mod task;
mod usage;

pub use context::{
    Attribute, AttributeRef, CacheKey, CacheKeyRef, ContextError, ContextView, EXPORTER_METADATA,
    EvaluationContext, EvaluationContextBuilder, ExporterMetadata, GOFEATUREFLAG, GoffRef,
    InvalidExporterMetadata, Unreadable, attribute, write_flat_form, write_nested_form,
};
pub use evaluation::{
    BodyProblem, Cause, ErrorCode, EvaluationFailure, EvaluationType, FallbackOrigin, FlagType,
    Metadata, Origin, Outcome, OutcomeSlot, Projection, Reason, RelayError, Resolution,
    ResolutionError, SDK_DEFAULT_VARIANT, project, project_with,
};
pub use relay::{
    ApiKey, BulkEvaluation, ByteStream, ConfigurationUpdate, Connect, Endpoint, EndpointError,
    Etag, FlagConfiguration, InvalidApiKey, Invalidation, InvalidationSink, RelayClient,
    StreamState,
};
#[cfg(feature = "open-feature")]
pub use sdk::{FLAG_DISABLED, GoffAttribute, NULL_VALUE, is_disabled, resolution_details};
pub use task::{BackgroundTask, Backoff, NoRuntime, StopSignal, Stopped, random};
pub use usage::{
    ContextKind, Event, EventBatch, EventSink, EventSource, FeatureEvent, TrackingEvent,
    UNDEFINED_TARGETING_KEY, UserKey,
};
