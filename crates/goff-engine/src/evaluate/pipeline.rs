//! The evaluation of a compiled flag.
//!
//! (Engine semantics: section "Evaluation pipeline"; upstream
//! `modules/core/flag/internal_flag.go` and `rule.go`.)

use std::{borrow::Cow, cell::OnceCell};

use serde_json::Value;

use crate::{
    compiled::{
        body::{Body, Index, Scheduled, State, Window},
        metadata::Metadata,
        rule::{ProgressiveRollout, Serving},
    },
    configuration::date::Timestamp,
    evaluate::{
        attributes::Attributes,
        bucketing::BucketingHash,
        evaluation::{Evaluation, EvaluationError, FlagError, Reason, SDK_DEFAULT},
        flag_context::FlagContext,
        operand::{Fetched, Operand},
        scope::{Scope, Slots, Unreadable},
    },
};

static NO_METADATA: Metadata = Metadata::EMPTY;
static NULL: Value = Value::Null;

/// The answer of a flag whose configuration was refused.
pub(crate) fn rejected(error: &FlagError) -> Evaluation<'_> {
    without_flag(EvaluationError::Rejected(error))
}

/// The answer where there is no flag to evaluate.
pub(crate) fn without_flag(error: EvaluationError<'_>) -> Evaluation<'_> {
    Evaluation {
        value: &NULL,
        variant: SDK_DEFAULT,
        reason: Reason::Error,
        error: Some(error),
        cacheable: false,
        track_events: false,
        version: "",
        metadata: &NO_METADATA,
        rule_name: None,
        answer: None,
    }
}

#[inline]
pub(crate) fn evaluate<'a, A: Attributes + ?Sized>(
    body: &'a Body,
    hash: BucketingHash,
    attributes: &'a A,
    flag_context: &'a FlagContext,
    now: Timestamp,
) -> Evaluation<'a> {
    let run = Run {
        body,
        hash,
        scope: Scope {
            attributes,
            enrichment: (!flag_context.enrichment.is_empty()).then_some(&flag_context.enrichment),
            targeting_key: if body.constant == Index::NONE {
                attributes.targeting_key().unwrap_or_default()
            } else {
                ""
            },
        },
        default_value: &flag_context.default_value,
        now,
    };
    if let Some(answer) = body.constant.get() {
        return run.answer(&body.state, answer);
    }
    match run.selected() {
        Ok(Selected::Answer(state, index)) => run.answer(state, index as usize),
        Ok(Selected::Disabled) => run.no_answer(Reason::Disabled, None),
        Err(error) => run.no_answer(Reason::Error, Some(error)),
    }
}

struct Run<'a, A: ?Sized> {
    body: &'a Body,
    hash: BucketingHash,
    scope: Scope<'a, A>,
    default_value: &'a Value,
    now: Timestamp,
}

enum Selected<'a> {
    Answer(&'a State, u32),
    Disabled,
}

impl From<Unreadable> for EvaluationError<'_> {
    fn from(unreadable: Unreadable) -> Self {
        Self::UnreadableAttribute(unreadable.0)
    }
}

