//! A flag of a file as the relay proxy serves it.
//!
//! The server decodes a file into typed members and encodes them again. That
//! drops unknown members and nulls, spells known members in the usual way, and
//! completes dates (upstream `modules/core/flag/internal_flag.go`, encoded with
//! Go's `encoding/json`).

use super::tree::{Content, Tree, last};
use crate::configuration::definition::known;

/// A member that the server knows.
pub(super) type Member = (&'static str, Shape);

/// The shape of a member's value.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Any value, written unchanged.
    Free,
    Text,
    Date,
    Object(&'static [Member]),
    List(&'static [Member]),
    /// Steps of steps, which are decoded but have no effect. They are written unchanged.
    InnerSteps,
}

/// The JSON of a flag.
pub(super) fn to_json(flag: &Tree) -> String {
    let mut text = String::new();
    write(flag, Shape::Object(FLAG), &mut text);
    text
}

fn write(tree: &Tree, shape: Shape, text: &mut String) {
    match (shape, &tree.content) {
        (Shape::Object(known_members), Content::Object(members)) => {
            text.push('{');
            let start = text.len();
            for (name, shape) in known_members {
                let value = last(members, |member| known(member, &[name]).is_some());
                let Some(value) = value.filter(|value| !matches!(value.content, Content::Null))
                else {
                    continue;
                };
                if text.len() > start {
                    text.push(',');
                }
                text.push('"');
                text.push_str(name);
                text.push_str("\":");
                write(value, *shape, text);
            }
            text.push('}');
        }
        (Shape::List(members), Content::List(elements)) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(element, Shape::Object(members), text);
            }
            text.push(']');
        }
        (Shape::Date, Content::Text(date)) => {
            text.push_str(&serde_json::Value::from(encoded(date)).to_string());
        }
        _ => tree.write(text),
    }
}

/// A date as Go writes it: no zeros at the end of the fraction, `Z` for UTC.
pub(super) fn encoded(date: &str) -> String {
    let Some((day, time)) = date.split_once('T') else {
        return date.to_owned();
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let time = time.replace(',', ".");
    let time = match time.split_once('.') {
        Some((whole, fraction)) => {
            // Digits after the nanoseconds are dropped.
            let fraction = fraction.get(..9).unwrap_or(fraction);
            format!("{whole}.{fraction}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        }
        None => time,
    };
    let hour_digit = if time.find(':') == Some(1) { "0" } else { "" };
    let zone = match zone {
        "+00:00" | "-00:00" => "Z",
        zone => zone,
    };
    format!("{day}T{hour_digit}{time}{zone}")
}

pub(super) const FLAG: &[Member] = &[
    ("variations", Shape::Free),
    ("targeting", Shape::List(RULE)),
    ("bucketingKey", Shape::Text),
    ("defaultRule", Shape::Object(RULE)),
    ("experimentation", Shape::Object(WINDOW)),
    ("scheduledRollout", Shape::List(STEP)),
    ("trackEvents", Shape::Free),
    ("disable", Shape::Free),
    ("version", Shape::Text),
    ("metadata", Shape::Free),
];

pub(super) const STEP: &[Member] = &[
    ("variations", Shape::Free),
    ("targeting", Shape::List(RULE)),
    ("bucketingKey", Shape::Text),
    ("defaultRule", Shape::Object(RULE)),
    ("experimentation", Shape::Object(WINDOW)),
    ("scheduledRollout", Shape::InnerSteps),
    ("trackEvents", Shape::Free),
    ("disable", Shape::Free),
    ("version", Shape::Text),
    ("metadata", Shape::Free),
    ("date", Shape::Date),
];

const RULE: &[Member] = &[
    ("name", Shape::Text),
    ("query", Shape::Text),
    ("variation", Shape::Text),
    ("percentage", Shape::Free),
    ("progressiveRollout", Shape::Object(PROGRESSIVE_ROLLOUT)),
    ("disable", Shape::Free),
];

const PROGRESSIVE_ROLLOUT: &[Member] = &[
    ("initial", Shape::Object(ROLLOUT_END)),
    ("end", Shape::Object(ROLLOUT_END)),
];

const ROLLOUT_END: &[Member] = &[
    ("variation", Shape::Text),
    ("percentage", Shape::Free),
    ("date", Shape::Date),
];

const WINDOW: &[Member] = &[("start", Shape::Date), ("end", Shape::Date)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_in_go() {
        for (read, written) in [
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T1:00:00,500Z", "2024-01-01T01:00:00.5Z"),
            ("2024-01-01T00:00:00.000+00:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:10+02:00", "2024-01-01T00:00:10+02:00"),
            (
                "2024-01-01T00:00:00.1234567891-01:30",
                "2024-01-01T00:00:00.123456789-01:30",
            ),
        ] {
            assert_eq!(encoded(read), written);
        }
    }
}
