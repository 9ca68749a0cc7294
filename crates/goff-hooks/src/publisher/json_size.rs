//! How long an event is as JSON, before it is written.

use std::io::{self, Write};

use goff_core::{ContextKind, Event, EventSource, FeatureEvent};
use serde::Serialize;
use serde_json::Value;

/// At most how many bytes an event has as JSON. Those of an evaluation are added up rather than
/// written, as a busy client delivers many; only a control character may count for a few too many.
pub(super) fn event_size(event: &Event) -> usize {
    match event {
        Event::Feature(event) => feature_size(event),
        other => json_size(other),
    }
}

/// The length of a value as JSON.
pub(super) fn json_size(value: &impl Serialize) -> usize {
    struct Length(usize);

    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut length = Length(0);
    // Events hold strings, numbers and JSON values, which all serialise.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

fn feature_size(event: &FeatureEvent) -> usize {
    let context_kind = match event.context_kind {
        ContextKind::User => "user",
        ContextKind::AnonymousUser => "anonymousUser",
    };
    let source = match event.source {
        EventSource::ProviderCache => "PROVIDER_CACHE",
        EventSource::InProcess => "INPROCESS",
    };
    let version = event
        .version()
        .map_or(0, |version| VERSION.len() + text_size(version));
    WITHOUT_CONTENTS.len()
        + context_kind.len()
        + text_size(event.user_key.as_str())
        + json_size(&event.creation_date_seconds)
        + text_size(&event.flag_key)
        + text_size(event.variant())
        + value_size(event.value())
        + value_size(&Value::Bool(event.is_default))
        + version
        + source.len()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(true) => "true".len(),
        Value::Bool(false) => "false".len(),
        Value::String(text) => QUOTES.len() + text_size(text),
        other => json_size(other),
    }
}

/// The length between the quotes, as if each control character were written `\u001f`.
fn text_size(text: &str) -> usize {
    let count = |wanted: fn(&u8) -> bool| text.bytes().filter(wanted).count();
    text.len() + count(|byte| matches!(byte, b'"' | b'\\')) + 5 * count(|byte| *byte < b' ')
}

/// The members that every feature event has, without what they hold.
const WITHOUT_CONTENTS: &str = concat!(
    r#"{"kind":"feature","contextKind":"","userKey":"","creationDate":,"key":"","variation":"","#,
    r#""value":,"default":,"source":""}"#
);
const VERSION: &str = r#","version":"""#;
const QUOTES: &str = "\"\"";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use goff_core::{Reason, Resolution, TrackingEvent};
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<(String, f64)>().prop_map(|(text, number)| json!({text: [number, null]})),
        ]
    }

    proptest! {
        #[test]
        fn feature_event_is_as_long_but_for_escapes(
            texts in any::<[String; 3]>(),
            version in any::<Option<String>>(),
            value in any_value(),
            default_value in proptest::option::of(any_value()),
            creation_date_seconds in any::<i64>(),
            (anonymous, cached, failed) in any::<(bool, bool, bool)>(),
        ) {
            let [user_key, flag_key, variant] = texts;
            let event = Event::Feature(FeatureEvent {
                context_kind: if anonymous { ContextKind::AnonymousUser } else { ContextKind::User },
                user_key: user_key.as_str().into(),
                creation_date_seconds,
                flag_key: flag_key.as_str().into(),
                resolution: Some(Arc::new(Resolution {
                    value,
                    reason: Reason::Static,
                    variant: Some(variant.clone()),
                    version,
                    ..Resolution::default()
                })),
                default_value: default_value.map(Box::new),
                is_default: failed,
                source: if cached { EventSource::ProviderCache } else { EventSource::InProcess },
            });
            let exact = serde_json::to_vec(&event).unwrap().len();
            let most = event_size(&event);
            prop_assert!(exact <= most, "{} beyond {}", exact, most);
            // `\n` and its like are two bytes, and count for six.
            let written = serde_json::to_string(&event).unwrap();
            let short_escapes = written.matches('\\').count();
            prop_assert!(most <= exact + 4 * short_escapes, "{} for {}", most, written);
        }
    }

    #[test]
    fn tracking_event_is_measured() {
        let event = Event::from(TrackingEvent {
            context_kind: ContextKind::User,
            user_key: "user-1".to_owned(),
            creation_date_seconds: 7,
            name: "é\n".to_owned(),
            evaluation_context: Map::new(),
            details: Map::from_iter([("price".to_owned(), json!(1.5))]),
        });
        assert_eq!(
            event_size(&event),
            serde_json::to_vec(&event).unwrap().len()
        );
    }
}
