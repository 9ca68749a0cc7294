//! The evaluation of a compiled flag (docs/engine-semantics.md 6; upstream
//! `modules/core/flag/internal_flag.go` and `rule.go`).

use std::{borrow::Cow, cell::OnceCell};

use serde_json::Value;

use crate::{
    compiled::{
        body::{Body, Schedule, State, Window},
        metadata::Metadata,
        rule::Serving,
    },
    configuration::date::Timestamp,
    evaluate::{
        attributes::Attributes,
        bucketing::BucketingHash,
        evaluation::{Evaluation, EvaluationError, FlagError, Reason, SDK_DEFAULT},
        flag_context::FlagContext,
        observer::Observer,
        operand::{Fetched, Operand},
        scope::{Scope, Slots, Unreadable},
        work::Work,
    },
};

static NO_METADATA: Metadata = Metadata::EMPTY;
static NULL: Value = Value::Null;

/// The result of a flag whose configuration was rejected.
pub(crate) fn rejected(error: &FlagError) -> Evaluation<'_> {
    without_flag(EvaluationError::Rejected(error))
}

/// The result where there is no flag to evaluate.
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
pub(crate) fn evaluate<'a, A: Attributes + ?Sized, O: Observer>(
    body: &'a Body,
    hash: BucketingHash,
    attributes: &'a A,
    flag_context: &'a FlagContext,
    now: Timestamp,
    observer: O,
) -> Evaluation<'a> {
    let run = Run {
        body,
        hash,
        scope: Scope::new(attributes, flag_context),
        default_value: &flag_context.default_value,
        now,
        observer,
    };
    match run.selected() {
        Ok(Some((state, answer))) => run.answer(state, answer),
        Ok(None) => run.no_answer(Reason::Disabled, None),
        Err(error) => run.no_answer(Reason::Error, Some(error)),
    }
}

struct Run<'a, A: ?Sized, O> {
    body: &'a Body,
    hash: BucketingHash,
    scope: Scope<'a, A>,
    default_value: &'a Value,
    now: Timestamp,
    observer: O,
}

impl From<Unreadable> for EvaluationError<'_> {
    fn from(unreadable: Unreadable) -> Self {
        Self::UnreadableAttribute(unreadable.0)
    }
}

impl<'a, A: Attributes + ?Sized, O: Observer> Run<'a, A, O> {
    #[inline]
    fn answer(&self, state: &'a State, index: u32) -> Evaluation<'a> {
        let Some(answer) = self.body.answers.get(index as usize) else {
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
            version: &self.body.version,
            metadata: &self.body.metadata,
            rule_name,
            answer: Some(index as usize),
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
            version: &self.body.version,
            metadata: if general {
                &NO_METADATA
            } else {
                &self.body.metadata
            },
            rule_name: None,
            answer: None,
        }
    }

    /// The answer and the state it belongs to; none if the flag is disabled.
    #[inline]
    fn selected(&self) -> Result<Option<(&'a State, u32)>, EvaluationError<'a>> {
        let state = self.state()?;
        let key = self.bucketing_key()?;
        self.observer.bucketing_key(&key);
        if state.disabled {
            return Ok(None);
        }
        if let Some(window) = &state.window
            && self.is_outside(window)?
        {
            return Ok(None);
        }
        let answer = match self.body.names.len() {
            // Bench row "static": making and dropping cells takes a third of its time.
            0 => self.decide(state, &key, &[]),
            1..=CELLS => self.decide(state, &key, &[const { OnceCell::new() }; CELLS]),
            names => {
                let cells: Box<[_]> = (0..names).map(|_| OnceCell::new()).collect();
                self.decide(state, &key, &cells)
            }
        }?;
        Ok(Some((state, answer)))
    }

    /// What is in force now.
    #[inline]
    fn state(&self) -> Result<&'a State, EvaluationError<'a>> {
        let index = match &self.body.schedule {
            None => 0,
            Some(schedule) => self.scheduled_state(schedule)?,
        };
        let state = self.body.states.get(index as usize);
        state.ok_or(EvaluationError::NoVariation)
    }

    fn scheduled_state(&self, schedule: &Schedule) -> Result<u32, EvaluationError<'a>> {
        if !schedule.copyable {
            return Err(EvaluationError::DateOutOfRange);
        }
        let state = schedule.state_at(self.now_in_context()?);
        state.ok_or(EvaluationError::ScheduledStepWithoutTarget)
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

    /// The time without the enrichment, which scheduled steps and experimentations use
    /// (docs/engine-semantics.md 5.1).
    fn now_in_context(&self) -> Result<Timestamp, EvaluationError<'a>> {
        self.now(&self.scope.without_enrichment())
    }

    fn now(&self, scope: &Scope<'a, A>) -> Result<Timestamp, EvaluationError<'a>> {
        Ok(scope.stated_time()?.unwrap_or(self.now))
    }

    fn is_outside(&self, window: &Window) -> Result<bool, EvaluationError<'a>> {
        Ok(!window.contains(self.now_in_context()?))
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
            work: Work::default(),
            observer: self.observer,
        };
        for (index, rule) in state.rules.iter().enumerate() {
            self.observer.rule(index);
            check_key(&rule.serving, key)?;
            if rule.disabled {
                continue;
            }
            let matches = rule.query.matches(&slots)?;
            self.observer.query(matches, slots.work.is_exhausted());
            if matches && !slots.work.is_exhausted() {
                return self.serve(&rule.serving, key);
            }
        }
        self.observer.rule(state.rules.len());
        let serving = state
            .default_rule
            .as_ref()
            .ok_or(EvaluationError::NoDefaultRule)?;
        check_key(serving, key)?;
        self.serve(serving, key)
    }

    // Always: a sixth of the bench row "static".
    #[inline(always)]
    fn serve(&self, serving: &Serving, key: &str) -> Result<u32, EvaluationError<'a>> {
        match serving {
            Serving::Fixed(answer) => Ok(*answer),
            Serving::Split(split) => split
                .pick(self.hash.write(key))
                .ok_or(EvaluationError::NoBucket),
            Serving::ProgressiveRollout(rollout) => {
                Ok(rollout.pick(self.hash.write(key), self.now(&self.scope)?))
            }
            Serving::IncompleteProgressiveRollout => {
                Err(EvaluationError::IncompleteProgressiveRollout)
            }
            Serving::Nothing => Err(EvaluationError::NoVariation),
        }
    }
}

/// A rule that hashes the key needs one, even if its query does not match.
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

/// Attributes that a flag can mention before an evaluation allocates.
const CELLS: usize = 8;
