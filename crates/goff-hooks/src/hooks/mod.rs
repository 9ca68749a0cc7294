//! The two OpenFeature hooks: enrichment of the context, and usage data.

pub use self::data_collector::DataCollectorHook;
pub use self::enrich_context::{EnrichEvaluationContextHook, provider_hooks};

mod data_collector;
mod enrich_context;
mod sync_hook;
