//! The result of an evaluation.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    compiled::metadata::Metadata, configuration::budget::TooExpensive, presentable::presentable,
};

/// The outcome of evaluating a flag, borrowed from the flag and the flag context
/// (docs/engine-semantics.md 13; upstream
/// `modules/core/model/variation_result.go`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation<'a> {
    /// The value of the variation served; the caller's default if none was.
    pub value: &'a Value,
    /// The name of the variation served, or [`SDK_DEFAULT`] if none was.
    ///
    /// It need not be among the flag's variations: the value is null then.
    pub variant: &'a str,
    /// Why this variation was served.
    pub reason: Reason,
    /// What went wrong, if anything did; the value is the caller's default then.
    pub error: Option<EvaluationError<'a>>,
    /// Whether the same context will get the same answer until the flag changes.
    pub cacheable: bool,
    /// Whether to record evaluations of this flag as usage data.
    pub track_events: bool,
    /// The flag's version in the configuration; empty if it has none.
    pub version: &'a str,
    /// The flag's metadata, without `evaluatedRuleName`.
    pub metadata: &'a Metadata,
    /// The name of the targeting rule that decided, if it has one.
    ///
    /// The official engine reports it in the metadata as `evaluatedRuleName`.
    pub rule_name: Option<&'a str>,
    /// Which of the flag's answers this is; none for errors and disabled flags.
    pub(crate) answer: Option<usize>,
}

/// The name that stands for the caller's default among variants.
pub const SDK_DEFAULT: &str = "SdkDefault";

impl Evaluation<'_> {
    /// The metadata as the official engine reports it: the flag's own, and
    /// `evaluatedRuleName` if a named targeting rule decided.
    #[must_use]
    pub fn metadata_map(&self) -> Map<String, Value> {
        let mut map = self.metadata.to_map();
        if let Some(name) = self.rule_name {
            map.insert(EVALUATED_RULE_NAME.to_owned(), Value::from(name));
        }
        map
    }
}

/// The metadata entry that names the deciding rule.
pub const EVALUATED_RULE_NAME: &str = "evaluatedRuleName";

/// Why a variation was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The default rule decided, and the flag has no targeting rules.
    Static,
    /// The default rule decided, because no targeting rule applies.
    Default,
    /// A targeting rule decided.
    TargetingMatch,
    /// The default rule decided, by a percentage or progressive rollout.
    Split,
    /// A targeting rule decided, by a percentage or progressive rollout.
    TargetingMatchSplit,
    /// The flag is disabled, or outside its experimentation window.
    Disabled,
    /// The evaluation ended in an error.
    Error,
}

impl Reason {
    /// The name used on the wire, such as `TARGETING_MATCH`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::TargetingMatchSplit => "TARGETING_MATCH_SPLIT",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of error ended an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The flag's configuration cannot be read, or is too expensive to compile.
    ParseError,
    /// The flag needs a bucketing key and the context has none.
    TargetingKeyMissing,
    /// The flag's configuration gives no answer.
    FlagConfig,
    /// The context holds an attribute that cannot be read.
    InvalidContext,
    /// There is no flag of that name.
    FlagNotFound,
    /// Anything else.
    General,
}

