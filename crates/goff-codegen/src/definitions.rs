//! The flags of a flag file or manifest, as far as functions for them need to know.

use std::collections::BTreeMap;

use goff_engine::{__internal::flag_value, FlagFile, FlagFileFormat};
use serde_json::Value;

use crate::error::CodegenError;
use crate::flag::FlagDefinition;
use crate::module::Module;
use crate::options::ModuleOptions;

/// The flags of a flag file or manifest: keys, types, defaults and descriptions.
///
/// Flags are sorted by key, so a module does not depend on their order in the text.
#[derive(Clone, Debug)]
pub struct FlagDefinitions {
    flags: Vec<FlagDefinition>,
}

impl FlagDefinitions {
    /// The flags of a flag file, or of the member `flags` of a relay proxy's configuration, which is a
    /// flag file in JSON.
    ///
    /// The type of a flag is that of its variations, those of scheduled steps included. Its default is
    ///
    /// 1. the `defaultValue` of its metadata, as in the manifest of GO Feature Flag;
    /// 2. else, for a boolean, `false`, or `true` if no variation is false: disabling a flag turns it off;
    /// 3. else what its own default rule serves, without scheduled steps: of a percentage the largest share, of a progressive rollout
    ///    the variation at its start.
    ///
    /// Its description is the `description` of its metadata.
    ///
    /// # Errors
    /// [`CodegenError::File`]; [`CodegenError::Problems`] for flags that fail the server's validation;
    /// [`CodegenError::Flag`] for a `defaultValue` that is of another type than the variations, or a
    /// default that is nested deeper than 64 levels.
    pub fn from_flag_file(
        text: impl AsRef<[u8]>,
        format: FlagFileFormat,
    ) -> Result<Self, CodegenError> {
        let file = FlagFile::parse(text, format).map_err(CodegenError::File)?;
        if !file.problems.is_empty() {
            return Err(CodegenError::Problems(file.problems));
        }
        let flags = file.flags.iter().map(|flag| {
            let value = flag_value(flag).unwrap_or_default();
            FlagDefinition::of_flag(flag.key(), &value)
        });
        Self::of(flags)
    }

    /// The flags of a manifest: of the OpenFeature CLI, or what the relay proxy answers to
    /// `GET /openfeature/v0/manifest`, which has the flags with a `defaultValue` in their metadata.
    ///
    /// A manifest has no variations, so strings do not become enums, and objects become structs only by
    /// a `schema`.
    ///
    /// # Errors
    /// [`CodegenError::Manifest`] for another text; [`CodegenError::Flag`] for a flag without a known
    /// type, or with a default value of another type.
    pub fn from_manifest(text: impl AsRef<[u8]>) -> Result<Self, CodegenError> {
        let manifest: Value = serde_json::from_slice(text.as_ref())
            .map_err(|error| CodegenError::manifest(format!("it is not JSON: {error}")))?;
        match manifest.get("flags") {
            Some(Value::Object(flags)) => Self::of(
                flags
                    .iter()
                    .map(|(key, flag)| FlagDefinition::of_manifest(key, flag, "flagType")),
            ),
            Some(Value::Array(flags)) => Self::of(flags.iter().enumerate().map(|(index, flag)| {
                let Some(key) = flag.get("key").and_then(Value::as_str) else {
                    let message = format!("its flag {} has no `key`", index + 1);
                    return Err(CodegenError::manifest(message));
                };
                FlagDefinition::of_manifest(key, flag, "type")
            })),
            // What the relay proxy answers when it serves no flags.
            Some(Value::Null) => Ok(Self { flags: Vec::new() }),
            _ => {
                let message = "it has no member `flags` with an object or an array";
                Err(CodegenError::manifest(message))
            }
        }
    }

    /// The Rust module for these flags.
    ///
    /// # Errors
    /// [`CodegenError::Flag`] for keys whose functions cannot have different names, which takes keys
    /// that are made for it.
    pub fn module(&self, options: &ModuleOptions) -> Result<Module, CodegenError> {
        Module::of(&self.flags, options)
    }

