//! GO Feature Flag's evaluation, in native Rust.
//!
//! This crate answers one question: which variation of a flag does this
//! context get, now? It gives the answers of the official engine, quirks
//! included, and nothing else: it opens no socket and reads no clock, spawns
//! nothing, and panics on no input. What fetches flags, caches answers or
//! records usage lives in other crates.
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
//! let flag_context = FlagContext { default_value: json!(false), ..FlagContext::default() };
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
//! list of *targeting* rules, and a *default rule* for everybody whom no
//! targeting rule applies to. A rule has a *query* (the default rule has none)
//! and serves one of three things:
//!
//! | member of the rule | serves |
//! |---|---|
//! | `variation` | that variation |
//! | `percentage` | a split: each variation to its share of users |
//! | `progressiveRollout` | a rollout from one variation to another between two dates |
//!
//! If several are there, the rollout hides the split and the split hides the
//! variation. Beside its rules a flag may have:
//!
//! * `disable`: everybody gets the caller's default, with reason `DISABLED`;
//! * `experimentation`: outside its window the flag behaves as disabled;
//! * `scheduledRollout`: dated steps, each of which changes parts of the flag;
//! * `bucketingKey`: an attribute to hash instead of the targeting key;
//! * `metadata`, `version`, `trackEvents`: handed on with each answer.
//!
//! # Who gets which share
//!
//! A split hashes the flag's name together with the *targeting key* (FNV-1a)
//! into as many buckets as the percentages have thousandths. The same user
//! gets the same variation on every machine, without anything being stored,
//! and different flags split users differently. Percentages need not add up to
//! 100: shares are relative to their sum.
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
//! A flag that splits needs a key. Without one the evaluation ends in
//! [`ErrorCode::TargetingKeyMissing`], even where the flag is disabled, or its
//! only split is in a scheduled step that is years away.
//!
//! # Queries
//!
//! A query is written in one of two languages; one that is a JSON object is
//! JSONLogic. The other one compares attributes with literals:
//!
//! ```text
//! country in ["FR", "DE"] and (age ge 18 or parent.consent eq true) and not (email ew "@example.com")
//! ```
//!
//! Operators are `eq ne gt lt ge le` (or `== != > < >= <=`), `in` with a list,
//! `co sw ew` (contains, starts with, ends with) for text, and `pr` (is
//! present). Versions compare by precedence: `version ge 2.0.0`. What surprises
//! newcomers, and is as in the official engine:
//!
//! | query | what happens |
//! |---|---|
//! | `a or b and c` | `(a or b) and c`: one precedence, from the left |
//! | `x eq 1 AND y eq 2` | `x eq 1`: operators are lower-case, the rest is ignored |
//! | `plan ne "pro"` without a plan | false: another type or no attribute makes every comparison false |
//! | `plan eq "PRO"` | ignores case; `plan in ["PRO"]` does not |
//! | `score eq 1` for 1.9 | true: a fraction is cut off before it meets an integer |
//! | `x co 1 or x eq 1` | never matches: an operator that the literal does not have spoils all |
//!
//! Queries never fail: one that cannot be parsed matches nobody.
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
//! The caller says what time it is; [`Flag::depends_on_time`] says whether it
//! matters. A context may set its own date, for tests and previews:
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
//! A context is whatever implements [`Attributes`]; JSON objects do. The
//! [`FlagContext`] adds attributes to every context (they win over the
//! context's own) and holds the caller's default value. Queries always see
//! three more names: `key` and `targetingKey` (the targeting key) and
//! `anonymous` (false unless the context says true).
//!
//! # Cost
//!
//! Everything that does not depend on the context is done when a flag is
//! made. Evaluating a flag with a static answer, a rule, a split, or both
//! allocates nothing; so do most others. A variation whose value is an object
//! or a list is expanded into a [`serde_json::Value`] when it is first served.
//!
//! # Where it differs from the official engine
//!
//! On purpose, and only on inputs that nobody writes:
//!
//! * queries nested more than 1,000 deep match nobody, as do JSONLogic rules
//!   that take more than 60,000 steps; the official engine goes on until its
//!   stack or memory ends;
//! * scheduled rollouts whose steps add up to more than 20,000 rules,
//!   percentages and variations are refused;
//! * where the sum of percentages depends on the order of addition, the
//!   official engine answers at random; this one always adds in the same order;
//! * negative percentages count as no buckets.
//!
//! Where the official engine's two builds differ, this one follows the native
//! 64-bit build, which the relay proxy runs; the size limits are those of the
//! compiled module.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `file` | no | `FlagFile`: flag files in YAML, JSON and TOML with the server's validation |

mod compiled;
mod configuration;
mod document;
mod evaluate;
#[cfg(feature = "file")]
mod file;
mod query;

pub use compiled::{
    flag::{Flag, FlagAnswer, evaluate},
    flag_set::{FlagSet, FlagSetError},
    metadata::Metadata,
};
pub use configuration::date::Timestamp;
pub use document::evaluate_document;
pub use evaluate::{
    attributes::{Attribute, Attributes},
    evaluation::{
        EVALUATED_RULE_NAME, ErrorCode, Evaluation, EvaluationError, FlagError, Reason, SDK_DEFAULT,
    },
    flag_context::FlagContext,
};
#[cfg(feature = "file")]
pub use file::{FlagFile, FlagFileError, FlagFileFormat, FlagProblem};

/// The release of the official engine that this one follows: Go module
/// `github.com/thomaspoignant/go-feature-flag/modules/core`.
pub const ENGINE_VERSION: &str = "0.7.2";
