//! From an evaluation that was watched to its explanation.

use super::{
    effective::Effective,
    explanation::{
        ExplainedError, ExplainedExperimentation, ExplainedKey, ExplainedRange, ExplainedRollout,
        ExplainedRolloutEnd, ExplainedRule, ExplainedServing, ExplainedSplit, Explanation,
        RuleOutcome,
    },
    recorder::{Log, MOST_RULES, Recorder, RuleLog},
};
use crate::{
    compiled::{
        body::{Body, State},
        rule::{ProgressiveRollout, Serving, Split},
    },
    configuration::{date::Timestamp, definition::RuleDefinition},
    evaluate::{
        attributes::Attributes,
        bucketing::BucketingHash,
        evaluation::{ErrorCode, Evaluation, EvaluationError, Reason},
        flag_context::FlagContext,
        pipeline,
        scope::Scope,
    },
    presentable::{excerpt, presentable},
    query::{
        Query,
        json_logic::{self, ignored::Part},
        rule_language::outline::Outline,
    },
};

/// Evaluates the flag with this key, this JSON and this compiled form, and says why it has its result.
pub(crate) fn explain<A: Attributes + ?Sized>(
    (key, json): (&str, &str),
    body: &Body,
    hash: BucketingHash,
    attributes: &A,
    flag_context: &FlagContext,
    clock: Timestamp,
) -> Explanation {
    let scope = Scope::new(attributes, flag_context);
    let stated = scope.without_enrichment().stated_time().ok().flatten();
    let time = stated.unwrap_or(clock);
    let effective = Effective::at(time, json);
    let state = body.state_at(time);
    let recorder = Recorder::new(&effective, state, hash, json.len());
    let evaluation = pipeline::evaluate(body, hash, attributes, flag_context, clock, &recorder);
    let log = recorder.into_log();
    let assembly = Assembly {
        body,
        effective: &effective,
        evaluation: &evaluation,
        hash: log
            .key
            .as_ref()
            .filter(|(key, _)| !key.is_empty())
            .map(|(_, hash)| *hash),
        rollout_time: scope.stated_time().ok().flatten().unwrap_or(clock),
    };
    let mut explanation = Explanation {
        time_from_context: stated.is_some(),
        variant_missing: body.serves_missing_variation(&evaluation),
        bucketing_key: log.key.as_ref().map(|(key, _)| ExplainedKey {
            key: key.clone(),
            ..source(body, flag_context)
        }),
        ..without_flag(key, &evaluation, time)
    };
    explanation.steps_omitted = effective.steps.len().saturating_sub(MOST_STEPS);
    explanation.steps = shown_steps(&effective);
    if let Some(state) = state {
        explanation.disabled = state.disabled;
        explanation.experimentation =
            state
                .window
                .as_ref()
                .map(|window| ExplainedExperimentation {
                    start: window.start,
                    end: window.end,
                    running: window.contains(time),
                });
        explanation.rules = assembly.rules(state, log, &mut explanation.rules_omitted);
    }
    explanation
}

/// The explanation of an evaluation without a flag that can be evaluated.
pub(crate) fn without_flag(key: &str, evaluation: &Evaluation<'_>, time: Timestamp) -> Explanation {
    Explanation {
        flag: presentable(key).into_owned(),
        time,
        time_from_context: false,
        steps: Vec::new(),
        steps_omitted: 0,
        disabled: false,
        experimentation: None,
        bucketing_key: None,
        rules: Vec::new(),
        rules_omitted: 0,
        value: evaluation.value.clone(),
        variant: evaluation.variant.to_owned(),
        variant_missing: false,
        reason: evaluation.reason,
        error: evaluation.error.as_ref().map(|error| ExplainedError {
            code: error.code(),
            message: error.to_string(),
        }),
        cacheable: evaluation.cacheable,
    }
}

/// The explanation, or one of a flag that was not evaluated, with the error that the caller gives
/// instead.
pub(crate) fn failed(
    explanation: Option<Explanation>,
    (key, time): (&str, Timestamp),
    code: &str,
    message: &str,
) -> Explanation {
    let none = pipeline::without_flag(EvaluationError::FlagNotFound(key));
    let explanation = explanation.unwrap_or_else(|| without_flag(key, &none, time));
    Explanation {
        value: none.value.clone(),
        variant: none.variant.to_owned(),
        reason: none.reason,
        error: Some(ExplainedError {
            code: ErrorCode::named(code),
            message: excerpt(MOST_OF_MESSAGE, |out| out.write_str(message)),
        }),
        ..explanation
    }
}

/// The step that came into force last, and those around it.
fn shown_steps(effective: &Effective<'_>) -> Vec<super::explanation::ExplainedStep> {
    use super::explanation::StepStatus;

    let due = effective
        .steps
        .iter()
        .take_while(|step| step.status == StepStatus::Due)
        .count();
    let most = effective.steps.len().saturating_sub(MOST_STEPS);
    let first = due.saturating_sub(MOST_STEPS / 2).min(most);
    let shown = effective.steps.iter().skip(first).take(MOST_STEPS);
    shown.cloned().collect()
}