impl ErrorCode {
    /// The name used on the wire, such as `FLAG_CONFIG`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::FlagConfig => "FLAG_CONFIG",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::General => "GENERAL",
        }
    }

    /// The kind with this name on the wire; `General` for any other.
    pub(crate) fn named(name: &str) -> Self {
        let all = [
            Self::ParseError,
            Self::TargetingKeyMissing,
            Self::FlagConfig,
            Self::InvalidContext,
            Self::FlagNotFound,
        ];
        let named = all.into_iter().find(|code| code.as_str() == name);
        named.unwrap_or(Self::General)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an evaluation has no answer. Its text is the official engine's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluationError<'a> {
    /// The flag's configuration was rejected when it was loaded.
    Rejected(&'a FlagError),
    /// The flag needs the targeting key and it is empty.
    EmptyTargetingKey,
    /// The flag needs the attribute that its bucketing key names and it is empty.
    EmptyBucketingKey,
    /// The attribute that the bucketing key names is absent.
    BucketingKeyNotFound(&'a str),
    /// The attribute that the bucketing key names is not text.
    InvalidBucketingKey,
    /// No targeting rule applies and there is no default rule.
    NoDefaultRule,
    /// A rule needs a bucketing key and it is empty.
    NoKeyForRule,
    /// A rule serves nothing.
    NoVariation,
    /// The hash falls into no bucket of a percentage rollout.
    NoBucket,
    /// A progressive rollout lacks a variation or a date, or ends before it begins.
    IncompleteProgressiveRollout,
    /// A scheduled step changes a part that the flag does not have.
    ScheduledStepWithoutTarget,
    /// A date of a flag with scheduled steps has a zone offset of a day.
    DateOutOfRange,
    /// An attribute that the evaluation needs is unreadable.
    UnreadableAttribute(Box<str>),
    /// There is no flag of this name.
    FlagNotFound(&'a str),
}

impl EvaluationError<'_> {
    /// The kind of error.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Rejected(_) => ErrorCode::ParseError,
            Self::EmptyTargetingKey
            | Self::EmptyBucketingKey
            | Self::BucketingKeyNotFound(_)
            | Self::InvalidBucketingKey => ErrorCode::TargetingKeyMissing,
            Self::NoDefaultRule
            | Self::NoKeyForRule
            | Self::NoVariation
            | Self::NoBucket
            | Self::IncompleteProgressiveRollout => ErrorCode::FlagConfig,
            Self::ScheduledStepWithoutTarget | Self::DateOutOfRange => ErrorCode::General,
            Self::UnreadableAttribute(_) => ErrorCode::InvalidContext,
            Self::FlagNotFound(_) => ErrorCode::FlagNotFound,
        }
    }
}

impl fmt::Display for EvaluationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected(error) => return error.fmt(f),
            Self::EmptyTargetingKey => "Error: Empty targeting key",
            Self::EmptyBucketingKey => "Error: Empty bucketing key",
            Self::BucketingKeyNotFound(key) => {
                return write!(
                    f,
                    "impossible to find bucketingKey in context: nested key not found: {}",
                    presentable(key)
                );
            }
            Self::InvalidBucketingKey => "invalid bucketing key",
            Self::NoDefaultRule => "no default targeting for the flag",
            Self::NoKeyForRule => "evaluate Rule: no key for bucketing-required rule",
            Self::NoVariation => "error in the configuration, no variation available for this rule",
            Self::NoBucket => "impossible to find the variation",
            Self::IncompleteProgressiveRollout => {
                "error in the progressive rollout, missing params"
            }
            Self::ScheduledStepWithoutTarget => {
                "recovered from panic during evaluation: runtime error: invalid memory address or nil pointer dereference"
            }
            Self::DateOutOfRange => {
                "json: error calling MarshalJSON for type *time.Time: Time.MarshalJSON: timezone hour outside of range [0,23]"
            }
            Self::UnreadableAttribute(name) => {
                let name = presentable(name);
                return write!(f, "attribute `{name}` of the evaluation context cannot be read");
            }
            Self::FlagNotFound(key) => {
                return write!(f, "flag `{}` was not found", presentable(key));
            }
        })
    }
}

impl std::error::Error for EvaluationError<'_> {}

/// Why a flag's configuration was rejected: the text of its `PARSE_ERROR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError {
    message: Box<str>,
}

impl FlagError {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self {
            message: presentable(&message.to_string()).into(),
        }
    }
}

impl From<TooExpensive> for FlagError {
    fn from(_: TooExpensive) -> Self {
        Self::new(
            "too expensive: the flag would take far more memory or work than its text justifies; use fewer scheduled steps or fewer rules in them",
        )
    }
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FlagError {}
