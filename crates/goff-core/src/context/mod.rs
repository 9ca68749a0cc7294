//! Who a flag is evaluated for: the evaluation context, the view by which any context is read in
//! place, and what is derived from one: its JSON forms and the cache key.

mod attribute;
mod attribute_name;
mod cache_key;
mod canonical;
mod evaluation_context;
mod exporter_metadata;
mod finite;
mod json;
mod view;

pub use attribute::{
    Attribute, AttributeRef, EXPORTER_METADATA, GOFEATUREFLAG, GoFeatureFlagRef, Unreadable,
};
pub use cache_key::{CacheKey, CacheKeyRef};
pub use evaluation_context::{EvaluationContext, EvaluationContextBuilder};
pub use exporter_metadata::{ExporterMetadata, ExporterMetadataError};
pub use json::{write_flat_form, write_nested_form};
pub use view::{ContextError, ContextView};

pub(crate) use attribute_name::is_name;

#[cfg(feature = "open-feature")]
pub(crate) use {
    attribute::number_ref,
    canonical::{Canonical, Members},
    json::{write_json, write_name},
};
