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

mod api_key;
mod attribute;
mod attribute_name;
mod background;
mod backoff;
mod cache_key;
mod canonical;
mod connect;
mod context;
mod context_json;
mod context_view;
mod endpoint;
mod error;
mod evaluation_type;
mod event;
mod exporter_metadata;
mod finite;
mod flag_configuration;
mod flag_type;
mod invalidation;
mod metadata;
mod outcome;
mod relay;
mod resolution;
#[cfg(feature = "open-feature")]
mod sdk;
mod user_key;

pub use api_key::{ApiKey, InvalidApiKey};
pub use attribute::{
    Attribute, AttributeRef, EXPORTER_METADATA, GOFEATUREFLAG, GoffRef, Unreadable, attribute,
};
pub use background::{BackgroundTask, NoRuntime, StopSignal, Stopped};
pub use backoff::{Backoff, random};
pub use cache_key::{CacheKey, CacheKeyRef};
pub use connect::{ByteStream, Connect};
pub use context::{EvaluationContext, EvaluationContextBuilder};
pub use context_json::{write_flat_form, write_nested_form};
pub use context_view::{ContextError, ContextView};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{BodyProblem, Cause, ErrorCode, EvaluationFailure, RelayError, ResolutionError};
pub use evaluation_type::EvaluationType;
pub use event::{
    ContextKind, Event, EventBatch, EventSink, EventSource, FeatureEvent, TrackingEvent,
    UNDEFINED_TARGETING_KEY,
};
pub use exporter_metadata::{ExporterMetadata, InvalidExporterMetadata};
pub use flag_configuration::{ConfigurationUpdate, Etag, FlagConfiguration};
pub use flag_type::{FlagType, Projection, project, project_with};
pub use invalidation::{Invalidation, InvalidationSink, StreamState};
pub use metadata::Metadata;
pub use outcome::{FallbackOrigin, Origin, Outcome, OutcomeSlot};
pub use relay::{BulkEvaluation, RelayClient};
pub use resolution::{Reason, Resolution, SDK_DEFAULT_VARIANT};
#[cfg(feature = "open-feature")]
pub use sdk::{FLAG_DISABLED, GoffAttribute, NULL_VALUE, is_disabled, resolution_details};
pub use user_key::UserKey;
