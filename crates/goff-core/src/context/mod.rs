//! The evaluation context: the native one, the view through which any context is read, its JSON
//! forms, and the cache key.

mod attribute;
mod cache_key;
mod canonical;
mod content;
mod evaluation_context;
mod exporter_metadata;
mod finite;
mod json;
mod view;

pub use attribute::{
    Attribute, AttributeRef, EXPORTER_METADATA, GOFEATUREFLAG, GoFeatureFlagRef, Unreadable,
};
pub use cache_key::{CacheKey, CacheKeyRef};
pub use canonical::canonical_hash;
pub use evaluation_context::{EvaluationContext, EvaluationContextBuilder};
pub use exporter_metadata::{ExporterMetadata, ExporterMetadataError};
pub use json::{write_flat_form, write_nested_form};
pub use view::{ContextError, ContextView};
