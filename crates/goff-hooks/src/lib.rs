//! What runs around a GO Feature Flag evaluation: usage data and context enrichment.
//!
//! **Usage data.** The relay proxy records the evaluations that it makes. What a client answers by
//! itself, from a cache or in its own process, only the client can record, and it must not record
//! what the relay proxy did.
//!
//! * [`usage`] decides, from the outcome of an evaluation, whether it is recorded and as what;
//! * [`DataCollectorHook`] records for any OpenFeature provider, by what the SDK tells a hook;
//! * [`EventPublisher`] takes events without ever waiting and delivers them through any
//!   [`RelayClient`](goff_core::RelayClient), goff-http's for example;
//! * [`tracking_event`] makes an event of something else that happened to a user.
//!
//! **Enrichment.** The relay proxy attaches the members of `gofeatureflag.exporterMetadata`, an
//! attribute of the evaluation context, to the usage data that it records.
//!
//! * [`Enriched`] puts them there for a native client: a view over any context, nothing copied;
//! * [`EnrichEvaluationContextHook`] does so for any OpenFeature provider that sends
//!   `serde_json::Value` attributes.
//!
//! It never writes `flagList` or `currentDateTime`; those are the caller's (GOFF-CTX-009).
//!
//! [`provider_hooks`] are both hooks in the form for `goff-provider`, which hands the outcome of
//! each evaluation to the collector through the enriched attribute.
//!
//! What it does not do: evaluate, cache, speak HTTP, or keep events beyond the process.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `open-feature` | yes | the hooks; without it, what a native client calls directly |
//!
//! # Example
//!
//! Another provider that talks to a relay proxy, and has a cache of its own, gets its cache hits
//! and failures recorded, and everything labelled. A whole program is
//! `examples/somebody_elses_provider.rs`.
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

mod enriched_context;
#[cfg(feature = "open-feature")]
mod hooks;
mod publisher;
mod usage;

pub use enriched_context::Enriched;
#[cfg(feature = "open-feature")]
pub use hooks::{DataCollectorHook, EnrichEvaluationContextHook, provider_hooks};
pub use publisher::{DeliveryReport, EventPublisher, EventPublisherOptions, UsageStats};
pub use usage::{Usage, tracking_event, unix_seconds, usage};
