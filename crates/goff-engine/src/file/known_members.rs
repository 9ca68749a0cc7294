//! The members of a flag that the server knows.

/// A member that the server knows.
pub(crate) type Member = (&'static str, Shape);

/// The shape of a member's value.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Any value.
    Free,
    Text,
    Bool,
    Double,
    Date,
    /// An object with free member names and any values.
    Values,
    /// An object with free member names and numbers.
    Doubles,
    Object(&'static [Member]),
    List(&'static [Member]),
    /// Steps of steps, which are decoded but have no effect.
    InnerSteps,
}

/// A member that the server decodes and does not use.
pub(crate) const CONVERTER: &str = "converter";

pub(crate) const FLAG: &[Member] = &[
    ("variations", Shape::Values),
    ("targeting", Shape::List(RULE)),
    ("bucketingKey", Shape::Text),
    ("defaultRule", Shape::Object(RULE)),
    ("experimentation", Shape::Object(WINDOW)),
    ("scheduledRollout", Shape::List(STEP)),
    ("trackEvents", Shape::Bool),
    ("disable", Shape::Bool),
    ("version", Shape::Text),
    ("metadata", Shape::Values),
    (CONVERTER, Shape::Text),
];

pub(crate) const STEP: &[Member] = &[
    ("variations", Shape::Values),
    ("targeting", Shape::List(RULE)),
    ("bucketingKey", Shape::Text),
    ("defaultRule", Shape::Object(RULE)),
    ("experimentation", Shape::Object(WINDOW)),
    ("scheduledRollout", Shape::InnerSteps),
    ("trackEvents", Shape::Bool),
    ("disable", Shape::Bool),
    ("version", Shape::Text),
    ("metadata", Shape::Values),
    ("date", Shape::Date),
];

const RULE: &[Member] = &[
    ("name", Shape::Text),
    ("query", Shape::Text),
    ("variation", Shape::Text),
    ("percentage", Shape::Doubles),
    ("progressiveRollout", Shape::Object(PROGRESSIVE_ROLLOUT)),
    ("disable", Shape::Bool),
];

const PROGRESSIVE_ROLLOUT: &[Member] = &[
    ("initial", Shape::Object(ROLLOUT_END)),
    ("end", Shape::Object(ROLLOUT_END)),
];

const ROLLOUT_END: &[Member] = &[
    ("variation", Shape::Text),
    ("percentage", Shape::Double),
    ("date", Shape::Date),
];

const WINDOW: &[Member] = &[("start", Shape::Date), ("end", Shape::Date)];
