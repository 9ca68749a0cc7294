//! GO Feature Flag's evaluation, in native Rust.
//!
//! This crate answers one question: which variation of a flag does this
//! context get, now? It gives the answers of the official engine, including its
//! quirks, and does nothing else: it opens no socket, reads no clock, spawns
//! nothing, and panics on no input. Other crates fetch flags, cache answers and
//! record usage.
//!
//! ```
//! use goff_engine::{FlagContext, FlagSet, Reason, Timestamp};
//! use serde_json::json;
//!
//! // Once, when the configuration arrives:
//! let flags = FlagSet::from_json(br#"{
//!     "new-checkout": {
//!         "variations": {"on": true, "off": false},
//!         "targeting": [{"query": "plan eq \"pro\" and age ge 18", "variation": "on"}],
//!         "defaultRule": {"percentage": {"on": 20, "off": 80}}
//!     }
//! }"#)?;
//!
//! // For every request:
//! let context = json!({"targetingKey": "user-1", "plan": "Pro", "age": 42});
//! let flag_context = FlagContext::new(json!(false));
//! let now = Timestamp::from(std::time::SystemTime::now());
//! let answer = flags.evaluate("new-checkout", context.as_object().unwrap(), &flag_context, now);
//! assert_eq!(answer.value, true);
//! assert_eq!(answer.reason, Reason::TargetingMatch);
//! # Ok::<(), goff_engine::FlagSetError>(())
//! ```
//!
//! # A flag
//!
//! A flag has *variations* (names and values of any JSON type), an ordered
//! list of *targeting* rules, and a *default rule* for contexts that no targeting
//! rule matches. A rule has a *query* (the default rule has none) and serves one
//! of three things:
//!
//! | member of the rule | serves |
//! |---|---|
//! | `variation` | that variation |
//! | `percentage` | a split: each variation to its share of users |
//! | `progressiveRollout` | a gradual change from one variation to another between two dates |
//!
//! A progressive rollout hides a split, and a split hides a variation. Besides
//! its rules a flag may have:
//!
//! * `disable`: every context gets the caller's default, with reason `DISABLED`;
//! * `experimentation`: outside its window the flag behaves as disabled;
//! * `scheduledRollout`: dated steps, each of which changes parts of the flag;
//! * `bucketingKey`: an attribute to hash instead of the targeting key;
//! * `metadata`, `version`, `trackEvents`: part of each answer.
//!
//! # How a split assigns users
//!
//! A split hashes the flag's name together with the *targeting key* (FNV-1a)
//! into as many buckets as the percentages have thousandths. A user gets the
//! same variation on every machine without any stored state, and different
//! flags split users differently. Percentages need not add up to 100: shares are
//! relative to their sum.
//!
//! ```
//! # use goff_engine::{Flag, FlagContext, Timestamp};
//! # use serde_json::json;
//! let flag = Flag::from_json("banner", br#"{
//!     "variations": {"red": "r", "blue": "b"},
//!     "defaultRule": {"percentage": {"red": 1, "blue": 3}}
//! }"#);
//! let (flag_context, now) = (FlagContext::default(), Timestamp::from_unix_seconds(0));
//! let blue = (0..1000)
//!     .filter(|user| {
//!         let context = json!({"targetingKey": format!("user-{user}")});
//!         flag.evaluate(context.as_object().unwrap(), &flag_context, now).variant == "blue"
//!     })
//!     .count();
//! assert!((700..800).contains(&blue));
//! ```
//!
//! A flag with a split needs a key. Without one the evaluation ends in
//! [`ErrorCode::TargetingKeyMissing`], even if the flag is disabled or its only
//! split is in a scheduled step that is years away.
//!
//! # Queries
//!
//! A query is written in one of two languages. A JSON object is JSONLogic. Any
//! other text is in the rule language, which compares attributes with literals:
//!
//! ```text
//! country in ["FR", "DE"] and (age ge 18 or parent.consent eq true) and not (email ew "@example.com")
//! ```
//!
//! Operators are `eq ne gt lt ge le` (or `== != > < >= <=`), `in` with a list,
//! `co sw ew` (contains, starts with, ends with) for text, and `pr` (is
//! present). Versions compare by precedence: `version ge 2.0.0`. Some rules of
//! the official engine surprise newcomers:
//!
//! | query | what happens |
//! |---|---|
//! | `a or b and c` | `(a or b) and c`: one precedence, left to right |
//! | `x eq 1 AND y eq 2` | `x eq 1`: operators are lower-case, the rest is ignored |
//! | `plan ne "pro"` without a plan | false: every comparison with a missing attribute or another type is false |
//! | `plan eq "PRO"` | ignores case; `plan in ["PRO"]` does not |
//! | `score eq 1` for 1.9 | true: comparison with an integer drops the fraction |
//! | `x co 1 or x eq 1` | never matches: an operator that its literal does not support invalidates the query |
//!
//! Queries never fail: a query that cannot be parsed matches no context.
//!
//! ```
//! # use goff_engine::{Flag, FlagContext, Timestamp};
//! # use serde_json::json;
//! let matches = |query: &str| {
//!     let flag = json!({
//!         "variations": {"yes": true, "no": false},
//!         "targeting": [{"query": query, "variation": "yes"}],
//!         "defaultRule": {"variation": "no"},
//!     });
//!     let flag = Flag::from_json("flag", flag.to_string().as_bytes());
//!     let context = json!({"targetingKey": "u", "plan": "Pro", "score": 1.9, "tags": ["a", "b"]});
//!     let (flag_context, now) = (FlagContext::default(), Timestamp::from_unix_seconds(0));
//!     flag.evaluate(context.as_object().unwrap(), &flag_context, now).value == true
//! };
//! assert!(matches("plan eq \"PRO\" and score eq 1"));
//! assert!(!matches("plan in [\"PRO\"]"));
//! assert!(!matches("ghost ne \"x\""));
//! assert!(matches(r#"{"in": ["a", {"var": "tags"}]}"#));
//! ```
//!
//! # Time
//!
//! The caller passes the time; [`Flag::depends_on_time`] says whether it matters.
//! A context may set the date for its own evaluations, for tests and previews:
//!
//! ```
//! # use goff_engine::{Flag, FlagContext, Reason, Timestamp};
//! # use serde_json::json;
//! let flag = Flag::from_json("sale", br#"{
//!     "variations": {"on": true, "off": false},
//!     "defaultRule": {"variation": "off"},
//!     "scheduledRollout": [{"date": "2030-06-01T00:00:00Z", "defaultRule": {"variation": "on"}}]
//! }"#);
//! let context = json!({"gofeatureflag": {"currentDateTime": "2030-06-01T00:00:00Z"}});
//! let (flag_context, now) = (FlagContext::default(), Timestamp::from_unix_seconds(0));
//! assert_eq!(flag.evaluate(context.as_object().unwrap(), &flag_context, now).variant, "on");
//! ```
//!
//! # Contexts and enrichment
//!
//! A context is any type that implements [`Attributes`], such as a JSON object.
//! The [`FlagContext`] holds the caller's default value and adds attributes to
//! every context, which win over the context's own. Queries always see three
//! more names: `key` and `targetingKey` (the targeting key) and `anonymous`
//! (false unless the context says true).
//!
//! # Cost
//!
//! Everything that does not depend on the context is done when a flag is made.
//! Evaluating a flag with a static answer, a rule or a split allocates nothing,
//! and most other evaluations do not either; a flag whose queries mention more
//! than eight attributes allocates once. A variation whose value is an object
//! or a list is expanded into a [`serde_json::Value`] when it is first served.
//!
//! # Where it differs from the official engine
//!
//! On purpose, and only on inputs that do not occur in practice:
//!
//! * queries nested more than 1,000 deep match no context, nor do JSONLogic
//!   rules nested more than 512 deep or that take more than 60,000 steps; the
//!   official engine continues until its stack or memory is exhausted;
//! * one evaluation searches at most 4 MB of text in all its rules; once it
//!   would exceed that, no rule matches and the default rule decides;
//! * a flag nested more than 1,000 deep is rejected, and one that would take far
//!   more memory or work than its text justifies (a scheduled rollout with
//!   hundreds of steps that each change hundreds of rules);
//! * where the sum of percentages depends on the order of addition, the
//!   official engine answers at random; this one always adds in the same order;
//! * negative percentages count as no buckets.
//!
//! Where the official engine's two builds differ, this one follows the native
//! 64-bit build, which the relay proxy runs. As in the relay proxy, lists,
//! queries and values of any length are served. Loading a configuration of n
//! bytes takes at most 1 MB and 50 bytes for each of them, and 20 ms and 1 µs for
//! each of them; a flag that needs more than its share is an error, its
//! neighbors are not.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `file` | no | `FlagFile`: flag files in YAML, JSON and TOML with the server's validation |
//! | `lint` | no | `lint`: errors and warnings about flag files, with their places |
//! | `document` | no | `evaluate_document` and `DocumentEvaluator`: the JSON documents of the official evaluation module, with that module's size limits |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod compiled;
mod configuration;
#[cfg(feature = "document")]
mod document;
mod evaluate;
mod explain;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "lint")]
mod lint;
mod presentable;
mod query;
mod validation;

