//! What a message of the stream means: pure.

use std::collections::BTreeSet;
use std::fmt;

use goff_core::Invalidation;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The flags that a text message names (relay-protocol 15.1), or all of them when it cannot be
/// read completely: a message always means that something changed.
///
/// The message carries whole flags, twice those that were updated; only their keys are kept.
pub(crate) fn invalidation(message: &str) -> Invalidation {
    let mut json = serde_json::Deserializer::from_str(message);
    let names = json
        .deserialize_map(MessageVisitor)
        .and_then(|names| json.end().map(|()| names));
    match names {
        Ok(names) if !names.is_empty() => Invalidation::Flags(names),
        _ => Invalidation::All,
    }
}

/// A member that is not here may announce a change of another kind, so it makes the message one
/// that cannot be read completely.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Member {
    Deleted,
    Added,
    Updated,
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = BTreeSet<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flag change")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        while members.next_key::<Member>()?.is_some() {
            members.next_value_seed(FlagKeys(&mut names))?;
        }
        Ok(names)
    }
}

/// Adds the keys of an object of flags; `null` is how Go writes a map that was never made.
struct FlagKeys<'a>(&'a mut BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for FlagKeys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FlagKeys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of flags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut flags: A) -> Result<(), A::Error> {
        while let Some((name, IgnoredAny)) = flags.next_entry()? {
            self.0.insert(name);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn flags(names: &[&str]) -> Invalidation {
        Invalidation::Flags(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// relay-protocol 15.1.
    #[test]
    fn names_of_every_member_are_joined() {
        let flag = json!({"variations": {"A": "a"}, "defaultRule": {"variation": "A"}});
        let message = json!({
            "deleted": {"notrack": flag},
            "added": {"renamed": flag, "a \"quoted\" né": flag},
            "updated": {"static_flag": {"old_value": flag, "new_value": flag}, "renamed": flag},
        });
        let names = ["a \"quoted\" né", "notrack", "renamed", "static_flag"];
        for text in [
            format!("{message}\n"),
            format!("{message:#}"),
            message.to_string(),
        ] {
            assert_eq!(invalidation(&text), flags(&names));
        }
    }

    #[test]
    fn missing_and_null_members_are_empty() {
        for text in [
            r#"{"added":{"x":{}}}"#,
            r#"{"deleted":null,"added":{"x":1},"updated":null}"#,
            r#"{"deleted":{},"added":{},"updated":{"x":null}}"#,
            r#"{"added":{},"added":{"x":{}}}"#,
        ] {
            assert_eq!(invalidation(text), flags(&["x"]), "{text}");
        }
    }

    /// Python A42; relay-protocol 23, scenario 11.
    #[test]
    fn what_cannot_be_read_means_every_flag() {
        let deep = format!("{{\"added\":{{\"x\":{}1", "[".repeat(100_000));
        for text in [
            "",
            "\n",
            "null",
            "true",
            "\"changed\"",
            "{}",
            r#"{"deleted":{},"added":{},"updated":{}}"#,
            r#"{"deleted":{},"added":{"x":{}}"#,
            r#"{"added":["x"]}"#,
            r#"{"added":"x"}"#,
            r#"{"added":{"x":{}}} {"added":{"y":{}}}"#,
            r#"{"added":{"x":{}},"renamed":{"y":{}}}"#,
            r#"[{"x":{}},{},{}]"#,
            "garbage",
            &deep,
        ] {
            assert_eq!(invalidation(text), Invalidation::All, "{text:.80}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("added".to_owned()),
            Just("updated".to_owned()),
            Just("deleted".to_owned()),
            ".{0,8}",
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            invalidation(&text);
        }

        #[test]
        fn json_gives_its_names_or_everything(message in any_json(), cut in any::<prop::sample::Index>()) {
            let text = message.to_string();
            if let Invalidation::Flags(names) = invalidation(&text) {
                let given: BTreeSet<String> = message
                    .as_object()
                    .unwrap()
                    .values()
                    .filter_map(Value::as_object)
                    .flat_map(|flags| flags.keys().cloned())
                    .collect();
                prop_assert_eq!(names, given);
            }
            let length = cut.index(text.chars().count());
            let head: String = text.chars().take(length).collect();
            prop_assert_eq!(invalidation(&head), Invalidation::All);
        }

        #[test]
        fn names_survive_any_flags(
            deleted in prop::collection::btree_map(".{0,12}", any_json(), 0..4),
            added in prop::collection::btree_map(".{0,12}", any_json(), 1..4),
            updated in prop::collection::btree_map(".{0,12}", any_json(), 0..4),
        ) {
            let names: BTreeSet<String> =
                deleted.keys().chain(added.keys()).chain(updated.keys()).cloned().collect();
            let message = json!({"deleted": deleted, "added": added, "updated": updated});
            prop_assert_eq!(invalidation(&message.to_string()), Invalidation::Flags(names));
        }
    }
}
