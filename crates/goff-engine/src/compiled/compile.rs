//! From a flag's definition to the form that is evaluated.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::RandomState},
    sync::Arc,
};

use crate::{
    compiled::{
        body::{Answer, Body, DEFAULT_RULE, Needs, Schedule, State, Window},
        interner::Interner,
        metadata::Metadata,
        rule::{ProgressiveRollout, Serving, Split, is_dynamic},
        schedule::{Draft, StepError},
        variation::{StoredValue, Variation},
    },
    configuration::{
        budget::{Budget, TooExpensive},
        compact_json::CompactJson,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition},
        json::{MAX_NESTING, Node},
    },
    evaluate::{
        evaluation::{FlagError, Reason},
        scope::NameTable,
    },
};

impl Body {
    /// Compiles the JSON of a flag.
    pub(crate) fn from_json(
        json: &str,
        interner: &mut Interner,
        budget: &mut Budget,
    ) -> Result<Self, FlagError> {
        let node = Node::parse(json, MAX_NESTING).map_err(FlagError::new)?;
        let definition = FlagDefinition::decode(&node, budget).map_err(FlagError::new)?;
        drop(node);
        Self::compile(definition, interner, budget)
    }

    pub(crate) fn compile(
        mut flag: FlagDefinition<'_>,
        interner: &mut Interner,
        budget: &mut Budget,
    ) -> Result<Self, FlagError> {
        let copyable = flag.is_copyable();
        let steps = flag.scheduled_rollout.take();
        let flags = || std::iter::once(&flag).chain(steps.iter().flatten());
        let needs_bucketing = flags().any(|flag| flag.rules().any(RuleDefinition::needs_bucketing));
        let metadata = flag.metadata.take().into_iter().flatten();
        let metadata = metadata.map(|(name, value)| (Box::from(name), StoredValue::new(value)));
        let metadata = Metadata::new(metadata.collect());
        let needs = flag.needs.take().filter(|names| !names.is_empty());
        let needs = needs.map(|names| Box::new(Needs(names.into_iter().map(Box::from).collect())));
        let version = flag.version.take().unwrap_or_default().into();
        let bucketing_key = flag.bucketing_key.take();
        let track_events = flag.track_events.unwrap_or(true);
        let defined = flag.variations.take();
        let defines_variations = defined.is_some();
        let mut compiler = Compiler {
            names: NameTable::default(),
            answers: Vec::new(),
            states: Vec::new(),
            variations: Variations::new(defined.unwrap_or_default()),
            interner,
            budget,
            cacheable: flag.experimentation.is_none() && steps.as_ref().is_none_or(Vec::is_empty),
        };
        let mut draft = Draft::new(flag, &mut compiler.names, compiler.budget)?;
        compiler.add_state(&mut draft)?;
        let schedule = match steps {
            None => None,
            Some(steps) => Some(Box::new(Schedule {
                steps: compiler.add_steps(steps, draft, defines_variations)?,
                copyable,
            })),
        };
        Ok(Self {
            needs_bucketing,
            track_events,
            cacheable: compiler.cacheable,
            is_independent: compiler.budget.is_within_share(),
            version,
            metadata,
            needs,
            bucketing_key: bucketing_key.map(|key| Box::new(key.into())),
            names: compiler.interner.names(compiler.names.finish()),
            answers: compiler.answers.into(),
            states: compiler.states.into(),
            schedule,
        })
    }
}

struct Compiler<'c> {
    interner: &'c mut Interner,
    budget: &'c mut Budget,
    names: NameTable,
    answers: Vec<Answer>,
    states: Vec<State>,
    variations: Variations,
    cacheable: bool,
}

