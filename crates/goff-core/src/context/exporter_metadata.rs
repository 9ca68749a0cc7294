//! Exporter metadata: identifies this application in the usage data.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Metadata sent with every evaluation (`gofeatureflag.exporterMetadata`) and every batch of events
/// (`meta`): the user's scalars plus `provider: "rust"` and `openfeature: true`, which replace
/// entries of the same name.
///
/// Cloning shares the map.
///
/// *Specification*: GOFF-COLL-011, GOFF-COLL-012.
#[derive(Debug, Clone, PartialEq)]
pub struct ExporterMetadata(Arc<Map<String, Value>>);

impl ExporterMetadata {
    /// Checks the user's entries and adds the reserved ones.
    ///
    /// *Specification*: GOFF-COLL-013.
    ///
    /// # Errors
    /// An entry that is not a string, boolean or finite number.
    pub fn new(
        entries: impl IntoIterator<Item = (String, Value)>,
    ) -> Result<Self, ExporterMetadataError> {
        let mut map = Map::new();
        for (key, value) in entries {
            let found = match &value {
                Value::String(_) | Value::Bool(_) | Value::Number(_) => {
                    map.insert(key, value);
                    continue;
                }
                // `Value::from(f64::NAN)` is null, so the two cannot be distinguished.
                Value::Null => "null, NaN or infinite",
                Value::Array(_) => "a list",
                Value::Object(_) => "an object",
            };
            return Err(ExporterMetadataError { key, found });
        }
        Ok(Self::with_reserved(map))
    }

    fn with_reserved(mut map: Map<String, Value>) -> Self {
        map.insert("provider".to_owned(), Value::from("rust"));
        map.insert("openfeature".to_owned(), Value::from(true));
        Self(Arc::new(map))
    }

    /// The entries, reserved ones included.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Default for ExporterMetadata {
    /// Only the reserved entries.
    fn default() -> Self {
        Self::with_reserved(Map::new())
    }
}

impl serde::Serialize for ExporterMetadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// An entry that cannot be exporter metadata. The message names the key, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry `{key}` is {found}; use a string, a boolean or a finite number")]
pub struct ExporterMetadataError {
    key: String,
    found: &'static str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(value: Value) -> impl Iterator<Item = (String, Value)> {
        [("entry".to_owned(), value)].into_iter()
    }

    /// GOFF-COLL-013, docs/python-parity.md C22: scalars only, on a copy.
    #[test]
    fn scalars_are_accepted_and_other_entries_refused_by_name() {
        for scalar in [json!("x"), json!(true), json!(1), json!(-1.5)] {
            let metadata = ExporterMetadata::new(entries(scalar.clone())).unwrap();
            assert_eq!(metadata.as_map()["entry"], scalar);
        }
        for other in [json!(null), json!(f64::NAN), json!([1]), json!({"a": 1})] {
            let error = ExporterMetadata::new(entries(other)).unwrap_err();
            assert!(error.to_string().contains("`entry`"), "{error}");
        }
    }

    /// GOFF-COLL-011, GOFF-COLL-012: the reserved entries are always present and never replaced.
    #[test]
    fn reserved_entries_replace_those_of_the_user() {
        let metadata = ExporterMetadata::new([
            ("provider".to_owned(), json!("python")),
            ("openfeature".to_owned(), json!(false)),
            ("service".to_owned(), json!("checkout")),
        ])
        .unwrap();
        assert_eq!(
            serde_json::to_value(&metadata).unwrap(),
            json!({"provider": "rust", "openfeature": true, "service": "checkout"})
        );
        assert_eq!(
            ExporterMetadata::default(),
            ExporterMetadata::new([]).unwrap()
        );
    }
}
