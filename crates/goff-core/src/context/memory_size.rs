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

/// The size of a map's members.
#[must_use]
pub fn map_size(map: &Map<String, Value>) -> usize {
    let on_the_heap =
        |(name, value): (&String, &Value)| text_size(name) + value_size(value) - size_of::<Value>();
    let tree = match map.len() {
        0 => 0,
        // The nodes may be half full.
        members => (2 * members * size_of::<(String, Value)>()).max(NODE),
    };
    tree + map.iter().map(on_the_heap).sum::<usize>()
}

/// A node of the tree of a map, which the smallest map has too.
const NODE: usize = ALLOCATION + 11 * size_of::<(String, Value)>();

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