impl Compiler<'_> {
    fn add_steps<'t>(
        &mut self,
        mut steps: Vec<FlagDefinition<'t>>,
        mut draft: Draft<'t>,
        defines_variations: bool,
    ) -> Result<Vec<(Timestamp, Option<u32>)>, TooExpensive> {
        steps.sort_by_key(|step| step.date.map(|date| date.at));
        let mut compiled = Vec::with_capacity(steps.len());
        let mut missing_part = false;
        let mut steps = steps.into_iter().peekable();
        let mut number = 0;
        while let Some(mut step) = steps.next() {
            number += 1;
            let Some(date) = step.date.map(|date| date.at) else {
                continue;
            };
            // A flag without the member `variations` cannot get any.
            if let Some(updates) = step.variations.take().filter(|_| defines_variations) {
                self.variations.update(updates, self.budget)?;
                draft.outdate_servings(self.budget)?;
            }
            if !missing_part {
                match draft.apply(step, number, &mut self.names, self.budget) {
                    Ok(()) => {}
                    Err(StepError::MissingPart) => missing_part = true,
                    Err(StepError::TooExpensive) => return Err(TooExpensive),
                }
            }
            // Of several steps due at one instant the last one decides.
            if steps
                .peek()
                .and_then(|next| next.date)
                .is_some_and(|next| next.at == date)
            {
                continue;
            }
            let state = if missing_part {
                None
            } else {
                Some(self.add_state(&mut draft)?)
            };
            compiled.push((date, state));
        }
        Ok(compiled)
    }

    /// Compiles a state and gives its index.
    fn add_state(&mut self, draft: &mut Draft<'_>) -> Result<u32, TooExpensive> {
        // Not for steps that change no rule: flags have many of both.
        let changed = if draft.rules_changed {
            &mut *draft.rules
        } else {
            &mut []
        };
        for (index, rule) in changed.iter_mut().enumerate() {
            if rule.serving.is_none() {
                let reason = if is_dynamic(&rule.definition) {
                    Reason::TargetingMatchSplit
                } else {
                    Reason::TargetingMatch
                };
                rule.serving = Some(self.serving(&rule.definition, narrow(index), reason)?);
            }
        }
        let has_targeting = !draft.rules.is_empty();
        if let Some(rule) = &mut draft.default_rule
            && rule.serving.is_none()
        {
            let reason = match (is_dynamic(&rule.definition), has_targeting) {
                (true, _) => Reason::Split,
                (false, true) => Reason::Default,
                (false, false) => Reason::Static,
            };
            rule.serving = Some(self.serving(&rule.definition, DEFAULT_RULE, reason)?);
        }
        let last = self.states.last();
        let rules = match last {
            Some(last) if !draft.rules_changed => Arc::clone(&last.rules),
            _ => draft.compiled(self.budget)?,
        };
        draft.rules_changed = false;
        let variations = match last {
            Some(last) if !self.variations.changed => Arc::clone(&last.variations),
            Some(_) => {
                let entries = self.variations.entries.iter();
                self.budget
                    .spend(entries.map(Variation::copied_size).sum())?;
                self.variations.entries.as_slice().into()
            }
            None => self.interner.variations(self.variations.entries.clone()),
        };
        self.variations.changed = false;
        let index = narrow(self.states.len());
        self.states.push(State {
            disabled: draft.disabled,
            window: draft.window.map(|window| {
                Box::new(Window {
                    start: window.start.map(|date| date.at),
                    end: window.end.map(|date| date.at),
                })
            }),
            rules,
            default_rule: draft
                .default_rule
                .as_ref()
                .and_then(|rule| rule.serving.clone()),
            variations,
        });
        Ok(index)
    }

    /// Compiles what a rule serves.
    fn serving(
        &mut self,
        rule: &RuleDefinition<'_>,
        rule_index: u32,
        reason: Reason,
    ) -> Result<Serving, TooExpensive> {
        let entries = rule.percentage.as_deref().unwrap_or_default();
        self.budget.spend_on::<[Answer; 2]>(1 + entries.len())?;
        let cacheable = self.cacheable && rule.progressive_rollout.is_none();
        let mut answer = |name: &str| {
            let answer = narrow(self.answers.len());
            let variation = self.variations.index(name);
            self.answers.push(Answer {
                rule: rule_index,
                variation: narrow(variation),
                exists: self.variations.exists(variation),
                reason,
                cacheable,
            });
            answer
        };
        if let Some(rollout) = &rule.progressive_rollout {
            return Ok(match ProgressiveRollout::new(rollout, answer) {
                Some(rollout) => Serving::ProgressiveRollout(Box::new(rollout)),
                None => Serving::IncompleteProgressiveRollout,
            });
        }
        Ok(match (entries, &rule.variation) {
            ([_, ..], _) => Serving::Split(Arc::new(Split::new(entries, answer))),
            ([], Some(variation)) => Serving::Fixed(answer(variation)),
            ([], None) => Serving::Nothing,
        })
    }
}

type Definitions<'t> = Vec<(Cow<'t, str>, CompactJson)>;

/// The variations of the current state: those it has, and those that rules mention, whose value is
/// null. Each keeps its index in later states.
struct Variations {
    entries: Vec<Variation>,
    /// How many entries are sorted by name: those that the flag defined first.
    sorted: usize,
    /// The places of the other entries.
    others: HashMap<Box<str>, usize, RandomState>,
    /// Whether they differ from those of the last state.
    changed: bool,
}

impl Variations {
    /// Definitions are sorted by name.
    fn new(definitions: Definitions<'_>) -> Self {
        let variation = |(name, value)| Variation {
            name: Box::from(name),
            value: StoredValue::new(value),
        };
        let entries: Vec<_> = definitions.into_iter().map(variation).collect();
        Self {
            sorted: entries.len(),
            entries,
            others: HashMap::default(),
            changed: false,
        }
    }

    /// The index of a variation, which is added if it does not exist.
    fn index(&mut self, name: &str) -> usize {
        let sorted = self.entries.get(..self.sorted).unwrap_or_default();
        if let Ok(index) = sorted.binary_search_by(|known| (*known.name).cmp(name)) {
            return index;
        }
        if let Some(index) = self.others.get(name) {
            return *index;
        }
        let index = self.entries.len();
        self.others.insert(name.into(), index);
        self.entries.push(Variation {
            name: name.into(),
            value: StoredValue::Missing,
        });
        self.changed = true;
        index
    }

    fn exists(&self, index: usize) -> bool {
        let variation = self.entries.get(index);
        variation.is_some_and(|variation| !matches!(variation.value, StoredValue::Missing))
    }

    /// Adds and overwrites variations.
    fn update(
        &mut self,
        updates: Definitions<'_>,
        budget: &mut Budget,
    ) -> Result<(), TooExpensive> {
        budget.spend_on::<Variation>(updates.len())?;
        for (name, value) in updates {
            let index = self.index(&name);
            if let Some(variation) = self.entries.get_mut(index) {
                variation.value = StoredValue::new(value);
                self.changed = true;
            }
        }
        Ok(())
    }
}

/// An index of a part of a flag. Its text would exceed 4 GiB before the number exceeds 32 bits.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