impl<'a, A: Attributes + ?Sized> Run<'a, A> {
    #[inline]
    fn answer(&self, state: &'a State, index: usize) -> Evaluation<'a> {
        let Some(answer) = self.body.answers.get(index) else {
            return self.no_answer(Reason::Error, Some(EvaluationError::NoVariation));
        };
        let (variant, value, rule_name) = state.resolve(answer);
        Evaluation {
            value,
            variant,
            reason: answer.reason,
            error: None,
            cacheable: answer.cacheable,
            track_events: self.body.track_events,
            version: self.body.version(),
            metadata: &self.body.metadata,
            rule_name,
            answer: Some(index),
        }
    }

    #[cold]
    fn no_answer(&self, reason: Reason, error: Option<EvaluationError<'a>>) -> Evaluation<'a> {
        let general = matches!(
            error,
            Some(EvaluationError::ScheduledStepWithoutTarget | EvaluationError::DateOutOfRange)
        );
        Evaluation {
            value: self.default_value,
            variant: SDK_DEFAULT,
            reason,
            cacheable: error.is_none() && self.body.cacheable,
            error,
            track_events: self.body.track_events,
            version: self.body.version(),
            metadata: if general {
                &NO_METADATA
            } else {
                &self.body.metadata
            },
            rule_name: None,
            answer: None,
        }
    }

    #[inline]
    fn selected(&self) -> Result<Selected<'a>, EvaluationError<'a>> {
        let state = match self.body.schedule() {
            None => &self.body.state,
            Some(_) => self.scheduled_state()?,
        };
        let key = self.bucketing_key()?;
        if state.disabled {
            return Ok(Selected::Disabled);
        }
        if let Some(window) = &state.window
            && self.is_outside(window)?
        {
            return Ok(Selected::Disabled);
        }
        let answer = if self.body.rereads {
            self.decide_keeping(state, &key)
        } else {
            self.decide(state, &key, &[])
        }?;
        Ok(Selected::Answer(state, answer))
    }

    #[cold]
    fn scheduled_state(&self) -> Result<&'a State, EvaluationError<'a>> {
        let Some(schedule) = self.body.schedule() else {
            return Ok(&self.body.state);
        };
        if !schedule.copyable {
            return Err(EvaluationError::DateOutOfRange);
        }
        let now = self.now_in_context()?;
        let due = schedule.steps.partition_point(|(date, _)| *date <= now);
        match due.checked_sub(1).and_then(|last| schedule.steps.get(last)) {
            None => Ok(&self.body.state),
            Some((_, Scheduled::State(state))) => Ok(state),
            Some((_, Scheduled::MissingPart)) => Err(EvaluationError::ScheduledStepWithoutTarget),
        }
    }

    #[inline]
    fn bucketing_key(&self) -> Result<Cow<'a, str>, EvaluationError<'a>> {
        match self.body.bucketing_key() {
            None => {
                if self.body.needs_bucketing && self.scope.targeting_key.is_empty() {
                    return Err(EvaluationError::EmptyTargetingKey);
                }
                Ok(Cow::Borrowed(self.scope.targeting_key))
            }
            Some("") => Ok(Cow::Borrowed(self.scope.targeting_key)),
            Some(path) => self.bucketing_attribute(path),
        }
    }

    fn bucketing_attribute(&self, path: &'a str) -> Result<Cow<'a, str>, EvaluationError<'a>> {
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        let fetched = self
            .scope
            .attribute(name)
            .ok_or(EvaluationError::BucketingKeyNotFound(path))?;
        let key = match &fetched {
            Fetched::Plain(operand) => Cow::Borrowed(self.text_at(*operand, rest, path)?),
            Fetched::Unreadable => return Err(Unreadable(name.into()).into()),
            Fetched::Text(_) | Fetched::Owned(_) => {
                let operand = fetched.operand().unwrap_or(Operand::Null);
                Cow::Owned(self.text_at(operand, rest, path)?.to_owned())
            }
        };
        if key.is_empty() && self.body.needs_bucketing {
            return Err(EvaluationError::EmptyBucketingKey);
        }
        Ok(key)
    }

    fn text_at<'v>(
        &self,
        root: Operand<'v>,
        rest: Option<&str>,
        path: &'a str,
    ) -> Result<&'v str, EvaluationError<'a>> {
        let mut current = root;
        for segment in rest.into_iter().flat_map(|rest| rest.split('.')) {
            current = match current {
                Operand::Object(members) => members.get(segment).map(Operand::from),
                _ => None,
            }
            .ok_or(EvaluationError::BucketingKeyNotFound(path))?;
        }
        match current {
            Operand::Str(text) => Ok(text),
            _ => Err(EvaluationError::InvalidBucketingKey),
        }
    }

    /// The time before enrichment: that of scheduled steps and experimentations.
    fn now_in_context(&self) -> Result<Timestamp, EvaluationError<'a>> {
        let scope = Scope {
            enrichment: None,
            ..self.scope
        };
        self.now(&scope)
    }