pub use compiled::{
    flag::Flag,
    flag_set::{FlagSet, FlagSetError},
    metadata::Metadata,
};
pub use configuration::date::Timestamp;
#[cfg(feature = "document")]
pub use document::{DocumentEvaluator, evaluate_document};
pub use evaluate::{
    attributes::{Attribute, Attributes},
    evaluation::{
        EVALUATED_RULE_NAME, ErrorCode, Evaluation, EvaluationError, FlagError, Reason, SDK_DEFAULT,
    },
    flag_context::FlagContext,
    seen::{Condition, SeenValue},
};
pub use explain::explanation::{
    ExplainedError, ExplainedExperimentation, ExplainedKey, ExplainedRange, ExplainedRollout,
    ExplainedRolloutEnd, ExplainedRule, ExplainedServing, ExplainedSplit, ExplainedStep,
    Explanation, RuleOutcome, StepStatus,
};
#[cfg(feature = "file")]
pub use file::{FlagFile, FlagFileError, FlagFileFormat, FlagProblem};
#[cfg(feature = "lint")]
pub use lint::{
    FlagsNotClean, LintCode, LintDiagnostic, LintFix, LintSeverity, check_clean, lint,
    lint_allowing,
};
pub use validation::InvalidFlag;

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    use std::{ops::Range, sync::Arc};

    use crate::{Evaluation, Explanation, Flag, FlagSet, FlagSetError, Timestamp};
    #[cfg(feature = "file")]
    use crate::{FlagFile, FlagFileError, FlagFileFormat};
    pub use crate::{compiled::flag_set::InOrder, presentable::is_hidden};

    /// Compiles an object of flags, a part of `text`. A flag whose JSON is that of the flag of the
    /// same key in `earlier`, which comes from such a text too, is not compiled again.
    ///
    /// # Errors
    /// Those of [`FlagSet::from_json`].
    pub fn refreshed(
        earlier: &FlagSet,
        text: &Arc<String>,
        range: Range<usize>,
    ) -> Result<FlagSet, FlagSetError> {
        earlier.refreshed(text, range)
    }

    /// Loads a flag file like [`FlagFile::parse`]. A flag that is the same in `earlier`, the flags of
    /// an earlier file, is not compiled again.
    ///
    /// # Errors
    /// Those of `parse`.
    #[cfg(feature = "file")]
    pub fn refreshed_file(
        earlier: &FlagSet,
        bytes: &[u8],
        format: FlagFileFormat,
    ) -> Result<FlagFile, FlagFileError> {
        FlagFile::refreshed(earlier, bytes, format)
    }

    /// Whether key and JSON of a flag are a part of this text, and not a copy.
    #[must_use]
    pub fn is_part_of(flag: &Flag, text: &Arc<String>) -> bool {
        flag.is_part_of(text)
    }

    /// Whether both, which have the same name, are one compiled flag, which was not compiled again.
    #[must_use]
    pub fn is_same(flag: &Flag, other: &Flag) -> bool {
        flag.is_same(other)
    }

    /// The flag called `key` and its index, which stays until the set is changed.
    #[must_use]
    #[inline]
    pub fn get_full<'f>(flags: &'f FlagSet, key: &str) -> Option<(usize, &'f Flag)> {
        flags.get_full(key)
    }

    /// The JSON of a flag, however deep; integers of 64 bits are exact.
    #[cfg(feature = "file")]
    #[must_use]
    pub fn flag_value(flag: &Flag) -> Option<serde_json::Value> {
        flag.value()
    }

    /// How many different answers a flag can give.
    #[must_use]
    pub fn answer_count(flag: &Flag) -> usize {
        flag.answer_count()
    }

    /// Whether an evaluation of `flag` served a variation that the flag does not have, which
    /// is no error of the official engine (docs/engine-semantics.md 2.2).
    #[must_use]
    pub fn serves_missing_variation(flag: &Flag, evaluation: &Evaluation<'_>) -> bool {
        flag.serves_missing_variation(evaluation)
    }

    /// An explanation of an evaluation that has this error in the end, at most 1,000 characters of
    /// it; where there is none so far, of a flag and a time.
    #[must_use]
    pub fn failed_explanation(
        explanation: Option<Explanation>,
        (flag_key, now): (&str, Timestamp),
        code: &str,
        message: &str,
    ) -> Explanation {
        crate::explain::failed(explanation, (flag_key, now), code, message)
    }

    /// Which of its flag's answers an evaluation gave; none for errors and disabled flags.
    ///
    /// Evaluations with the same answer have the same value, variant, reason and rule name.
    #[must_use]
    #[inline]
    pub fn answer(evaluation: &Evaluation<'_>) -> Option<usize> {
        evaluation.answer
    }
}

/// The release of the official engine that this one follows: Go module
/// `github.com/thomaspoignant/go-feature-flag/modules/core`.
pub const ENGINE_VERSION: &str = "0.7.2";
