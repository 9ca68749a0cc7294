//! The context of the engine's measurements. `default-profile` and `tests-wasm` compile this file too.

use goff_engine::{Attribute, Attributes};
use serde_json::Value;

use crate::measured_context;
pub use crate::measured_context::USER;

/// Ten attributes beside the targeting key, looked up by scanning.
#[derive(Debug)]
pub struct NativeContext {
    /// Names and values.
    pub attributes: Vec<(&'static str, Value)>,
}

impl NativeContext {
    /// The context of every measurement.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attributes: measured_context::attributes(),
        }
    }
}

impl Default for NativeContext {
    fn default() -> Self {
        Self::new()
    }
}

impl Attributes for NativeContext {
    fn targeting_key(&self) -> Option<&str> {
        Some(USER)
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        if name == "targetingKey" {
            return Some(Attribute::Str(USER));
        }
        self.attributes
            .iter()
            .find(|(attribute, _)| *attribute == name)
            .map(|(_, value)| Attribute::Json(value))
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        visit("targetingKey", Attribute::Str(USER));
        for (name, value) in &self.attributes {
            visit(name, Attribute::Json(value));
        }
    }
}
