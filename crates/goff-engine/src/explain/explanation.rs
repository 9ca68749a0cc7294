//! What an explanation says.

use std::fmt;

use serde_json::Value;

use crate::{
    configuration::date::Timestamp,
    evaluate::{
        evaluation::{ErrorCode, Reason},
        seen::Condition,
    },
};

/// Why an evaluation has its result: made by [`FlagSet::explain`](crate::FlagSet::explain) and
/// [`Flag::explain`](crate::Flag::explain).
///
/// `Display` is a tree for people. `Serialize` is JSON for programs: objects with the names of the
/// fields here in camel case, all of them always present, dates as RFC 3339 in UTC, enums as
/// documented at each.
///
/// It contains parts of the evaluation context, which can be personal data, so it belongs where the
/// context does. `Debug` leaves them out.
///
/// However large the flag and the context are, its text and its JSON take at most 128 KiB and 16 times
/// the length of the flag's JSON, besides the value: texts are cut, which a final `…` shows, and lists
/// are cut, which the fields `…omitted` count. The rule that decided, the condition that decided it
/// and the range that was hit are never left out.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The key of the flag.
    pub flag: String,
    /// The time that scheduled steps and experimentations are compared with.
    pub time: Timestamp,
    /// Whether the context states that time, as `gofeatureflag.currentDateTime`.
    pub time_from_context: bool,
    /// The steps of the scheduled rollout, in the order of their dates.
    pub steps: Vec<ExplainedStep>,
    /// Steps that are not listed.
    pub steps_omitted: usize,
    /// Whether the flag, after the steps that are due, is disabled.
    pub disabled: bool,
    /// The experimentation of the flag after the steps that are due.
    pub experimentation: Option<ExplainedExperimentation>,
    /// The key that splits hash; none if the evaluation failed before it was known.
    pub bucketing_key: Option<ExplainedKey>,
    /// The rules of the flag after the steps that are due: the targeting rules in order, then the
    /// default rule.
    pub rules: Vec<ExplainedRule>,
    /// Targeting rules that are not listed. The one that decided is.
    pub rules_omitted: usize,
    /// The value, as that of the evaluation.
    pub value: Value,
    /// The name of the variation, as that of the evaluation.
    pub variant: String,
    /// Whether the flag has no variation of the name that it serves, so that the value is null.
    pub variant_missing: bool,
    /// The reason, as that of the evaluation. In JSON as on the wire, such as `TARGETING_MATCH`.
    pub reason: Reason,
    /// The error, as that of the evaluation.
    pub error: Option<ExplainedError>,
    /// Whether the same context gets the same answer until the flag changes.
    pub cacheable: bool,
}

/// A step of a scheduled rollout.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedStep {
    /// When it becomes due; a step without a date never does.
    pub date: Option<Timestamp>,
    /// Whether it is in force.
    pub status: StepStatus,
    /// The members that it changes, such as `defaultRule`.
    pub changes: Vec<&'static str>,
}

/// Whether a step of a scheduled rollout is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepStatus {
    /// It is. In JSON: `due`.
    Due,
    /// It comes next, maybe with others of the same date. In JSON: `next`.
    Next,
    /// It comes after others. In JSON: `later`.
    Later,
    /// It never will be, because it has no date. In JSON: `never`.
    Never,
}

impl StepStatus {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Next => "next",
            Self::Later => "later",
            Self::Never => "never",
        }
    }
}

/// The window of an experimentation, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedExperimentation {
    /// When it begins, if that is limited.
    pub start: Option<Timestamp>,
    /// When it ends, if that is limited.
    pub end: Option<Timestamp>,
    /// Whether it runs. If not, the flag acts as disabled.
    pub running: bool,
}

/// The key that splits hash together with the key of the flag. `Debug` leaves it out.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplainedKey {
    /// The key.
    pub key: String,
    /// Where it comes from: `targetingKey`, or the path of an attribute that the flag's `bucketingKey`
    /// names.
    pub source: String,
    /// Whether that attribute is one of the enrichment.
    pub enriched: bool,
}

impl fmt::Debug for ExplainedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainedKey")
            .field("source", &self.source)
            .field("enriched", &self.enriched)
            .finish_non_exhaustive()
    }
}

