//! Usage data and context enrichment around GO Feature Flag evaluations.
//!
//! **Usage data.** The relay proxy records the evaluations that it makes. Evaluations answered from
//! a cache or in the application's process are recorded by the client, and only those.
//!
//! * [`DataCollectorHook`] records the evaluations of any OpenFeature provider.
//! * [`EventPublisher`] takes events without waiting and delivers them in the background through
//!   any [`RelayClient`](goff_core::RelayClient), such as goff-http's.
//! * [`EventFilter`] stands before a sink and passes on a sample of the events, or no repeats.
//! * [`tracking_event`] creates an event for something else that a user did.
//!
//! **Enrichment.** The relay proxy attaches the members of `gofeatureflag.exporterMetadata`, an
//! attribute of the evaluation context, to the usage data that it records.
//!
//! * [`EnrichEvaluationContextHook`] adds the attribute for any OpenFeature provider that sends
//!   `serde_json::Value` attributes.
//! * [`EnrichedContext`] adds it without a hook: a view over any context, which copies nothing.
//!
//! Both leave `flagList` and `currentDateTime` in that attribute to the caller.
//!
//! **Telemetry.** [`TelemetryHook`] emits an event for each evaluation of any OpenFeature provider, and
//! with the feature `opentelemetry` metrics, by OpenTelemetry's conventions.
//!
//! This crate does not evaluate, cache, speak HTTP or store events on disk.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `open-feature` | yes | the hooks; without it the crate does not depend on the OpenFeature SDK |
//! | `opentelemetry` | no | the metrics of [`TelemetryHook`], through the crate `opentelemetry` |
//!
//! # Example
//!
//! For a third-party provider that talks to a relay proxy and caches its answers, this records cache
//! hits and errors and labels all usage data. `examples/third_party_provider.rs` is a complete
//! program.
//!
//! ```
//! # #[cfg(feature = "open-feature")] {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use goff_core::ExporterMetadata;
//! use goff_hooks::{
//!     DataCollectorHook, EnrichEvaluationContextHook, EventPublisher, EventPublisherOptions,
//! };
//! use goff_http::{HttpRelayClient, HttpRelayClientOptions};
//! use open_feature::OpenFeature;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = HttpRelayClientOptions::new("http://localhost:1031".parse()?);
//! let relay_proxy = HttpRelayClient::new(options)?;
//! let metadata = ExporterMetadata::new([("service".to_owned(), "checkout".into())])?;
//! let publisher = Arc::new(EventPublisher::new(
//!     Arc::new(relay_proxy),
//!     EventPublisherOptions::default().exporter_metadata(metadata.clone()),
//! ));
//! publisher.start()?;
//! let client = OpenFeature::default()
//!     .create_client()
//!     .with_hook(EnrichEvaluationContextHook::new(&metadata))
//!     .with_hook(DataCollectorHook::new(publisher.clone()));
//! // … evaluate with the client …
//! # drop(client);
//! let report = publisher.shutdown(Duration::from_secs(5)).await;
//! assert_eq!(report.recorded, report.delivered + report.dropped + report.pending);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod enriched_context;
#[cfg(feature = "open-feature")]
mod hooks;
mod publisher;
mod telemetry;
mod usage;

pub use enriched_context::EnrichedContext;
#[cfg(feature = "open-feature")]
pub use hooks::{DataCollectorHook, EnrichEvaluationContextHook, TelemetryHook};
pub use publisher::{DeliveryReport, EventPublisher, EventPublisherOptions, UsageStats};
pub use telemetry::TelemetryOptions;
pub use usage::{EventFilter, EventFilterOptions, tracking_event};

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    #[cfg(feature = "open-feature")]
    pub use crate::hooks::provider_hooks;
    pub use crate::publisher::{QueuedSink, is_locked};
    pub use crate::telemetry::{
        ActiveEvaluation, Evaluated, EvaluationTelemetry, FLAG_SET_ID, Failure, VERSION,
    };
    pub use crate::usage::{UsageDecision, unix_seconds};
}
