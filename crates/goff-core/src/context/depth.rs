//! A bound on nesting: hashing, writing and dropping JSON use the stack.

use serde_json::Value;

/// The most levels of lists and objects in an attribute. What `serde_json` parses has at most 128.
pub(crate) const MAX_DEPTH: usize = 512;

/// Whether lists and objects are nested deeper than 512 levels.
pub fn is_too_deep(value: &Value) -> bool {
    exceeds(value, MAX_DEPTH)
}

/// Stops at the first value that is too deep, so its own depth is bounded.
fn exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| exceeds(item, levels - 1)),
        Value::Object(members) => {
            levels == 0 || members.values().any(|member| exceeds(member, levels - 1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize, wrap: fn(Value) -> Value) -> Value {
        (0..levels).fold(json!(1), |value, _| wrap(value))
    }

    #[test]
    fn lists_and_objects_are_counted() {
        let list = |value| Value::Array(vec![json!(1), value]);
        let object = |value| Value::Object([("a".to_owned(), value)].into_iter().collect());
        for wrap in [list, object] {
            assert!(!is_too_deep(&nested(MAX_DEPTH, wrap)));
            assert!(is_too_deep(&nested(MAX_DEPTH + 1, wrap)));
        }
        assert!(!is_too_deep(&json!("text")));
    }
}
