//! What an evaluation is given besides the flag and the evaluation context.

use serde_json::{Map, Value};

/// The caller's default value, and attributes that are added to every context.
///
/// ```
/// use goff_engine::FlagContext;
/// use serde_json::json;
///
/// let mut context = FlagContext::new(json!(false));
/// context.enrichment.insert("region".into(), json!("eu"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FlagContext {
    /// The value of an evaluation that ends in an error or finds the flag disabled.
    /// Default: null.
    pub default_value: Value,
    /// Attributes that win over those of the evaluation context. The relay
    /// proxy calls them `evaluationContextEnrichment`. Default: none.
    pub enrichment: Map<String, Value>,
}

impl FlagContext {
    /// A default value, and no enrichment.
    #[must_use]
    pub fn new(default_value: Value) -> Self {
        Self {
            default_value,
            enrichment: Map::new(),
        }
    }

    /// The same with these attributes as the enrichment.
    #[must_use]
    pub fn with_enrichment(mut self, enrichment: Map<String, Value>) -> Self {
        self.enrichment = enrichment;
        self
    }
}
