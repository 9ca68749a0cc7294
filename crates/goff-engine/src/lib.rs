//! GO Feature Flag's evaluation, in native Rust.

mod attributes;
mod bucketing;
mod compile;
mod date;
mod definition;
mod document;
mod evaluation;
mod flag;
mod flag_context;
mod flag_set;
mod guard;
mod interner;
mod json;
#[cfg(feature = "file")]
mod loader;
mod metadata;
mod operand;
mod pipeline;
mod query;
mod rule;
mod schedule;
mod scope;
mod variation;

pub use attributes::{Attribute, Attributes};
pub use date::Timestamp;
pub use document::evaluate_document;
pub use evaluation::{
    EVALUATED_RULE_NAME, ErrorCode, Evaluation, EvaluationError, FlagError, Reason, SDK_DEFAULT,
};
pub use flag::{Flag, FlagAnswer, evaluate};
pub use flag_context::FlagContext;
pub use flag_set::{FlagSet, FlagSetError};
#[cfg(feature = "file")]
pub use loader::{FlagFile, FlagFileError, FlagFileFormat, FlagProblem};
pub use metadata::Metadata;

/// The release of the official engine that this one follows: Go module
/// `github.com/thomaspoignant/go-feature-flag/modules/core`.
pub const ENGINE_VERSION: &str = "0.7.2";
