//! About how many bytes of memory values keep, to bound what is buffered and cached.

use serde_json::{Map, Value};

/// The size of a value.
#[must_use]
pub fn value_size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text_size(text),
            Value::Array(items) => {
                let spare = items.capacity() - items.len();
                ALLOCATION
                    + spare * size_of::<Value>()
                    + items.iter().map(value_size).sum::<usize>()
            }
            Value::Object(members) => map_size(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// The size of a map's members. The nodes of its tree may be half full.
#[must_use]
pub fn map_size(map: &Map<String, Value>) -> usize {
    let member = |(name, value): (&String, &Value)| {
        size_of::<(String, Value)>() + size_of::<String>() + text_size(name) + value_size(value)
    };
    map.iter().map(member).sum()
}

/// The size of a text on the heap.
#[must_use]
pub fn text_size(text: &str) -> usize {
    match text.len() {
        0 => 0,
        length => ALLOCATION + length,
    }
}

/// What the allocator needs for one allocation, rounding included.
const ALLOCATION: usize = 16;