    fn of(
        flags: impl Iterator<Item = Result<FlagDefinition, CodegenError>>,
    ) -> Result<Self, CodegenError> {
        // Of repeated keys the last one counts.
        let mut by_key = BTreeMap::new();
        for flag in flags {
            let flag = flag?;
            by_key.insert(flag.key.clone(), flag);
        }
        Ok(Self {
            flags: by_key.into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shape::Shape;

    fn of_flag(flag: &Value) -> Result<(Shape, Value), String> {
        let file = json!({"flag": flag}).to_string();
        let flags = FlagDefinitions::from_flag_file(file, FlagFileFormat::Json);
        let flags = flags.map_err(|error| error.to_string())?.flags;
        let flag = flags.into_iter().next().unwrap();
        Ok((flag.shape, flag.default))
    }

    fn check(variations: Value, rest: Value, expected: Value) {
        let mut flag = json!({"variations": variations, "defaultRule": {"variation": "b"}});
        for (name, value) in rest.as_object().unwrap() {
            flag[name] = value.clone();
        }
        assert_eq!(of_flag(&flag).unwrap().1, expected, "{flag}");
    }

    #[test]
    fn the_default_is_that_of_the_metadata_or_off_or_what_is_served() {
        let booleans = || json!({"a": false, "b": true});
        check(booleans(), json!({}), json!(false));
        check(booleans(), json!({"disable": true}), json!(false));
        check(
            booleans(),
            json!({"metadata": {"defaultValue": true}}),
            json!(true),
        );
        check(json!({"b": true}), json!({}), json!(true));
        let numbers = || json!({"a": 1, "b": 2, "c": 3});
        check(numbers(), json!({}), json!(2));
        check(
            numbers(),
            json!({"metadata": {"defaultValue": 7}}),
            json!(7),
        );
        let shares = json!({"percentage": {"c": 40, "a": 40, "b": 20}});
        check(numbers(), json!({"defaultRule": shares}), json!(1));
        let rollout = json!({"progressiveRollout": {
            "initial": {"variation": "c", "percentage": 0, "date": "2026-01-01T00:00:00Z"},
            "end": {"variation": "a", "percentage": 100, "date": "2026-02-01T00:00:00Z"},
        }});
        check(numbers(), json!({"defaultRule": rollout}), json!(3));
    }

    #[test]
    fn scheduled_variations_and_the_default_count_for_the_type() {
        let flag = json!({
            "variations": {"a": "free", "b": "pro"},
            "defaultRule": {"variation": "a"},
            "scheduledRollout": [{
                "date": "2030-01-01T00:00:00Z",
                "variations": {"c": "team"},
            }],
            "metadata": {"defaultValue": "none"},
        });
        let plans = ["free", "none", "pro", "team"].map(str::to_owned).to_vec();
        assert_eq!(of_flag(&flag), Ok((Shape::Choice(plans), json!("none"))));
        let wider = json!({
            "variations": {"a": 1},
            "defaultRule": {"variation": "a"},
            "metadata": {"defaultValue": 1.5},
        });
        assert_eq!(of_flag(&wider), Ok((Shape::Float, json!(1.5))));
    }

    #[test]
    fn errors_name_the_flag_and_what_is_wrong() {
        let flag = json!({
            "variations": {"a": true},
            "defaultRule": {"variation": "a"},
            "metadata": {"defaultValue": "yes"},
        });
        assert_eq!(
            of_flag(&flag).unwrap_err(),
            "flag `flag`: `defaultValue` of its metadata is a string, and its variations are of type: a boolean",
        );
        let flag = json!({"variations": {"a": true}, "defaultRule": {"variation": "b"}});
        let error = of_flag(&flag).unwrap_err();
        assert!(
            error.contains("invalid variation: b does not exist"),
            "{error}"
        );
        let deep = (0..100).fold(json!(1), |value, _| json!({"a": value}));
        let flag = json!({"variations": {"a": deep}, "defaultRule": {"variation": "a"}});
        let error = of_flag(&flag).unwrap_err();
        assert_eq!(
            error,
            "flag `flag`: its default is nested deeper than 64 levels"
        );
        for (manifest, message) in [
            ("{", "the manifest cannot be read: it is not JSON: "),
            (
                "{}",
                "the manifest cannot be read: it has no member `flags`",
            ),
            (r#"{"flags": [{}]}"#, "its flag 1 has no `key`"),
            (
                r#"{"flags": {"a": {}}}"#,
                "flag `a`: its `flagType` is none of",
            ),
            (
                r#"{"flags": [{"key": "a", "type": "boolean", "defaultValue": "x"}]}"#,
                "flag `a`: its `defaultValue` is not a boolean of its type",
            ),
        ] {
            let error = FlagDefinitions::from_manifest(manifest).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn both_kinds_of_manifests_are_read() {
        let relay = r#"{"flags":[
            {"key":"b","type":"float","defaultValue":2,"description":"A float"},
            {"key":"a","type":"object","defaultValue":{"x":1},"description":""}
        ]}"#;
        let cli = r#"{"flags":{
            "a":{"flagType":"object","defaultValue":{"x":1}},
            "b":{"flagType":"float","defaultValue":2,"description":"A float"}
        }}"#;
        let relay = FlagDefinitions::from_manifest(relay).unwrap();
        let cli = FlagDefinitions::from_manifest(cli).unwrap();
        assert_eq!(format!("{relay:?}"), format!("{cli:?}"));
        assert_eq!(cli.flags[0].shape, Shape::AnyObject);
        assert_eq!(cli.flags[1].description.as_deref(), Some("A float"));
        assert!(FlagDefinitions::from_manifest(r#"{"flags":null}"#).is_ok());
    }
}
