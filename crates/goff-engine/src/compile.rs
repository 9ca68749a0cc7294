//! From a flag's definition to the form that is evaluated.

use std::{borrow::Cow, collections::HashMap};

use serde_json::Value;

use crate::{
    date::Timestamp,
    definition::{FlagDefinition, RuleDefinition},
    evaluation::{FlagError, Reason},
    guard,
    metadata::Metadata,
    query::{self, Query},
    rule::{Ramp, Rule, Serving, Split, is_dynamic},
    schedule::Effective,
    scope::{Name, NameTable},
};

/// A flag that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) bucketing_key: BucketingKey,
    /// Whether any rule, in force or scheduled, hashes the bucketing key.
    pub(crate) needs_bucketing: bool,
    pub(crate) track_events: bool,
    pub(crate) cacheable: bool,
    pub(crate) version: Box<str>,
    pub(crate) metadata: Metadata,
    /// The attributes that its queries mention.
    pub(crate) names: Box<[Name]>,
    pub(crate) answers: Box<[Answer]>,
    /// The flag before any scheduled step.
    pub(crate) state: State,
    pub(crate) schedule: Option<Box<Schedule>>,
}

#[derive(Clone, Debug)]
pub(crate) enum BucketingKey {
    TargetingKey,
    /// An empty path: the targeting key, without the check that it is there.
    Unchecked,
    Attribute(Box<str>),
}

/// What is in force at some time.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) disabled: bool,
    pub(crate) window: Option<Box<Window>>,
    pub(crate) rules: Box<[Rule]>,
    pub(crate) default_rule: Option<Box<Rule>>,
    pub(crate) variations: Box<[(Box<str>, Value)]>,
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
    pub(crate) step: Option<u32>,
    /// Index of the targeting rule; none for the default rule.
    pub(crate) rule: Option<u32>,
    pub(crate) variation: u32,
    pub(crate) reason: Reason,
    pub(crate) cacheable: bool,
}

/// How many rules, percentages and variations the states of a flag may have together.
///
/// The official engine has no such limit. It bounds what a scheduled rollout
/// costs to load, which grows with steps times rules.
pub(crate) const MAX_SCHEDULED_PARTS: usize = 20_000;

impl Body {
    pub(crate) fn compile(flag: &FlagDefinition<'_>) -> Result<Self, FlagError> {
        check_queries(flag)?;
        let steps = flag.scheduled_rollout.as_deref().unwrap_or_default();
        let mut compiler = Compiler {
            names: NameTable::default(),
            answers: Vec::new(),
            queries: HashMap::new(),
            cacheable: flag.experimentation.is_none() && steps.is_empty(),
        };
        let mut effective = Effective::new(flag);
        let state = compiler.state(None, &effective);
        let schedule = match &flag.scheduled_rollout {
            None => None,
            Some(steps) => Some(Box::new(Schedule {
                steps: compiler.steps(steps, &mut effective)?,
                copyable: flag.is_copyable(),
            })),
        };
        let needs_bucketing =
            |flag: &FlagDefinition<'_>| flag.rules().any(RuleDefinition::needs_bucketing);
        Ok(Self {
            bucketing_key: match flag.bucketing_key.as_deref() {
                None => BucketingKey::TargetingKey,
                Some("") => BucketingKey::Unchecked,
                Some(path) => BucketingKey::Attribute(path.into()),
            },
            needs_bucketing: needs_bucketing(flag) || steps.iter().any(needs_bucketing),
            track_events: flag.track_events.unwrap_or(true),
            cacheable: compiler.cacheable,
            version: flag.version.as_deref().unwrap_or_default().into(),
            metadata: Metadata::new(
                flag.metadata
                    .iter()
                    .flatten()
                    .map(|(name, value)| (Box::from(name.as_ref()), value.clone()))
                    .collect(),
            ),
            names: compiler.names.finish(),
            answers: compiler.answers.into_boxed_slice(),
            state,
            schedule,
        })
    }
}

/// Checks the size limits of all queries, those of scheduled steps included.
fn check_queries(flag: &FlagDefinition<'_>) -> Result<(), FlagError> {
    for query in flag.rules().filter_map(|rule| rule.query.as_deref()) {
        guard::check_query(&query::trim(query)).map_err(FlagError::new)?;
    }
    flag.scheduled_rollout
        .iter()
        .flatten()
        .try_for_each(check_queries)
}

struct Compiler {
    names: NameTable,
    answers: Vec<Answer>,
    /// Queries by text: the states of a scheduled flag repeat them.
    queries: HashMap<String, Query>,
    cacheable: bool,
}