    fn now(&self, scope: &Scope<'a, A>) -> Result<Timestamp, EvaluationError<'a>> {
        let Some(fetched) = scope.attribute(GOFEATUREFLAG) else {
            return Ok(self.now);
        };
        let operand = fetched
            .operand()
            .ok_or_else(|| Unreadable(GOFEATUREFLAG.into()))?;
        let stated = match operand {
            Operand::Object(members) => members
                .get("currentDateTime")
                .and_then(Value::as_str)
                .and_then(Timestamp::parse),
            _ => None,
        };
        Ok(stated.unwrap_or(self.now))
    }

    fn is_outside(&self, window: &Window) -> Result<bool, EvaluationError<'a>> {
        let now = self.now_in_context()?;
        Ok(
            window.start.is_some_and(|start| now < start)
                || window.end.is_some_and(|end| now > end),
        )
    }

    #[inline(never)]
    fn progressed(
        &self,
        rollout: &ProgressiveRollout,
        key: &str,
    ) -> Result<u32, EvaluationError<'a>> {
        let now = self.now(&self.scope)?;
        Ok(rollout.pick(self.hash.write(key), now))
    }

    /// Decides with room to keep the attributes that are read.
    #[inline(never)]
    fn decide_keeping(&self, state: &'a State, key: &str) -> Result<u32, EvaluationError<'a>> {
        match self.body.names.len() {
            0..=2 => self.decide_with::<2>(state, key),
            3..=8 => self.decide_with::<8>(state, key),
            9..=32 => self.decide_with::<32>(state, key),
            many => {
                let cells: Box<[_]> = (0..many).map(|_| OnceCell::new()).collect();
                self.decide(state, key, &cells)
            }
        }
    }

    fn decide_with<const N: usize>(
        &self,
        state: &'a State,
        key: &str,
    ) -> Result<u32, EvaluationError<'a>> {
        let cells: [OnceCell<Fetched<'a>>; N] = [const { OnceCell::new() }; N];
        self.decide(state, key, &cells)
    }

    #[inline]
    fn decide(
        &self,
        state: &'a State,
        key: &str,
        cells: &[OnceCell<Fetched<'a>>],
    ) -> Result<u32, EvaluationError<'a>> {
        let slots = Slots {
            scope: self.scope,
            names: &self.body.names,
            cells,
        };
        for rule in &state.rules {
            check_key(&rule.serving, key)?;
            if !rule.disabled && rule.query.matches(&slots)? {
                return self.serve(&rule.serving, key);
            }
        }
        let serving = state
            .default_rule
            .as_ref()
            .ok_or(EvaluationError::NoDefaultRule)?;
        check_key(serving, key)?;
        self.serve(serving, key)
    }

    #[inline(always)]
    fn serve(&self, serving: &Serving, key: &str) -> Result<u32, EvaluationError<'a>> {
        match serving {
            Serving::Fixed(answer) => Ok(*answer),
            Serving::Split(split) => split
                .pick(self.hash.write(key))
                .ok_or(EvaluationError::NoBucket),
            Serving::ProgressiveRollout(rollout) => self.progressed(rollout, key),
            Serving::IncompleteProgressiveRollout => {
                Err(EvaluationError::IncompleteProgressiveRollout)
            }
            Serving::Nothing => Err(EvaluationError::NoVariation),
        }
    }
}

/// A rule that hashes the key needs one, before its query is looked at.
#[inline]
fn check_key<'a>(serving: &Serving, key: &str) -> Result<(), EvaluationError<'a>> {
    let hashes = matches!(
        serving,
        Serving::Split(_) | Serving::ProgressiveRollout(_) | Serving::IncompleteProgressiveRollout
    );
    if hashes && key.is_empty() {
        Err(EvaluationError::NoKeyForRule)
    } else {
        Ok(())
    }
}

const GOFEATUREFLAG: &str = "gofeatureflag";
