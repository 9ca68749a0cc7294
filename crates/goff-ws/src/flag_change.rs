//! Turns a message of the stream into an invalidation.

use std::collections::BTreeSet;
use std::fmt;

use goff_core::Invalidation;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

/// The flags that a text message names (docs/relay-protocol.md 15.1), or all flags when it cannot be
/// read completely or names more than an [`Invalidation`] may, because every message means that
/// something changed.
///
/// The message contains complete flags, and updated ones twice. Only their keys are read.
pub(crate) fn invalidation(message: &str) -> Invalidation {
    let mut json = serde_json::Deserializer::from_str(message);
    let names = json
        .deserialize_map(MessageVisitor)
        .and_then(|names| json.end().map(|()| names));
    match names {
        Ok(names) if !names.is_empty() => Invalidation::Flags(names).bounded(),
        _ => Invalidation::All,
    }
}

/// Another member may announce a change of another kind, so it makes the message unreadable.
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

/// Adds the keys of an object of flags. Go writes a nil map as `null`.
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
        while let Some((name, IgnoredAny)) = flags.next_entry::<String, _>()? {
            let is_long = name.len() > Invalidation::MAX_NAME_LENGTH;
            self.0.insert(name);
            // Ends here: the names of 64 MiB would take ten times as much memory.
            if is_long || self.0.len() > Invalidation::MAX_FLAGS {
                return Err(A::Error::custom("too many or too long names"));
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn flags(names: &[&str]) -> Invalidation {
        Invalidation::Flags(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// docs/relay-protocol.md 15.1.
    #[test]
    fn flags_of_all_members_are_invalidated() {
        let flag = json!({"variations": {"A": "a"}, "defaultRule": {"variation": "A"}});
        let message = json!({
            "deleted": {"notrack": flag},
            "added": {"renamed": flag, "a \"quoted\" né": flag},
            "updated": {"static_flag": {"old_value": flag, "new_value": flag}, "renamed": flag},
        });
        let names = ["a \"quoted\" né", "notrack", "renamed", "static_flag"];
        let line = format!("{message}\n");
        for text in [line, format!("{message:#}"), message.to_string()] {
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

    /// docs/python-parity.md A42; docs/relay-protocol.md 23, scenario 11.
    #[test]
    fn unreadable_messages_invalidate_every_flag() {
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

    #[test]
    fn message_that_names_too_much_invalidates_every_flag() {
        let message = |count: usize, length: usize| {
            let names = (0..count).map(|n| format!("{n:0>length$}"));
            let added: BTreeMap<_, _> = names.map(|name| (name, json!({}))).collect();
            json!({"deleted": {"first": {}}, "added": added}).to_string()
        };
        for (count, length, is_named) in [
            (4_999, 30, true),
            (5_000, 30, false),
            (100_000, 6, false),
            (1, 1_024, true),
            (1, 1_025, false),
            (1_100, 1_000, false),
        ] {
            let names = match invalidation(&message(count, length)) {
                Invalidation::Flags(names) => Some(names.len()),
                _ => None,
            };
            assert_eq!(names, is_named.then_some(count + 1), "{count} of {length}");
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
        let known = prop::sample::select(vec!["added", "updated", "deleted"]);
        let key = prop_oneof![3 => known.prop_map(str::to_owned), 1 => ".{0,8}"];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            invalidation(&text);
        }

        #[test]
        fn json_invalidates_its_flags_or_everything(message in any_json(), cut in any::<prop::sample::Index>()) {
            let text = message.to_string();
            if let Invalidation::Flags(names) = invalidation(&text) {
                let members = message.as_object().unwrap().values();
                let flags = members.filter_map(Value::as_object).flatten();
                let given: BTreeSet<_> = flags.map(|(name, _)| name.clone()).collect();
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