fn source(body: &Body, flag_context: &FlagContext) -> ExplainedKey {
    let path = body.bucketing_key().filter(|path| !path.is_empty());
    let first = path.and_then(|path| path.split('.').next());
    ExplainedKey {
        key: String::new(),
        source: presentable(path.unwrap_or(TARGETING_KEY)).into_owned(),
        enriched: first.is_some_and(|name| flag_context.enrichment.contains_key(name)),
    }
}

struct Assembly<'e> {
    body: &'e Body,
    effective: &'e Effective<'e>,
    evaluation: &'e Evaluation<'e>,
    /// Of the bucketing key, if it is not empty.
    hash: Option<BucketingHash>,
    rollout_time: Timestamp,
}

impl Assembly<'_> {
    fn rules(&self, state: &State, log: Log<'_>, omitted: &mut usize) -> Vec<ExplainedRule> {
        let count = state.rules.len();
        let last = log.rules.last().map(|rule| rule.index);
        let mut logs = log.rules.into_iter().peekable();
        let mut rules = Vec::new();
        for index in 0..count {
            let rule = logs.next_if(|rule| rule.index == index);
            let is_last = Some(index) == last;
            // Rules before the last one that are too many, and those after it.
            if index >= MOST_RULES - 1 && !is_last {
                *omitted += 1;
            } else if let Some(serving) = state.rules.get(index).map(|rule| &rule.serving) {
                rules.push(self.targeting_rule(state, (index, is_last), rule, serving));
            }
        }
        if let Some(definition) = &self.effective.default_rule
            && let Some(serving) = &state.default_rule
        {
            let (outcome, why) = match logs.next() {
                Some(_) if self.evaluation.error.is_none() => {
                    (RuleOutcome::Matched, "no targeting rule matches".to_owned())
                }
                Some(_) => (RuleOutcome::Failed, self.error()),
                None => (RuleOutcome::Skipped, self.skipped()),
            };
            rules.push(ExplainedRule {
                index: None,
                name: definition
                    .name
                    .as_deref()
                    .map(|name| presentable(name).into_owned()),
                query: None,
                outcome,
                why,
                conditions: Vec::new(),
                conditions_omitted: 0,
                ignored: Vec::new(),
                supplied: Vec::new(),
                serves: self.serving(state, serving, definition),
            });
        }
        rules
    }

    fn targeting_rule(
        &self,
        state: &State,
        (index, is_last): (usize, bool),
        mut log: Option<RuleLog<'_>>,
        serving: &Serving,
    ) -> ExplainedRule {
        let query = self.effective.query(index);
        let compiled = state.rules.get(index);
        let outline = match &mut log {
            Some(log) => log.outline.take(),
            None => self.effective.outline(Some(state), index),
        };
        let disabled = compiled.is_some_and(|rule| rule.disabled);
        let (outcome, why) = match &log {
            None => (RuleOutcome::Skipped, self.skipped()),
            Some(log) => match log.query {
                None if disabled && !(is_last && self.evaluation.error.is_some()) => {
                    (RuleOutcome::Skipped, "the rule is disabled".to_owned())
                }
                None => (RuleOutcome::Failed, self.error()),
                Some((_, true)) => (
                    RuleOutcome::NotMatched,
                    "the queries of this evaluation searched too much text, so that no rule matches any more".to_owned(),
                ),
                Some((true, _)) if self.evaluation.error.is_some() => {
                    (RuleOutcome::Failed, self.error())
                }
                Some((true, _)) => (RuleOutcome::Matched, match compiled.map(|rule| &rule.query) {
                    Some(Query::Always) => "a rule without a query matches everyone",
                    _ => "the query matches",
                }.to_owned()),
                Some((false, _)) => {
                    let unrecognized = outline.as_ref().is_some_and(Outline::is_unrecognized);
                    (RuleOutcome::NotMatched, not_matched(log, query, compiled.map(|rule| &rule.query), unrecognized))
                }
            },
        };
        let parts = |parts: &mut dyn Iterator<Item = String>| -> Vec<String> {
            parts.take(MOST_PARTS).collect()
        };
        let name = self
            .effective
            .rules
            .get(index)
            .and_then(|rule| rule.name.as_deref());
        let nothing = RuleDefinition::default();
        let definition = self.effective.rules.get(index);
        let definition = definition.map_or(&nothing, |rule| &rule.definition);
        let (conditions, conditions_omitted) = log
            .map(|log| (log.conditions, log.conditions_omitted))
            .unwrap_or_default();
        ExplainedRule {
            index: Some(index),
            name: name.map(|name| presentable(name).into_owned()),
            query: query
                .filter(|query| !query.is_empty())
                .map(|query| excerpt(MOST_OF_QUERY, |out| out.write_str(query))),
            outcome,
            why,
            conditions,
            conditions_omitted,
            ignored: match (&outline, query, compiled.map(|rule| &rule.query)) {
                (Some(outline), ..) => {
                    parts(&mut outline.ignored().map(|part| presentable(part).into_owned()))
                }
                (None, Some(query), Some(Query::JsonLogic(_))) => {
                    json_logic::ignored::parts(query)
                        .into_iter()
                        .filter_map(|part| match part {
                            Part::Ignored(part) => Some(part),
                            // The condition that fails says so.
                            Part::Broken(_) => None,
                        })
                        .collect()
                }
                _ => Vec::new(),
            },
            supplied: outline.as_ref().map_or_else(Vec::new, |outline| {
                parts(&mut outline.supplied().map(|part| part.to_string()))
            }),
            serves: self.serving(state, serving, definition),
        }
    }

    fn error(&self) -> String {
        let error = self.evaluation.error.as_ref();
        error.map(EvaluationError::to_string).unwrap_or_default()
    }

    /// Why the evaluation did not come to a rule.
    fn skipped(&self) -> String {
        match (&self.evaluation.error, self.evaluation.reason) {
            (Some(_), _) => "the evaluation ended in an error before".to_owned(),
            (None, Reason::Disabled) => {
                "the flag is disabled, or its experimentation does not run".to_owned()
            }
            (None, _) => "a rule before it decided".to_owned(),
        }
    }

    fn serving(
        &self,
        state: &State,
        serving: &Serving,
        definition: &RuleDefinition<'_>,
    ) -> ExplainedServing {
        let variant = |answer: u32| -> String {
            let answer = self.body.answers.get(answer as usize);
            let name = answer.map_or("", |answer| state.resolve(answer).0);
            presentable(name).into_owned()
        };
        match serving {
            Serving::Fixed(answer) => ExplainedServing::Variation(variant(*answer)),
            Serving::Split(split) => {
                ExplainedServing::Split(self.split(split, definition, variant))
            }
            Serving::ProgressiveRollout(rollout) => {
                ExplainedServing::ProgressiveRollout(self.rollout(rollout, variant))
            }
            Serving::IncompleteProgressiveRollout => ExplainedServing::IncompleteProgressiveRollout,
            Serving::Nothing => ExplainedServing::Nothing,
        }
    }

    fn split(
        &self,
        split: &Split,
        definition: &RuleDefinition<'_>,
        variant: impl Fn(u32) -> String,
    ) -> ExplainedSplit {
        let bucket = self.hash.map(|hash| hash.bucket(split.total()));
        let hit = self.hash.and_then(|hash| split.pick(hash));
        let percentages = definition.percentage.iter().flatten().rev();
        let all = split.ranges().zip(percentages).enumerate();
        let mut ranges = Vec::new();
        let mut ranges_omitted = 0;
        for (index, ((buckets, answer), (_, percentage))) in all {
            let hit = hit == Some(answer);
            if index >= MOST_RANGES && !hit {
                ranges_omitted += 1;
                continue;
            }
            ranges.push(ExplainedRange {
                variant: variant(answer),
                percentage: *percentage,
                start: buckets.start,
                end: buckets.end,
                hit,
            });
        }
        ExplainedSplit {
            bucket,
            buckets: split.total(),
            ranges,
            ranges_omitted,
        }
    }

    fn rollout(
        &self,
        rollout: &ProgressiveRollout,
        variant: impl Fn(u32) -> String,
    ) -> ExplainedRollout {
        let [initial, end] = rollout
            .ends()
            .map(|(date, buckets, answer)| ExplainedRolloutEnd {
                variant: variant(answer),
                percentage: buckets / BUCKETS_OF_PERCENT,
                date,
            });
        ExplainedRollout {
            initial,
            end,
            time: self.rollout_time,
            share: f64::from(rollout.share(self.rollout_time)) / BUCKETS_OF_PERCENT,
            bucket: self
                .hash
                .map(|hash| hash.bucket(ProgressiveRollout::BUCKETS)),
        }
    }
}

fn not_matched(
    log: &RuleLog<'_>,
    text: Option<&str>,
    query: Option<&Query>,
    unrecognized: bool,
) -> String {
    match query {
        Some(Query::Never) if text.is_some_and(|text| text.trim() == "null") => {
            "the query is JSON's null, which matches no context"
        }
        Some(Query::Never) => "the query is nested too deeply to be evaluated",
        _ if unrecognized => "nothing of the query can be understood",
        _ if log.stopped => "the query was given up",
        _ => "the query does not match",
    }
    .to_owned()
}

const TARGETING_KEY: &str = "targetingKey";

const BUCKETS_OF_PERCENT: f64 = 1000.0;

const MOST_STEPS: usize = 20;
const MOST_RANGES: usize = 20;
/// Ignored or supplied parts of a query.
const MOST_PARTS: usize = 5;
/// Characters of an error that a caller gives.
const MOST_OF_MESSAGE: usize = 1_000;
/// Characters of a query.
const MOST_OF_QUERY: usize = 400;