/// A targeting rule, or the default rule.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplainedRule {
    /// Its place among the targeting rules, from 0; none for the default rule.
    pub index: Option<usize>,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its query as the engine reads it: without line breaks and the spaces after them. The default
    /// rule has none.
    pub query: Option<String>,
    /// What the evaluation made of it.
    pub outcome: RuleOutcome,
    /// Why, in one sentence without a period.
    pub why: String,
    /// The comparisons that were made, in order; in JSONLogic, all operators that were applied but
    /// `and`, `or`, `if` and `var`.
    pub conditions: Vec<Condition>,
    /// Comparisons that are not listed. They were made before the last one that is.
    pub conditions_omitted: usize,
    /// The parts of the query that the engine ignores.
    pub ignored: Vec<String>,
    /// What the engine adds to a query that lacks it, such as a parenthesis, and after which text.
    pub supplied: Vec<String>,
    /// What the rule serves where it decides.
    pub serves: ExplainedServing,
}

impl fmt::Debug for ExplainedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainedRule")
            .field("index", &self.index)
            .field("name", &self.name)
            .field("query", &self.query)
            .field("outcome", &self.outcome)
            .field("conditions", &self.conditions)
            .field("serves", &self.serves)
            .finish_non_exhaustive()
    }
}

/// What an evaluation made of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleOutcome {
    /// It decided. In JSON: `matched`.
    Matched,
    /// Its query does not match. In JSON: `notMatched`.
    NotMatched,
    /// Its query was not evaluated. In JSON: `skipped`.
    Skipped,
    /// The evaluation ended in an error here. In JSON: `failed`.
    Failed,
}

impl RuleOutcome {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::NotMatched => "notMatched",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// What a rule serves. In JSON an object whose member `kind` is named at each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExplainedServing {
    /// `variation`: always the same variation, the member `variant`.
    Variation(String),
    /// `split`, with the members of [`ExplainedSplit`].
    Split(ExplainedSplit),
    /// `progressiveRollout`, with the members of [`ExplainedRollout`].
    ProgressiveRollout(ExplainedRollout),
    /// `incompleteProgressiveRollout`: an error, because a variation or a date is missing, or it ends
    /// before it begins.
    IncompleteProgressiveRollout,
    /// `nothing`: an error.
    Nothing,
}

/// A split by percentages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedSplit {
    /// The bucket of the bucketing key, if that is known.
    pub bucket: Option<u32>,
    /// How many buckets there are: the sum of the percentages in thousandths.
    pub buckets: u32,
    /// The ranges in order, which is that of descending names.
    pub ranges: Vec<ExplainedRange>,
    /// Ranges that are not listed. The one that was hit is.
    pub ranges_omitted: usize,
}

/// The buckets of a variation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedRange {
    /// The name of the variation.
    pub variant: String,
    /// The percentage as configured.
    pub percentage: f64,
    /// The first bucket.
    pub start: u32,
    /// The bucket after the last one.
    pub end: u32,
    /// Whether the bucketing key falls into it.
    pub hit: bool,
}

/// A progressive rollout.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedRollout {
    /// Where it begins.
    pub initial: ExplainedRolloutEnd,
    /// Where it ends. A percentage that is missing, zero or above 100 counts as 100, which is what is
    /// said here.
    pub end: ExplainedRolloutEnd,
    /// The time now; unlike [`Explanation::time`], the enrichment can state it.
    pub time: Timestamp,
    /// The percentage of users that get the end's variation now.
    pub share: f64,
    /// The bucket of the bucketing key among 100,000, if that is known; those below
    /// `share` × 1,000 get the end's variation.
    pub bucket: Option<u32>,
}

/// The beginning or the end of a progressive rollout.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedRolloutEnd {
    /// The name of the variation.
    pub variant: String,
    /// The percentage of users that get the end's variation.
    pub percentage: f64,
    /// When that is.
    pub date: Timestamp,
}

/// The error of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedError {
    /// Its kind. In JSON as on the wire, such as `FLAG_CONFIG`.
    pub code: ErrorCode,
    /// The official engine's text, or that of the client whose evaluation it is.
    pub message: String,
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("flag", &self.flag)
            .field("time", &self.time)
            .field("steps", &self.steps)
            .field("experimentation", &self.experimentation)
            .field("bucketing_key", &self.bucketing_key)
            .field("rules", &self.rules)
            .field("variant", &self.variant)
            .field("reason", &self.reason)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
