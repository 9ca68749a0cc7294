//! From a flag's definition to the form that is evaluated.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    compiled::{
        body::{Answer, Body, Schedule, State, Window},
        interner::Interner,
        metadata::Metadata,
        rule::{ProgressiveRollout, Rule, Serving, Split, is_dynamic},
        schedule::FlagState,
    },
    configuration::{
        compact_json::CompactJson,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition},
        json::Node,
        limits,
    },
    evaluate::{
        evaluation::{FlagError, Reason},
        scope::NameTable,
    },
    query::{self, Query},
};

/// The largest number of rules, percentages and variations in all states of a flag together.
///
/// The official engine has no such limit. It bounds the cost of loading a scheduled rollout,
/// which grows with steps times rules.
pub(crate) const MAX_SCHEDULED_PARTS: usize = 20_000;

impl Body {
    /// Compiles the JSON of a flag.
    pub(crate) fn from_json(json: &str, interner: &mut Interner) -> Result<Self, FlagError> {
        // In the official engine's input document the flag is a member, one level deep.
        limits::check_input(json, 1).map_err(FlagError::new)?;
        let node = Node::parse(json, limits::MAX_INPUT_NESTING).map_err(FlagError::new)?;
        let definition = FlagDefinition::decode(&node).map_err(FlagError::new)?;
        Self::compile(definition, interner)
    }

    pub(crate) fn compile(
        mut flag: FlagDefinition<'_>,
        interner: &mut Interner,
    ) -> Result<Self, FlagError> {
        check_queries(&flag)?;
        let copyable = flag.is_copyable();
        let steps = flag.scheduled_rollout.take();
        let metadata = flag.metadata.take().into_iter().flatten();
        let metadata = metadata.map(|(name, value)| (Box::from(name), value));
        let flags = || std::iter::once(&flag).chain(steps.iter().flatten());
        let needs_bucketing = flags().any(|flag| flag.rules().any(RuleDefinition::needs_bucketing));
        let mut compiler = Compiler {
            names: NameTable::default(),
            answers: Vec::new(),
            states: Vec::new(),
            queries: HashMap::new(),
            interner,
            cacheable: flag.experimentation.is_none() && steps.iter().flatten().next().is_none(),
        };
        let version = flag.version.take().unwrap_or_default().into();
        let bucketing_key = flag.bucketing_key.take().map(Box::from);
        let track_events = flag.track_events.unwrap_or(true);
        let mut state = FlagState::new(flag);
        compiler.add_state(&state);
        let schedule = match &steps {
            None => None,
            Some(steps) => Some(Box::new(Schedule {
                steps: compiler.add_steps(steps, &mut state)?,
                copyable,
            })),
        };
        Ok(Self {
            needs_bucketing,
            track_events,
            cacheable: compiler.cacheable,
            version,
            metadata: Metadata::new(metadata.collect()),
            bucketing_key,
            names: compiler.interner.names(compiler.names.finish()),
            answers: compiler.answers.into(),
            states: compiler.states.into(),
            schedule,
        })
    }
}

/// Checks the size limits of all queries, including those of scheduled steps.
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
    states: Vec<State>,
    /// Queries of scheduled states by text, because these states repeat them.
    queries: HashMap<String, Query>,
    cacheable: bool,
}

