//! From a flag's definition to the form that is evaluated.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    compiled::{
        body::{Answer, Body, Index, Rare, Schedule, Scheduled, State, Window},
        interner::Interner,
        metadata::Metadata,
        rule::{ProgressiveRollout, Rule, Serving, Split, is_dynamic},
        schedule::Effective,
    },
    configuration::{
        compact_json::CompactJson,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition, WindowDefinition},
        limits,
    },
    evaluate::{
        evaluation::{FlagError, Reason},
        scope::NameTable,
    },
    query::{self, Query},
};

/// How many rules, percentages and variations the states of a flag may have together.
///
/// The official engine has no such limit. It bounds what a scheduled rollout
/// costs to load, which grows with steps times rules.
pub(crate) const MAX_SCHEDULED_PARTS: usize = 20_000;

impl Body {
    pub(crate) fn compile(
        mut flag: FlagDefinition<'_>,
        interner: &mut Interner,
    ) -> Result<Self, FlagError> {
        check_queries(&flag)?;
        let metadata = flag.metadata.take().unwrap_or_default();
        let flag = &flag;
        let steps = flag.scheduled_rollout.as_deref().unwrap_or_default();
        let mut compiler = Compiler {
            names: NameTable::default(),
            answers: Vec::new(),
            queries: HashMap::new(),
            interner,
            cacheable: flag.experimentation.is_none() && steps.is_empty(),
        };
        let state = compiler.state(Index::NONE, &Parts::of(flag));
        let schedule = match &flag.scheduled_rollout {
            None => None,
            Some(steps) => Some(Schedule {
                steps: compiler.steps(steps, &mut Effective::new(flag))?,
                copyable: flag.is_copyable(),
            }),
        };
        let constant = match (&state.default_rule, &flag.bucketing_key, &schedule) {
            (Some(Serving::Fixed(answer)), None, None)
                if state.rules.is_empty() && state.window.is_none() && !state.disabled =>
            {
                Index::new(*answer as usize)
            }
            _ => Index::NONE,
        };
        let rare = Rare {
            version: flag.version.as_deref().unwrap_or_default().into(),
            bucketing_key: flag.bucketing_key.as_deref().map(Box::from),
            schedule,
        };
        let is_rare =
            !rare.version.is_empty() || rare.bucketing_key.is_some() || rare.schedule.is_some();
        let needs_bucketing =
            |flag: &FlagDefinition<'_>| flag.rules().any(RuleDefinition::needs_bucketing);
        Ok(Self {
            needs_bucketing: needs_bucketing(flag) || steps.iter().any(needs_bucketing),
            track_events: flag.track_events.unwrap_or(true),
            cacheable: compiler.cacheable,
            metadata: Metadata::new(
                metadata
                    .into_iter()
                    .map(|(name, value)| (Box::from(name.as_ref()), value))
                    .collect(),
            ),
            answers: compiler.answers.into_boxed_slice(),
            constant,
            rereads: compiler.names.rereads(),
            names: compiler.interner.names(compiler.names.finish()),
            state,
            rare: is_rare.then(|| Box::new(rare)),
        })
    }
}

/// Checks the size limits of all queries, those of scheduled steps included.
fn check_queries(flag: &FlagDefinition<'_>) -> Result<(), FlagError> {
    for query in flag.rules().filter_map(|rule| rule.query.as_deref()) {
        limits::check_query(&query::trim(query)).map_err(FlagError::new)?;
    }
    flag.scheduled_rollout
        .iter()
        .flatten()
        .try_for_each(check_queries)
}

struct Compiler<'i> {
    interner: &'i mut Interner,
    names: NameTable,
    answers: Vec<Answer>,
    /// Queries by text: the states of a scheduled flag repeat them.
    queries: HashMap<String, Query>,
    cacheable: bool,
}

