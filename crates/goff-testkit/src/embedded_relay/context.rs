//! The evaluation context of a request.

use goff_engine::{Attribute, Attributes};
use serde_json::{Map, Value};

/// A context that the engine can read.
#[derive(Debug, Default)]
pub(super) struct Context {
    key: String,
    attributes: Map<String, Value>,
}

impl Context {
    pub(super) fn new(key: Option<String>, attributes: Option<Map<String, Value>>) -> Self {
        Self {
            key: key.unwrap_or_default(),
            attributes: attributes.unwrap_or_default(),
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.attributes.get("anonymous") == Some(&Value::Bool(true))
    }

    /// A member of the attribute `gofeatureflag`.
    fn specifics(&self, name: &str) -> Option<&Value> {
        self.attributes.get("gofeatureflag")?.as_object()?.get(name)
    }

    pub(super) fn exporter_metadata(&self) -> Option<&Map<String, Value>> {
        self.specifics("exporterMetadata")?.as_object()
    }

    /// The flags to which a bulk evaluation is restricted, if it is.
    pub(super) fn flag_list(&self) -> Option<Vec<&str>> {
        let list = self.specifics("flagList")?.as_array()?;
        let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        (!list.is_empty()).then_some(list)
    }
}

impl Attributes for Context {
    fn targeting_key(&self) -> Option<&str> {
        Some(&self.key)
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        if name == "targetingKey" {
            return Some(Attribute::Str(&self.key));
        }
        self.attributes.get(name).map(Attribute::Json)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        visit("targetingKey", Attribute::Str(&self.key));
        for (name, value) in &self.attributes {
            if name != "targetingKey" {
                visit(name, Attribute::Json(value));
            }
        }
    }
}
