//! What runs around a GO Feature Flag evaluation: context enrichment.
//!
//! The relay proxy attaches the members of `gofeatureflag.exporterMetadata`, an attribute of the
//! evaluation context, to the usage data that it records. Enrichment puts them there:
//!
//! * [`Enriched`] for a native client: a view over any context, nothing copied;
//! * [`EnrichEvaluationContextHook`] for any OpenFeature provider that sends
//!   `serde_json::Value` attributes;
//! * [`provider_hooks`] for `goff-provider`, which reads the result of each evaluation back
//!   through the enriched attribute.
//!
//! It never writes `flagList` or `currentDateTime`; those are the caller's (GOFF-CTX-009).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `open-feature` | yes | the hooks; without it only [`Enriched`] |
//!
//! # Example
//!
//! Another provider that talks to a relay proxy gets its usage data labelled:
//!
//! ```
//! # #[cfg(feature = "open-feature")] {
//! use goff_core::ExporterMetadata;
//! use goff_hooks::EnrichEvaluationContextHook;
//! use open_feature::OpenFeature;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metadata = ExporterMetadata::new([("service".to_owned(), "checkout".into())])?;
//! let client = OpenFeature::default()
//!     .create_client()
//!     .with_hook(EnrichEvaluationContextHook::new(&metadata));
//! # drop(client);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

#[cfg(feature = "open-feature")]
mod data_collector;
#[cfg(feature = "open-feature")]
mod enrich_context;
mod enriched;
mod event_buffer;
mod event_publisher;
mod tracking;
mod usage;

#[cfg(feature = "open-feature")]
pub use data_collector::DataCollectorHook;
#[cfg(feature = "open-feature")]
pub use enrich_context::{EnrichEvaluationContextHook, provider_hooks};
pub use enriched::Enriched;
pub use event_buffer::{EventBuffer, EventCounts};
pub use event_publisher::{DeliveryReport, EventPublisher, EventPublisherOptions, UsageStats};
pub use tracking::tracking_event;
pub use usage::{Usage, unix_seconds, usage};
