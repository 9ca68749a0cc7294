//! The result of an evaluation: the resolution, its conversion to a Rust type, errors and their one
//! table of codes, and the outcome with its origin.

mod error;
mod error_code;
mod evaluation_failure;
mod evaluation_type;
mod flag_not_found;
mod flag_type;
mod origin;
mod outcome;
mod relay_error;
mod resolution;

pub use error::ResolutionError;
pub use error_code::ErrorCode;
pub use evaluation_failure::EvaluationFailure;
pub use evaluation_type::EvaluationType;
pub use flag_not_found::{flag_not_found, shown_flag_key};
#[cfg(feature = "open-feature")]
pub(crate) use flag_type::found;
pub use flag_type::{FlagType, Projection, project, project_with};
pub use origin::{FallbackOrigin, Origin};
pub use outcome::{FlagKeyRef, Outcome, OutcomeRef, OutcomeSlot};
pub use relay_error::{BodyProblem, Cause, RelayError};
pub use resolution::{Reason, Resolution, SDK_DEFAULT_VARIANT};
