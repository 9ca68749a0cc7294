//! The evaluation context: the native one, the view through which any context is read, its JSON
//! forms, and the cache key.

mod attribute;
mod cache_key;
mod canonical;
mod content;
#[cfg(feature = "time")]
mod date;
mod depth;
mod evaluation_context;
mod exporter_metadata;
mod json;
mod memory_size;
mod scan;
mod unreadable;
mod view;

pub use attribute::{Attribute, AttributeRef, EXPORTER_METADATA, GOFEATUREFLAG, GoFeatureFlagRef};
pub use cache_key::{CacheKey, CacheKeyRef};
pub use canonical::canonical_hash;
#[cfg(feature = "open-feature")]
pub(crate) use date::date_text;
#[cfg(feature = "open-feature")]
pub(crate) use depth::MAX_DEPTH;
pub use depth::is_too_deep;
pub use evaluation_context::{EvaluationContext, EvaluationContextBuilder, IntoTargetingKey};
pub use exporter_metadata::{ExporterMetadata, ExporterMetadataError};
pub use json::{write_flat_form, write_nested_form};
pub use memory_size::{map_size, text_size, value_size};
pub use unreadable::Unreadable;
pub use view::{ContextError, ContextView};
