//! How many bytes usage data takes as JSON.

use std::io::{self, Write};

use goff_core::Event;
use serde::Serialize;
use serde_json::Value;

/// The length of an event as JSON, or, if texts have to be escaped, a little more. Bench row "recorded, 2 threads": writing each
/// event to measure it took a sixth of the time of both processors.
pub(super) fn most_json_bytes(event: &Event) -> usize {
    let Event::Feature(event) = event else {
        return json_length(event);
    };
    let value = match event.value() {
        Value::String(text) => "\"\"".len() + escaped(text),
        value => json_length(value),
    };
    let version = event.version();
    let texts = [&*event.user_key, &*event.flag_key, event.variant()];
    FRAME.len()
        + texts.into_iter().map(escaped).sum::<usize>()
        + version.map_or(0, |version| VERSION.len() + escaped(version))
        + json_length(&event.context_kind)
        + json_length(&event.creation_date_seconds)
        + value
        + json_length(&event.is_default)
        + json_length(&event.source)
}

/// An event with empty texts, and without what is no text.
const FRAME: &str = r#"{"kind":"feature","contextKind":,"userKey":"","creationDate":,"key":"","variation":"","value":,"default":,"source":}"#;
const VERSION: &str = r#","version":"""#;

/// At most the length of a text in JSON, without quotes: a control character takes up to six bytes.
fn escaped(text: &str) -> usize {
    let is_escaped = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    text.len() + 5 * text.bytes().filter(is_escaped).count()
}

/// The length of a value as JSON.
pub(super) fn json_length(value: &impl Serialize) -> usize {
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
    // Events hold strings, numbers and JSON values, which always serialize.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use goff_core::{ContextKind, EventSource, FeatureEvent, Reason, Resolution, TrackingEvent};
    use serde_json::json;

    use super::*;

    /// No event is longer, so that no batch is larger than the data collector accepts; and one
    /// without escapes is no shorter, so that batches are filled.
    #[test]
    fn size_is_the_length_or_a_little_more() {
        let texts = [
            "",
            "user-1",
            "ключ",
            "a\"b\\c",
            "\u{0}\u{1f}\n\u{7f}\u{2028}",
            "🦀",
        ];
        let values = [
            json!(null),
            json!(false),
            json!(-1.5e300),
            json!(u64::MAX),
            json!("\u{1}"),
            json!({"a": ["\"", 1]}),
        ];
        for (text, value) in texts
            .iter()
            .flat_map(|text| values.iter().map(move |value| (text, value)))
        {
            let resolution = Resolution::new(value.clone(), Reason::Static).with_variant(*text);
            let versioned = resolution.clone().with_version(*text);
            for resolution in [None, Some(resolution), Some(versioned)] {
                for (kind, source, date) in [
                    (ContextKind::User, EventSource::InProcess, 1_720_000_000),
                    (
                        ContextKind::AnonymousUser,
                        EventSource::ProviderCache,
                        i64::MIN,
                    ),
                ] {
                    let event = FeatureEvent::new(*text, kind, *text, date, source)
                        .with_resolution(resolution.clone().map(Arc::new));
                    let event = Event::from(event);
                    let (most, length) = (most_json_bytes(&event), json_length(&event));
                    assert_eq!(length, serde_json::to_vec(&event).unwrap().len());
                    let is_escaped = |text: &str| escaped(text) > text.len();
                    let has_escapes = is_escaped(text) || value.as_str().is_some_and(is_escaped);
                    let more = if has_escapes { 24 * text.len() + 6 } else { 0 };
                    assert!((length..=length + more).contains(&most), "{event:?}");
                }
            }
        }
        let event = Event::from(TrackingEvent::new("a\"", ContextKind::User, "b", 1));
        assert_eq!(most_json_bytes(&event), json_length(&event));
    }
}
