//! What an evaluation knows beside the flag and the evaluation context.

use serde_json::{Map, Value};

/// The caller's default value, and attributes that are added to every context.
///
/// ```
/// use goff_engine::FlagContext;
/// use serde_json::json;
///
/// let mut context = FlagContext::default();
/// context.default_value = json!(false);
/// context.enrichment.insert("region".into(), json!("eu"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagContext {
    /// The value of an evaluation that ends in an error or finds the flag disabled.
    pub default_value: Value,
    /// Attributes that win over those of the evaluation context. The relay
    /// proxy calls them `evaluationContextEnrichment`.
    pub enrichment: Map<String, Value>,
}