impl Compiler<'_> {
    fn add_steps<'t>(
        &mut self,
        steps: &[FlagDefinition<'t>],
        state: &mut FlagState<'t>,
    ) -> Result<Vec<(Timestamp, Option<u32>)>, FlagError> {
        let mut dated: Vec<_> = steps
            .iter()
            .filter_map(|step| Some((step.date?.at, step)))
            .collect();
        dated.sort_by_key(|(date, _)| *date);
        let mut compiled = Vec::with_capacity(dated.len());
        let mut parts = 0_usize;
        let mut missing_part = false;
        for (index, (date, step)) in dated.iter().enumerate() {
            missing_part = missing_part || state.apply(step).is_err();
            parts = parts.saturating_add(state.size());
            if parts > MAX_SCHEDULED_PARTS {
                return Err(FlagError::new(format_args!(
                    "scheduled rollout exceeds the maximum of {MAX_SCHEDULED_PARTS} rules, percentages and variations in all its steps"
                )));
            }
            // Of several steps due at one instant the last one decides.
            if dated.get(index + 1).is_some_and(|(next, _)| next == date) {
                continue;
            }
            compiled.push((*date, (!missing_part).then(|| self.add_state(state))));
        }
        Ok(compiled)
    }

    /// Compiles a state and gives its index.
    fn add_state(&mut self, flag: &FlagState<'_>) -> u32 {
        let index = narrow(self.states.len());
        let mut variations = Variations::new(flag.variations.as_deref().unwrap_or_default());
        let mut servings = Servings {
            answers: &mut self.answers,
            variations: &mut variations,
            cacheable: self.cacheable,
        };
        let mut rules = Vec::with_capacity(flag.rules.len());
        for rule in &flag.rules {
            let reason = if is_dynamic(rule) {
                Reason::TargetingMatchSplit
            } else {
                Reason::TargetingMatch
            };
            let name = rule.name.as_deref().filter(|name| !name.is_empty());
            let known = (index > 0).then_some(&mut self.queries);
            rules.push(Rule {
                name: name.map(Box::from),
                query: compile_query(rule, &mut self.names, known),
                serving: servings.compile(rule, rules.len(), reason),
                disabled: rule.disable.unwrap_or(false),
            });
        }
        let default_rule = flag.default_rule.as_ref().map(|rule| {
            let reason = match (is_dynamic(rule), rules.is_empty()) {
                (true, _) => Reason::Split,
                (false, false) => Reason::Default,
                (false, true) => Reason::Static,
            };
            servings.compile(rule, rules.len(), reason)
        });
        self.states.push(State {
            disabled: flag.disabled,
            window: flag.window.map(|window| {
                Box::new(Window {
                    start: window.start.map(|date| date.at),
                    end: window.end.map(|date| date.at),
                })
            }),
            rules: rules.into(),
            default_rule,
            variations: self.interner.variations(&variations.entries()),
        });
        index
    }
}

/// Compiles a query, or copies the query that the same text compiled to before.
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
    /// Sorted by name.
    defined: &'e [(Cow<'e, str>, CompactJson)],
    /// Names that no variation has, with the value null.
    mentioned: Vec<Box<str>>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
}

impl<'e> Variations<'e> {
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
        narrow(found.unwrap_or_else(|_| {
            if let Some(index) = self.by_name.get(name) {
                return *index;
            }
            let index = self.defined.len() + self.mentioned.len();
            self.mentioned.push(name.into());
            self.by_name.insert(name.into(), index);
            index
        }))
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

/// Compiles what the rules of one state serve.
struct Servings<'c, 'e> {
    answers: &'c mut Vec<Answer>,
    variations: &'c mut Variations<'e>,
    cacheable: bool,
}

impl Servings<'_, '_> {
    fn compile(&mut self, rule: &RuleDefinition<'_>, rule_index: usize, reason: Reason) -> Serving {
        let cacheable = self.cacheable && rule.progressive_rollout.is_none();
        let mut answer = |name: &str| {
            let answer = narrow(self.answers.len());
            self.answers.push(Answer {
                rule: narrow(rule_index),
                variation: self.variations.index(name),
                reason,
                cacheable,
            });
            answer
        };
        if let Some(rollout) = &rule.progressive_rollout {
            return match ProgressiveRollout::new(rollout, answer) {
                Some(rollout) => Serving::ProgressiveRollout(Box::new(rollout)),
                None => Serving::IncompleteProgressiveRollout,
            };
        }
        match (&rule.percentage, &rule.variation) {
            (Some(entries), _) if !entries.is_empty() => {
                Serving::Split(Box::new(Split::new(entries, answer)))
            }
            (_, Some(variation)) => Serving::Fixed(answer(variation)),
            (_, None) => Serving::Nothing,
        }
    }
}

/// An index of a part of a flag. Its text would exceed 4 GiB before the number exceeds 32 bits.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