impl Compiler {
    fn steps<'t>(
        &mut self,
        steps: &[FlagDefinition<'t>],
        effective: &mut Effective<'t>,
    ) -> Result<Vec<(Timestamp, Scheduled)>, FlagError> {
        let mut dated: Vec<_> = steps
            .iter()
            .filter_map(|step| Some((step.date?.at, step)))
            .collect();
        dated.sort_by_key(|(date, _)| *date);
        let mut compiled: Vec<(Timestamp, Scheduled)> = Vec::with_capacity(dated.len());
        let mut parts = 0_usize;
        let mut missing_part = false;
        for (index, (date, step)) in dated.iter().enumerate() {
            missing_part = missing_part || effective.apply(step).is_err();
            parts = parts.saturating_add(effective.size());
            if parts > MAX_SCHEDULED_PARTS {
                return Err(FlagError::new(format_args!(
                    "scheduled rollout exceeds the maximum of {MAX_SCHEDULED_PARTS} rules, percentages and variations in all its steps"
                )));
            }
            // Of several steps due at one instant the last one decides.
            if dated.get(index + 1).is_some_and(|(next, _)| next == date) {
                continue;
            }
            let scheduled = if missing_part {
                Scheduled::MissingPart
            } else {
                let step = u32::try_from(compiled.len()).ok();
                Scheduled::State(Box::new(self.state(step, effective)))
            };
            compiled.push((*date, scheduled));
        }
        Ok(compiled)
    }

    fn state(&mut self, step: Option<u32>, effective: &Effective<'_>) -> State {
        let mut variations = Variations::new(effective.variations.as_deref().unwrap_or_default());
        let mut frame = Frame {
            answers: &mut self.answers,
            variations: &mut variations,
            step,
            cacheable: self.cacheable,
        };
        let has_rules = !effective.rules.is_empty();
        let mut rules = Vec::with_capacity(effective.rules.len());
        for (index, rule) in effective.rules.iter().enumerate() {
            let reason = if is_dynamic(rule) {
                Reason::TargetingMatchSplit
            } else {
                Reason::TargetingMatch
            };
            let index = u32::try_from(index).ok();
            rules.push(Rule {
                name: rule
                    .name
                    .as_deref()
                    .filter(|name| !name.is_empty())
                    .map(Box::from),
                query: compile_query(rule, &mut self.names, step.map(|_| &mut self.queries)),
                serving: frame.serving(rule, index, reason),
                disabled: rule.disable.unwrap_or(false),
            });
        }
        let default_rule = effective.default_rule.as_ref().map(|rule| {
            let reason = match (is_dynamic(rule), has_rules) {
                (true, _) => Reason::Split,
                (false, true) => Reason::Default,
                (false, false) => Reason::Static,
            };
            Box::new(Rule {
                name: None,
                query: Query::Always,
                serving: frame.serving(rule, None, reason),
                disabled: false,
            })
        });
        State {
            disabled: effective.disabled,
            window: effective.window.map(|window| {
                Box::new(Window {
                    start: window.start.map(|date| date.at),
                    end: window.end.map(|date| date.at),
                })
            }),
            rules: rules.into_boxed_slice(),
            default_rule,
            variations: variations.entries.into_boxed_slice(),
        }
    }
}

/// Compiles a query, or copies what the same text compiled to before.
fn compile_query(
    rule: &RuleDefinition<'_>,
    names: &mut NameTable,
    known: Option<&mut HashMap<String, Query>>,
) -> Query {
    let trimmed = query::trim(rule.query.as_deref().unwrap_or_default());
    let Some(known) = known else {
        return Query::compile(&trimmed, names);
    };
    if let Some(query) = known.get(trimmed.as_ref()) {
        return query.clone();
    }
    let query = Query::compile(&trimmed, names);
    known.insert(trimmed.into_owned(), query.clone());
    query
}

/// The variations of a state: those it has, and those its rules mention.
struct Variations<'e> {
    entries: Vec<(Box<str>, Value)>,
    by_name: HashMap<Cow<'e, str>, u32, foldhash::fast::FixedState>,
}

impl<'e> Variations<'e> {
    fn new(variations: &'e [(Cow<'_, str>, Value)]) -> Self {
        Self {
            entries: variations
                .iter()
                .map(|(name, value)| (name.as_ref().into(), value.clone()))
                .collect(),
            by_name: variations
                .iter()
                .zip(0..)
                .map(|((name, _), index)| (Cow::Borrowed(name.as_ref()), index))
                .collect(),
        }
    }

    /// The index of a variation; one that does not exist has the value null.
    fn index(&mut self, name: &str) -> u32 {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push((name.into(), Value::Null));
        self.by_name.insert(Cow::Owned(name.to_owned()), index);
        index
    }
}

struct Frame<'c, 'e> {
    answers: &'c mut Vec<Answer>,
    variations: &'c mut Variations<'e>,
    step: Option<u32>,
    cacheable: bool,
}

impl Frame<'_, '_> {
    fn serving(
        &mut self,
        rule: &RuleDefinition<'_>,
        index: Option<u32>,
        reason: Reason,
    ) -> Serving {
        let cacheable = self.cacheable && rule.progressive_rollout.is_none();
        let mut answer = |name: &str| {
            let answer = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
            self.answers.push(Answer {
                step: self.step,
                rule: index,
                variation: self.variations.index(name),
                reason,
                cacheable,
            });
            answer
        };
        if let Some(ramp) = &rule.progressive_rollout {
            return Ramp::new(ramp, answer).map_or(Serving::IncompleteRamp, |ramp| {
                Serving::Ramp(Box::new(ramp))
            });
        }
        if let Some(entries) = rule
            .percentage
            .as_ref()
            .filter(|entries| !entries.is_empty())
        {
            return Serving::Split(Split::new(entries, answer));
        }
        match &rule.variation {
            Some(variation) => Serving::Fixed(answer(variation)),
            None => Serving::Nothing,
        }
    }
}
