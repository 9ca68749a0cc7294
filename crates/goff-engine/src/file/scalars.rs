//! The types of YAML scalars, which depend on the member of the flag.
//!
//! The server decodes YAML into typed members: `version: 1.0` is the text
//! `1.0`, `variation: true` names a variation, and a date may lack its time
//! (upstream decodes with `gopkg.in/yaml.v3`).

use super::{
    served::{self, Shape},
    tree::{Content, Tree},
};
use crate::configuration::{date::Date, definition::known};

/// Gives the scalars of a flag the types of their members.
pub(super) fn settle(flag: &mut Tree) {
    settle_part(flag, Shape::Object(served::FLAG));
}

fn settle_part(tree: &mut Tree, shape: Shape) {
    match (shape, &mut tree.content) {
        (Shape::Text, _) => settle_text(tree),
        (Shape::Date, _) => settle_date(tree),
        (Shape::Object(known_members), Content::Object(members)) => {
            for (name, value) in members {
                let shape = known_members
                    .iter()
                    .find(|(known_name, _)| known(name, &[known_name]).is_some());
                if let Some((_, shape)) = shape {
                    settle_part(value, *shape);
                }
            }
        }
        (Shape::List(members), Content::List(elements)) => {
            for element in elements {
                settle_part(element, Shape::Object(members));
            }
        }
        (Shape::InnerSteps, _) => settle_part(tree, Shape::List(served::STEP)),
        _ => {}
    }
}

fn settle_text(tree: &mut Tree) {
    if let (Content::Bool(_) | Content::Number(_) | Content::Text(_), Some(source)) =
        (&tree.content, &tree.source)
    {
        tree.content = Content::Text(source.clone());
    }
}

/// The date, as Go writes it, of a plain scalar that YAML takes for one. In an object with free
/// member names it becomes that date (upstream `gopkg.in/yaml.v3`, `resolve.go`).
pub(super) fn timestamp(text: &str) -> Option<String> {
    let (day, time) = match text.find(['T', 't', ' ']) {
        None => (text, None),
        Some(at) => (
            text.get(..at)?,
            Some((text.get(at..at + 1)?, text.get(at + 1..)?)),
        ),
    };
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let (time, zone) = match time {
        None => ("0:0:0", "Z"),
        Some((" ", time)) => (time, "Z"),
        Some((_, time)) => time.split_at_checked(time.find(['Z', '+', '-'])?)?,
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|part| {
        let is_short = matches!(part.len(), 1 | 2);
        (is_short && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{part:0>2}"))
    });
    let (month, day, hour, minute, second) = (month?, day?, hour?, minute?, second?);
    let date = format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}{zone}");
    Date::parse(&date)?;
    Some(served::encoded(&date))
}

/// Completes a date without a time, or a time without a zone.
fn settle_date(tree: &mut Tree) {
    let Content::Text(text) = &mut tree.content else {
        return;
    };
    if !text.is_ascii() || text.as_bytes().get(4) != Some(&b'-') {
        return;
    }
    if text.len() == 10 {
        text.push_str("T00:00:00Z");
        return;
    }
    if let Some((date, time)) = text.split_at_checked(10)
        && let Some(time) = time.strip_prefix([' ', 't'])
    {
        let zoned = time.ends_with('Z') || time.contains(['+', '-']);
        *text = format!("{date}T{time}{}", if zoned { "" } else { "Z" });
    }
}
