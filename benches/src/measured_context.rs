//! The measured context as plain values. `default-profile`, `peers` and `tests-wasm` compile this file too.

use serde_json::{Value, json};

/// The targeting key of every measured context.
pub const USER: &str = "8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90";

/// The ten attributes beside the targeting key.
#[must_use]
pub fn attributes() -> Vec<(&'static str, Value)> {
    vec![
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
    ]
}