impl Compiler<'_> {
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
                let step = Index::new(compiled.len());
                Scheduled::State(Box::new(self.state(step, &Parts::in_force(effective))))
            };
            compiled.push((*date, scheduled));
        }
        Ok(compiled)
    }

    fn state(&mut self, step: Index, parts: &Parts<'_, '_>) -> State {
        let mut variations = Variations::new(parts.variations);
        let mut frame = Frame {
            answers: &mut self.answers,
            variations: &mut variations,
            step,
            cacheable: self.cacheable,
        };
        let has_rules = !parts.rules.is_empty();
        let mut rules = Vec::with_capacity(parts.rules.len());
        for (index, rule) in parts.rules.iter().enumerate() {
            let reason = if is_dynamic(rule) {
                Reason::TargetingMatchSplit
            } else {
                Reason::TargetingMatch
            };
            let index = Index::new(index);
            rules.push(Rule {
                name: rule
                    .name
                    .as_deref()
                    .filter(|name| !name.is_empty())
                    .map(Box::from),
                query: compile_query(
                    rule,
                    &mut self.names,
                    (step != Index::NONE).then_some(&mut self.queries),
                ),
                serving: frame.serving(rule, index, reason),
                disabled: rule.disable.unwrap_or(false),
            });
        }
        let default_rule = parts.default_rule.map(|rule| {
            let reason = match (is_dynamic(rule), has_rules) {
                (true, _) => Reason::Split,
                (false, true) => Reason::Default,
                (false, false) => Reason::Static,
            };
            frame.serving(rule, Index::NONE, reason)
        });
        State {
            disabled: parts.disabled,
            window: parts.window.map(|window| {
                Box::new(Window {
                    start: window.start.map(|date| date.at),
                    end: window.end.map(|date| date.at),
                })
            }),
            rules: rules.into_boxed_slice(),
            default_rule,
            variations: self.interner.variations(&variations.entries()),
        }
    }
}

/// The parts of a flag that decide what is in force.
struct Parts<'p, 't> {
    variations: &'p [(Cow<'t, str>, CompactJson)],
    rules: &'p [RuleDefinition<'t>],
    default_rule: Option<&'p RuleDefinition<'t>>,
    window: Option<WindowDefinition>,
    disabled: bool,
}

impl<'p, 't> Parts<'p, 't> {
    fn of(flag: &'p FlagDefinition<'t>) -> Self {
        Self {
            variations: flag.variations.as_deref().unwrap_or_default(),
            rules: flag.targeting.as_deref().unwrap_or_default(),
            default_rule: flag.default_rule.as_ref(),
            window: flag.experimentation,
            disabled: flag.disable.unwrap_or(false),
        }
    }

    fn in_force(effective: &'p Effective<'t>) -> Self {
        Self {
            variations: effective.variations.as_deref().unwrap_or_default(),
            rules: &effective.rules,
            default_rule: effective.default_rule.as_ref(),
            window: effective.window,
            disabled: effective.disabled,
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
    defined: &'e [(Cow<'e, str>, CompactJson)],
    /// Names that no variation has, with the value null.
    mentioned: Vec<Box<str>>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
}

impl<'e> Variations<'e> {
    /// Variations sorted by name.
    fn new(defined: &'e [(Cow<'e, str>, CompactJson)]) -> Self {
        Self {
            defined,
            mentioned: Vec::new(),
            by_name: HashMap::default(),
        }
    }

    /// The index of a variation; one that does not exist has the value null.
    fn index(&mut self, name: &str) -> u32 {
        let found = self
            .defined
            .binary_search_by(|(defined, _)| defined.as_ref().cmp(name));
        let index = found.unwrap_or_else(|_| {
            if let Some(index) = self.by_name.get(name) {
                return *index;
            }
            let index = self.defined.len() + self.mentioned.len();
            self.mentioned.push(name.into());
            self.by_name.insert(name.into(), index);
            index
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn entries(&self) -> Vec<(&str, &CompactJson)> {
        let defined = self
            .defined
            .iter()
            .map(|(name, value)| (name.as_ref(), value));
        let mentioned = self
            .mentioned
            .iter()
            .map(|name| (&**name, &CompactJson::Null));
        defined.chain(mentioned).collect()
    }
}

struct Frame<'c, 'e> {
    answers: &'c mut Vec<Answer>,
    variations: &'c mut Variations<'e>,
    step: Index,
    cacheable: bool,
}

impl Frame<'_, '_> {
    fn serving(&mut self, rule: &RuleDefinition<'_>, index: Index, reason: Reason) -> Serving {
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
        if let Some(rollout) = &rule.progressive_rollout {
            return ProgressiveRollout::new(rollout, answer)
                .map_or(Serving::IncompleteProgressiveRollout, |rollout| {
                    Serving::ProgressiveRollout(Box::new(rollout))
                });
        }
        if let Some(entries) = rule
            .percentage
            .as_ref()
            .filter(|entries| !entries.is_empty())
        {
            return Serving::Split(Box::new(Split::new(entries, answer)));
        }
        match &rule.variation {
            Some(variation) => Serving::Fixed(answer(variation)),
            None => Serving::Nothing,
        }
    }
}
