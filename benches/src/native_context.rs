//! The context of the engine's measurements. `default-profile` compiles this file too.

use goff_engine::{Attribute, Attributes};
use serde_json::{Value, json};

/// The targeting key of every measured context.
pub const USER: &str = "8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90";

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
            attributes: vec![
                ("age", json!(42)),
                ("beta", json!(true)),
                ("company", json!({"id": 7, "plan": "team"})),
                ("country", json!("FR")),
                ("email", json!("ada@example.com")),
                ("plan", json!("pro")),
                ("ratio", json!(0.25)),
                ("score", json!(17)),
                ("tags", json!(["alpha", "beta"])),
                ("version", json!("1.4.0")),
            ],
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
