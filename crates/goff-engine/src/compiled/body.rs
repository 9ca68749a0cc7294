//! What a compiled flag consists of.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    compiled::{
        metadata::Metadata,
        rule::{Rule, Serving},
        variation::Variation,
    },
    configuration::date::Timestamp,
    evaluate::{
        evaluation::{Evaluation, Reason},
        scope::Name,
    },
};

/// A compiled flag without its key.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Whether any rule, in force or scheduled, hashes the bucketing key.
    pub(crate) needs_bucketing: bool,
    pub(crate) track_events: bool,
    pub(crate) cacheable: bool,
    /// Whether it compiles in every set: it needs nothing of the budget that flags share.
    pub(crate) is_independent: bool,
    pub(crate) version: Box<str>,
    pub(crate) metadata: Metadata,
    /// The flags that this one depends on.
    pub(crate) needs: Option<Box<Needs>>,
    /// The attribute that is hashed instead of the targeting key. An empty name means the
    /// targeting key, which may then be empty. Few flags have one (bench row "memory: 10,000 flags").
    pub(crate) bucketing_key: Option<Box<Box<str>>>,
    /// The attributes that the queries mention.
    pub(crate) names: Arc<[Name]>,
    pub(crate) answers: Box<[Answer]>,
    /// The flag before any scheduled step, then the flag after each step.
    pub(crate) states: Box<[State]>,
    pub(crate) schedule: Option<Box<Schedule>>,
}

/// The names of the flags that a flag depends on.
#[derive(Clone, Debug)]
pub(crate) struct Needs(pub(crate) Box<[Box<str>]>);

/// What is in force at some time. States share what does not differ between them.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) disabled: bool,
    pub(crate) window: Option<Box<Window>>,
    pub(crate) rules: Arc<[Rule]>,
    pub(crate) default_rule: Option<Serving>,
    pub(crate) variations: Arc<[Variation]>,
}

/// When an experimentation runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// When each step becomes due, in ascending order, and the state from then on. There is no
    /// state if this step or an earlier one changes a part that the flag does not have.
    pub(crate) steps: Vec<(Timestamp, Option<u32>)>,
    /// Whether the official engine can copy the flag in order to change it.
    pub(crate) copyable: bool,
}

/// In place of the index of a targeting rule.
pub(crate) const DEFAULT_RULE: u32 = u32::MAX;

/// One result that a flag can serve: the same value in every state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Index of the targeting rule; [`DEFAULT_RULE`] for the default rule.
    pub(crate) rule: u32,
    /// Index of the variation; the same one has the same index in all states.
    pub(crate) variation: u32,
    /// Whether the flag has this variation.
    pub(crate) exists: bool,
    pub(crate) reason: Reason,
    pub(crate) cacheable: bool,
}

impl Window {
    pub(crate) fn contains(&self, now: Timestamp) -> bool {
        self.start.is_none_or(|start| now >= start) && self.end.is_none_or(|end| now <= end)
    }
}

impl Schedule {
    /// The index of the state that is in force; none if a step that is due cannot be applied.
    pub(crate) fn state_at(&self, now: Timestamp) -> Option<u32> {
        let due = self.steps.partition_point(|(date, _)| *date <= now);
        match due.checked_sub(1).and_then(|last| self.steps.get(last)) {
            None => Some(0),
            Some((_, state)) => *state,
        }
    }
}

impl Body {
    pub(crate) fn bucketing_key(&self) -> Option<&str> {
        self.bucketing_key.as_deref().map(AsRef::as_ref)
    }

    pub(crate) fn serves_missing_variation(&self, evaluation: &Evaluation<'_>) -> bool {
        let answer = evaluation
            .answer
            .and_then(|answer| self.answers.get(answer));
        answer.is_some_and(|answer| !answer.exists)
    }

    /// What is in force; none if that cannot be determined.
    pub(crate) fn state_at(&self, now: Timestamp) -> Option<&State> {
        let index = match &self.schedule {
            None => 0,
            Some(schedule) if schedule.copyable => schedule.state_at(now)?,
            Some(_) => return None,
        };
        self.states.get(index as usize)
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
                (&*variation.name, variation.value.value())
            });
        let rule = self.rules.get(answer.rule as usize);
        (variant, value, rule.and_then(|rule| rule.name.as_deref()))
    }
}
