//! A flag that can be evaluated.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    compiled::{
        metadata::Metadata,
        rule::{Rule, Serving},
        variation::Variation,
    },
    configuration::date::Timestamp,
    evaluate::{evaluation::Reason, scope::Name},
};

/// A flag that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Whether any rule, in force or scheduled, hashes the bucketing key.
    pub(crate) needs_bucketing: bool,
    pub(crate) track_events: bool,
    pub(crate) cacheable: bool,
    pub(crate) metadata: Metadata,
    /// The attributes that its queries mention.
    pub(crate) names: Arc<[Name]>,
    pub(crate) answers: Box<[Answer]>,
    /// The flag before any scheduled step.
    pub(crate) state: State,
    pub(crate) rare: Option<Box<Rare>>,
    /// The answer of a flag that gives everybody the same one.
    pub(crate) constant: Index,
    /// Whether any attribute may be read more than once in an evaluation.
    pub(crate) rereads: bool,
}

/// What few flags have, apart from what all have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) version: Box<str>,
    /// The attribute that is hashed instead of the targeting key. Empty: the
    /// targeting key, without the check that it is there.
    pub(crate) bucketing_key: Option<Box<str>>,
    pub(crate) schedule: Option<Schedule>,
}

/// What is in force at some time.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) disabled: bool,
    pub(crate) window: Option<Box<Window>>,
    pub(crate) rules: Box<[Rule]>,
    pub(crate) default_rule: Option<Serving>,
    pub(crate) variations: Arc<[Variation]>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Steps in the order in which they become due, with what is in force from then on.
    pub(crate) steps: Vec<(Timestamp, Scheduled)>,
    /// Whether the official engine could copy the flag to change it.
    pub(crate) copyable: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Scheduled {
    State(Box<State>),
    /// This step, or one before it, changes a part that the flag does not have.
    MissingPart,
}

/// One thing that a flag can answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Index of the scheduled step in force, if any.
    pub(crate) step: Index,
    /// Index of the targeting rule; none for the default rule.
    pub(crate) rule: Index,
    pub(crate) variation: u32,
    pub(crate) reason: Reason,
    pub(crate) cacheable: bool,
}

/// An optional index, in the space of a plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u32);

impl Index {
    pub(crate) const NONE: Self = Self(u32::MAX);

    pub(crate) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    #[inline]
    pub(crate) fn get(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }
}

impl Body {
    #[inline]
    pub(crate) fn version(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &rare.version)
    }

    #[inline]
    pub(crate) fn bucketing_key(&self) -> Option<&str> {
        self.rare.as_ref()?.bucketing_key.as_deref()
    }

    #[inline]
    pub(crate) fn schedule(&self) -> Option<&Schedule> {
        self.rare.as_ref()?.schedule.as_ref()
    }
}

impl Body {
    pub(crate) fn state_of(&self, answer: &Answer) -> Option<&State> {
        let Some(step) = answer.step.get() else {
            return Some(&self.state);
        };
        match self.schedule()?.steps.get(step)? {
            (_, Scheduled::State(state)) => Some(state),
            (_, Scheduled::MissingPart) => None,
        }
    }
}

impl State {
    /// The name and value of an answer's variation, and the name of its rule.
    #[inline]
    pub(crate) fn resolve(&self, answer: &Answer) -> (&str, &Value, Option<&str>) {
        let (variant, value) = self
            .variations
            .get(answer.variation as usize)
            .map_or(("", &Value::Null), |variation| {
                (&*variation.name, variation.value())
            });
        let rule_name = answer
            .rule
            .get()
            .and_then(|rule| self.rules.get(rule))
            .and_then(|rule| rule.name.as_deref());
        (variant, value, rule_name)
    }
}
