//! The OpenFeature hooks: enrichment of the context, usage data, and telemetry.

pub use self::data_collector::DataCollectorHook;
pub use self::enrich_context::{EnrichEvaluationContextHook, provider_hooks};
pub use self::telemetry::TelemetryHook;

mod data_collector;
mod enrich_context;
mod sync_hook;
mod telemetry;
