//! What YAML leaves open and the members of a flag decide.
//!
//! The server decodes YAML into typed members: `version: 1.0` is the text
//! `1.0`, `variation: true` names a variation, and a date may lack its time.
//! (Upstream decodes with `gopkg.in/yaml.v3`.)

use super::tree::{Content, Tree};
use crate::definition::known;

/// What an object of a flag is, which says what its members are.
#[derive(Clone, Copy)]
enum Part {
    Flag,
    Rule,
    Ramp,
    RampEnd,
    Window,
}

/// Gives the scalars of a flag the types that their members have.
pub(super) fn settle(flag: &mut Tree) {
    settle_part(flag, Part::Flag);
}

fn settle_part(tree: &mut Tree, part: Part) {
    let Content::Object(members) = &mut tree.content else {
        return;
    };
    for (name, value) in members {
        match (part, known(name, MEMBERS)) {
            (Part::Flag, Some("version" | "bucketingKey"))
            | (Part::Rule, Some("name" | "query" | "variation"))
            | (Part::RampEnd, Some("variation")) => settle_text(value),
            (Part::Flag | Part::RampEnd, Some("date")) | (Part::Window, Some("start" | "end")) => {
                settle_date(value);
            }
            (Part::Flag, Some("defaultRule")) => settle_part(value, Part::Rule),
            (Part::Flag, Some("targeting")) => settle_list(value, Part::Rule),
            (Part::Flag, Some("scheduledRollout")) => settle_list(value, Part::Flag),
            (Part::Flag, Some("experimentation")) => settle_part(value, Part::Window),
            (Part::Rule, Some("progressiveRollout")) => settle_part(value, Part::Ramp),
            (Part::Ramp, Some("initial" | "end")) => settle_part(value, Part::RampEnd),
            _ => {}
        }
    }
}

fn settle_list(tree: &mut Tree, part: Part) {
    if let Content::List(elements) = &mut tree.content {
        for element in elements {
            settle_part(element, part);
        }
    }
}

fn settle_text(tree: &mut Tree) {
    if let (Content::Bool(_) | Content::Number(_) | Content::Exact(_), Some(source)) =
        (&tree.content, &tree.source)
    {
        tree.content = Content::Text(source.clone());
    }
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

const MEMBERS: &[&str] = &[
    "version",
    "bucketingKey",
    "name",
    "query",
    "variation",
    "date",
    "start",
    "end",
    "defaultRule",
    "targeting",
    "scheduledRollout",
    "experimentation",
    "progressiveRollout",
    "initial",
];
